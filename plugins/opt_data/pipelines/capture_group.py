"""Capture the symbols of one task over one connection: a symbol that fails does not keep the others from theirs."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from opt_data.errors import PermanentError, SymbolsFailed, SymbolsUnfinished
from opt_data.pipelines.capture_slot import CaptureOutcome

SAID_MAX = 300
"""Characters of one symbol's failure that the group's repeats; the whole is in the task's log."""
_COUNTS = (
    "asked", "expected", "kept", "on_time", "late", "rebuilt", "missing", "error", "rows_won", "improved", "unchanged",
    "still_missing",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class GroupOutcome:
    """What became of each symbol of a task: every one is in one of the two."""

    outcomes: Mapping[str, CaptureOutcome]
    failures: Mapping[str, Exception]

    def summary(self) -> dict[str, object]:
        """Plain values for an XCom: a single symbol's own, else the sums and each symbol's below ``captures``."""
        each = [outcome.summary() for outcome in self.outcomes.values()]
        if len(each) == 1:
            return each[0]
        sums = {name: sum(int(str(one[name])) for one in each) for name in _COUNTS}
        return {**sums, "captures": each}

    def failure(self) -> Exception | None:
        """What the task ends with: None if no symbol failed, a single symbol's own error, else one that names them.

        One symbol for which trying again may help is enough for a retry; it finds the others as they are.
        """
        total = len(self.outcomes) + len(self.failures)
        if not self.failures or total == 1:
            return next(iter(self.failures.values()), None)
        reasons: dict[str, list[str]] = {}
        for symbol, error in self.failures.items():
            reasons.setdefault(f"{type(error).__name__}: {str(error)[:SAID_MAX]}", []).append(symbol)
        said = "; ".join(f"{', '.join(symbols)}: {reason}" for reason, symbols in reasons.items())
        is_final = all(isinstance(error, PermanentError) for error in self.failures.values())
        message = (
            f"{len(self.failures)} of {total} symbols failed, the others are stored; again only what is missing is "
            f"asked for. {said}"
        )
        if is_final:
            return SymbolsFailed(message, symbols=tuple(self.failures))
        return SymbolsUnfinished(message, symbols=tuple(self.failures), errors=tuple(self.failures.values()))


@dataclass(frozen=True, slots=True)
class FirstPass:
    """What matters most of every symbol, before the rest of any: how it is captured, and how many at a time."""

    capture: Callable[[str], Awaitable[CaptureOutcome]]
    at_once: int


async def capture_group(
    symbols: Sequence[str],
    capture: Callable[[str, CaptureOutcome | None], Awaitable[CaptureOutcome]],
    *,
    at_once: int,
    first: FirstPass | None = None,
) -> GroupOutcome:
    """Capture every symbol, a few at a time: while the last contracts of one wait for quotes, the next is asked for.

    Parameters
    ----------
    symbols
        In the order in which they begin.
    capture
        Captures and stores one symbol: what its first pass left, or all of it if there was none.
    at_once
        How many are under way at the same time.
    first
        Goes over all symbols before; without it each is captured as a whole.
    """
    group = GroupOutcome({}, {})
    if first is not None:
        group = await _each(symbols, first.capture, first.at_once)
    before = group.outcomes

    async def the_rest(symbol: str) -> CaptureOutcome:
        earlier = before.get(symbol)
        outcome = await capture(symbol, earlier)
        return outcome if earlier is None else outcome.after(earlier)

    left = symbols if first is None else [symbol for symbol in symbols if symbol in before and before[symbol].put_off]
    rest = await _each(left, the_rest, at_once)
    outcomes = {**before, **rest.outcomes}
    failures = {**group.failures, **rest.failures}
    return GroupOutcome(
        {symbol: outcomes[symbol] for symbol in symbols if symbol in outcomes and symbol not in failures},
        {symbol: failures[symbol] for symbol in symbols if symbol in failures},
    )


async def _each(
    symbols: Sequence[str], capture: Callable[[str], Awaitable[CaptureOutcome]], at_once: int
) -> GroupOutcome:
    queue = deque(symbols)
    outcomes: dict[str, CaptureOutcome] = {}
    failures: dict[str, Exception] = {}

    async def work() -> None:
        while queue:
            symbol = queue.popleft()
            try:
                outcomes[symbol] = await capture(symbol)
            except Exception as error:
                failures[symbol] = error

    workers = [asyncio.create_task(work()) for _ in range(min(at_once, len(symbols)))]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return GroupOutcome(outcomes, failures)
