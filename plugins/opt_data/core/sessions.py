"""Trading days of XNYS: the value and the questions a calendar must answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")


@dataclass(frozen=True, slots=True)
class TradingSession:
    """One trading day: open and close are aware UTC instants, both inside the New York day ``day``."""

    day: date
    open_utc: datetime
    close_utc: datetime
    early_close: bool = False

    def __post_init__(self) -> None:
        if self.open_utc.tzinfo is None or self.close_utc.tzinfo is None:
            raise ValueError("a session's open and close must be timezone-aware")
        if self.close_utc <= self.open_utc:
            raise ValueError(f"session {self.day}: close {self.close_utc} is not after open {self.open_utc}")


class SessionCalendar(Protocol):
    """What a stage may ask about sessions. Adapters live in ``opt_data.calendars``."""

    def session(self, day: date) -> TradingSession:
        """The session of one day.

        Raises
        ------
        NotASession
            XNYS does not trade on that day; the message names the next session.
        CalendarUnavailable
            The calendar does not cover the date.
        """
        ...

    def sessions(self, first: date, last: date) -> Sequence[TradingSession]:
        """All sessions with ``first <= day <= last``, in order."""
        ...

    def next_session(self, after: date) -> TradingSession:
        """The first session on a day strictly after ``after``."""
        ...

    def previous_session(self, before: date) -> TradingSession:
        """The last session on a day strictly before ``before``."""
        ...
