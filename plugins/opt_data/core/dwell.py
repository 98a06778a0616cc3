"""What earlier slots taught about a symbol's contracts: how long they take to give a quote, and which give none.

The dwell of a contract is the time from its request leaving to its quote being complete: so long it holds a market-data
line. It is learned for each kind of contract, and whether it gives one at all also for each contract by itself.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

from opt_data.core.contracts import OptionContract

AWAY_EDGES = (0.02, 0.05, 0.10, 0.20)
"""Distances of the strike from the reference price that divide kinds; the first is "at the money"."""
DAY_EDGES = (1, 7, 35, 95)
"""Days to expiry that divide kinds: about today, the week, the month, the quarter."""
KIND_MEMORY = 64
"""Answers after which an earlier one counts for about a third, in the averages of a kind."""
CONTRACT_MEMORY = 3
"""The same for one contract: three slots decide, so that it is forgiven as soon as it gives quotes again."""
KIND_PRIOR = 4.0
"""How many good answers a kind is believed to have given before the first one."""
CONTRACT_PRIOR = 0.5
"""How many answers like those of its kind a contract is believed to have given before its first one."""
WELL_KNOWN = 8.0
"""Quotes after which a kind's slowest one stands for the kind; before that, the slowest of all kinds does."""
SLOWNESS = 2.0
"""A contract may take so many times as long as the slowest of its kind did lately."""
PATIENCE_MIN_S = 2.0
"""However fast its kind is, a contract is never given less."""


@dataclass(frozen=True, slots=True)
class Experience:
    """Answers of a kind or of a contract, the newer ones counting more.

    ``asked`` stops counting at the memory's length. ``ready_share`` is the share of answers that became complete,
    ``dwell_s`` the average time those took, ``slowest_s`` the longest of them, fading towards the average.
    """

    asked: int = 0
    ready_share: float = 1.0
    dwell_s: float | None = None
    slowest_s: float | None = None

    def with_answer(self, dwell_s: float | None, memory: int) -> "Experience":
        """After one more answer; None: it never was complete."""
        asked = min(self.asked + 1, memory)
        share = self.ready_share + ((dwell_s is not None) - self.ready_share) / asked
        if dwell_s is None:
            return Experience(asked, share, self.dwell_s, self.slowest_s)
        if self.dwell_s is None or self.slowest_s is None:
            return Experience(asked, share, dwell_s, dwell_s)
        usual = self.dwell_s + (dwell_s - self.dwell_s) / asked
        slowest = max(dwell_s, self.slowest_s + (usual - self.slowest_s) / memory)
        return Experience(asked, share, usual, slowest)


@dataclass(frozen=True, slots=True)
class DwellKnowledge:
    """All that is known of one symbol: by kind (see ``kind_of``) and by conid."""

    kinds: Mapping[str, Experience] = field(default_factory=dict)
    contracts: Mapping[int, Experience] = field(default_factory=dict)

    def chance(self, conid: int, kind: str) -> float:
        """How likely a contract is to give a complete quote, 0 to 1; of what is not known, the best is assumed."""
        of_kind, own = self.kinds.get(kind, Experience()), self.contracts.get(conid, Experience())
        usual = (of_kind.asked * of_kind.ready_share + KIND_PRIOR) / (of_kind.asked + KIND_PRIOR)
        return (own.asked * own.ready_share + CONTRACT_PRIOR * usual) / (own.asked + CONTRACT_PRIOR)

    def patience_s(self, conid: int, kind: str, deadline_s: float) -> float:
        """Seconds within which a contract that gives a quote at all would give it; ``deadline_s`` at most.

        Twice as long as the slowest of its kind took lately, or it itself; never under two seconds. Where no quote
        was ever complete, nothing is known and the deadline stays.
        """
        of_kind = self.kinds.get(kind, Experience())
        known = [of_kind] if of_kind.asked * of_kind.ready_share >= WELL_KNOWN else [*self.kinds.values()]
        known.append(self.contracts.get(conid, Experience()))
        slowest = max((one.slowest_s for one in known if one.slowest_s is not None), default=deadline_s)
        return min(deadline_s, max(PATIENCE_MIN_S, SLOWNESS * slowest))


@dataclass(frozen=True, slots=True)
class DwellAnswer:
    """What one contract taught in one slot; ``dwell_s`` None: its quote never was complete."""

    contract: OptionContract
    dwell_s: float | None


def kind_of(contract: OptionContract, reference_price: float, day: date) -> str:
    """The kind of a contract: class, how far in or out of the money, how far from expiry.

    Examples
    --------
    >>> from datetime import date
    >>> call = OptionContract(1, "", "AAPL", 0, date(2025, 12, 19), "C", 110.0, 100, "SMART", "AAPL")
    >>> kind_of(call, 100.0, date(2025, 11, 24))
    'AAPL out2 d2'
    """
    away = contract.strike / reference_price - 1 if reference_price > 0 else 0.0
    step = bisect_left(AWAY_EDGES, round(abs(away), 6))
    side = "at" if step == 0 else "out" if (away > 0) == (contract.right == "C") else "in"
    days = bisect_left(DAY_EDGES, (contract.expiry - day).days)
    return f"{contract.trading_class} {side}{step} d{days}"


def learn(
    knowledge: DwellKnowledge,
    answers: Iterable[DwellAnswer],
    *,
    reference_price: float,
    day: date,
    listed: Iterable[OptionContract],
) -> DwellKnowledge:
    """What is known after one more slot.

    A slot in which not one contract gave a complete quote teaches nothing: that was the gateway. Only contracts that
    are ``listed``, and kinds of their classes, are remembered, so that nothing grows.
    """
    answers = list(answers)
    if all(answer.dwell_s is None for answer in answers):
        return knowledge
    kinds, contracts = dict(knowledge.kinds), dict(knowledge.contracts)
    for answer in answers:
        kind, conid = kind_of(answer.contract, reference_price, day), answer.contract.conid
        kinds[kind] = kinds.get(kind, Experience()).with_answer(answer.dwell_s, KIND_MEMORY)
        contracts[conid] = contracts.get(conid, Experience()).with_answer(answer.dwell_s, CONTRACT_MEMORY)
    listed = list(listed)
    classes, conids = {one.trading_class for one in listed}, {one.conid for one in listed}
    return DwellKnowledge(
        {kind: one for kind, one in kinds.items() if kind.rsplit(" ", 2)[0] in classes},
        {conid: one for conid, one in contracts.items() if conid in conids},
    )
