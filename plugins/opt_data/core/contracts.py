"""Option contracts and the day's frozen set of them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum


class SecType(StrEnum):
    """IB's security types that can be an underlying."""

    STOCK = "STK"
    INDEX = "IND"


@dataclass(frozen=True, slots=True)
class Underlying:
    """A symbol as the universe file names it, and as IB resolved it.

    ``conid`` is 0 until IB was asked. ``trading_class`` empty means every class of the symbol.
    """

    symbol: str
    conid: int = 0
    sec_type: SecType = SecType.STOCK
    exchange: str = "SMART"
    currency: str = "USD"
    trading_class: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Series:
    """What names an option before IB has given it a conid: class, expiry, strike (USD), right (``C``/``P``)."""

    trading_class: str
    expiry: date
    strike: float
    right: str


@dataclass(frozen=True, slots=True)
class OptionContract:
    """One listed option.

    ``symbol`` is the OSI name, 21 characters. ``multiplier`` is shares (or index units) per contract.
    ``first_seen_slot`` is the slot index of the day from which the contract belongs to the set: 0 unless a midday
    refresh added it.
    """

    conid: int
    symbol: str
    underlying: str
    und_conid: int
    expiry: date
    right: str
    strike: float
    multiplier: int
    exchange: str
    trading_class: str
    currency: str = "USD"
    first_seen_slot: int = 0

    @property
    def series(self) -> Series:
        return Series(self.trading_class, self.expiry, self.strike, self.right)

    def identity(self) -> dict[str, object]:
        """The identity columns of a row about this contract, as far as the contract has them."""
        return {
            "und_conid": self.und_conid,
            "conid": self.conid,
            "symbol": self.symbol,
            "expiry": self.expiry,
            "right": self.right,
            "strike": self.strike,
            "multiplier": self.multiplier,
            "trading_class": self.trading_class,
            "currency": self.currency,
        }


@dataclass(frozen=True, slots=True)
class ContractSet:
    """The frozen contracts of one symbol for one trading day.

    ``stale`` marks a set carried over from an earlier day because the gateway failed. ``nonexistent`` remembers
    combinations IB has said do not exist. ``verified_on`` is the last day on which every contract was asked for
    again. ``und_fingerprint`` changes when IB's details of the underlying change.
    """

    underlying: Underlying
    trade_date: date
    reference_price: float
    reference_source: str
    contracts: tuple[OptionContract, ...]
    created_at: datetime
    verified_on: date
    und_fingerprint: str
    nonexistent: frozenset[Series] = field(default_factory=frozenset)
    stale: bool = False
    source: str = "gateway"

    def expected_at(self, slot_index: int) -> tuple[OptionContract, ...]:
        """The contracts a slot must account for: those already in the set at that slot."""
        return tuple(c for c in self.contracts if c.first_seen_slot <= slot_index)

    def conids(self) -> frozenset[int]:
        return frozenset(c.conid for c in self.contracts)


def duplicate_conids(contracts: Iterable[OptionContract]) -> tuple[int, ...]:
    """Conids that occur more than once, sorted."""
    seen: set[int] = set()
    twice: set[int] = set()
    for contract in contracts:
        (twice if contract.conid in seen else seen).add(contract.conid)
    return tuple(sorted(twice))
