"""One search for a symbol's contracts: what the filter wants, what earlier days know, what IB must still be asked."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from opt_data.config.models import Settings
from opt_data.core.chain_filter import ChainFilter, OptionParams, select_series
from opt_data.core.contracts import OptionContract, Series, Underlying
from opt_data.core.discovery_plan import Memory, open_asks
from opt_data.core.expiries import ExpiryKind, months_later
from opt_data.core.sessions import SessionCalendar
from opt_data.errors import (
    AmbiguousContract,
    ConfigInvalid,
    ContractSetMissing,
    ContractUnknown,
    OptDataError,
    RequestTimedOut,
    TransientError,
)
from opt_data.gateway.port import ContractGateway

ASKS_PER_SERIES = 2
"""A series without an answer is asked for once more in a later round, then counted as failed."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What one search found.

    ``contracts`` are in the order of class, expiry, strike, right. ``unverified`` of them should have been asked
    anew, got no answer and kept their old conid. ``failed`` counts wanted series without any contract by the error's
    name.
    """

    contracts: tuple[OptionContract, ...]
    nonexistent: frozenset[Series]
    asked: int
    carried: int
    unverified: int
    unknown: int
    failed: Mapping[str, int]


async def search_contracts(
    underlying: Underlying,
    trade_date: date,
    reference_price: float,
    memory: Memory,
    *,
    gateway: ContractGateway,
    calendar: SessionCalendar,
    settings: Settings,
) -> SearchResult:
    """Ask for the wanted contracts that memory does not hold, and for the next nearest where IB knows none.

    Raises
    ------
    ContractUnknown
        The symbol has no listed options.
    ConfigInvalid
        The universe names a trading class that the symbol does not have.
    ContractSetMissing
        No listed option passes the filter, or IB knows none of those that do.
    TransientError
        The gateway failed, or more than ``max_failed_pct`` of the wanted contracts got no answer.
    """
    discovery = settings.discovery
    params = await gateway.option_params(underlying)
    _check_classes(underlying, params)
    chain_filter = chain_filter_of(settings)
    horizon = months_later(trade_date, discovery.months_ahead)
    holidays = weekday_holidays(calendar, trade_date, horizon)

    resolved = dict(memory.known)
    unknown: set[Series] = set()
    errors: dict[Series, OptDataError] = {}
    asks_of: Counter[Series] = Counter()

    def wanted_now() -> tuple[Series, ...]:
        return select_series(
            underlying,
            params,
            settings.capture.exchange,
            trade_date,
            reference_price,
            chain_filter,
            holidays,
            memory.nonexistent | unknown,
        )

    for _ in range(1 + discovery.fill_rounds_max):
        given_up = [series for series, count in asks_of.items() if count >= ASKS_PER_SERIES]
        asks = open_asks(wanted_now(), resolved, frozenset(given_up))
        if not asks:
            break
        asks_of.update(asks)
        answer = await gateway.qualify(underlying, asks, settings.capture.exchange, discovery.batch_size)
        errors.update(answer.failed)
        unknown.update(answer.unknown.intersection(asks))
        _take_found(answer.found, frozenset(asks), resolved, errors)

    wanted = wanted_now()
    unverified = [series for series in wanted if series not in resolved and series in memory.fallback]
    resolved.update((series, memory.fallback[series]) for series in unverified)
    contracts = tuple(resolved[series] for series in wanted if series in resolved)
    failed = [errors[series] for series in wanted if series not in resolved and series in errors]
    _check_result(underlying, trade_date, len(wanted), len(contracts), len(unknown), failed, discovery.max_failed_pct)
    return SearchResult(
        contracts=contracts,
        nonexistent=memory.nonexistent | frozenset(unknown),
        asked=asks_of.total(),
        carried=sum(1 for series in wanted if series in memory.known),
        unverified=len(unverified),
        unknown=len(unknown),
        failed=dict(Counter(type(error).__name__ for error in failed)),
    )


def chain_filter_of(settings: Settings) -> ChainFilter:
    """The filter that the settings describe."""
    discovery = settings.discovery
    return ChainFilter(
        moneyness_pct=discovery.moneyness_pct,
        expiry_kinds=frozenset(ExpiryKind(kind) for kind in discovery.expiry_types),
        months_ahead=discovery.months_ahead,
        max_expiries_per_class=discovery.max_expiries_per_class,
        strikes_per_side=discovery.strikes_per_side,
        max_strikes_per_expiry=discovery.max_strikes_per_expiry,
        include_adjusted=discovery.include_adjusted,
    )


def weekday_holidays(calendar: SessionCalendar, first: date, last: date) -> frozenset[date]:
    """Weekdays without a session in all the months from that of ``first`` to that of ``last``."""
    start = first.replace(day=1)
    end = months_later(last.replace(day=1), 1)
    sessions = {session.day for session in calendar.sessions(start, end)}
    days = (start + timedelta(days=offset) for offset in range((end - start).days))
    return frozenset(day for day in days if day.weekday() < 5 and day not in sessions)


def _take_found(
    found: tuple[OptionContract, ...],
    asks: frozenset[Series],
    resolved: dict[Series, OptionContract],
    errors: dict[Series, OptDataError],
) -> None:
    """Keep what was asked for; a conid that already stands for another series is an error, never a second row."""
    holders = {contract.conid: series for series, contract in resolved.items()}
    for contract in found:
        if contract.series not in asks:
            continue
        holder = holders.get(contract.conid)
        if holder is not None and holder != contract.series:
            errors[contract.series] = AmbiguousContract(
                f"IB gave conid {contract.conid} for {contract.series} and for {holder}"
            )
            continue
        holders[contract.conid] = contract.series
        resolved[contract.series] = contract


def _check_classes(underlying: Underlying, params: tuple[OptionParams, ...]) -> None:
    symbol = underlying.symbol
    if not params:
        raise ContractUnknown(f"IB lists no options of {symbol}; correct the symbol or remove it from the universe")
    classes = sorted({row.trading_class for row in params})
    if underlying.trading_class and underlying.trading_class not in classes:
        raise ConfigInvalid(
            f"{symbol} has no trading class {underlying.trading_class}, only {', '.join(classes)}; "
            "correct trading_class in the universe file or leave it empty for all"
        )


def _check_result(
    underlying: Underlying,
    trade_date: date,
    wanted: int,
    kept: int,
    unknown: int,
    failed: list[OptDataError],
    max_failed_pct: float,
) -> None:
    symbol = underlying.symbol
    if failed and 100.0 * len(failed) / wanted > max_failed_pct:
        message = f"{len(failed)} of {wanted} contracts of {symbol} got no answer, the first: {failed[0]}"
        transient = next((error for error in failed if isinstance(error, TransientError)), None)
        if transient is None:
            raise ContractSetMissing(f"{message}; look at the symbol's classes in TWS, then run discovery again")
        raise RequestTimedOut(message) from transient
    if not kept:
        why = f"IB knows none of the {unknown} asked for" if unknown else "no listed option passes the filter"
        raise ContractSetMissing(
            f"no contract of {symbol} for {trade_date}: {why}; "
            "widen [discovery] moneyness_pct, months_ahead or expiry_types, or remove the symbol from the universe"
        )
