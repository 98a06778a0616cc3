"""The hours of one trading day in New York wall time: what an exchange publishes, before any time zone table."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from opt_data.core.sessions import NEW_YORK, TradingSession

REGULAR_OPEN_ET = time(9, 30)
REGULAR_CLOSE_ET = time(16, 0)


@dataclass(frozen=True, slots=True)
class TradingHours:
    """A trading day from ``open_et`` to ``close_et``; regular hours unless told otherwise.

    Examples
    --------
    >>> TradingHours(date(2025, 11, 28), close_et=time(13, 0)).session().close_utc.isoformat()
    '2025-11-28T18:00:00+00:00'
    """

    day: date
    open_et: time = REGULAR_OPEN_ET
    close_et: time = REGULAR_CLOSE_ET

    @property
    def is_regular(self) -> bool:
        return (self.open_et, self.close_et) == (REGULAR_OPEN_ET, REGULAR_CLOSE_ET)

    def session(self) -> TradingSession:
        """The same day as UTC instants."""
        return TradingSession(
            self.day,
            datetime.combine(self.day, self.open_et, NEW_YORK).astimezone(UTC),
            datetime.combine(self.day, self.close_et, NEW_YORK).astimezone(UTC),
            early_close=self.close_et < REGULAR_CLOSE_ET,
        )
