"""The sessions as the calendar library computes them: the only place that knows its name."""

from collections.abc import Sequence
from datetime import datetime

from opt_data.calendars.hours import TradingHours
from opt_data.core.sessions import NEW_YORK
from opt_data.errors import CalendarUnavailable

LIBRARY = "pandas-market-calendars"

# The library's own NYSE rules; "XNYS" is its mirror of another library, which knows the same days but not all hours.
CALENDAR_NAME = "NYSE"

# The exchange publishes its holidays about three years ahead; a rule made after the installed release is unknown to
# it. A limit makes somebody look at the calendar before it is older than that.
FIRST_YEAR = 2000
LAST_YEAR = 2030


def library_days(first_year: int, last_year: int) -> Sequence[TradingHours]:
    """Compute the trading days of whole years, both included, in order, without overrides.

    Imports pandas: seconds and about 100 MB, the first time in a process.

    Raises
    ------
    CalendarUnavailable
        The library is not installed or cannot compute these years.
    """
    try:
        import pandas_market_calendars
    except ImportError as error:
        raise CalendarUnavailable(f"{LIBRARY} cannot be imported: {error}; install the requirements") from error
    try:
        schedule = pandas_market_calendars.get_calendar(CALENDAR_NAME).schedule(
            f"{first_year}-01-01", f"{last_year}-12-31"
        )
    except (ArithmeticError, LookupError, ValueError) as error:
        raise CalendarUnavailable(f"{LIBRARY} has no sessions for {first_year} to {last_year}: {error}") from error
    return tuple(
        _hours(row.market_open.to_pydatetime(), row.market_close.to_pydatetime()) for row in schedule.itertuples()
    )


def _hours(opens: datetime, closes: datetime) -> TradingHours:
    opens_et, closes_et = opens.astimezone(NEW_YORK), closes.astimezone(NEW_YORK)
    return TradingHours(opens_et.date(), opens_et.time(), closes_et.time())
