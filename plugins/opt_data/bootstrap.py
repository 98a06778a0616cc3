"""From settings to the things a stage works with: the one place of wiring."""

import logging
import os
import socket
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from uuid import uuid4

from opt_data.allowance.file_store import FileStore
from opt_data.allowance.redis_store import RedisAddress, RedisStore
from opt_data.calendars import default_calendar
from opt_data.config.models import Settings
from opt_data.config.universe import load_offsets, load_universe, select_symbols
from opt_data.core.allowance import AllowancePolicy, AllowanceStore, Priority
from opt_data.core.allowance_share import AllowanceShare, PrivateStore
from opt_data.core.capture_groups import CaptureGroup, group_symbols
from opt_data.core.clock import Clock, SystemClock
from opt_data.core.contracts import Underlying
from opt_data.core.pacing import message_rate
from opt_data.core.quotes import Wanted
from opt_data.core.sampling_plan import nearest_on_time
from opt_data.core.sessions import SessionCalendar
from opt_data.gateway.session import GatewayAddress, GatewayLimits
from opt_data.pipelines.gateway_log import GatewayLog
from opt_data.pipelines.stores import Stores
from opt_data.storage.bar_store import BarStore
from opt_data.storage.chain_reader import ChainReader
from opt_data.storage.chain_store import ChainStore
from opt_data.storage.contract_cache import ContractCache
from opt_data.storage.daily_store import DailyStore
from opt_data.storage.day_locks import DayLocks
from opt_data.storage.dwell_store import DwellStore
from opt_data.storage.layout import ChainView
from opt_data.storage.ledger import SlotLedger
from opt_data.storage.local import LocalObjectStore
from opt_data.storage.open_interest_store import OpenInterestStore
from opt_data.storage.run_log import RunLog
from opt_data.storage.week_store import WeekStore
from opt_data.tables.datasets import DAILY_ADJUSTED, DAILY_CLEAN

if TYPE_CHECKING:
    from opt_data.gateway.history import HistoryRules
    from opt_data.gateway.market_data import SamplingRules

log = logging.getLogger(__name__)

MESSAGES_PER_CONTRACT = 2
"""One to subscribe, one to cancel."""
SYMBOLS_AT_ONCE = 3
"""Of a task with several symbols: enough that lines are not idle while the last contracts of one wait for a quote."""
OPEN_INTEREST_TICK = "101"
"""IB's generic tick for the open interest of an option."""


def open_stores(settings: Settings, clock: Clock) -> Stores:
    """Open the stores under the configured roots; nothing is created before the first write."""
    port = LocalObjectStore(settings.paths.data_root)
    chains = ChainStore(port, clock)
    return Stores(
        settings=settings,
        clock=clock,
        calendar=session_calendar(settings),
        cache=ContractCache(settings.paths.contracts_cache),
        chains=chains,
        closes=ChainStore(port, clock, ChainView.CLOSE),
        daily=DailyStore(port, ChainView.DAILY_CLEAN, DAILY_CLEAN),
        adjusted=DailyStore(port, ChainView.DAILY_ADJUSTED, DAILY_ADJUSTED),
        open_interest=OpenInterestStore(port, clock),
        bars=BarStore(port, clock),
        locks=DayLocks(settings.paths.locks),
        reader=ChainReader(port),
        ledger=SlotLedger(port, clock, chains),
        run_log=RunLog(settings.paths.run_logs, clock),
        weeks=WeekStore(port, chains, _cold_store(settings)),
        dwell=DwellStore(settings.paths.dwell),
    )


def _cold_store(settings: Settings) -> LocalObjectStore | None:
    """Where retired weeks go, if they are not deleted."""
    upkeep = settings.maintenance
    return LocalObjectStore(upkeep.cold_root) if upkeep.retire == "move" else None


def session_calendar(settings: Settings) -> SessionCalendar:
    """XNYS with the configured overrides file."""
    return default_calendar(
        settings.calendar.overrides_file, fixed_hours_fallback=settings.calendar.fixed_grid_fallback
    )


def gateway_limits(settings: Settings) -> GatewayLimits:
    """Deadlines and allowance of one connection."""
    gateway = settings.gateway
    return GatewayLimits(
        connect_timeout_s=gateway.connect_timeout_s,
        request_timeout_s=gateway.request_timeout_s,
        market_data_lines=gateway.market_data_lines,
        messages_per_s_max=gateway.messages_per_s_max,
        message_rate_share=gateway.message_rate_share,
    )


def allowance_share(
    settings: Settings, address: GatewayAddress, priority: Priority, redis: RedisAddress | None = None
) -> AllowanceShare:
    """A connection's hand in what tasks may use of a gateway: all of this host, or with ``redis`` of all hosts."""
    policy = _allowance_policy(settings, priority)
    name = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
    clock = SystemClock()
    return AllowanceShare(
        _allowance_store(settings, address, redis),
        policy,
        name,
        priority,
        messages=PrivateStore(clock) if settings.gateway.message_scope == "connection" else None,
        alone=PrivateStore(clock),
        tasks=settings.capture.parallel_tasks,
        on_alone=lambda error: log.warning("going on with an even part of the allowance: %s", error),
    )


def _allowance_store(settings: Settings, address: GatewayAddress, redis: RedisAddress | None) -> AllowanceStore:
    if redis is not None:
        return RedisStore(redis, f"{address.host}:{address.port}")
    return FileStore(settings.paths.allowance / f"{address.host}_{address.port}.json")


def gateway_log(settings: Settings, address: GatewayAddress, task: Mapping[str, object]) -> GatewayLog:
    """Where a task keeps what happens on its connection; ``task`` says which task it is."""
    return GatewayLog(RunLog(settings.paths.run_logs, SystemClock()), address, task)


def _allowance_policy(settings: Settings, priority: Priority) -> AllowancePolicy:
    """What there is for work of this kind; the ceilings on captures and on discovery lower it."""
    gateway = settings.gateway
    rate, limit = message_rate(gateway.market_data_lines, gateway.messages_per_s_max, gateway.message_rate_share)
    lines, ceiling = gateway.usable_lines, 0.0
    if priority is Priority.SLOT:
        ceiling = gateway.snapshots_per_min_max * MESSAGES_PER_CONTRACT / 60
        lines = min(lines, gateway.concurrent_snapshots_max or lines)
    elif priority is Priority.DISCOVERY:
        ceiling = settings.discovery.requests_per_min_max / 60
    return AllowancePolicy(min(rate, ceiling or rate), limit, lines, settings.rebuild.open_requests)


def sampling_rules(
    settings: Settings, *, generic_ticks: str | None = None, ready_timeout_s: float | None = None
) -> "SamplingRules":
    """How one capture task samples; how many lines it really gets is decided line by line among all tasks."""
    from opt_data.gateway.market_data import SamplingRules

    capture = settings.capture
    return SamplingRules(
        lines=settings.gateway.usable_lines,
        generic_ticks=capture.generic_ticks if generic_ticks is None else generic_ticks,
        require_greeks=capture.require_greeks,
        ready_timeout_s=ready_timeout_s or capture.ready_timeout_s,
        linger_s=capture.linger_s,
    )


def open_interest_rules(settings: Settings) -> "SamplingRules":
    """How one task reads open interest: nothing else of the subscription is waited for."""
    from opt_data.gateway.market_data import SamplingRules

    return SamplingRules(
        lines=settings.gateway.usable_lines,
        generic_ticks=OPEN_INTEREST_TICK,
        require_greeks=False,
        ready_timeout_s=settings.open_interest.ready_timeout_s,
        linger_s=0.0,
        wanted=Wanted.OPEN_INTEREST,
    )


def symbols_at_once(settings: Settings) -> int:
    """How many symbols of a task are under way at the same time."""
    return min(SYMBOLS_AT_ONCE, settings.capture.symbols_per_task)


def nearest_first_pass(settings: Settings, symbols: int, on_time_left_s: float) -> int | None:
    """How many contracts of each symbol a task asks for before the rest of any; None: each symbol as a whole."""
    rate = _allowance_policy(settings, Priority.SLOT).rate_per_s / MESSAGES_PER_CONTRACT
    tasks = 1 if settings.gateway.message_scope == "connection" else settings.capture.parallel_tasks
    return nearest_on_time(symbols, on_time_left_s, rate / tasks)


def symbols_at_once_first(settings: Settings, nearest: int) -> int:
    """How many symbols a task's first pass has under way: with few contracts each, more of them fill its lines."""
    lines = settings.gateway.usable_lines // settings.capture.parallel_tasks
    return symbols_at_once(settings) + lines // (nearest + 1)


def history_rules(settings: Settings) -> "HistoryRules":
    """How one symbol asks for bars; the requests per minute are split evenly among those that may be under way."""
    from opt_data.gateway.history import HistoryRules

    rebuild = settings.rebuild
    return HistoryRules(
        open_requests=rebuild.open_requests,
        timeout_s=rebuild.request_timeout_s,
        requests_per_min=rebuild.requests_per_min / (settings.capture.parallel_tasks * symbols_at_once(settings)),
    )


def intraday_universe(settings: Settings, symbols: Sequence[str] = ()) -> tuple[Underlying, ...]:
    """The underlyings captured at every slot; only ``symbols`` if any are given."""
    return select_symbols(load_universe(settings.universe.intraday_file), symbols)


def capture_groups(settings: Settings, symbols: Sequence[str] = ()) -> tuple[CaptureGroup, ...]:
    """The intraday universe as its tasks capture it; only ``symbols`` if any are given."""
    names = [underlying.symbol for underlying in intraday_universe(settings, symbols)]
    return group_symbols(names, load_offsets(settings.universe.intraday_file), settings.capture.symbols_per_task)


def close_universe(settings: Settings, symbols: Sequence[str] = ()) -> tuple[Underlying, ...]:
    """The underlyings of the closing snapshot; only ``symbols`` if any are given."""
    return select_symbols(load_universe(settings.universe.close_file), symbols)


def whole_universe(settings: Settings, symbols: Sequence[str] = ()) -> tuple[Underlying, ...]:
    """The underlyings of both universe files, the intraday ones first; only ``symbols`` if any are given."""
    known = {one.symbol: one for one in load_universe(settings.universe.intraday_file)}
    for one in load_universe(settings.universe.close_file):
        known.setdefault(one.symbol, one)
    return select_symbols(tuple(known.values()), symbols)
