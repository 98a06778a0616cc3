"""One slot of a large universe, captured by ``opt_data_intraday`` itself in a real Airflow, and what became of it."""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from real_airflow import ROOT, RealAirflow, freeze_sets, lay_out, running_airflow

if TYPE_CHECKING:
    from opt_data.config.models import Settings

DAY, SLOT = date(2025, 11, 24), datetime(2025, 11, 24, 15, 0, tzinfo=UTC)
NEAREST = (4, 20)
LIMIT_S = 2700.0
DWELL = {"kind": "uniform", "low_s": 1.0, "high_s": 4.0}
MEAN_DWELL_S = 2.5


@dataclass(frozen=True)
class SlotPlan:
    """What is captured, with what allowance, by how many tasks. ``discovery`` are settings of that section."""

    symbols: Sequence[str]
    contracts: int
    lines: int
    parallel_tasks: int
    symbols_per_task: int = 1
    discovery: Mapping[str, int] = field(default_factory=dict)
    market: Mapping[str, float] = field(default_factory=dict)

    @property
    def best_rate_per_s(self) -> float:
        """Contracts a second that the allowance allows: lines by the time each is held, messages by two a contract."""
        return min(self.lines / MEAN_DWELL_S, self.lines / 2 / 2)

    def scenario(self, lines: int) -> dict[str, Any]:
        return {
            "limits": {"lines": lines, "rate_scope": "all"},
            "dwell": DWELL,
            "market": dict(self.market),
            "feed": {"journal_requests": 0},
        }

    def environment(self, checkout: Path) -> dict[str, str]:
        """Settings of the installation, as variables."""
        values: dict[str, object] = {
            "PATHS__DATA_ROOT": checkout / ".run" / "demo" / "data",
            "PATHS__STATE_ROOT": checkout / ".run" / "demo" / "state",
            "UNIVERSE__INTRADAY_FILE": checkout / "universe.csv",
            "UNIVERSE__CLOSE_FILE": checkout / "universe.csv",
            "GATEWAY__MARKET_DATA_LINES": self.lines,
            "CAPTURE__PARALLEL_TASKS": self.parallel_tasks,
            "CAPTURE__SYMBOLS_PER_TASK": self.symbols_per_task,
            **{f"DISCOVERY__{name.upper()}": value for name, value in self.discovery.items()},
        }
        return {f"OPT_DATA__{name}": str(value) for name, value in values.items()}


@dataclass(frozen=True)
class SlotResult:
    """Raw figures of one slot; seconds and counts."""

    is_green: bool
    tasks: int
    run_s: float
    capture_s: float
    expected: int
    kept: int
    on_time: int
    accounted: int
    symbols_on_time_share: float
    nearest_on_time_share: Mapping[int, float]
    worker_cpu_s_a_task: float
    airflow_cpu_s: float
    gateway: Mapping[str, Any]

    @property
    def keeps_limits(self) -> bool:
        """No strike, no line refused, no second above the limit, no line left open."""
        refused = {"100", "101"} & set(self.gateway["errors_sent"])
        above = self.gateway["greatest_rate"] > self.gateway["rate_limit"]
        return not (self.gateway["strikes"] or refused or above or self.gateway["lines_open"])

    def figures(self) -> dict[str, object]:
        seen = self.gateway
        return {
            "tasks": self.tasks,
            "run_s": round(self.run_s, 1),
            "capture_s": round(self.capture_s, 1),
            "expected": self.expected,
            "kept": self.kept,
            "on_time": self.on_time,
            "accounted_for_pct": round(100 * self.accounted / self.expected, 3),
            "symbols_on_time_pct": round(100 * self.symbols_on_time_share, 1),
            **{
                f"nearest_{count}_on_time_pct": round(100 * share, 1)
                for count, share in self.nearest_on_time_share.items()
            },
            "contracts_per_s": round(self.expected / self.capture_s, 2),
            "worker_cpu_s_a_task": round(self.worker_cpu_s_a_task, 3),
            "airflow_cpu_s": round(self.airflow_cpu_s),
            "greatest_rate_messages_per_s": seen["greatest_rate"],
            "rate_limit_messages_per_s": seen["rate_limit"],
            "strikes": seen["strikes"],
            "lines_peak": seen["lines_peak"],
            "lines_left_open": seen["lines_open"],
            "messages": seen["messages"],
        }

    def told(self) -> str:
        return "\n".join(f"  {name}: {value}" for name, value in self.figures().items())


def run_slot(plan: SlotPlan) -> SlotResult:
    """Freeze the sets, start a gateway and an Airflow, let the slot be captured once, and count."""
    from ibsim.launch import running_gateway
    from opt_data.config.load import load_settings

    with tempfile.TemporaryDirectory() as folder:
        checkout = Path(folder) / "checkout"
        dag = (ROOT / "dags" / "opt_data_intraday.py").read_text()
        lay_out(checkout, {"opt_data_intraday.py": dag}, plan.symbols)
        own = plan.environment(checkout)
        ample = own | {
            "OPT_DATA_CONFIG": str(ROOT / "include" / "config" / "demo.toml"),
            "OPT_DATA__GATEWAY__MARKET_DATA_LINES": "10000",
        }
        # The sets are frozen from a gateway of the same market with more to give: it is not what is measured.
        with running_gateway(plan.scenario(10_000), clock="2025-11-24T09:25:00-05:00") as rich:
            count = asyncio.run(freeze_sets(rich.port, DAY, plan.contracts, load_settings(environ=ample)))
        print(f"{count} contracts of {len(plan.symbols)} symbols are frozen", flush=True)
        with running_gateway(plan.scenario(plan.lines), clock="2025-11-24T09:55:00-05:00") as gateway, running_airflow(
            checkout, gateway.port, own, parallelism=plan.parallel_tasks + 2, pool_slots=plan.parallel_tasks
        ) as airflow:  # fmt: skip
            airflow.services.wait_for_dag(airflow.api, "opt_data_intraday")
            _serve_first(gateway.pid)
            before_cpu_s = airflow.all_cpu_s()
            gateway.control.set_clock(SLOT.isoformat())
            gateway.control.reset_counters()
            run = airflow.run_whole("opt_data_intraday", SLOT.isoformat(), "slot", LIMIT_S)
            seen = gateway.control.stats() | {"rate_limit": plan.lines // 2}
            cpu_s = airflow.workers_cpu_s()
            all_cpu_s = airflow.all_cpu_s() - before_cpu_s
            return _result(airflow, run, cpu_s, all_cpu_s, seen, load_settings(environ=os.environ | own))


def _serve_first(pid: int) -> None:
    """Let the gateway go before all others on the processor, where this user may.

    IB's own is not on this machine, and one that waits for a processor reads messages in lumps and counts more in a
    second than were sent in one. Each thread has a priority of its own, and it is not the first one that reads.
    """
    with contextlib.suppress(PermissionError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.setpriority(os.PRIO_PROCESS, int(thread.name), -15)


def _result(
    airflow: RealAirflow, run: Mapping[str, Any], cpu_s: float, all_cpu_s: float, seen: Mapping[str, Any],
    settings: "Settings",
) -> SlotResult:  # fmt: skip
    from opt_data.bootstrap import open_stores
    from opt_data.core.clock import SystemClock

    tasks = airflow.api.task_instances("opt_data_intraday", "slot")
    captures = [task for task in tasks if task["task_id"] == "capture"]
    labels = ", ".join(str(task["rendered_map_index"]) for task in captures[:2])
    print(f"{len(captures)} instances of capture: {labels}, …", flush=True)
    stores = open_stores(settings, SystemClock())
    ledger = stores.ledger.read(DAY).to_pylist()
    total = {name: sum(row[name] for row in ledger) for name in ("expected", "on_time", "late", "missing", "error")}
    return SlotResult(
        is_green=run["state"] == "success" and all(task["state"] == "success" for task in tasks),
        tasks=len(captures),
        run_s=_seconds(run["start_date"], run["end_date"]),
        capture_s=_seconds(min(one["start_date"] for one in captures), max(one["end_date"] for one in captures)),
        expected=total["expected"],
        kept=total["on_time"] + total["late"],
        on_time=total["on_time"],
        accounted=total["on_time"] + total["late"] + total["missing"] + total["error"],
        symbols_on_time_share=sum(row["on_time"] > 0 for row in ledger) / len(ledger),
        nearest_on_time_share=_nearest_on_time([row["underlying"] for row in ledger], stores),
        worker_cpu_s_a_task=cpu_s / len(captures),
        airflow_cpu_s=all_cpu_s,
        gateway=seen,
    )


def _nearest_on_time(symbols: Sequence[str], stores: Any) -> dict[int, float]:
    """Of each symbol's contracts nearest to its reference price, the share that has an on-time quote."""
    on_time, wanted = dict.fromkeys(NEAREST, 0), dict.fromkeys(NEAREST, 0)
    for symbol in symbols:
        held = stores.cache.load(symbol, DAY).contract_set
        modes = {row["conid"]: row["capture_mode"] for row in stores.reader.read_chain(DAY, symbol).to_pylist()}
        by_distance = sorted(held.contracts, key=lambda one: abs(one.strike - held.reference_price))
        for count in NEAREST:
            nearest = by_distance[:count]
            wanted[count] += len(nearest)
            on_time[count] += sum(modes.get(one.conid) == "on_time" for one in nearest)
    return {count: on_time[count] / wanted[count] if wanted[count] else 0.0 for count in NEAREST}


def _seconds(first: str, last: str) -> float:
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()
