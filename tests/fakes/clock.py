"""A clock that stands still until it is told otherwise."""

from datetime import UTC, datetime, timedelta


class FixedClock:
    """``Clock`` for tests: ``now`` is what was set, ``monotonic`` moves with it."""

    def __init__(self, now: datetime) -> None:
        self.set(now)
        self._started_at = self._now

    def set(self, now: datetime) -> None:
        assert now.tzinfo is not None
        self._now = now.astimezone(UTC)

    def advance(self, by: timedelta) -> None:
        self._now += by

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return (self._now - self._started_at).total_seconds()
