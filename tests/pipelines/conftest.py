"""Stages over real files and a simulated gateway."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ibsim.launch import GatewayProcess
from opt_data.bootstrap import (
    allowance_share,
    close_universe,
    gateway_limits,
    history_rules,
    intraday_universe,
    open_interest_rules,
    open_stores,
    sampling_rules,
    whole_universe,
)
from opt_data.config.load import load_settings
from opt_data.config.models import Settings
from opt_data.core.allowance import Priority
from opt_data.core.allowance_share import AllowanceShare
from opt_data.core.capture_plan import requested_market_data_type
from opt_data.core.clock import SystemClock
from opt_data.core.contracts import Underlying
from opt_data.core.slots import Slot, close_slot, slot_of_instant
from opt_data.gateway.session import GatewayAddress, GatewaySession, open_session
from opt_data.pipelines.capture_close import capture_close, wait_for_close
from opt_data.pipelines.capture_slot import CaptureJob, CaptureOutcome, capture_slot
from opt_data.pipelines.contract_sets import contract_set_of_day, freeze_contract_set
from opt_data.pipelines.enrich_open_interest import OpenInterestJob, OpenInterestOutcome, enrich_open_interest
from opt_data.pipelines.rebuild_slot import capture_or_rebuild
from opt_data.pipelines.roll_up_session import RollupOutcome, roll_up_session
from opt_data.pipelines.stores import Stores
from opt_data.storage.chain_rows import IngestRun
from opt_data.storage.layout import ChainPartition, ChainView
from opt_data.tables.arrow_rows import rows_from_table
from tests.gateway.conftest import connect, start  # noqa: F401

DAY = date(2025, 11, 24)
TEN = datetime(2025, 11, 24, 15, 0, tzinfo=UTC)


@dataclass
class Desk:
    """One installation: settings, roots, and the steps a DAG would take, without Airflow."""

    settings: Settings
    gateway: GatewayProcess
    day: date = DAY

    @property
    def address(self) -> GatewayAddress:
        return GatewayAddress(self.gateway.host, self.gateway.port)

    def share(self, priority: Priority = Priority.SLOT) -> AllowanceShare:
        return allowance_share(self.settings, self.address, priority)

    def session(self) -> AbstractAsyncContextManager[GatewaySession]:
        limits = gateway_limits(self.settings)
        return open_session(self.address, limits, clock_source="gateway", share=self.share())

    @property
    def stores(self) -> Stores:
        return open_stores(self.settings, SystemClock())

    def slot(self, instant: datetime = TEN) -> Slot:
        return slot_of_instant(self.stores.calendar.session(self.day), instant)

    async def discover(self, symbol: str = "AAPL"):
        (underlying,) = intraday_universe(self.settings, (symbol,))
        return await freeze_contract_set(
            underlying, self.day, address=self.address, limits=gateway_limits(self.settings), stores=self.stores,
            share=self.share(Priority.DISCOVERY),
        )  # fmt: skip

    def job(self, symbol: str = "AAPL", *, slot: Slot | None = None, **changes: Any) -> CaptureJob:
        """What a task of the slot is given."""
        (underlying,) = intraday_universe(self.settings, (symbol,))
        slot = slot or self.slot()
        capture = self.settings.capture
        gateway = self.settings.gateway
        return CaptureJob(
            slot=slot,
            underlying=underlying,
            exchange=capture.exchange,
            ask_first=changes.get("ask_first", capture.exchange),
            fallback_exchanges=capture.fallback_exchanges,
            rules=sampling_rules(self.settings),
            requested_type=requested_market_data_type(
                gateway.market_data_type, allow_delayed=gateway.allow_delayed, is_close=slot.is_last
            ),
            run=IngestRun(uuid4().hex, changes.get("attempt", 1), dag_run_id="test"),
            strikes=changes.get("strikes"),
            nearest=changes.get("nearest"),
            answered_before=changes.get("answered_before", frozenset()),
            finish_within_s=changes.get("finish_within_s", float("inf")),
        )

    async def capture(self, symbol: str = "AAPL", *, slot: Slot | None = None, **changes: Any) -> CaptureOutcome:
        """Capture while the slot lasts, as it is; with ``rebuilds`` a slot that is over is rebuilt."""
        job = self.job(symbol, slot=slot, **changes)
        async with open_session(
            self.address, gateway_limits(self.settings), clock_source="gateway", share=self.share()
        ) as session:
            stores = open_stores(self.settings, session.clock)
            contract_set = await contract_set_of_day(job.underlying, self.day, session=session, stores=stores)
            if changes.get("rebuilds"):
                rules = history_rules(self.settings)
                return await capture_or_rebuild(job, contract_set, rules, session=session, stores=stores)
            return await capture_slot(job, contract_set, session=session, stores=stores)

    async def rebuild(self, symbol: str = "AAPL", *, slot: Slot | None = None, **changes: Any) -> CaptureOutcome:
        """What a clear or a backfill of the slot's capture does."""
        return await self.capture(symbol, slot=slot, rebuilds=True, **changes)

    async def close(self, symbol: str = "AAPL") -> CaptureOutcome:
        (underlying,) = close_universe(self.settings, (symbol,))
        calendar, capture, gateway = self.stores.calendar, self.settings.capture, self.settings.gateway
        job = CaptureJob(
            slot=close_slot(calendar.session(self.day), calendar.next_session(self.day)),
            underlying=underlying,
            exchange=capture.exchange,
            ask_first=capture.exchange,
            fallback_exchanges=capture.fallback_exchanges,
            rules=sampling_rules(self.settings),
            requested_type=requested_market_data_type(
                gateway.market_data_type, allow_delayed=gateway.allow_delayed, is_close=True
            ),
            run=IngestRun(uuid4().hex, 1, "close", dag_run_id="test"),
            view=ChainView.CLOSE,
        )
        async with open_session(
            self.address, gateway_limits(self.settings), clock_source="gateway", share=self.share()
        ) as session:
            stores = open_stores(self.settings, session.clock)
            await wait_for_close(job.slot, session)
            contract_set = await contract_set_of_day(underlying, self.day, session=session, stores=stores)
            return await capture_close(job, contract_set, session=session, stores=stores)

    async def read_open_interest(self, session_day: date, symbol: str = "AAPL") -> OpenInterestOutcome:
        """One read of a session's open interest, as the morning's task does it."""
        (underlying,) = whole_universe(self.settings, (symbol,))
        async with open_session(self.address, gateway_limits(self.settings), clock_source="gateway") as session:
            stores = open_stores(self.settings, session.clock)
            contract_set = await contract_set_of_day(underlying, session_day, session=session, stores=stores)
            job = OpenInterestJob(
                stores.calendar.session(session_day),
                underlying,
                self.settings.capture.exchange,
                open_interest_rules(self.settings),
                IngestRun(uuid4().hex, 1, "enrichment", "test"),
            )
            return await enrich_open_interest(job, contract_set, session=session, stores=stores)

    def roll_up(self, symbol: str = "AAPL", *, is_intraday: bool = True) -> RollupOutcome:
        (underlying,) = close_universe(self.settings, (symbol,))
        session = self.stores.calendar.session(self.day)
        return roll_up_session(session, underlying, "SMART", is_intraday=is_intraday, stores=self.stores)

    def daily(self, symbol: str = "AAPL") -> dict[int, dict[str, Any]]:
        return {row["conid"]: row for row in rows_from_table(self.stores.daily.read(self.day, symbol))}

    def daily_set(self, symbol: str = "AAPL") -> set[int]:
        contract_set = self.stores.cache.load(symbol, self.day).contract_set
        assert contract_set is not None
        return set(contract_set.conids())

    def universe(self, *symbols: str) -> tuple[Underlying, ...]:
        return close_universe(self.settings, symbols)

    def slot_path(self, slot: int, symbol: str = "AAPL") -> Path:
        return self.settings.paths.data_root / ChainPartition(self.day, symbol, "SMART").clean_key(slot)

    def rewrite_slot(self, slot: int, change: Callable[[pa.Table], pa.Table]) -> None:
        """Change a stored clean file behind the store's back."""
        path = self.slot_path(slot)
        pq.write_table(change(pq.ParquetFile(path).read()), path)

    def rows(self, symbol: str = "AAPL", slot: int | None = None) -> list[dict[str, Any]]:
        return self.stores.reader.read_chain(self.day, symbol, slot).to_pylist()

    def ledger(self) -> dict[str, dict[str, Any]]:
        return {row["underlying"]: row for row in self.stores.ledger.read(self.day).to_pylist()}


def desk_settings(folder: Path, changes: Mapping[str, str] | None = None) -> Settings:
    """An installation with its roots in a folder; ``changes`` are overrides like ``CAPTURE__LINGER_S``."""
    environ = {
        "PATHS__DATA_ROOT": str(folder / "data"),
        "PATHS__STATE_ROOT": str(folder / "state"),
        "CAPTURE__READY_TIMEOUT_S": "1.5",
        "CAPTURE__LINGER_S": "0.05",
        "GATEWAY__REQUEST_TIMEOUT_S": "3",
        "GATEWAY__CONNECT_TIMEOUT_S": "3",
        "GATEWAY__MARKET_DATA_LINES": "400",
    } | dict(changes or {})
    overrides = {f"OPT_DATA__{name}": value for name, value in environ.items()}
    return load_settings(environ={"OPT_DATA_CONFIG": "include/config/demo.toml"} | overrides)


@pytest.fixture
def desk(start, tmp_path: Path) -> Callable[..., Desk]:  # noqa: F811
    """An installation with its own roots and a simulated gateway in a process of its own.

    ``settings`` are overrides like ``CAPTURE__LINGER_S``; the scenario is the gateway's. The login has 400 lines, so
    that tests need not wait for messages.
    """

    def make(scenario: dict[str, Any] | None = None, clock: str = "2025-11-24T09:25:00-05:00", **settings: str) -> Desk:
        calm = {"market": {"greeks_never_fraction": 0.0, "greeks_late_fraction": 0.0, "no_bid_fraction": 0.0}}
        ample = {"feed": {"update_s": 60.0}, "limits": {"lines": 400}}
        return Desk(desk_settings(tmp_path, settings), start(ample | calm | (scenario or {}), clock))

    return make
