"""Who is told of a missed deadline, and who is left asleep."""

from datetime import UTC, datetime, timedelta

import pytest

from opt_data.calendars import default_calendar
from opt_data.core.deadlines import RunOrigin, due_on_the_clock, is_worth_telling

NOW = datetime(2025, 11, 24, 15, 0, tzinfo=UTC)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("origin", "due", "expected"),
    [
        (RunOrigin.SCHEDULED, NOW + MINUTE, True),
        (RunOrigin.SCHEDULED, NOW - MINUTE, True),  # created late, after an outage: nobody knows yet
        (RunOrigin.SCHEDULED, NOW - DAY - MINUTE, False),
        (RunOrigin.MANUAL, NOW + MINUTE, True),
        (RunOrigin.MANUAL, NOW, False),
        (RunOrigin.MANUAL, NOW - 365 * DAY, False),
        (RunOrigin.BACKFILL, NOW + MINUTE, False),
        (RunOrigin.BACKFILL, NOW - MINUTE, False),
    ],
)
def test_who_is_told(origin: RunOrigin, due: datetime, expected: bool) -> None:
    assert is_worth_telling(origin, due, NOW, DAY) is expected


@pytest.mark.parametrize(
    ("opened", "later", "expected"),
    [
        (datetime(2025, 11, 24, 14, 30, tzinfo=UTC), 0, datetime(2025, 11, 24, 14, 15, tzinfo=UTC)),
        (datetime(2025, 11, 21, 14, 30, tzinfo=UTC), 1, datetime(2025, 11, 24, 14, 15, tzinfo=UTC)),  # Friday: Monday
        (datetime(2025, 11, 26, 14, 30, tzinfo=UTC), 1, datetime(2025, 11, 28, 14, 15, tzinfo=UTC)),  # Thanksgiving
        (datetime(2025, 3, 7, 14, 30, tzinfo=UTC), 1, datetime(2025, 3, 10, 13, 15, tzinfo=UTC)),  # clocks went forward
    ],
)
def test_a_wall_time_of_the_session_or_the_next(opened: datetime, later: int, expected: datetime) -> None:
    due = due_on_the_clock(opened, "09:15", sessions_later=later, calendar=default_calendar())

    assert due == expected
