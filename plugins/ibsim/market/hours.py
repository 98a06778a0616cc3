"""When the simulated market is open: weekdays 09:30-16:00 New York, less a table of closed and short days."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
_TABLE = Path(__file__).with_name("nyse_days.toml")
_LONGEST_CLOSURE_DAYS = 30


@dataclass(frozen=True, slots=True)
class TradingDay:
    """One session; ``open_s`` and ``close_s`` are seconds since 1970 (UTC)."""

    day: date
    open_s: int
    close_s: int

    @property
    def minutes(self) -> int:
        return (self.close_s - self.open_s) // 60


def read_nyse_days() -> tuple[frozenset[date], frozenset[date]]:
    """Closed and early-closing days of the built-in table."""
    table = tomllib.loads(_TABLE.read_text(encoding="utf-8"))
    return frozenset(table["closed"]), frozenset(table["early_close"])


class MarketHours:
    """Answers when sessions begin and end.

    Parameters
    ----------
    open_at, close_at, early_close_at
        New York wall times.
    closed, early_closes
        Days added to the built-in table.
    open_days
        Days taken out of the built-in table (a holiday on which this market trades).
    """

    def __init__(
        self,
        open_at: time = time(9, 30),
        close_at: time = time(16, 0),
        early_close_at: time = time(13, 0),
        closed: Iterable[date] = (),
        early_closes: Iterable[date] = (),
        open_days: Iterable[date] = (),
    ) -> None:
        table_closed, table_early = read_nyse_days()
        self._open_at, self._close_at, self._early_close_at = open_at, close_at, early_close_at
        self._closed = (table_closed | frozenset(closed)) - frozenset(open_days)
        self._early = table_early | frozenset(early_closes)
        self._days: dict[date, TradingDay | None] = {}

    def trading_day(self, day: date) -> TradingDay | None:
        """The session of a day, or None."""
        if day not in self._days:
            self._days[day] = self._make_day(day)
        return self._days[day]

    def _make_day(self, day: date) -> TradingDay | None:
        if day.weekday() >= 5 or day in self._closed:
            return None
        close_at = self._early_close_at if day in self._early else self._close_at
        return TradingDay(
            day,
            int(datetime.combine(day, self._open_at, NEW_YORK).timestamp()),
            int(datetime.combine(day, close_at, NEW_YORK).timestamp()),
        )

    def session_on_or_before(self, day: date) -> TradingDay:
        """The last session on ``day`` or earlier."""
        return self._search(day, timedelta(days=-1))

    def session_before(self, day: date) -> TradingDay:
        """The last session before ``day``."""
        return self._search(day - timedelta(days=1), timedelta(days=-1))

    def session_after(self, day: date) -> TradingDay:
        """The first session after ``day``."""
        return self._search(day + timedelta(days=1), timedelta(days=1))

    def _search(self, day: date, step: timedelta) -> TradingDay:
        for _ in range(_LONGEST_CLOSURE_DAYS):
            if (found := self.trading_day(day)) is not None:
                return found
            day += step
        raise ValueError(f"no session within {_LONGEST_CLOSURE_DAYS} days of {day}")

    def latest_begun(self, instant_s: float) -> TradingDay:
        """The session whose open is the last one at or before the instant."""
        today = new_york_date(instant_s)
        session = self.trading_day(today)
        return session if session is not None and session.open_s <= instant_s else self.session_before(today)

    def is_open(self, instant_s: float) -> bool:
        """Whether ``open <= instant < close`` of some session."""
        session = self.latest_begun(instant_s)
        return instant_s < session.close_s


def new_york_date(instant_s: float) -> date:
    """The calendar day in New York."""
    return datetime.fromtimestamp(instant_s, NEW_YORK).date()
