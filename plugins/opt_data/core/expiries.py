"""What kind of expiry a date is: weekly, monthly, quarterly; a pure function of dates and holidays."""

import calendar
from collections.abc import Collection, Set
from datetime import date, timedelta
from enum import StrEnum

FRIDAY = 4
QUARTER_MONTHS = frozenset({3, 6, 9, 12})


class ExpiryKind(StrEnum):
    """The cycles options are listed in. Daily expiries count as weekly: the cycle they belong to is the same."""

    WEEKLY = "weekly"
    MONTHLY = "monthly"
    QUARTERLY = "quarterly"


def previous_business_day(day: date, holidays: Set[date]) -> date:
    """``day`` itself, or the nearest earlier weekday that is no holiday."""
    while day.weekday() > FRIDAY or day in holidays:
        day -= timedelta(days=1)
    return day


def standard_expiry(year: int, month: int, holidays: Set[date]) -> date:
    """The month's standard expiry: the third Friday, or the business day before it when that is a holiday."""
    first = date(year, month, 1)
    third_friday = first + timedelta(days=(FRIDAY - first.weekday()) % 7 + 14)
    return previous_business_day(third_friday, holidays)


def quarter_end(year: int, month: int, holidays: Set[date]) -> date:
    """The last business day of a month that ends a quarter."""
    return previous_business_day(date(year, month, calendar.monthrange(year, month)[1]), holidays)


def expiry_kinds(expiry: date, holidays: Set[date]) -> frozenset[ExpiryKind]:
    """All kinds a last trading day belongs to: a standard expiry in March is monthly and quarterly.

    Quarterly are the standard expiries of March, June, September and December (listed furthest ahead) and the last
    business day of those months (the exchange's "quarterlys"). Whatever is neither monthly nor quarterly is weekly.

    Parameters
    ----------
    expiry
        The expiry as IB lists it.
    holidays
        Weekdays without trading; must cover the month of ``expiry``.
    """
    kinds: set[ExpiryKind] = set()
    quarterly = expiry.month in QUARTER_MONTHS
    if expiry == standard_expiry(expiry.year, expiry.month, holidays):
        kinds.add(ExpiryKind.MONTHLY)
        if quarterly:
            kinds.add(ExpiryKind.QUARTERLY)
    if quarterly and expiry == quarter_end(expiry.year, expiry.month, holidays):
        kinds.add(ExpiryKind.QUARTERLY)
    return frozenset(kinds or {ExpiryKind.WEEKLY})


def is_monthly_index_class(symbol: str, trading_class: str, all_classes: Collection[str]) -> bool:
    """Whether a class holds only an index's standard expiries, because its weeklies have a class of their own.

    SPX beside SPXW, VIX beside VIXW, NDX beside NDXP. These settle in the morning, so IB lists them under another
    weekday (SPX on the Thursday before the third Friday, VIX on a Tuesday or Wednesday): the date alone would make
    them weekly.
    """
    siblings = {f"{symbol}W", f"{symbol}P"}
    return trading_class == symbol and not siblings.isdisjoint(all_classes)


def months_later(day: date, months: int) -> date:
    """The same day of the month ``months`` later, or that month's last day."""
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    month += 1
    return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))
