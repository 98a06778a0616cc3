"""Slots across sessions, around the Thanksgiving week of 2025 (tests/data/calendar)."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opt_data.calendars.hours import TradingHours
from opt_data.calendars.slot_search import first_slot_from, new_york_date, newest_slot_at
from opt_data.calendars.xnys import XnysCalendar
from opt_data.errors import CalendarUnavailable

TICK = timedelta(microseconds=1)

instants = st.datetimes(min_value=datetime(2000, 1, 6), max_value=datetime(2030, 12, 27), timezones=st.just(UTC))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.fixture(scope="session")
def calendar(load_days: Callable[[int, int], Sequence[TradingHours]]) -> XnysCalendar:
    return XnysCalendar(load_days=load_days)


@pytest.mark.parametrize(
    ("at", "newest", "first"),
    [
        pytest.param("2025-11-26T14:30", "2025-11-26T14:30", "2025-11-26T14:30", id="at a slot"),
        pytest.param("2025-11-26T14:29", "2025-11-25T21:00", "2025-11-26T14:30", id="before the open"),
        pytest.param("2025-11-26T15:01", "2025-11-26T15:00", "2025-11-26T15:30", id="between slots"),
        pytest.param("2025-11-27T03:00", "2025-11-26T21:00", "2025-11-28T14:30", id="evening, next day in UTC"),
        pytest.param("2025-11-27T17:00", "2025-11-26T21:00", "2025-11-28T14:30", id="holiday"),
        pytest.param("2025-11-28T18:01", "2025-11-28T18:00", "2025-12-01T14:30", id="after an early close"),
        pytest.param("2025-03-09T12:00", "2025-03-07T21:00", "2025-03-10T13:30", id="clocks go forward"),
        pytest.param("2025-11-02T12:00", "2025-10-31T20:00", "2025-11-03T14:30", id="clocks go back"),
    ],
)
def test_known_neighbours(calendar: XnysCalendar, at: str, newest: str, first: str) -> None:
    assert newest_slot_at(calendar, utc(at)).instant_utc == utc(newest)
    assert first_slot_from(calendar, utc(at)).instant_utc == utc(first)


@given(at=instants)
def test_no_slot_lies_between_the_newest_and_the_first(calendar: XnysCalendar, at: datetime) -> None:
    newest, first = newest_slot_at(calendar, at), first_slot_from(calendar, at)

    assert newest.instant_utc <= at <= first.instant_utc
    if newest.instant_utc < at:
        assert first_slot_from(calendar, newest.instant_utc + TICK) == first
        assert newest_slot_at(calendar, first.instant_utc - TICK) == newest
    else:
        assert newest == first


def test_a_naive_instant_is_refused() -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        new_york_date(datetime(2025, 11, 26, 15, 0))


def test_before_the_first_session_there_is_no_newest_slot(calendar: XnysCalendar) -> None:
    with pytest.raises(CalendarUnavailable):
        newest_slot_at(calendar, utc("2000-01-03T14:29"))
