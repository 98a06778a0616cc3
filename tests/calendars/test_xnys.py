"""The calendar against what the exchange published (tests/data/calendar), and its promises at the edges."""

import csv
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opt_data.calendars.hours import TradingHours
from opt_data.calendars.xnys import XnysCalendar
from opt_data.core.slots import slot_grid
from opt_data.errors import CalendarUnavailable, NotASession

DATA = Path(__file__).parents[1] / "data" / "calendar"
ONE_DAY = timedelta(days=1)

covered_days = st.dates(min_value=date(2000, 1, 5), max_value=date(2030, 12, 28))


def rows(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(newline="") as file:
        return list(csv.DictReader(file))


CLOSED = {date.fromisoformat(row["date"]): row["name"] for row in rows("closed_days.csv")}
EARLY = {date.fromisoformat(row["date"]) for row in rows("early_closes.csv")}


@pytest.fixture(scope="session")
def calendar(load_days: Callable[[int, int], Sequence[TradingHours]]) -> XnysCalendar:
    return XnysCalendar(load_days=load_days)


@pytest.mark.parametrize("day", [pytest.param(day, id=f"{day} {name}") for day, name in CLOSED.items()])
def test_a_published_holiday_is_no_session(calendar: XnysCalendar, day: date) -> None:
    with pytest.raises(NotASession, match=str(day)) as caught:
        calendar.session(day)

    assert caught.value.day == day


@pytest.mark.parametrize("row", rows("session_hours.csv"), ids=lambda row: f"{row['date']} {row['note']}")
def test_published_hours_in_utc(calendar: XnysCalendar, row: dict[str, str]) -> None:
    session = calendar.session(date.fromisoformat(row["date"]))

    assert session.open_utc == datetime.fromisoformat(row["open_utc"])
    assert session.close_utc == datetime.fromisoformat(row["close_utc"])
    assert len(slot_grid(session)) == int(row["slots"])


@pytest.mark.parametrize("year", [2024, 2025, 2026, 2027, 2028])
def test_a_published_year_has_no_other_closings(calendar: XnysCalendar, year: int) -> None:
    first, last = date(year, 1, 1), date(year, 12, 31)
    weekdays = {first + ONE_DAY * n for n in range((last - first).days + 1) if (first + ONE_DAY * n).weekday() < 5}

    sessions = calendar.sessions(first, last)

    assert {session.day for session in sessions} == weekdays - set(CLOSED)
    assert {session.day for session in sessions if session.early_close} == {day for day in EARLY if day.year == year}


def test_both_bounds_of_a_range_belong_to_it(calendar: XnysCalendar) -> None:
    days = [session.day for session in calendar.sessions(date(2025, 11, 26), date(2025, 11, 28))]

    assert days == [date(2025, 11, 26), date(2025, 11, 28)]
    assert calendar.sessions(date(2025, 11, 28), date(2025, 11, 26)) == ()


def test_neighbours_skip_a_holiday_weekend(calendar: XnysCalendar) -> None:
    assert calendar.next_session(date(2026, 7, 2)).day == date(2026, 7, 6)
    assert calendar.previous_session(date(2026, 7, 6)).day == date(2026, 7, 2)
    assert calendar.next_session(date(2026, 7, 4)).day == date(2026, 7, 6)


def test_the_refusal_of_a_day_names_its_neighbours(calendar: XnysCalendar) -> None:
    with pytest.raises(NotASession) as caught:
        calendar.session(date(2025, 11, 27))

    assert str(caught.value) == (
        "Thursday 2025-11-27 is not a session of XNYS; the next is 2025-11-28, the one before is 2025-11-26"
    )


@given(day=covered_days)
def test_next_and_previous_are_each_others_inverse(calendar: XnysCalendar, day: date) -> None:
    after = calendar.next_session(day)
    before = calendar.previous_session(after.day)

    assert before.day <= day < after.day
    assert calendar.next_session(before.day) == after
    assert calendar.session(after.day) == after


@given(first=covered_days, length=st.integers(0, 60))
def test_a_range_is_the_chain_of_next_sessions(calendar: XnysCalendar, first: date, length: int) -> None:
    last = min(first + ONE_DAY * length, date(2030, 12, 28))
    chain = []
    session = calendar.next_session(first - ONE_DAY)
    while session.day <= last:
        chain.append(session)
        session = calendar.next_session(session.day)

    assert list(calendar.sessions(first, last)) == chain


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda c: c.session(date(2031, 1, 2)), id="session after"),
        pytest.param(lambda c: c.session(date(1999, 12, 31)), id="session before"),
        pytest.param(lambda c: c.sessions(date(2030, 12, 1), date(2031, 1, 5)), id="range into the unknown"),
        pytest.param(lambda c: c.next_session(date(2030, 12, 31)), id="next at the end"),
        pytest.param(lambda c: c.previous_session(date(2000, 1, 1)), id="previous at the start"),
        pytest.param(lambda c: c.previous_session(date(2000, 1, 3)), id="previous of the first session"),
    ],
)
def test_outside_the_covered_years_there_is_no_answer(
    calendar: XnysCalendar, ask: Callable[[XnysCalendar], object]
) -> None:
    with pytest.raises(CalendarUnavailable, match="covers 2000-01-01 to 2030-12-31 and has no answer for"):
        ask(calendar)


def test_an_instant_is_not_taken_for_a_date(calendar: XnysCalendar) -> None:
    with pytest.raises(ValueError, match="is an instant; ask with the New York date"):
        calendar.session(datetime(2025, 11, 24, 15, 0, tzinfo=UTC))


def test_the_rules_are_computed_once(load_days: Callable[[int, int], Sequence[TradingHours]]) -> None:
    asked: list[tuple[int, int]] = []

    def counting(first_year: int, last_year: int) -> Sequence[TradingHours]:
        asked.append((first_year, last_year))
        return load_days(first_year, last_year)

    calendar = XnysCalendar(first_year=2024, last_year=2026, load_days=counting)
    calendar.session(date(2025, 11, 24))
    calendar.next_session(date(2026, 1, 1))
    calendar.sessions(date(2024, 1, 1), date(2026, 12, 31))

    assert asked == [(2024, 2026)]
