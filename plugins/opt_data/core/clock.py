"""Time as an argument. Only this module reads the machine's clock."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Where a stage gets the time from."""

    def now(self) -> datetime:
        """The current instant, timezone-aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never jump; for durations and deadlines."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


class RunningClock:
    """A clock that was told the time once and runs on from there at normal speed.

    The demo uses it: the simulated gateway says what time its market has, so that slots of a past session are
    captured under the same rules as live ones.

    Parameters
    ----------
    started_at
        What the time was, timezone-aware, at the moment of construction.
    base
        The clock that measures how much time has passed since.
    """

    def __init__(self, started_at: datetime, base: Clock | None = None) -> None:
        if started_at.tzinfo is None:
            raise ValueError("started_at must be timezone-aware")
        self._base: Clock = base or SystemClock()
        self._started_at = started_at.astimezone(UTC)
        self._started_monotonic = self._base.monotonic()

    def now(self) -> datetime:
        return self._started_at + timedelta(seconds=self._base.monotonic() - self._started_monotonic)

    def monotonic(self) -> float:
        return self._base.monotonic()
