"""Expiry kinds against the expiration dates that the exchanges published."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opt_data.core.expiries import (
    ExpiryKind,
    expiry_kinds,
    is_monthly_index_class,
    months_later,
    quarter_end,
    standard_expiry,
)

WEEKLY, MONTHLY, QUARTERLY = ExpiryKind.WEEKLY, ExpiryKind.MONTHLY, ExpiryKind.QUARTERLY


def days_of(text: str) -> tuple[date, ...]:
    return tuple(date.fromisoformat(day) for day in text.split())


# NYSE holidays 2024-2026 on weekdays (nyse.com/markets/hours-calendars).
HOLIDAYS = frozenset(
    days_of(
        """2024-01-01 2024-01-15 2024-02-19 2024-03-29 2024-05-27 2024-06-19 2024-07-04 2024-09-02 2024-11-28
    2024-12-25 2025-01-01 2025-01-09 2025-01-20 2025-02-17 2025-04-18 2025-05-26 2025-06-19 2025-07-04 2025-09-01
    2025-11-27 2025-12-25 2026-01-01 2026-01-19 2026-02-16 2026-04-03 2026-05-25 2026-06-19 2026-07-03 2026-09-07
    2026-11-26 2026-12-25"""
    )
)

# Cboe options expiration calendar 2025: equity and index standard expirations; Good Friday moves April's.
STANDARD_2025 = days_of(
    """2025-01-17 2025-02-21 2025-03-21 2025-04-17 2025-05-16 2025-06-20 2025-07-18 2025-08-15
    2025-09-19 2025-10-17 2025-11-21 2025-12-19"""
)


@pytest.mark.parametrize("day", STANDARD_2025, ids=str)
def test_standard_expiries_of_2025(day: date) -> None:
    assert standard_expiry(day.year, day.month, HOLIDAYS) == day


def test_juneteenth_2026_falls_on_the_third_friday() -> None:
    assert standard_expiry(2026, 6, HOLIDAYS) == date(2026, 6, 18)
    assert expiry_kinds(date(2026, 6, 18), HOLIDAYS) == {MONTHLY, QUARTERLY}


@pytest.mark.parametrize(
    "text", ["2024-03-28", "2024-06-28", "2024-09-30", "2024-12-31", "2025-03-31", "2025-06-30", "2025-12-31"]
)
def test_quarter_ends_as_listed_good_friday_2024_included(text: str) -> None:
    day = date.fromisoformat(text)
    assert quarter_end(day.year, day.month, HOLIDAYS) == day
    assert expiry_kinds(day, HOLIDAYS) == {QUARTERLY}


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("2025-12-19", {MONTHLY, QUARTERLY}),
        ("2025-11-21", {MONTHLY}),
        ("2025-11-28", {WEEKLY}),
        ("2025-11-26", {WEEKLY}),  # a Wednesday expiry of SPY
        ("2025-10-31", {WEEKLY}),  # a month's end that ends no quarter
        ("2025-04-17", {MONTHLY}),  # Thursday before Good Friday
        ("2025-12-18", {WEEKLY}),  # the Thursday before a third Friday that is no holiday
    ],
)
def test_kinds(text: str, kinds: set[ExpiryKind]) -> None:
    assert expiry_kinds(date.fromisoformat(text), HOLIDAYS) == kinds


@given(st.dates(date(2000, 1, 1), date(2050, 12, 31)))
def test_every_date_has_a_kind_and_weekly_excludes_the_others(day: date) -> None:
    kinds = expiry_kinds(day, frozenset())
    assert kinds
    assert WEEKLY not in kinds or kinds == {WEEKLY}


@given(st.integers(2000, 2099), st.integers(1, 12))
def test_without_holidays_the_standard_expiry_is_a_friday_from_the_15th_to_the_21st(year: int, month: int) -> None:
    day = standard_expiry(year, month, frozenset())
    assert day.weekday() == 4
    assert 15 <= day.day <= 21


@pytest.mark.parametrize(
    ("symbol", "trading_class", "classes", "monthly"),
    [
        ("SPX", "SPX", {"SPX", "SPXW"}, True),
        ("SPX", "SPXW", {"SPX", "SPXW"}, False),
        ("NDX", "NDX", {"NDX", "NDXP"}, True),
        ("VIX", "VIX", {"VIX", "VIXW"}, True),
        ("XSP", "XSP", {"XSP"}, False),
        ("AAPL", "AAPL", {"AAPL", "2AAPL"}, False),
    ],
)
def test_classes_of_standard_expiries(symbol: str, trading_class: str, classes: set[str], monthly: bool) -> None:
    assert is_monthly_index_class(symbol, trading_class, classes) is monthly


@pytest.mark.parametrize(
    ("start", "months", "end"),
    [
        ("2025-11-24", 0, "2025-11-24"),
        ("2025-11-24", 2, "2026-01-24"),
        ("2025-12-31", 2, "2026-02-28"),
        ("2023-12-31", 2, "2024-02-29"),
        ("2025-01-15", 12, "2026-01-15"),
    ],
)
def test_months_later(start: str, months: int, end: str) -> None:
    assert months_later(date.fromisoformat(start), months) == date.fromisoformat(end)
