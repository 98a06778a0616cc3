"""A session is a pair of aware instants in order."""

from datetime import UTC, date, datetime

import pytest

from opt_data.core.sessions import TradingSession

DAY = date(2025, 11, 24)
OPEN = datetime(2025, 11, 24, 14, 30, tzinfo=UTC)
CLOSE = datetime(2025, 11, 24, 21, 0, tzinfo=UTC)


def test_a_session_keeps_what_it_was_given() -> None:
    session = TradingSession(DAY, OPEN, CLOSE)

    assert (session.day, session.open_utc, session.close_utc, session.early_close) == (DAY, OPEN, CLOSE, False)


@pytest.mark.parametrize(
    ("opens", "closes"),
    [
        pytest.param(OPEN.replace(tzinfo=None), CLOSE, id="naive open"),
        pytest.param(OPEN, CLOSE.replace(tzinfo=None), id="naive close"),
    ],
)
def test_a_naive_bound_is_refused(opens: datetime, closes: datetime) -> None:
    with pytest.raises(ValueError, match="timezone-aware"):
        TradingSession(DAY, opens, closes)


@pytest.mark.parametrize("closes", [pytest.param(OPEN, id="empty"), pytest.param(OPEN.replace(hour=9), id="reversed")])
def test_a_session_without_time_is_refused(closes: datetime) -> None:
    with pytest.raises(ValueError, match="is not after open"):
        TradingSession(DAY, OPEN, closes)
