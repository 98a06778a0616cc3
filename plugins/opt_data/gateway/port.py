"""What discovery may ask of a gateway, as a protocol: stages depend on this, not on a client library."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

from opt_data.core.chain_filter import OptionParams
from opt_data.core.contracts import OptionContract, Series, Underlying
from opt_data.errors import OptDataError

__all__ = ["ContractGateway", "OptionParams", "Qualified", "ReferencePrice", "ResolvedUnderlying"]


@dataclass(frozen=True, slots=True)
class ResolvedUnderlying:
    """An underlying with its conid filled in.

    ``fingerprint`` is an opaque text made of IB's own details of the underlying. It must be equal on two days on
    which those details are equal, and differ when they differ: a change makes discovery ask for every contract again.
    """

    underlying: Underlying
    fingerprint: str


@dataclass(frozen=True, slots=True)
class ReferencePrice:
    """The price strikes are chosen around: USD per share (index points for an index), always > 0.

    ``source`` says where it came from, e.g. ``previous_close``.
    """

    price: float
    source: str


@dataclass(frozen=True, slots=True)
class Qualified:
    """What became of each series that was asked for: every one is in exactly one of the three.

    ``unknown`` holds the series IB says do not exist (error 200); ``failed`` those for which there was no answer,
    or an ambiguous one, with the error: they may be asked again.
    """

    found: tuple[OptionContract, ...]
    unknown: frozenset[Series] = frozenset()
    failed: Mapping[Series, OptDataError] = field(default_factory=dict)


class ContractGateway(Protocol):
    """The four questions of contract discovery. Every call has its own deadline inside the implementation.

    All of them raise ``GatewayUnavailable`` (or another ``TransientError``) when the connection fails.
    """

    async def resolve_underlying(self, underlying: Underlying) -> ResolvedUnderlying:
        """Fill in the conid; a conid given in the universe is checked, not trusted.

        Raises
        ------
        ContractUnknown
            IB has no such symbol, or the conid given belongs to another symbol.
        AmbiguousContract
            More than one contract matches.
        """
        ...

    async def previous_close(self, underlying: Underlying, day: date) -> ReferencePrice:
        """The underlying's official close of the last session strictly before ``day`` (New York trading day)."""
        ...

    async def option_params(self, underlying: Underlying) -> tuple[OptionParams, ...]:
        """Expirations and strikes per exchange and trading class; empty when the symbol has no options."""
        ...

    async def qualify(
        self, underlying: Underlying, series: Sequence[Series], exchange: str, batch_size: int
    ) -> Qualified:
        """Ask for the conid of each series at ``exchange``, ``batch_size`` of them at a time.

        Trouble with single series never raises: it is in ``Qualified.failed``. An empty ``series`` asks nothing.
        """
        ...
