"""In which order a slot's contracts are asked for, and how long each may hold a market-data line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from opt_data.core.capture_plan import nearest_first
from opt_data.core.contracts import OptionContract
from opt_data.core.dwell import DwellKnowledge, kind_of

LIKELY = 0.5
"""A contract less likely than this to give a complete quote comes last."""
WORTH_A_PASS = 1.5
"""A symbol is asked for in two passes only if it has so many times the contracts of the first: each of the two watches
the underlying anew and is stored by itself."""


@dataclass(frozen=True, slots=True)
class SamplingPlan:
    """The contracts in the order of asking.

    ``patience_s`` holds the unlikely ones by conid: how long each may hold a line that others wait for, or while time
    is short. A likely contract always has the whole deadline.
    """

    order: tuple[OptionContract, ...]
    patience_s: Mapping[int, float] = field(default_factory=dict)

    def is_unlikely(self, contract: OptionContract) -> bool:
        return contract.conid in self.patience_s

    def first(self, count: int | None) -> "SamplingPlan":
        """Only its first contracts; the whole plan without a number, or if the rest is not worth another pass."""
        if count is None or count * WORTH_A_PASS >= len(self.order):
            return self
        order = self.order[:count]
        patience_s = {one.conid: self.patience_s[one.conid] for one in order if one.conid in self.patience_s}
        return SamplingPlan(order, patience_s)


def plan_sampling(
    contracts: Sequence[OptionContract],
    *,
    reference_price: float,
    day: date,
    knowledge: DwellKnowledge,
    ready_timeout_s: float,
) -> SamplingPlan:
    """Plan one pass: near the money and near expiry first, what probably gives nothing last.

    Without knowledge every contract is likely. Near the money means in steps of one per cent, and inside a step the
    nearer expiry goes first: these are the quotes that have to be on time.

    Parameters
    ----------
    contracts
        What to ask for.
    reference_price, day
        What the money and the days to expiry are counted from, USD per share and New York date.
    knowledge
        What earlier slots taught.
    ready_timeout_s
        The whole deadline of one contract, seconds.
    """
    likely: list[OptionContract] = []
    unlikely: list[tuple[float, OptionContract]] = []
    patience_s: dict[int, float] = {}
    for contract in nearest_first(contracts, reference_price):
        kind = kind_of(contract, reference_price, day)
        chance = knowledge.chance(contract.conid, kind)
        if chance >= LIKELY:
            likely.append(contract)
        else:
            unlikely.append((chance, contract))
            patience_s[contract.conid] = knowledge.patience_s(contract.conid, kind, ready_timeout_s)
    unlikely.sort(key=lambda one: -round(one[0], 1))
    return SamplingPlan((*likely, *(contract for _, contract in unlikely)), patience_s)


def is_time_short(on_time_left_s: float, *, waiting: int, pace_per_s: float, rest_s: float) -> bool:
    """Whether waiting ``rest_s`` more for one contract would make quotes late.

    Parameters
    ----------
    on_time_left_s
        Seconds until a quote counts as late; once that is past, time is always short: whoever comes after this symbol
        is waiting.
    waiting
        Contracts of the symbol that have not had their turn.
    pace_per_s
        Contracts done per second in this pass; 0 while none is.
    rest_s
        How much longer the contract would be waited for.

    Examples
    --------
    >>> is_time_short(60.0, waiting=400, pace_per_s=10.0, rest_s=9.0)
    False
    >>> is_time_short(60.0, waiting=600, pace_per_s=10.0, rest_s=9.0)
    True
    """
    if on_time_left_s <= 0:
        return True
    waiting_s = waiting / pace_per_s if pace_per_s > 0 else 0.0
    return waiting_s + rest_s > on_time_left_s


def nearest_on_time(symbols: int, on_time_left_s: float, contracts_per_s: float) -> int | None:
    """How many contracts of each of several symbols can be on time if all get the same number, at least one.

    None if there is nothing to divide: a single symbol, or nothing can be on time any more. Each symbol's underlying
    costs as much as a contract.

    Examples
    --------
    >>> nearest_on_time(84, 115.0, 4.0)
    4
    >>> nearest_on_time(10, 115.0, 4.0)
    45
    """
    if symbols < 2 or on_time_left_s <= 0:
        return None
    return max(1, int(on_time_left_s * contracts_per_s / symbols) - 1)
