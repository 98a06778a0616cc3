"""Freeze a symbol's contract set for one trading day, or say precisely why there is none."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from typing import TypeAlias

from opt_data.config.models import Settings
from opt_data.core.clock import Clock
from opt_data.core.contracts import ContractSet, OptionContract, Underlying
from opt_data.core.discovery_plan import (
    Memory,
    VerifyReason,
    added_contracts,
    carry_over,
    recall,
    verification_reason,
)
from opt_data.core.sessions import NEW_YORK, SessionCalendar, TradingSession
from opt_data.core.slots import slot_grid
from opt_data.errors import (
    CommitConflict,
    CompetingSession,
    ContractSetMissing,
    GatewayUnavailable,
    OptDataError,
    PacingViolated,
    RequestRejected,
    RequestTimedOut,
    SlotNotBegun,
    StorageUnavailable,
)
from opt_data.gateway.port import ContractGateway
from opt_data.pipelines.contract_search import SearchResult, search_contracts
from opt_data.pipelines.discovery_outcome import DiscoveryAction, DiscoveryOutcome
from opt_data.storage.contract_cache import CacheRead, CacheStatus, ContractCache
from opt_data.storage.run_log import RunLog

__all__ = [
    "DiscoveryAction",
    "DiscoveryOutcome",
    "StoredContracts",
    "carry_over_contract_set",
    "discover_contracts",
    "ensure_contract_set",
]

RUN_LOG_TASK = "discovery"

# Trouble of the gateway, not of the symbol or the disk. RequestRejected: no history farm, hence no previous close.
GATEWAY_FAILURES = (GatewayUnavailable, RequestTimedOut, PacingViolated, CompetingSession, RequestRejected)

StoredContracts: TypeAlias = Callable[[date, str], tuple[OptionContract, ...]]
"""The contracts that occur in the stored rows of one day and symbol; empty when there are no rows."""


async def discover_contracts(
    underlying: Underlying,
    trade_date: date,
    *,
    gateway: ContractGateway,
    cache: ContractCache,
    calendar: SessionCalendar,
    settings: Settings,
    clock: Clock,
    stored_contracts: StoredContracts,
    refresh: bool = False,
) -> DiscoveryOutcome:
    """Make sure that the day has a frozen contract set.

    A day that has one keeps it. Two exceptions: ``refresh`` adds contracts listed since, counted from the next slot
    on; and a carried over (stale) set is replaced by a fresh one before the open, and added to during the session.
    A day that is over is rebuilt from its stored rows, never from today's chain.

    Raises
    ------
    NotASession, CalendarUnavailable
        ``trade_date`` is no trading day, or the calendar does not know.
    SlotNotBegun
        The session before ``trade_date`` is not over yet, so its close is not known.
    ContractUnknown, AmbiguousContract, ConfigInvalid
        IB does not know the symbol, or knows several: the universe file must be corrected.
    ContractSetMissing
        No option passes the filter; or the day is over and nothing was stored.
    TransientError
        The gateway failed and there is no earlier set that could stand in.
    """
    log = RunLog(settings.paths.run_logs, clock)
    work = _Discovery(underlying, trade_date, gateway, cache, calendar, settings, clock, stored_contracts)
    try:
        outcome = await work.run(refresh)
    except OptDataError as error:
        record = {
            "symbol": underlying.symbol,
            "trade_date": trade_date,
            "action": "failed",
            "error_type": type(error).__name__,
            "error_message": str(error),
        }
        # The error itself matters more than its log line.
        with suppress(StorageUnavailable):
            log.append(RUN_LOG_TASK, trade_date, record)
        raise
    log.append(RUN_LOG_TASK, trade_date, outcome.summary())
    return outcome


async def ensure_contract_set(
    underlying: Underlying,
    trade_date: date,
    *,
    gateway: ContractGateway,
    cache: ContractCache,
    calendar: SessionCalendar,
    settings: Settings,
    clock: Clock,
    stored_contracts: StoredContracts,
) -> DiscoveryOutcome:
    """The capture's precheck: the frozen set, or a missing, empty or corrupt one rebuilt first.

    A good file costs one read and asks nobody.

    Raises
    ------
    ContractSetMissing
        There is no good file and ``capture.fail_on_missing_cache`` forbids rebuilding it.
    OptDataError
        Everything that ``discover_contracts`` raises.
    """
    read = cache.load(underlying.symbol, trade_date)
    if read.contract_set is not None:
        return DiscoveryOutcome(DiscoveryAction.UNCHANGED, read.contract_set)
    if settings.capture.fail_on_missing_cache:
        raise ContractSetMissing(
            f"contracts cache of {underlying.symbol} for {trade_date} is {read.status}: {read.problem}; run "
            "opt_data_discovery for that day, or set capture.fail_on_missing_cache = false to rebuild it on the way"
        )
    return await discover_contracts(
        underlying,
        trade_date,
        gateway=gateway,
        cache=cache,
        calendar=calendar,
        settings=settings,
        clock=clock,
        stored_contracts=stored_contracts,
    )


def carry_over_contract_set(
    underlying: Underlying,
    trade_date: date,
    failure: OptDataError,
    *,
    cache: ContractCache,
    settings: Settings,
    clock: Clock,
) -> DiscoveryOutcome:
    """Use the newest earlier set, marked stale, because the gateway cannot even be connected to.

    It is frozen for the day like any other, and noted in the run log. A set that the day already has is kept.

    Parameters
    ----------
    failure
        What the gateway did; raised again when no set of the last ``stale_max_days`` days is left, or all its
        contracts have expired.
    """
    held = cache.load(underlying.symbol, trade_date).contract_set
    if held is not None:
        outcome = DiscoveryOutcome(DiscoveryAction.UNCHANGED, held, problem=_sentence(failure))
    else:
        outcome = _carry_over(underlying, trade_date, failure, cache=cache, settings=settings, clock=clock)
    RunLog(settings.paths.run_logs, clock).append(RUN_LOG_TASK, trade_date, outcome.summary())
    return outcome


def _carry_over(
    underlying: Underlying,
    trade_date: date,
    failure: OptDataError,
    *,
    cache: ContractCache,
    settings: Settings,
    clock: Clock,
) -> DiscoveryOutcome:
    previous = cache.latest_before(underlying.symbol, trade_date, fresh_only=True)
    if previous is None or (trade_date - previous.trade_date).days > settings.discovery.stale_max_days:
        raise failure
    contracts = carry_over(previous, trade_date, underlying)
    if not contracts:
        raise failure
    stale = replace(
        previous,
        underlying=replace(previous.underlying, trading_class=underlying.trading_class),
        trade_date=trade_date,
        contracts=contracts,
        created_at=clock.now(),
        nonexistent=frozenset(series for series in previous.nonexistent if series.expiry >= trade_date),
        stale=True,
        source=f"carried_over_from_{previous.trade_date}",
    )
    cache.save(stale)
    return DiscoveryOutcome(DiscoveryAction.CARRIED_OVER, stale, carried=len(contracts), problem=_sentence(failure))


def _sentence(failure: OptDataError) -> str:
    return f"{type(failure).__name__}: {failure}"


@dataclass(frozen=True, slots=True)
class _Discovery:
    """One run; exists to spare every step the same eight arguments."""

    underlying: Underlying
    trade_date: date
    gateway: ContractGateway
    cache: ContractCache
    calendar: SessionCalendar
    settings: Settings
    clock: Clock
    stored_contracts: StoredContracts

    async def run(self, refresh: bool) -> DiscoveryOutcome:
        session = self.calendar.session(self.trade_date)
        read = self.cache.load(self.underlying.symbol, self.trade_date)
        today = self.clock.now().astimezone(NEW_YORK).date()
        if read.contract_set is not None:
            if self.trade_date < today or not (refresh or read.contract_set.stale):
                return DiscoveryOutcome(DiscoveryAction.UNCHANGED, read.contract_set)
            return await self._improve(read.contract_set, session)
        if self.trade_date < today:
            return self._rebuild_from_rows(read)
        self._check_begun(today)
        problem = "" if read.status is CacheStatus.MISSING else read.problem
        try:
            outcome = await self._build(replace_held=False)
        except GATEWAY_FAILURES as failure:
            outcome = _carry_over(
                self.underlying,
                self.trade_date,
                failure,
                cache=self.cache,
                settings=self.settings,
                clock=self.clock,
            )
        return replace(outcome, problem="; ".join(part for part in (problem, outcome.problem) if part))

    def _check_begun(self, today: date) -> None:
        if self.trade_date == today:
            return
        previous = self.calendar.previous_session(self.trade_date)
        if self.clock.now() < previous.close_utc:
            raise SlotNotBegun(
                f"the contract set of {self.trade_date} is chosen around the close of {previous.day}, "
                "which is not over yet; run discovery again after it"
            )

    async def _improve(self, held: ContractSet, session: TradingSession) -> DiscoveryOutcome:
        """Replace a stale set before the open; otherwise only add."""
        try:
            if held.stale and self.clock.now() < session.open_utc:
                return await self._build(replace_held=True)
            return await self._add(held, session)
        except GATEWAY_FAILURES as failure:
            return DiscoveryOutcome(DiscoveryAction.UNCHANGED, held, problem=_sentence(failure))

    async def _build(self, *, replace_held: bool) -> DiscoveryOutcome:
        resolved = await self.gateway.resolve_underlying(self.underlying)
        reference = await self.gateway.previous_close(resolved.underlying, self.trade_date)
        previous = self.cache.latest_before(self.underlying.symbol, self.trade_date)
        reason = verification_reason(
            previous,
            self.trade_date,
            resolved.fingerprint,
            reference.price,
            self.settings.discovery.verify_every_days,
        )
        memory = recall(previous, self.trade_date, reason)
        result = await self._search(resolved.underlying, reference.price, memory)
        verified_on = self.trade_date
        if previous is not None and (reason is None or result.unverified):
            verified_on = previous.verified_on
        contract_set = ContractSet(
            underlying=resolved.underlying,
            trade_date=self.trade_date,
            reference_price=reference.price,
            reference_source=reference.source,
            contracts=result.contracts,
            created_at=self.clock.now(),
            verified_on=verified_on,
            und_fingerprint=resolved.fingerprint,
            nonexistent=result.nonexistent,
        )
        try:
            self.cache.save(contract_set, replace=replace_held)
        except CommitConflict:
            # Another task froze the day while we were asking: its set counts.
            held = self.cache.load(self.underlying.symbol, self.trade_date).contract_set
            if held is None:
                raise
            return DiscoveryOutcome(DiscoveryAction.UNCHANGED, held)
        return _outcome(DiscoveryAction.BUILT, contract_set, result, reason)

    async def _add(self, held: ContractSet, session: TradingSession) -> DiscoveryOutcome:
        """Look for contracts listed since the set was frozen; what IB did not know this morning is asked again."""
        now = self.clock.now()
        next_slot = next((slot for slot in slot_grid(session) if slot.instant_utc > now), None)
        if next_slot is None:
            return DiscoveryOutcome(
                DiscoveryAction.UNCHANGED, held, problem="no slot of the day is left to add contracts for"
            )
        resolved = await self.gateway.resolve_underlying(self.underlying)
        price, source = held.reference_price, held.reference_source
        if held.stale:
            reference = await self.gateway.previous_close(resolved.underlying, self.trade_date)
            price, source = reference.price, reference.source
        known = {contract.series: contract for contract in held.contracts}
        result = await self._search(resolved.underlying, price, Memory(known, frozenset(), {}))
        added = added_contracts(held.contracts, result.contracts, next_slot.index)
        grown = replace(
            held,
            underlying=resolved.underlying,
            reference_price=price,
            reference_source=source,
            contracts=(*held.contracts, *added),
            und_fingerprint=resolved.fingerprint,
            nonexistent=held.nonexistent.difference(c.series for c in added) | result.nonexistent,
            stale=False,
        )
        self.cache.save(grown)
        action = DiscoveryAction.REFRESHED if added or held.stale else DiscoveryAction.UNCHANGED
        return replace(_outcome(action, grown, result, None), added=len(added))

    async def _search(self, resolved: Underlying, price: float, memory: Memory) -> SearchResult:
        return await search_contracts(
            resolved,
            self.trade_date,
            price,
            memory,
            gateway=self.gateway,
            calendar=self.calendar,
            settings=self.settings,
        )

    def _rebuild_from_rows(self, read: CacheRead) -> DiscoveryOutcome:
        symbol = self.underlying.symbol
        stored = self.stored_contracts(self.trade_date, symbol)
        # Rows of several slots name a contract several times; it belongs to the set from the earliest on.
        earliest_last = sorted(stored, key=lambda contract: (contract.series, -contract.first_seen_slot))
        contracts = tuple({contract.conid: contract for contract in earliest_last}.values())
        if not contracts:
            raise ContractSetMissing(
                f"the contract set of {symbol} for {self.trade_date} is {read.status} ({read.problem}) and no rows of "
                f"that day are stored. The chain of a past day cannot be asked of IB: bring {read.path.name} back "
                "from a backup, or leave the day as missing"
            )
        contract_set = ContractSet(
            underlying=replace(self.underlying, conid=self.underlying.conid or contracts[0].und_conid),
            trade_date=self.trade_date,
            reference_price=0.0,
            reference_source="unknown",
            contracts=contracts,
            created_at=self.clock.now(),
            verified_on=self.trade_date,
            und_fingerprint="",
            source="stored_rows",
        )
        self.cache.save(contract_set)
        return DiscoveryOutcome(
            DiscoveryAction.REBUILT_FROM_ROWS, contract_set, carried=len(contracts), problem=read.problem
        )


def _outcome(
    action: DiscoveryAction, contract_set: ContractSet, result: SearchResult, reason: VerifyReason | None
) -> DiscoveryOutcome:
    return DiscoveryOutcome(
        action,
        contract_set,
        asked=result.asked,
        carried=result.carried,
        unverified=result.unverified,
        unknown=result.unknown,
        failed=result.failed,
        verify_reason=reason,
    )
