"""The clocks: a told time runs on, and never without a zone."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from opt_data.core.clock import RunningClock, SystemClock


class HandTurnedClock:
    """A base clock that moves only when told to."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def now(self) -> datetime:
        return datetime(2000, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.seconds


def test_system_clock_is_aware_and_does_not_run_backwards() -> None:
    clock = SystemClock()

    first, second = clock.now(), clock.now()

    assert first.utcoffset() == timedelta(0)
    assert second >= first
    assert clock.monotonic() <= clock.monotonic()


def test_running_clock_starts_at_the_told_time_and_advances_with_its_base() -> None:
    base = HandTurnedClock()
    clock = RunningClock(datetime(2025, 11, 28, 9, 30, tzinfo=ZoneInfo("America/New_York")), base)

    at_start = clock.now()
    base.seconds += 90.5

    assert at_start == datetime(2025, 11, 28, 14, 30, tzinfo=UTC)
    assert clock.now() == datetime(2025, 11, 28, 14, 31, 30, 500_000, tzinfo=UTC)
    assert clock.now().tzinfo is UTC
    assert clock.monotonic() == 190.5


def test_running_clock_refuses_a_naive_start() -> None:
    with pytest.raises(ValueError, match="timezone-aware"):
        RunningClock(datetime(2025, 11, 28, 9, 30))
