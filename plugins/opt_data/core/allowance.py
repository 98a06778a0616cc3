"""Sharing a gateway's allowance among tasks that know nothing of each other: who may send, who may hold a line, when.

All decisions are functions of one small state, which every task reads, changes and writes back as a whole (see
``AllowanceStore``). What a task holds ends with its signs of life, so that the share of a killed one comes back by
itself; a task that was only slow brings what it holds back with its next sign.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Protocol, TypeVar

from opt_data.core.pacing import SmoothPacer

T = TypeVar("T")

ALIVE_S = 10.0
"""A task that gave no sign for so long is dead, and what it held is free."""
YIELD_S = 0.05
"""How long a task waits before it asks again while more urgent ones fill the wire."""
ACTIVE_S = 0.3
"""A task that asked for a turn or a line so recently still wants one."""
TRICKLE_S = 1.0
"""Even behind more urgent tasks, one message in so long is let through: cancels must not wait for ever."""
TURN_LOST_S = 1.0
"""A reserved turn that was not used for so long has lapsed."""
LINES_GROW_S = 15.0
"""After the gateway refused a line, one more is tried each time so long has passed."""
STEP_DOWN = 0.03
"""By how much of the rate less is aimed at for each complaint that is remembered."""
LEAST_AIM = 0.75
"""The share of the rate that is aimed at even after many complaints."""
STRIKE_FORGOTTEN_S = 3600.0
"""How long it takes to forget one complaint."""
PAUSE_AFTER_LOSS_S = 1.1
"""How long nothing is sent after the state was lost: what left just before is no longer known."""


class Priority(IntEnum):
    """Whose messages and lines come first."""

    SLOT = 0
    DISCOVERY = 1
    OPEN_INTEREST = 2
    REBUILD = 3


class Resource(StrEnum):
    """What is held for a while and counted over the whole login."""

    LINE = "line"
    BAR_REQUEST = "bar_request"


@dataclass(slots=True)
class Holder:
    """One task's part of the state. Times are seconds of the store's clock.

    ``turn_at`` is a reserved turn on the wire; ``wants`` says until when a refused wish for a resource still counts.
    """

    priority: int
    seen_at: float
    held: dict[str, int] = field(default_factory=dict)
    turn_at: float | None = None
    asked_at: float = float("-inf")
    sent_at: float = float("-inf")
    wants: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class AllowanceState:
    """What all tasks together have used: the whole of what is shared.

    ``strikes`` is how many complaints of the rate are remembered at ``struck_at``.
    """

    next_at: float = float("-inf")
    struck_at: float = float("-inf")
    strikes: float = 0.0
    recent: list[float] = field(default_factory=list)
    lines_seen: int = 0
    lines_seen_at: float = float("-inf")
    holders: dict[str, Holder] = field(default_factory=dict)

    def held(self, resource: Resource) -> int:
        return sum(holder.held.get(resource, 0) for holder in self.holders.values())


class AllowanceStore(Protocol):
    """Where the state lies. ``change`` is given the state and the store's time and may change the state in place.

    ``repeats`` says that a change may be made more than once before one is kept, so that it must do nothing else.
    """

    @property
    def repeats(self) -> bool: ...

    def now(self) -> float:
        """The store's time, also in the middle of a change.

        Raises
        ------
        AllowanceUnavailable
            The store cannot be asked.
        """
        ...

    def transact(self, change: Callable[[AllowanceState, float], T]) -> T:
        """Run ``change`` alone among all tasks and keep what it left.

        Raises
        ------
        AllowanceUnavailable
            The state cannot be read or written.
        """
        ...

    def close(self) -> None:
        """Let go of what is held open; a later change opens it again."""
        ...


@dataclass(frozen=True, slots=True)
class AllowancePolicy:
    """How much there is, and who gets it.

    Parameters
    ----------
    rate_per_s, limit_per_s
        Messages a second to aim at, and those IB allows in any sliding second.
    lines
        Market-data lines that all tasks together may hold.
    bar_requests
        Requests for bars that may be open at once.
    recovery_s
        How long the rate takes to recover after a complaint.
    """

    rate_per_s: float
    limit_per_s: int
    lines: int
    bar_requests: int = 50
    recovery_s: float = 30.0

    def divided(self, tasks: int) -> "AllowancePolicy":
        """An even part of it, for a task that cannot see what the others use."""
        return AllowancePolicy(
            self.rate_per_s / tasks,
            max(2, self.limit_per_s // tasks),
            max(1, self.lines // tasks),
            max(1, self.bar_requests // tasks),
            self.recovery_s,
        )

    # ---- messages -------------------------------------------------------------------------------------------------

    def message_wait_s(self, state: AllowanceState, me: Holder, now: float) -> float:
        """Seconds until this task may send its next message; 0: it may send at once, and the message is counted.

        Turns are given one after the other at an even distance, one a task, so that tasks of the same priority take
        turns. A less urgent task gets only turns that nobody waits for, and the trickle.
        """
        flow = self._flow(state, now)
        try:
            if me.turn_at is not None and now - me.turn_at > TURN_LOST_S:
                me.turn_at = None
            if me.turn_at is None:
                is_crowded = flow.next_at > now and now - me.sent_at < TRICKLE_S
                me.asked_at = now
                if is_crowded and self._is_urgent_traffic(state, me, now):
                    return YIELD_S
                me.turn_at = flow.reserve(now)
            wait = max(me.turn_at - now, flow.guard_wait_s(now))
            if wait > 0:
                me.asked_at = now + wait
                return wait
            flow.left(now)
            me.turn_at, me.sent_at = None, now
            return 0.0
        finally:
            state.next_at, state.recent = flow.next_at, list(flow.recent)

    @staticmethod
    def message_left(state: AllowanceState, now: float) -> None:
        """The message that was counted last has left only now: its process was put to sleep before it could send."""
        state.recent[-1] = now

    def struck(self, state: AllowanceState, now: float) -> None:
        """The gateway complained of the rate: halve it for all, at once, and aim a little lower for some hours.

        What one gateway counts in a second differs from what we send by the jitter on the way and inside it; how much
        that is, only its complaints tell. The third one ends a connection.
        """
        state.strikes = self._strikes_remembered(state, now) + 1.0
        state.struck_at = now

    def aim_per_s(self, state: AllowanceState, now: float) -> float:
        """The rate to return to after a complaint: lower for each one that is remembered, but never below a share."""
        return self.rate_per_s * max(LEAST_AIM, 1.0 - STEP_DOWN * self._strikes_remembered(state, now))

    @staticmethod
    def _strikes_remembered(state: AllowanceState, now: float) -> float:
        if not state.strikes:
            return 0.0
        return max(0.0, state.strikes - (now - state.struck_at) / STRIKE_FORGOTTEN_S)

    def _flow(self, state: AllowanceState, now: float) -> SmoothPacer:
        return SmoothPacer(
            self.aim_per_s(state, now),
            self.limit_per_s,
            recovery_s=self.recovery_s,
            struck_at=state.struck_at,
            next_at=state.next_at,
            recent=deque(state.recent),
        )

    @staticmethod
    def _is_urgent_traffic(state: AllowanceState, me: Holder, now: float) -> bool:
        return any(
            other.priority < me.priority and now - other.asked_at < ACTIVE_S
            for other in state.holders.values()
        )  # fmt: skip

    # ---- what is held ---------------------------------------------------------------------------------------------

    def take(self, state: AllowanceState, me: Holder, resource: Resource, now: float) -> bool:
        """Give this task one more of a resource, if there is one and nobody has the better right to it.

        A task of the same priority that has less than its even part, and is waiting, goes first; so does any more
        urgent one that is waiting.
        """
        limit = self.limit_of(state, resource, now)
        waiting = [
            other
            for other in state.holders.values()
            if other is not me and other.wants.get(resource, float("-inf")) > now
        ]
        users = 1 + sum(
            1 for other in state.holders.values()
            if other is not me and (other.held.get(resource, 0) or other in waiting)
        )  # fmt: skip
        even_part = max(1, limit // users)
        mine = me.held.get(resource, 0)
        is_more = mine >= even_part
        has_better = any(
            other.priority < me.priority
            or (is_more and other.priority == me.priority and other.held.get(resource, 0) < even_part)
            for other in waiting
        )
        if state.held(resource) >= limit or has_better:
            me.wants[resource] = now + ACTIVE_S
            return False
        me.wants.pop(resource, None)
        me.held[resource] = mine + 1
        return True

    @staticmethod
    def is_wanted(state: AllowanceState, me: Holder, resource: Resource, now: float) -> bool:
        """Whether a task no less urgent is waiting for one of a resource, this one for another symbol included."""
        return any(
            one.priority <= me.priority and one.wants.get(resource, float("-inf")) > now
            for one in state.holders.values()
        )  # fmt: skip

    @staticmethod
    def give_back(me: Holder, resource: Resource) -> None:
        """One less of a resource is held by this task."""
        me.held[resource] = max(0, me.held.get(resource, 0) - 1)

    def line_refused(self, state: AllowanceState, now: float) -> None:
        """The gateway had no line for one that was counted: others use some. Aim at what there really is."""
        state.lines_seen = max(1, state.held(Resource.LINE) - 1)
        state.lines_seen_at = now

    def limit_of(self, state: AllowanceState, resource: Resource, now: float) -> int:
        """How many of a resource all tasks may hold at this moment."""
        if resource is Resource.BAR_REQUEST:
            return self.bar_requests
        if not state.lines_seen:
            return self.lines
        return min(self.lines, state.lines_seen + int((now - state.lines_seen_at) / LINES_GROW_S))


def without_the_dead(state: AllowanceState, now: float) -> None:
    """Forget tasks that gave no sign of life; what they held is free again."""
    for name in [name for name, holder in state.holders.items() if not 0 <= now - holder.seen_at < ALIVE_S]:
        del state.holders[name]


def as_of_now(state: AllowanceState, now: float) -> AllowanceState:
    """The state, or a new one if its times are not of this clock: it was left before the machine was restarted."""
    if state.next_at > now + ALIVE_S or any(moment > now + 1.0 for moment in state.recent):
        return AllowanceState(next_at=now + PAUSE_AFTER_LOSS_S)
    return state
