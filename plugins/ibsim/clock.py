"""The market's clock: told the time once, it runs on at normal speed; it can be set again at any moment."""

import time
from collections.abc import Callable
from datetime import UTC, datetime


class MarketClock:
    """Seconds since 1970 in the simulated market.

    Parameters
    ----------
    start_s
        What time it is now in the market; None follows the machine's clock.
    monotonic
        Measures how much time has passed.
    """

    def __init__(self, start_s: float | None = None, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._offset_s = (time.time() if start_s is None else start_s) - monotonic()

    def now_s(self) -> float:
        return self._offset_s + self._monotonic()

    def monotonic_s(self) -> float:
        return self._monotonic()

    def set(self, now_s: float) -> None:
        """From now on it is ``now_s``."""
        self._offset_s = now_s - self._monotonic()


def iso_utc(instant_s: float) -> str:
    """An instant as ISO 8601 in UTC with microseconds."""
    return datetime.fromtimestamp(instant_s, UTC).isoformat(timespec="microseconds")


def parse_instant(text: str) -> float:
    """Seconds since 1970 of an ISO instant.

    Raises
    ------
    ValueError
        If it is no instant or has no offset.
    """
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"{text} has no offset; write 2025-11-24T09:25:00-05:00")
    return instant.timestamp()
