"""What a strike may have cost: messages that left around it and never reached IB.

Error 100 names no request. The message that was too many is lost, and so may be others of that second, for which no
second error comes. A lost request would be taken for a contract that says nothing, a lost cancel holds a line for ever.
"""

from collections import deque
from dataclasses import dataclass, field

REACH_S = 1.5
"""How long before and after a strike messages may have been lost: IB's sliding second, and the way to it and back.

After a strike nothing new is asked for as long. A request that left before and has not been heard of by then is in
doubt; IB confirms one that it received within a fraction of that.
"""


@dataclass(slots=True)
class StrikeWatch:
    """The cancels that left lately, and whether a strike may have hit them. Times are of any one monotonic clock."""

    reach_s: float = REACH_S
    _cancels: deque[tuple[float, int]] = field(default_factory=deque)
    _since: float = float("inf")
    _until: float = float("-inf")

    def cancel_left(self, req_id: int, now: float) -> None:
        """The cancel of a request left at ``now``."""
        self._cancels.append((now, req_id))
        self._forget(now)

    def struck(self, now: float) -> None:
        """The gateway complained at ``now``. Another complaint before the first is settled only lengthens it."""
        self._forget(now)
        self._since = min(self._since, now - self.reach_s)
        self._until = now + self.reach_s

    def wait_s(self, now: float) -> float:
        """Seconds until a strike has been sat out; 0 without one."""
        return max(0.0, self._until - now)

    def may_have_lost(self, left_at: float | None) -> bool:
        """Whether a message that left then may never have arrived; None: it has not left."""
        return left_at is not None and left_at >= self._since

    def settle(self) -> tuple[int, ...]:
        """Close the matter; returns the requests whose cancels must be said again.

        A cancel that did arrive is answered with a notice (300) the second time, which does no harm.
        """
        in_doubt = tuple(req_id for left_at, req_id in self._cancels if self.may_have_lost(left_at))
        self._cancels.clear()
        self._since, self._until = float("inf"), float("-inf")
        return in_doubt

    def _forget(self, now: float) -> None:
        """No later strike reaches so far back."""
        earliest = min(self._since, now - self.reach_s)
        while self._cancels and self._cancels[0][0] < earliest:
            self._cancels.popleft()
