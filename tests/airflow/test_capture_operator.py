"""The task of a group of symbols: planned, captured over one connection, and repaired where one of them failed."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowRescheduleException

from opt_data.bootstrap import gateway_limits, intraday_universe, open_stores
from opt_data.config.load import load_settings
from opt_data.core.clock import SystemClock
from opt_data.errors import GatewayUnavailable, SlotIncomplete, SymbolsFailed, SymbolsUnfinished
from opt_data.gateway.session import GatewayAddress
from opt_data.operators.capture import CaptureSlotOperator, PlanSlotOperator, SlotReportOperator
from opt_data.pipelines.contract_sets import freeze_contract_set
from tests.gateway.conftest import start  # noqa: F401

MONDAY, TEN = date(2025, 11, 24), datetime(2025, 11, 24, 15, 0, tzinfo=UTC)
SYMBOLS = ("AAPL", "MSFT", "NVDA")
CONTEXT: dict[str, Any] = {
    "ti": SimpleNamespace(dag_id="opt_data_intraday", task_id="capture", map_index=0, try_number=1, max_tries=4),
    "run_id": "manual__ten",
    "dag_run": None,
    "data_interval_start": TEN,
}


@pytest.fixture
def gateway(start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:  # noqa: F811
    """A market at ten, a universe of which NVDA's turn comes five minutes later, and the day's contract sets."""
    market = {"greeks_late_fraction": 0.0, "greeks_never_fraction": 0.0, "no_bid_fraction": 0.0}
    gateway = start({"market": market, "limits": {"lines": 400}}, clock="2025-11-24T09:25:00-05:00")
    universe = tmp_path / "universe.csv"
    universe.write_text("symbol,offset_min\nNVDA,5\nAAPL,\nMSFT,\n")
    for name, value in {
        "OPT_DATA_CONFIG": "include/config/demo.toml",
        "OPT_DATA__PATHS__DATA_ROOT": str(tmp_path / "data"),
        "OPT_DATA__PATHS__STATE_ROOT": str(tmp_path / "state"),
        "OPT_DATA__UNIVERSE__INTRADAY_FILE": str(universe),
        "OPT_DATA__GATEWAY__MARKET_DATA_LINES": "400",
        "OPT_DATA__CAPTURE__SYMBOLS_PER_TASK": "25",
        "OPT_DATA__CAPTURE__FAIL_ON_MISSING_CACHE": "true",
        "OPT_DATA__CAPTURE__READY_TIMEOUT_S": "1.5",
        "OPT_DATA__CAPTURE__LINGER_S": "0.05",
        "AIRFLOW_CONN_IB_GATEWAY": f'{{"conn_type": "ib_gateway", "host": "{gateway.host}", "port": {gateway.port}}}',
    }.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    for underlying in intraday_universe(settings):
        asyncio.run(
            freeze_contract_set(
                underlying, MONDAY, address=GatewayAddress(gateway.host, gateway.port),
                limits=gateway_limits(settings), stores=open_stores(settings, SystemClock()),
            )
        )  # fmt: skip
    gateway.control.set_clock(TEN.isoformat())
    gateway.control.reset_counters()
    return gateway


def capture(arguments: dict[str, Any]) -> CaptureSlotOperator:
    return CaptureSlotOperator(task_id="capture", **arguments)


def test_a_group_is_captured_over_one_connection_and_a_symbol_that_failed_is_repaired_alone(gateway, tmp_path) -> None:
    first, second = PlanSlotOperator(task_id="plan").execute(CONTEXT)
    assert (first["symbols"], second["symbols"]) == (["AAPL", "MSFT"], ["NVDA"])
    task = capture(first)
    assert task.symbols_label == "AAPL, MSFT"
    settings = load_settings()
    stores = open_stores(settings, SystemClock())
    cached = stores.cache.path("MSFT", MONDAY)
    lost = cached.rename(tmp_path / "lost.json")

    with pytest.raises(SymbolsFailed, match=r"1 of 2 symbols failed, .* MSFT: ContractSetMissing: ") as failed:
        asyncio.run(task.aexecute(CONTEXT))

    assert failed.value.symbols == ("MSFT",)
    assert gateway.control.stats()["connections"] == 1
    ledger = {row["underlying"]: row for row in stores.ledger.read(MONDAY).to_pylist()}
    assert ledger["AAPL"]["on_time"] == ledger["AAPL"]["expected"] == 24

    lost.rename(cached)
    gateway.control.reset_counters()
    summary = asyncio.run(task.aexecute(CONTEXT))
    assert [(one["symbol"], one["asked"], one["kept"]) for one in summary["captures"]] == [
        ("AAPL", 0, 24), ("MSFT", 24, 24),
    ]  # fmt: skip
    ledger = {row["underlying"]: row for row in stores.ledger.read(MONDAY).to_pylist()}
    assert sorted(ledger) == ["AAPL", "MSFT"]
    # MSFT and its contracts; AAPL is not asked for again
    assert gateway.control.stats()["subscriptions"] == 25


@pytest.fixture
def too_little_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many tasks share so few lines that of two symbols only some contracts can be on time."""
    monkeypatch.setenv("OPT_DATA__CAPTURE__PARALLEL_TASKS", "32")
    monkeypatch.setenv("OPT_DATA__GATEWAY__MARKET_DATA_LINES", "32")


def distances(rows: list[dict[str, Any]], reference: float) -> list[float]:
    return [abs(row["strike"] / reference - 1) for row in rows]


def test_the_nearest_of_every_symbol_come_before_the_rest_of_any(gateway, too_little_time) -> None:
    first, _ = PlanSlotOperator(task_id="plan").execute(CONTEXT)

    summary = asyncio.run(capture(first).aexecute(CONTEXT))

    stores = open_stores(load_settings(), SystemClock())
    passes: dict[str, list[list[dict[str, Any]]]] = {}
    for symbol in ("AAPL", "MSFT"):
        runs: dict[str, list[dict[str, Any]]] = {}
        for row in stores.reader.read_chain(MONDAY, symbol).to_pylist():
            runs.setdefault(row["ingest_id"], []).append(row)
        near, rest = passes[symbol] = sorted(runs.values(), key=lambda rows: min(row["asof_ts"] for row in rows))
        assert 4 <= len(near) < 16
        held = stores.cache.load(symbol, MONDAY).contract_set
        assert held is not None
        # the plan's order goes by steps of one per cent
        assert max(distances(near, held.reference_price)) <= min(distances(rest, held.reference_price)) + 0.01
        log = [line for line in stores.run_log.read("capture", MONDAY) if line["symbol"] == symbol]
        assert [(line["asked"], line["put_off"], line["still_missing"]) for line in log] == [
            (len(near), len(rest), len(rest)), (len(rest), 0, 0),
        ]  # fmt: skip
    last_near = max(row["asof_ts"] for near, _ in passes.values() for row in near)
    assert last_near < min(row["asof_ts"] for _, rest in passes.values() for row in rest)
    assert [(one["symbol"], one["asked"], one["on_time"]) for one in summary["captures"]] == [
        ("AAPL", 24, 24), ("MSFT", 24, 24),
    ]  # fmt: skip
    ledger = {row["underlying"]: row for row in stores.ledger.read(MONDAY).to_pylist()}
    assert [ledger[symbol]["on_time"] for symbol in ("AAPL", "MSFT")] == [24, 24]
    # no contract twice; the two underlyings once for each pass
    assert gateway.control.stats()["subscriptions"] == 48 + 4


def test_a_connection_lost_in_the_first_pass_keeps_what_it_has_and_the_retry_asks_for_the_rest(
    gateway, too_little_time
) -> None:
    first, _ = PlanSlotOperator(task_id="plan").execute(CONTEXT)
    stores = open_stores(load_settings(), SystemClock())
    gateway.control.faults(drop_after_messages=30)

    with pytest.raises(SymbolsUnfinished, match="2 of 2 symbols failed"):
        asyncio.run(capture(first).aexecute(CONTEXT))

    kept = {symbol: row["on_time"] for symbol, row in ledger_of(stores).items()}
    assert all(0 < count < 24 for count in kept.values())
    for symbol, row in ledger_of(stores).items():  # those of the second pass had not their turn
        assert dict(row["reasons"]).keys() == {"gateway_lost", "no_row"}
        assert sum(dict(row["reasons"]).values()) == 24 - kept[symbol]
    gateway.control.faults(drop_after_messages=0)
    gateway.control.reset_counters()
    again = {**CONTEXT, "ti": SimpleNamespace(**(vars(CONTEXT["ti"]) | {"try_number": 2}))}
    asyncio.run(capture(first).aexecute(again))
    assert [row["on_time"] for row in ledger_of(stores).values()] == [24, 24]
    asked = gateway.control.stats()["subscriptions"]
    assert 48 - sum(kept.values()) + 2 <= asked <= 48 - sum(kept.values()) + 4


def ledger_of(stores: Any) -> dict[str, dict[str, Any]]:
    return {row["underlying"]: row for row in stores.ledger.read(MONDAY).to_pylist()}


def test_a_batch_gives_way_until_its_turn_and_is_then_captured(gateway) -> None:
    _, batch = PlanSlotOperator(task_id="plan").execute(CONTEXT)
    assert batch["offset_min"] == 5

    before = datetime.now(UTC)
    with pytest.raises(AirflowRescheduleException) as later:
        asyncio.run(capture(batch).aexecute(CONTEXT))
    assert before + timedelta(seconds=240) < later.value.reschedule_date <= datetime.now(UTC) + timedelta(seconds=300)
    assert gateway.control.stats()["subscriptions"] == 0

    gateway.control.set_clock((TEN + timedelta(minutes=5)).isoformat())
    summary = asyncio.run(capture(batch).aexecute(CONTEXT))
    # later than the 120 seconds that count as on time, and said so
    assert (summary["symbol"], summary["kept"], summary["late"]) == ("NVDA", 24, 24)


def test_what_is_still_missing_after_the_last_try_says_that_it_was_given_up(gateway) -> None:
    first, _ = PlanSlotOperator(task_id="plan").execute(CONTEXT)
    stores = open_stores(load_settings(), SystemClock())
    gateway.control.faults(refuse=True)
    last = {**CONTEXT, "ti": SimpleNamespace(**(vars(CONTEXT["ti"]) | {"try_number": 5}))}

    with pytest.raises(GatewayUnavailable):
        asyncio.run(capture(first).aexecute(CONTEXT))
    assert stores.reader.read_chain(MONDAY, "AAPL").num_rows == 0
    with pytest.raises(GatewayUnavailable, match="nothing listens"):
        asyncio.run(capture(first).aexecute(last))

    for symbol in ("AAPL", "MSFT"):
        rows = stores.reader.read_chain(MONDAY, symbol).to_pylist()
        assert {row["error_type"] for row in rows} == {"gateway_lost"}
        assert all("slot_retry_exceeded" in row["data_quality_flag"] for row in rows)
    ledger = {row["underlying"]: row for row in stores.ledger.read(MONDAY).to_pylist()}
    assert dict(ledger["AAPL"]["reasons"]) == {"gateway_lost": 24}
    given_up = [line["symbol"] for line in stores.run_log.read("given_up", MONDAY)]
    assert given_up == ["AAPL", "MSFT"]


def test_a_capture_that_failed_keeps_the_run_red_though_every_symbol_has_quotes(gateway) -> None:
    first, _ = PlanSlotOperator(task_id="plan").execute(CONTEXT)
    asyncio.run(capture(first).aexecute(CONTEXT))
    states = {"manual__ten": {"capture_0": "success", "capture_1": "failed"}}
    ti = SimpleNamespace(**vars(CONTEXT["ti"]), get_task_states=lambda **_: states)
    report = SlotReportOperator(task_id="slot_report", watched=["capture"], symbols=["AAPL", "MSFT"])

    with pytest.raises(SlotIncomplete, match="every symbol has quotes, but failed instances are left: 1 of capture"):
        report.execute({**CONTEXT, "ti": ti})
