"""What discovery still has to ask IB, given what earlier days already know: the founding rule at fewer messages."""

from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum

from opt_data.core.contracts import ContractSet, OptionContract, Series, Underlying


class VerifyReason(StrEnum):
    """Why every wanted contract is asked for, known or not."""

    FIRST = "first"
    DUE = "verification_due"
    UNDERLYING_CHANGED = "underlying_changed"
    PRICE_JUMPED = "price_jumped"


PRICE_JUMP_RATIO = 1.4
"""Two closes so far apart suggest a split; the smallest common one, 3 for 2, is 1.5. A crash costs some messages."""
_NOTHING_IS_TRUSTED = frozenset({VerifyReason.UNDERLYING_CHANGED, VerifyReason.PRICE_JUMPED})


def verification_reason(
    previous: ContractSet | None, trade_date: date, fingerprint: str, reference_price: float, verify_every_days: int
) -> VerifyReason | None:
    """Why a full verification is needed today, or None when known contracts may keep their conids.

    A changed fingerprint of the underlying is the sign of a corporate action, and so is a reference price (USD) far
    from the previous set's: a split leaves the fingerprint as it is. Nothing known before it is trusted, because a
    strike may name another contract after it. A previous set without a fingerprint (rebuilt from stored rows) was
    never verified.
    """
    if previous is None or not previous.und_fingerprint:
        return VerifyReason.FIRST
    if previous.und_fingerprint != fingerprint:
        return VerifyReason.UNDERLYING_CHANGED
    low, high = sorted((previous.reference_price, reference_price))
    if high >= PRICE_JUMP_RATIO * low:
        return VerifyReason.PRICE_JUMPED
    if trade_date - previous.verified_on >= timedelta(days=verify_every_days):
        return VerifyReason.DUE
    return None


@dataclass(frozen=True, slots=True)
class Memory:
    """What earlier days know that still holds today: contracts by series, and series that do not exist.

    ``fallback`` holds contracts to use if asking again for them gets no answer: on a due verification the old conids
    are still the best guess, after a change of the underlying or a jump of its price they are not.
    """

    known: Mapping[Series, OptionContract]
    nonexistent: frozenset[Series]
    fallback: Mapping[Series, OptionContract]
    expired: int = 0


def recall(previous: ContractSet | None, trade_date: date, reason: VerifyReason | None) -> Memory:
    """Take over from the previous set what may be taken over; expired contracts are dropped.

    ``first_seen_slot`` starts anew each day.
    """
    if previous is None or reason in _NOTHING_IS_TRUSTED:
        return Memory({}, frozenset(), {})
    alive = {
        contract.series: replace(contract, first_seen_slot=0)
        for contract in previous.contracts
        if contract.expiry >= trade_date
    }
    expired = len(previous.contracts) - len(alive)
    if reason is not None:
        return Memory({}, frozenset(), alive, expired)
    nonexistent = frozenset(series for series in previous.nonexistent if series.expiry >= trade_date)
    return Memory(alive, nonexistent, {}, expired)


def open_asks(wanted: Iterable[Series], known: Collection[Series], asked: Collection[Series]) -> tuple[Series, ...]:
    """The wanted series that are neither known nor already asked for, in order."""
    return tuple(series for series in wanted if series not in known and series not in asked)


def carry_over(previous: ContractSet, trade_date: date, underlying: Underlying) -> tuple[OptionContract, ...]:
    """The contracts of an earlier set that can stand in for today's while the gateway fails.

    Expired ones are dropped, and classes the universe no longer wants.
    """
    return tuple(
        replace(contract, first_seen_slot=0)
        for contract in previous.contracts
        if contract.expiry >= trade_date and underlying.trading_class in ("", contract.trading_class)
    )


def added_contracts(
    frozen: Iterable[OptionContract], found: Iterable[OptionContract], first_seen_slot: int
) -> tuple[OptionContract, ...]:
    """Contracts of ``found`` that a frozen set lacks, marked with the slot they count from."""
    held = list(frozen)
    conids = {contract.conid for contract in held}
    series = {contract.series for contract in held}
    return tuple(
        replace(contract, first_seen_slot=first_seen_slot)
        for contract in found
        if contract.conid not in conids and contract.series not in series
    )


def only_adds(before: ContractSet, after: ContractSet) -> bool:
    """Whether ``after`` keeps every contract of ``before`` unchanged, so that no slot already accounted for changes."""
    kept: Set[OptionContract] = frozenset(after.contracts)
    return before.trade_date == after.trade_date and all(contract in kept for contract in before.contracts)
