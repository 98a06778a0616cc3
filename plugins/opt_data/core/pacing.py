"""Spending a message allowance evenly: when may the next message leave?

IB counts messages in any sliding second and punishes the excess, so the pacer never lets a backlog out in a burst:
it keeps a steady distance between messages and only forgives the small oversleeping of timers.
"""

from collections import deque
from dataclasses import dataclass, field

GUARD_WINDOW_S = 1.02
"""Width of the sliding window the guard watches; a little more than IB's second, for jitter on the way."""


@dataclass(slots=True)
class SmoothPacer:
    """State of one flow of messages, of one connection or of all that share it.

    Times are seconds of any monotonic clock. The pacer does not wait; it says how long to. A flow with one sender asks
    :meth:`wait_s` and tells :meth:`sent`; several senders each :meth:`reserve` a turn, and when it has come ask
    :meth:`guard_wait_s` and tell :meth:`left`.

    Parameters
    ----------
    rate_per_s
        Messages per second to aim at.
    limit_per_s
        Messages the gateway allows in any sliding second; never reached, whatever ``rate_per_s`` says.
    slack_s
        How far the schedule may lag behind before lost time is written off instead of caught up with.
    recovery_s
        How long it takes to be back at the full rate after :meth:`slow_down`.
    struck_at, next_at, recent
        The state: the last complaint, the next free turn, and when the messages of the last moment left.
    """

    rate_per_s: float
    limit_per_s: int
    slack_s: float = 0.025
    recovery_s: float = 30.0
    struck_at: float = float("-inf")
    next_at: float = float("-inf")
    recent: deque[float] = field(default_factory=deque)

    def __post_init__(self) -> None:
        if self.rate_per_s <= 0 or self.limit_per_s < 2:
            raise ValueError(f"need rate_per_s > 0 and limit_per_s >= 2, got {self.rate_per_s} and {self.limit_per_s}")

    def wait_s(self, now: float) -> float:
        """Seconds until the next message may leave; 0 when it may leave at once."""
        return max(0.0, self.next_at - now, self.guard_wait_s(now))

    def sent(self, now: float) -> None:
        """Count one message as sent at ``now``."""
        self.reserve(now)
        self.left(now)

    def reserve(self, now: float) -> float:
        """Take the next free turn; returns its instant, ``now`` at the earliest."""
        turn = max(self.next_at, now)
        self.next_at = max(self.next_at, now - self.slack_s) + 1.0 / self.current_rate_per_s(now)
        return turn

    def guard_wait_s(self, now: float) -> float:
        """Seconds until one more message cannot reach the limit in any sliding second, whoever sent the others."""
        self._forget(now)
        if len(self.recent) < self.limit_per_s - 1:
            return 0.0
        return max(0.0, self.recent[0] + GUARD_WINDOW_S - now)

    def left(self, now: float) -> None:
        """Count a message whose turn was reserved as sent at ``now``."""
        self._forget(now)
        self.recent.append(now)

    def slow_down(self, now: float) -> None:
        """Halve the rate at once, because the gateway has complained, and recover from there."""
        self.struck_at = now

    def current_rate_per_s(self, now: float) -> float:
        """The rate in force: half of it just after a complaint, growing evenly back to the whole."""
        recovered = min(1.0, (now - self.struck_at) / self.recovery_s)
        return self.rate_per_s * (0.5 + 0.5 * recovered)

    def _forget(self, now: float) -> None:
        while self.recent and self.recent[0] + GUARD_WINDOW_S <= now:
            self.recent.popleft()


def message_rate(market_data_lines: int, messages_per_s_max: float, share: float) -> tuple[float, int]:
    """The rate to aim at and IB's limit, from the lines of a login.

    IB allows lines / 2 messages a second per connection; ``messages_per_s_max`` > 0 lowers that.

    Examples
    --------
    >>> message_rate(100, 0, 0.96)
    (48.0, 50)
    >>> message_rate(100, 20, 1.0)
    (20.0, 20)
    """
    limit = market_data_lines / 2
    if messages_per_s_max > 0:
        limit = min(limit, messages_per_s_max)
    return limit * share, max(2, int(limit))
