"""CPU of capture tasks beside as many empty mapped tasks, on a real Airflow with the LocalExecutor.

Both DAGs map an asynchronous task over 20 symbols, with the same pool, retries and retry policy; one does nothing, the
other captures a frozen set of about 24 contracts a symbol from the simulated gateway. Counted is user and system time
of the executor's worker processes and of the task processes they have waited for; the scheduler itself is not counted.
The two take turns, so that a busy machine disturbs both. Prints capture / empty. The bar is 2.5.
"""

import asyncio
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from record import record

if TYPE_CHECKING:
    from tools.demo.places import Places

ROOT = Path(__file__).resolve().parents[1]
BAR = 2.5
ROUNDS = 3
WORKER = "airflow worker -- LocalExecutor"
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


def lay_out(checkout: Path) -> None:
    """A folder that looks like a checkout to the demo's tools, with our two DAGs in place of the project's."""
    from opt_data.bootstrap import session_calendar
    from opt_data.config.load import load_settings
    from opt_data.core.slot_ref import slot_to_ref
    from opt_data.core.slots import slot_of_instant

    ref = slot_to_ref(slot_of_instant(session_calendar(load_settings()).session(DAY), SLOT))
    (checkout / "dags").mkdir(parents=True)
    (checkout / "dags" / "bench_empty.py").write_text(EMPTY_DAG)
    (checkout / "dags" / "bench_capture.py").write_text(CAPTURE_DAG.replace("SLOT_REF", repr(ref)))
    (checkout / "plugins").symlink_to(ROOT / "plugins")
    (checkout / "include").symlink_to(ROOT / "include")
    universe = checkout / "universe.csv"
    universe.write_text("\n".join(["symbol,conid,exchange,trading_class,sec_type", *(f"{s},,,," for s in SYMBOLS), ""]))


async def freeze_sets(port: int) -> int:
    """Freeze each symbol's contract set, so that the measured tasks find it; returns how many contracts."""
    from opt_data.bootstrap import gateway_limits, intraday_universe, open_stores
    from opt_data.config.load import load_settings
    from opt_data.core.clock import SystemClock
    from opt_data.gateway.session import GatewayAddress
    from opt_data.pipelines.contract_sets import freeze_contract_set

    settings = load_settings()
    stores = open_stores(settings, SystemClock())
    contracts = 0
    for underlying in intraday_universe(settings):
        outcome = await freeze_contract_set(
            underlying, DAY, address=GatewayAddress(port=port), limits=gateway_limits(settings), stores=stores
        )
        contracts += len(outcome.contract_set.contracts)
    return contracts


def workers_cpu_s(places: "Places") -> float:
    """Seconds of CPU that the executor's workers and the tasks they waited for have used, once all are idle."""
    from tools.demo.processes import belonging

    while True:
        titles = {process: " ".join(process.cmdline()) for process in belonging(places.airflow_home, places.sessions)}
        workers = {process: title for process, title in titles.items() if WORKER in title}
        if workers and all("<idle>" in title for title in workers.values()):
            return sum(sum(process.cpu_times()[:4]) for process in workers)
        time.sleep(0.1)


def measure(checkout: Path) -> dict[str, list[float]]:
    """CPU seconds a task, per DAG and round; the first round of each is not counted."""
    from ibsim.launch import running_gateway
    from opt_data.config.load import load_settings
    from tools.demo import airflow_home, runs
    from tools.demo.day_plan import Action, Step
    from tools.demo.places import Places
    from tools.demo.ports import LOOPBACK, free_port
    from tools.demo.processes import Children
    from tools.demo.progress import Progress
    from tools.demo.services import Services

    places, progress = Places(checkout), Progress()
    places.make()
    keys = airflow_home.load_secrets(places)
    port = free_port()
    airflow_home.write_configuration(places, keys, port)
    own = {
        "OPT_DATA__UNIVERSE__INTRADAY_FILE": str(checkout / "universe.csv"),
        "OPT_DATA__UNIVERSE__CLOSE_FILE": str(checkout / "universe.csv"),
        "OPT_DATA__PATHS__DATA_ROOT": str(places.data_root),
        "OPT_DATA__PATHS__STATE_ROOT": str(places.state_root),
    }
    env = airflow_home.environment(places) | own
    os.environ.update(airflow_home.own_variables(places) | own)
    children = Children(places.airflow_home, places.logs, places.sessions)
    services = Services(places, children, progress, env)
    found: dict[str, list[float]] = {"bench_empty": [], "bench_capture": []}
    with running_gateway(SCENARIO, clock="2025-11-24T09:25:00-05:00") as gateway:
        progress.say(f"{asyncio.run(freeze_sets(gateway.port))} contracts of {len(SYMBOLS)} symbols")
        try:
            services.migrate_database()
            api = services.start_api_server(f"http://{LOOPBACK}:{port}", keys)
            api.set_pool("ib_gateway", load_settings().capture.parallel_tasks, "benchmark")
            extra = json.dumps({"client_id_first": 0, "client_id_count": 32})
            api.set_connection(
                {"connection_id": "ib_gateway", "conn_type": "ib_gateway", "host": LOOPBACK, "port": gateway.port}
                | {"extra": extra}
            )
            services.start_scheduler(api)
            for number in range(ROUNDS + 1):
                for dag_id, seconds in found.items():
                    services.wait_for_dag(api, dag_id)
                    api.unpause(dag_id)
                    gateway.control.set_clock(SLOT.isoformat())
                    shutil.rmtree(places.data_root, ignore_errors=True)
                    before = workers_cpu_s(places)
                    at = SLOT + timedelta(seconds=number)
                    wanted = Step(Action.RUN, f"round {number}", dag_id, at, at, f"round_{number}")
                    runs.complete(api, wanted, progress, children.require_alive)
                    if number:
                        seconds.append((workers_cpu_s(places) - before) / len(SYMBOLS))
        finally:
            children.stop_all()
    return found


def main() -> int:
    sys.path[:0] = [str(ROOT), str(ROOT / "plugins")]
    with tempfile.TemporaryDirectory() as folder:
        checkout = Path(folder) / "checkout"
        lay_out(checkout)
        found = measure(checkout)
    medians = {name: statistics.median(values) for name, values in found.items()}
    ratio = medians["bench_capture"] / medians["bench_empty"]
    for name, values in found.items():
        print(f"{name}: {medians[name]:.3f} s CPU a task ({', '.join(f'{value:.3f}' for value in values)})")
    figures = {f"{name}_cpu_s_a_task": [round(value, 4) for value in values] for name, values in found.items()}
    return record("task_cpu", ratio, {"symbols": len(SYMBOLS), **figures}, bar=BAR)


if __name__ == "__main__":
    sys.exit(main())
