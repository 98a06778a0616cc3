"""The account of one symbol at one slot: what became of every expected contract."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median

from opt_data.core.outcomes import NO_ROW, Standing, standing_of
from opt_data.core.slots import CaptureMode
from opt_data.errors import LedgerUnbalanced


class ContractSetStatus(StrEnum):
    """What the expectation rests on: the day's own set, an earlier day's, or none."""

    OK = "ok"
    STALE = "stale"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Expectation:
    """The contracts that a symbol must account for at a slot: ``ContractSet.expected_at(slot)``.

    Without a contract set, ``conids`` is empty and ``contract_set`` is ``MISSING``.
    """

    symbol: str
    exchange: str
    conids: frozenset[int]
    contract_set: ContractSetStatus = ContractSetStatus.OK


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """A clean row, as far as the account needs it: ``mode`` is None if it has no quote, and then ``error_type`` says
    why."""

    conid: int
    mode: CaptureMode | None
    error_type: str | None = None
    lag_s: float | None = None


@dataclass(frozen=True, slots=True)
class SlotAccount:
    """Counts of contracts; always ``expected == on_time + late + rebuilt + missing + error``.

    ``frozen`` is a part of ``on_time``. ``unexpected`` counts rows of contracts outside the set; they are in none of
    the other counts. ``reasons`` says how often each error type stands behind ``missing`` and ``error``.

    Raises
    ------
    LedgerUnbalanced
        If the counts do not add up.
    """

    symbol: str
    expected: int
    on_time: int = 0
    late: int = 0
    rebuilt: int = 0
    missing: int = 0
    error: int = 0
    frozen: int = 0
    unexpected: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    lag_p50_s: float | None = None
    lag_max_s: float | None = None

    def __post_init__(self) -> None:
        counted = self.kept + self.missing + self.error
        if counted != self.expected or min(self.missing, self.error, self.on_time, self.late, self.rebuilt) < 0:
            raise LedgerUnbalanced(
                f"{self.symbol}: {self.expected} contracts expected, {counted} accounted for "
                f"(on time {self.on_time}, late {self.late}, rebuilt {self.rebuilt}, missing {self.missing}, "
                f"error {self.error})",
                symbol=self.symbol,
            )
        if sum(self.reasons.values()) != self.missing + self.error or self.frozen > self.on_time:
            raise LedgerUnbalanced(
                f"{self.symbol}: reasons {dict(self.reasons)} do not add up to missing {self.missing} + "
                f"error {self.error}, or frozen {self.frozen} exceeds on time {self.on_time}",
                symbol=self.symbol,
            )

    @property
    def kept(self) -> int:
        """Quotes of whatever mode."""
        return self.on_time + self.late + self.rebuilt

    @property
    def coverage(self) -> float | None:
        """Quotes kept ÷ quotes expected; None if nothing was expected."""
        return self.kept / self.expected if self.expected else None


def account_slot(expectation: Expectation, answers: Iterable[StoredAnswer]) -> SlotAccount:
    """Count what became of every expected contract; one without any answer is missing, with the reason ``no_row``.

    Raises
    ------
    LedgerUnbalanced
        If a contract has two answers.
    """
    modes: Counter[CaptureMode] = Counter()
    standings: Counter[Standing] = Counter()
    reasons: Counter[str] = Counter()
    lags: list[float] = []
    seen: set[int] = set()
    unexpected = 0
    for answer in answers:
        if answer.conid in seen:
            raise LedgerUnbalanced(
                f"{expectation.symbol}: contract {answer.conid} has two rows", symbol=expectation.symbol
            )
        seen.add(answer.conid)
        if answer.conid not in expectation.conids:
            unexpected += 1
        elif answer.mode is not None:
            modes[answer.mode] += 1
            if answer.lag_s is not None:
                lags.append(answer.lag_s)
        else:
            reason = str(answer.error_type)
            standings[standing_of(reason)] += 1
            reasons[reason] += 1
    if absent := len(expectation.conids - seen):
        standings[Standing.MISSING] += absent
        reasons[NO_ROW] += absent
    return SlotAccount(
        symbol=expectation.symbol,
        expected=len(expectation.conids),
        on_time=modes[CaptureMode.ON_TIME] + modes[CaptureMode.FROZEN],
        late=modes[CaptureMode.LATE],
        rebuilt=modes[CaptureMode.REBUILT],
        missing=standings[Standing.MISSING],
        error=standings[Standing.ERROR],
        frozen=modes[CaptureMode.FROZEN],
        unexpected=unexpected,
        reasons=dict(sorted(reasons.items())),
        lag_p50_s=median(lags) if lags else None,
        lag_max_s=max(lags, default=None),
    )
