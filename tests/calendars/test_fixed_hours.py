"""The fallback: only where the calendar has no answer, and never without a line in the log."""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime

import pytest

from opt_data.calendars.fixed_hours import FixedHoursFallback
from opt_data.calendars.hours import TradingHours
from opt_data.calendars.xnys import XnysCalendar
from opt_data.errors import NotASession


@pytest.fixture
def fallback(load_days: Callable[[int, int], Sequence[TradingHours]]) -> FixedHoursFallback:
    """Real answers for 2025 alone, fixed hours around it."""
    return FixedHoursFallback(XnysCalendar(first_year=2025, last_year=2025, load_days=load_days))


def test_a_known_day_is_answered_by_the_calendar(
    fallback: FixedHoursFallback, caplog: pytest.LogCaptureFixture
) -> None:
    session = fallback.session(date(2025, 11, 28))

    assert session.close_utc == datetime(2025, 11, 28, 18, 0, tzinfo=UTC)
    assert caplog.records == []


def test_a_known_holiday_stays_closed(fallback: FixedHoursFallback) -> None:
    with pytest.raises(NotASession):
        fallback.session(date(2025, 11, 27))


def test_an_unknown_weekday_gets_fixed_hours_and_a_warning(
    fallback: FixedHoursFallback, caplog: pytest.LogCaptureFixture
) -> None:
    session = fallback.session(date(2026, 11, 27))

    assert session.open_utc == datetime(2026, 11, 27, 14, 30, tzinfo=UTC)
    assert session.close_utc == datetime(2026, 11, 27, 21, 0, tzinfo=UTC)
    assert not session.early_close
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "early_close=false" in record.getMessage()
    assert "2026-11-27" in record.getMessage()


def test_an_unknown_weekend_is_no_session(fallback: FixedHoursFallback) -> None:
    with pytest.raises(NotASession, match="Saturday 2026-11-28"):
        fallback.session(date(2026, 11, 28))


def test_a_range_across_the_border_mixes_both(fallback: FixedHoursFallback) -> None:
    days = [session.day for session in fallback.sessions(date(2025, 12, 24), date(2026, 1, 5))]

    assert days == [
        date(2025, 12, 24),
        date(2025, 12, 26),
        date(2025, 12, 29),
        date(2025, 12, 30),
        date(2025, 12, 31),
        date(2026, 1, 1),  # a holiday: the fallback does not know it
        date(2026, 1, 2),
        date(2026, 1, 5),
    ]


def test_neighbours_outside_are_weekdays(fallback: FixedHoursFallback) -> None:
    assert fallback.next_session(date(2026, 1, 2)).day == date(2026, 1, 5)
    assert fallback.previous_session(date(2026, 1, 5)).day == date(2026, 1, 2)
    assert fallback.next_session(date(2025, 11, 26)).day == date(2025, 11, 28)
    assert fallback.previous_session(date(2025, 11, 28)).day == date(2025, 11, 26)
