"""One task's hand in the allowance that all tasks share, or in one of its own."""

from collections.abc import Callable
from typing import TypeVar

from opt_data.core.allowance import (
    AllowancePolicy,
    AllowanceState,
    AllowanceStore,
    Holder,
    Priority,
    Resource,
    without_the_dead,
)
from opt_data.core.clock import Clock
from opt_data.errors import AllowanceUnavailable

T = TypeVar("T")


class PrivateStore:
    """The state of an allowance that a connection shares with nobody.

    Parameters
    ----------
    clock
        Its monotonic time is the state's.
    """

    def __init__(self, clock: Clock) -> None:
        self._state = AllowanceState()
        self._clock = clock

    @property
    def repeats(self) -> bool:
        return False

    def now(self) -> float:
        return self._clock.monotonic()

    def transact(self, change: Callable[[AllowanceState, float], T]) -> T:
        return change(self._state, self.now())

    def close(self) -> None:
        """Nothing is held open."""


class AllowanceShare:
    """One task's hand in the shared allowance.

    Parameters
    ----------
    store
        Where the state of lines and requests lies.
    policy
        How it is shared.
    name
        The task's own name in the state; unique.
    priority
        How urgent its work is; may be changed while it works.
    messages
        Where the state of messages lies, if not in ``store``: IB counts them per connection.
    alone, tasks
        A store of this task's own. Once ``store`` fails, the task goes on there with an even part of everything, as
        one of so many ``tasks``.
    on_alone
        Told once when that happens, and why.
    """

    def __init__(
        self,
        store: AllowanceStore,
        policy: AllowancePolicy,
        name: str,
        priority: Priority = Priority.SLOT,
        *,
        messages: AllowanceStore | None = None,
        alone: AllowanceStore | None = None,
        tasks: int = 1,
        on_alone: Callable[[AllowanceUnavailable], None] = lambda error: None,
    ) -> None:
        self.priority = priority
        self.policy = policy
        self.is_alone = False
        self._store = store
        self._messages = messages or store
        self._name = name
        self._alone = alone
        self._tasks = tasks
        self._on_alone = on_alone
        self._held: dict[str, int] = {}
        self._has_left = False

    def send_or_wait_s(self, send: Callable[[], None]) -> float:
        """Send a message if its turn has come and return 0, or return the seconds until it may come.

        Where the store allows it, the message leaves before another task can see that it was counted, and is counted
        at the moment when it has: a process that is put to sleep between the two would send into the turns of others.
        """
        sends_within = not self._messages.repeats
        has_left = False

        def change(state: AllowanceState, now: float) -> float:
            nonlocal has_left
            wait = 0.0 if has_left else self.policy.message_wait_s(state, self._me(state, now), now)
            if wait == 0 and sends_within and not has_left:
                has_left = True
                send()
                self.policy.message_left(state, self._messages.now())
            return wait

        wait = self._on_messages(change)
        if wait == 0 and not has_left:
            send()
        return wait

    def struck(self) -> None:
        """The gateway complained of the rate."""
        self._on_messages(lambda state, now: self.policy.struck(state, now))

    def take(self, resource: Resource) -> bool:
        """Take one of a resource; False: there is none for this task now, ask again a little later."""

        def change(state: AllowanceState, now: float) -> tuple[bool, dict[str, int]]:
            without_the_dead(state, now)
            me = self._me(state, now)
            return self.policy.take(state, me, resource, now), dict(me.held)

        # kept after the change is: one made again starts from what this task really holds
        taken, self._held = self._on_holdings(change)
        return taken

    def give_back(self, resource: Resource) -> None:
        """Give back one of what was taken; whoever has left has given back everything."""
        if self._has_left:
            return

        def change(state: AllowanceState, now: float) -> dict[str, int]:
            me = self._me(state, now)
            self.policy.give_back(me, resource)
            return dict(me.held)

        self._held = self._on_holdings(change)

    def is_wanted(self, resource: Resource) -> bool:
        """Whether anybody no less urgent waits for one of a resource; this task may, for another symbol."""
        return self._on_holdings(lambda state, now: self.policy.is_wanted(state, self._me(state, now), resource, now))

    def line_refused(self) -> None:
        """The gateway had no line although one was taken."""
        self._on_holdings(lambda state, now: self.policy.line_refused(state, now))

    def sign_of_life(self) -> None:
        """Say that this task lives and what it holds; due every few seconds."""
        self._on_holdings(lambda state, now: self._me(state, now) and None)

    def leave(self) -> None:
        """Give everything back and let go of the store. Nothing is sent or taken afterwards."""
        self._held, self._has_left = {}, True
        self._on_holdings(lambda state, now: state.holders.pop(self._name, None) and None)
        self._let_go()

    def _let_go(self) -> None:
        self._store.close()
        self._messages.close()

    def _on_messages(self, change: Callable[[AllowanceState, float], T]) -> T:
        try:
            return self._messages.transact(change)
        except AllowanceUnavailable as error:
            return self._go_on_alone(error).transact(change)

    def _on_holdings(self, change: Callable[[AllowanceState, float], T]) -> T:
        try:
            return self._store.transact(change)
        except AllowanceUnavailable as error:
            return self._go_on_alone(error).transact(change)

    def _go_on_alone(self, error: AllowanceUnavailable) -> AllowanceStore:
        if self._alone is None or self.is_alone:
            raise error
        self.is_alone = True
        self._on_alone(error)
        self.policy = self.policy.divided(self._tasks)
        self._let_go()
        self._store = self._messages = self._alone
        return self._alone

    def _me(self, state: AllowanceState, now: float) -> Holder:
        me = state.holders.get(self._name)
        if me is None:
            me = state.holders[self._name] = Holder(self.priority, now, dict(self._held))
        me.priority, me.seen_at = self.priority, now
        return me
