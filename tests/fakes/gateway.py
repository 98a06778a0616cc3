"""A gateway made of dictionaries: it knows a few symbols and their listed options, and notes what it was asked."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import product

from opt_data.core.chain_filter import OptionParams
from opt_data.core.contracts import OptionContract, Series, Underlying
from opt_data.errors import ContractUnknown, OptDataError
from opt_data.gateway.port import Qualified, ReferencePrice, ResolvedUnderlying


@dataclass
class Listing:
    """One underlying and its options. ``conids`` holds exactly the series that exist."""

    conid: int
    close: float
    params: tuple[OptionParams, ...]
    conids: dict[Series, int]
    details: str = "original"


def list_options(
    symbol: str,
    conid: int,
    close: float,
    chains: Iterable[tuple[str, Sequence[date], Sequence[float]]],
    missing: Iterable[Series] = (),
) -> Listing:
    """A listing whose classes hold every expiry × strike × right except ``missing``."""
    gaps = set(missing)
    params: list[OptionParams] = []
    conids: dict[Series, int] = {}
    number = 0
    for trading_class, expirations, strikes in chains:
        params += [
            OptionParams(exchange, trading_class, 100, tuple(expirations), tuple(strikes))
            for exchange in ("SMART", "CBOE")
        ]
        for expiry, strike, right in product(expirations, strikes, ("C", "P")):
            # A series has the same conid whatever else is listed.
            number += 1
            series = Series(trading_class, expiry, strike, right)
            if series not in gaps:
                conids[series] = conid * 10_000 + number
    return Listing(conid, close, tuple(params), conids)


@dataclass
class FakeContractGateway:
    """``ContractGateway`` for tests.

    ``failing`` maps a method's name to the error it raises; ``silent`` holds series that get ``failed`` answers, as
    often as the number says.
    """

    listings: dict[str, Listing]
    failing: dict[str, OptDataError] = field(default_factory=dict)
    silent: dict[Series, tuple[int, OptDataError]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    asked: list[Series] = field(default_factory=list)
    batch_sizes: list[int] = field(default_factory=list)

    def _note(self, method: str) -> None:
        self.calls.append(method)
        if method in self.failing:
            raise self.failing[method]

    async def resolve_underlying(self, underlying: Underlying) -> ResolvedUnderlying:
        self._note("resolve_underlying")
        listing = self.listings.get(underlying.symbol)
        if listing is None:
            raise ContractUnknown(f"no security definition for {underlying.symbol}; correct the universe file")
        return ResolvedUnderlying(replace(underlying, conid=listing.conid), f"{listing.conid}|{listing.details}")

    async def previous_close(self, underlying: Underlying, day: date) -> ReferencePrice:
        self._note("previous_close")
        return ReferencePrice(self.listings[underlying.symbol].close, "previous_close")

    async def option_params(self, underlying: Underlying) -> tuple[OptionParams, ...]:
        self._note("option_params")
        return self.listings[underlying.symbol].params

    async def qualify(
        self, underlying: Underlying, series: Sequence[Series], exchange: str, batch_size: int
    ) -> Qualified:
        self._note("qualify")
        self.asked.extend(series)
        self.batch_sizes.append(batch_size)
        listing = self.listings[underlying.symbol]
        found: list[OptionContract] = []
        unknown: set[Series] = set()
        failed: dict[Series, OptDataError] = {}
        for one in series:
            left, error = self.silent.get(one, (0, ContractUnknown("never raised")))
            if left > 0:
                self.silent[one] = (left - 1, error)
                failed[one] = error
            elif one in listing.conids:
                found.append(option(one, listing.conids[one], underlying))
            else:
                unknown.add(one)
        return Qualified(tuple(found), frozenset(unknown), failed)


def option(series: Series, conid: int, underlying: Underlying) -> OptionContract:
    """The contract of a series, with its OSI name."""
    root = series.trading_class.ljust(6)
    osi = f"{root}{series.expiry:%y%m%d}{series.right}{round(series.strike * 1000):08d}"
    return OptionContract(
        conid=conid,
        symbol=osi,
        underlying=underlying.symbol,
        und_conid=underlying.conid,
        expiry=series.expiry,
        right=series.right,
        strike=series.strike,
        multiplier=100,
        exchange="SMART",
        trading_class=series.trading_class,
    )
