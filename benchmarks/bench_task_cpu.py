"""CPU of capture tasks beside as many empty mapped tasks, on a real Airflow with the LocalExecutor.

Both DAGs map an asynchronous task over 20 symbols, with the same pool, retries and retry policy; one does nothing, the
other captures a frozen set of about 24 contracts a symbol from the simulated gateway. Counted is user and system time
of the executor's worker processes and of the task processes they have waited for; the scheduler itself is not counted.
The two take turns, so that a busy machine disturbs both. Prints capture / empty. The bar is 2.5.
"""

import asyncio
import shutil
import statistics
import sys
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from real_airflow import ROOT, freeze_sets, lay_out, running_airflow, see_the_project
from record import record

BAR = 2.5
ROUNDS = 3
LIMIT_S = 600.0
SYMBOLS = tuple(f"SYN{number:03}" for number in range(1, 21))
DAY, SLOT = date(2025, 11, 24), datetime(2025, 11, 24, 15, 0, tzinfo=UTC)
SCENARIO = {
    "market": {"greeks_late_fraction": 0.0, "greeks_never_fraction": 0.0},
    "dwell": {"kind": "uniform", "low_s": 0.1, "high_s": 0.3},
}

EMPTY_DAG = f'''
from datetime import timedelta

import pendulum
from airflow.sdk import DAG
from airflow.sdk.bases.operator import BaseAsyncOperator

from opt_data.operators.retries import IB_RETRIES


class EmptyAsyncOperator(BaseAsyncOperator):
    """Does nothing, for one symbol."""

    def __init__(self, *, symbol, **kwargs):
        super().__init__(**kwargs)
        self.symbol = symbol

    async def aexecute(self, context):
        return {{"symbol": self.symbol}}


with DAG("bench_empty", start_date=pendulum.datetime(2024, 1, 2), default_args={{
    "retries": 4, "retry_policy": IB_RETRIES, "execution_timeout": timedelta(minutes=25),
}}):
    EmptyAsyncOperator.partial(
        task_id="capture", pool="ib_gateway", map_index_template="{{{{ task.symbol }}}}"
    ).expand(symbol={list(SYMBOLS)})
'''

CAPTURE_DAG = f"""
from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from opt_data.operators.capture import CaptureSlotOperator
from opt_data.operators.retries import IB_RETRIES

with DAG("bench_capture", start_date=pendulum.datetime(2024, 1, 2), default_args={{
    "retries": 4, "retry_policy": IB_RETRIES, "execution_timeout": timedelta(minutes=25),
}}, render_template_as_native_obj=True):
    CaptureSlotOperator.partial(
        task_id="capture", pool="ib_gateway", map_index_template="{{{{ task.symbols_label }}}}", slot=SLOT_REF
    ).expand(symbols={[[symbol] for symbol in SYMBOLS]})
"""


def dags() -> dict[str, str]:
    """The two DAG files."""
    from opt_data.bootstrap import session_calendar
    from opt_data.config.load import load_settings
    from opt_data.core.slot_ref import slot_to_ref
    from opt_data.core.slots import slot_of_instant

    ref = slot_to_ref(slot_of_instant(session_calendar(load_settings()).session(DAY), SLOT))
    return {"bench_empty.py": EMPTY_DAG, "bench_capture.py": CAPTURE_DAG.replace("SLOT_REF", repr(ref))}


def measure(checkout: Path) -> dict[str, list[float]]:
    """CPU seconds a task, per DAG and round; the first round of each is not counted."""
    from ibsim.launch import running_gateway
    from opt_data.config.load import load_settings

    universe = str(lay_out(checkout, dags(), SYMBOLS))
    simulated = checkout / ".run" / "demo"
    own = {
        "OPT_DATA_CONFIG": str(ROOT / "include" / "config" / "demo.toml"),
        "OPT_DATA__UNIVERSE__INTRADAY_FILE": universe,
        "OPT_DATA__UNIVERSE__CLOSE_FILE": universe,
        "OPT_DATA__PATHS__DATA_ROOT": str(simulated / "data"),
        "OPT_DATA__PATHS__STATE_ROOT": str(simulated / "state"),
    }
    settings = load_settings(environ=own)
    found: dict[str, list[float]] = {"bench_empty": [], "bench_capture": []}
    with running_gateway(SCENARIO, clock="2025-11-24T09:25:00-05:00") as gateway:
        count = asyncio.run(freeze_sets(gateway.port, DAY, 0, settings))
        print(f"{count} contracts of {len(SYMBOLS)} symbols are frozen", flush=True)
        slots = settings.capture.parallel_tasks
        with running_airflow(checkout, gateway.port, own, parallelism=slots + 1, pool_slots=slots) as airflow:
            for number in range(ROUNDS + 1):
                for dag_id, seconds in found.items():
                    airflow.services.wait_for_dag(airflow.api, dag_id)
                    gateway.control.set_clock(SLOT.isoformat())
                    shutil.rmtree(airflow.places.data_root, ignore_errors=True)
                    before = airflow.workers_cpu_s()
                    at = SLOT + timedelta(seconds=number)
                    run = airflow.run_whole(dag_id, at.isoformat(), f"round_{number}", LIMIT_S)
                    if run["state"] != "success":
                        raise SystemExit(f"round {number} of {dag_id} failed; see {airflow.places.airflow_home}/logs")
                    if number:
                        seconds.append((airflow.workers_cpu_s() - before) / len(SYMBOLS))
    return found


def main() -> int:
    see_the_project()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder) / "checkout")
    medians = {name: statistics.median(values) for name, values in found.items()}
    ratio = medians["bench_capture"] / medians["bench_empty"]
    for name, values in found.items():
        print(f"{name}: {medians[name]:.3f} s CPU a task ({', '.join(f'{value:.3f}' for value in values)})")
    figures = {f"{name}_cpu_s_a_task": [round(value, 4) for value in values] for name, values in found.items()}
    return record("task_cpu", ratio, {"symbols": len(SYMBOLS), **figures}, bar=BAR)


if __name__ == "__main__":
    sys.exit(main())
