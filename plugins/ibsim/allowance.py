"""IB's allowance as pure counters: messages in a sliding second, strikes, market-data lines."""

from bisect import insort
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass

from ibsim.scenario import Limits

WINDOW_S = 1.0


class SlidingSecond:
    """How many messages arrived within the last second, by their arrival times."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()
        self.greatest = 0

    def add(self, arrived_s: float) -> int:
        """Count one message; returns how many arrived in the newest second. One that is told late is put in order."""
        times = self._times
        insort(times, arrived_s)
        while times[0] <= times[-1] - WINDOW_S:
            times.popleft()
        self.greatest = max(self.greatest, len(times))
        return len(times)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one message led to: ``warning`` and ``excess`` are the count to report, ``strike`` its number."""

    accepted: bool = True
    warning: int = 0
    excess: int = 0
    strike: int = 0
    closes: bool = False


_FINE = Verdict()


class MessageRate:
    """Judges every message of one connection (or of all, if shared).

    A warning and a strike are given at most once a second each.
    """

    def __init__(self) -> None:
        self.second = SlidingSecond()
        self.strikes = 0
        self._warned_s = float("-inf")
        self._struck_s = float("-inf")

    def judge(self, arrived_s: float, limits: Limits, *, is_excess: bool = False) -> Verdict:
        """Count a message that arrived at ``arrived_s`` (monotonic seconds); ``is_excess`` calls it one too many."""
        count = self.second.add(arrived_s)
        if is_excess or count > limits.message_rate:
            accepted = limits.excess == "accept"
            if arrived_s - self._struck_s < WINDOW_S:
                return Verdict(accepted=accepted)
            self._struck_s = arrived_s
            self.strikes += 1
            return Verdict(accepted, excess=count, strike=self.strikes, closes=self.strikes >= limits.strikes)
        if count >= limits.warning_rate and arrived_s - self._warned_s >= WINDOW_S:
            self._warned_s = arrived_s
            return Verdict(warning=count)
        return _FINE


class MarketDataLines:
    """Lines in use over all connections."""

    def __init__(self) -> None:
        self._holders: set[Hashable] = set()
        self.peak = 0

    @property
    def open(self) -> int:
        return len(self._holders)

    def take(self, holder: Hashable, limit: int) -> bool:
        """Give a line to a request unless all are taken."""
        if len(self._holders) >= limit:
            return False
        self._holders.add(holder)
        self.peak = max(self.peak, len(self._holders))
        return True

    def release(self, holder: Hashable) -> None:
        self._holders.discard(holder)

    def reset_peak(self) -> None:
        self.peak = len(self._holders)
