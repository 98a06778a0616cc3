"""The day's contract set of a symbol, with a gateway session where one is needed."""

from collections.abc import Sequence
from datetime import date

from opt_data.core.allowance_share import AllowanceShare
from opt_data.core.contracts import ContractSet, Series, Underlying
from opt_data.core.sessions import NEW_YORK
from opt_data.errors import GatewayUnavailable
from opt_data.gateway.discovery import IbContractGateway
from opt_data.gateway.events import Observer, unobserved
from opt_data.gateway.port import OptionParams, Qualified, ReferencePrice, ResolvedUnderlying
from opt_data.gateway.session import GatewayAddress, GatewayLimits, GatewaySession, open_session
from opt_data.pipelines.discover_contracts import (
    DiscoveryOutcome,
    carry_over_contract_set,
    discover_contracts,
    ensure_contract_set,
)
from opt_data.pipelines.stores import Stores


async def freeze_contract_set(
    underlying: Underlying,
    trade_date: date,
    *,
    address: GatewayAddress,
    limits: GatewayLimits,
    stores: Stores,
    first_choice: int = 0,
    share: AllowanceShare | None = None,
    observer: Observer = unobserved,
) -> DiscoveryOutcome:
    """Connect and freeze the day's set; without a gateway, carry the newest earlier one over.

    A day that is over needs no gateway: its set is rebuilt from its stored rows.

    Parameters
    ----------
    address, limits, first_choice, share, observer
        As for :func:`opt_data.gateway.session.open_session`.
    stores
        Where sets and rows are. Their clock counts unless the settings take the time from the gateway.

    Raises
    ------
    OptDataError
        Everything that ``discover_contracts`` raises; the connection's error if no earlier set can stand in.
    """
    settings = stores.settings
    is_over = trade_date < stores.clock.now().astimezone(NEW_YORK).date()
    if settings.clock.source == "system" and is_over:
        return await discover_contracts(
            underlying, trade_date, gateway=_Offline(), cache=stores.cache, calendar=stores.calendar,
            settings=settings, clock=stores.clock, stored_contracts=stores.reader.stored_contracts,
        )  # fmt: skip
    try:
        async with open_session(
            address, limits, first_choice=first_choice, clock_source=settings.clock.source, share=share,
            observer=observer,
        ) as session:  # fmt: skip
            return await discover_contracts(
                underlying, trade_date, gateway=IbContractGateway(session), cache=stores.cache,
                calendar=stores.calendar, settings=settings, clock=session.clock,
                stored_contracts=stores.reader.stored_contracts,
            )  # fmt: skip
    except GatewayUnavailable as failure:
        return carry_over_contract_set(
            underlying, trade_date, failure, cache=stores.cache, settings=settings, clock=stores.clock
        )


async def contract_set_of_day(
    underlying: Underlying, trade_date: date, *, session: GatewaySession, stores: Stores
) -> ContractSet:
    """The frozen set, for a capture that is about to use it: a missing, empty or corrupt one is rebuilt first.

    Raises
    ------
    OptDataError
        Everything that ``ensure_contract_set`` raises.
    """
    outcome = await ensure_contract_set(
        underlying,
        trade_date,
        gateway=IbContractGateway(session),
        cache=stores.cache,
        calendar=stores.calendar,
        settings=stores.settings,
        clock=session.clock,
        stored_contracts=stores.reader.stored_contracts,
    )
    return outcome.contract_set


class _Offline:
    """A gateway for stages that must not ask one; asking all the same says so."""

    async def resolve_underlying(self, underlying: Underlying) -> ResolvedUnderlying:
        raise _not_asked(underlying)

    async def previous_close(self, underlying: Underlying, day: date) -> ReferencePrice:
        raise _not_asked(underlying)

    async def option_params(self, underlying: Underlying) -> tuple[OptionParams, ...]:
        raise _not_asked(underlying)

    async def qualify(
        self, underlying: Underlying, series: Sequence[Series], exchange: str, batch_size: int
    ) -> Qualified:
        raise _not_asked(underlying)


def _not_asked(underlying: Underlying) -> GatewayUnavailable:
    return GatewayUnavailable(f"the set of a past day is never asked of the gateway ({underlying.symbol})")
