"""The task of one symbol's open interest: it steps aside between two reads, and then says what it found."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowRescheduleException

from opt_data.bootstrap import gateway_limits, open_stores, whole_universe
from opt_data.config.load import load_settings
from opt_data.core.clock import SystemClock
from opt_data.errors import OpenInterestMissing
from opt_data.gateway.session import GatewayAddress
from opt_data.operators.open_interest import OpenInterestReportOperator, ReadOpenInterestOperator
from opt_data.operators.plan import PlanSymbolsOperator
from opt_data.pipelines.contract_sets import freeze_contract_set
from tests.gateway.conftest import start  # noqa: F401

MONDAY = date(2025, 11, 24)
CONTEXT: dict[str, Any] = {
    "ti": SimpleNamespace(dag_id="opt_data_open_interest", task_id="enrich", map_index=0, try_number=1),
    "run_id": "manual__monday",
    "dag_run": None,
    "data_interval_start": datetime(2025, 11, 24, 14, 30, tzinfo=UTC),
}


@pytest.fixture
def gateway(start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:  # noqa: F811
    """A market on Tuesday at 07:30, and the installation that recorded Monday's contracts of AAPL."""
    market = {"oi_late_fraction": 0.0, "oi_never_fraction": 0.0}
    gateway = start({"market": market, "limits": {"lines": 400}}, clock="2025-11-24T09:25:00-05:00")
    for name, value in {
        "OPT_DATA_CONFIG": "include/config/demo.toml",
        "OPT_DATA__PATHS__DATA_ROOT": str(tmp_path / "data"),
        "OPT_DATA__PATHS__STATE_ROOT": str(tmp_path / "state"),
        "OPT_DATA__GATEWAY__MARKET_DATA_LINES": "400",
        "OPT_DATA__OPEN_INTEREST__REREAD_AFTER_S": "600",
        "AIRFLOW_CONN_IB_GATEWAY": f'{{"conn_type": "ib_gateway", "host": "{gateway.host}", "port": {gateway.port}}}',
    }.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    (underlying,) = whole_universe(settings, ("AAPL",))
    asyncio.run(
        freeze_contract_set(
            underlying, MONDAY, address=GatewayAddress(gateway.host, gateway.port), limits=gateway_limits(settings),
            stores=open_stores(settings, SystemClock()),
        )
    )  # fmt: skip
    gateway.control.set_clock("2025-11-25T07:30:00-05:00")
    return gateway


def test_between_two_reads_the_task_is_off_the_pool(gateway) -> None:
    task = ReadOpenInterestOperator(task_id="read", symbol="AAPL")
    report = OpenInterestReportOperator(task_id="oi_report", symbols=["AAPL"])
    assert PlanSymbolsOperator(task_id="plan", symbols=["AAPL"]).execute(CONTEXT) == ["AAPL"]

    asked_at = datetime.now(UTC)
    with pytest.raises(AirflowRescheduleException) as again:
        asyncio.run(task.aexecute(CONTEXT))
    assert again.value.reschedule_date >= asked_at + timedelta(seconds=600)
    with pytest.raises(OpenInterestMissing, match="too little open interest of 2025-11-24: AAPL"):
        report.execute(CONTEXT)

    gateway.control.set_clock("2025-11-25T07:41:00-05:00")
    summary = asyncio.run(task.aexecute(CONTEXT))
    assert (summary["filled"], summary["missing"], summary["reads"]) == (summary["expected"], 0, 2)
    assert report.execute(CONTEXT)["incomplete"] == []
