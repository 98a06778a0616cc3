"""XNYS behind our own port: the library's sessions with the overrides laid over them."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from opt_data.calendars.hours import TradingHours
from opt_data.calendars.overrides import Override, OverridesFile
from opt_data.calendars.rules import FIRST_YEAR, LAST_YEAR, LIBRARY
from opt_data.calendars.rules_cache import cached_days
from opt_data.core.sessions import TradingSession
from opt_data.errors import CalendarUnavailable, NotASession

ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Table:
    """All sessions of the covered years, as they were under one state of the overrides file."""

    signature: tuple[int, int, int] | None
    overrides: Mapping[date, Override]
    days: Sequence[date]
    sessions: Mapping[date, TradingSession]


class XnysCalendar:
    """Sessions of XNYS, a ``SessionCalendar``.

    The first question builds the table of all covered years; later ones look it up. Every question checks whether the
    overrides file changed (one ``stat``), so that a scheduler that has been up for months sees a closure that was
    announced this morning.

    Parameters
    ----------
    overrides
        The overrides file; None for the bare rules.
    first_year, last_year
        The years the calendar answers for, both included. Outside them ``CalendarUnavailable`` is raised.
    load_days
        Gives the trading days of those years without overrides, in order.
    """

    def __init__(
        self,
        overrides: OverridesFile | None = None,
        *,
        first_year: int = FIRST_YEAR,
        last_year: int = LAST_YEAR,
        load_days: Callable[[int, int], Sequence[TradingHours]] = cached_days,
    ) -> None:
        self._overrides = overrides
        self.first_day = date(first_year, 1, 1)
        self.last_day = date(last_year, 12, 31)
        self._load_days = load_days
        self._rules: Sequence[TradingSession] | None = None
        self._table: _Table | None = None

    def session(self, day: date) -> TradingSession:
        """The session of one day; see ``SessionCalendar.session`` for the errors."""
        self._check_covered(day, day)
        table = self._current_table()
        if (session := table.sessions.get(day)) is not None:
            return session
        override = table.overrides.get(day)
        why = f" ({override.reason})" if override else ""
        raise NotASession(f"{day:%A} {day} is not a session of XNYS{why}; {self._neighbours(table, day)}", day=day)

    def sessions(self, first: date, last: date) -> Sequence[TradingSession]:
        """All sessions with ``first <= day <= last``, in order; none when ``first > last``."""
        if first > last:
            return ()
        self._check_covered(first, last)
        table = self._current_table()
        days = table.days[bisect_left(table.days, first) : bisect_right(table.days, last)]
        return tuple(table.sessions[day] for day in days)

    def next_session(self, after: date) -> TradingSession:
        """The first session on a day strictly after ``after``."""
        self._check_covered(after + ONE_DAY, after + ONE_DAY)
        table = self._current_table()
        index = bisect_right(table.days, after)
        if index == len(table.days):
            raise self._unavailable(f"a session after {after}")
        return table.sessions[table.days[index]]

    def previous_session(self, before: date) -> TradingSession:
        """The last session on a day strictly before ``before``."""
        self._check_covered(before - ONE_DAY, before - ONE_DAY)
        table = self._current_table()
        index = bisect_left(table.days, before)
        if index == 0:
            raise self._unavailable(f"a session before {before}")
        return table.sessions[table.days[index - 1]]

    def _check_covered(self, first: date, last: date) -> None:
        for day in (first, last):
            if isinstance(day, datetime):
                raise ValueError(f"{day!r} is an instant; ask with the New York date it belongs to")
            if not self.first_day <= day <= self.last_day:
                raise self._unavailable(str(day))

    def _unavailable(self, what: str) -> CalendarUnavailable:
        return CalendarUnavailable(
            f"the XNYS calendar covers {self.first_day} to {self.last_day} and has no answer for {what}; "
            f"to cover more years, upgrade {LIBRARY} and move FIRST_YEAR or LAST_YEAR in opt_data.calendars.rules"
        )

    def _current_table(self) -> _Table:
        signature = self._overrides.signature() if self._overrides else None
        table = self._table
        if table is None or table.signature != signature:
            table = self._build(signature)
            self._table = table
        return table

    def _build(self, signature: tuple[int, int, int] | None) -> _Table:
        # Signature first, content second: an edit in between is seen at the next question.
        overrides = self._overrides.read() if self._overrides else {}
        if self._rules is None:
            self._rules = [day.session() for day in self._load_days(self.first_day.year, self.last_day.year)]
        sessions = {session.day: session for session in self._rules}
        for day, override in overrides.items():
            if (session := override.session()) is None:
                sessions.pop(day, None)
            else:
                sessions[day] = session
        days = sorted(day for day in sessions if self.first_day <= day <= self.last_day)
        return _Table(signature, overrides, days, sessions)

    @staticmethod
    def _neighbours(table: _Table, day: date) -> str:
        index = bisect_right(table.days, day)
        before = f"the one before is {table.days[index - 1]}" if index else "there is none before"
        after = f"the next is {table.days[index]}" if index < len(table.days) else "there is none after"
        return f"{after}, {before}"
