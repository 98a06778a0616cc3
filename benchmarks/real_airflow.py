"""A real Airflow for a benchmark: a checkout of its own, the demo's configuration, our executor, contract sets."""

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opt_data.config.models import Settings
    from tools.demo.api import AirflowApi
    from tools.demo.places import Places
    from tools.demo.processes import Children
    from tools.demo.services import Services

ROOT = Path(__file__).resolve().parents[1]
WORKER = "airflow worker -- LocalExecutor"
STEP_S = 1.0


@dataclass(frozen=True)
class RealAirflow:
    """A running installation, and what belongs to it."""

    places: "Places"
    api: "AirflowApi"
    services: "Services"
    children: "Children"

    def workers_cpu_s(self) -> float:
        """CPU seconds of the executor's workers and of the tasks they have waited for, once all workers are idle."""
        from tools.demo.processes import belonging

        while True:
            processes = belonging(self.places.airflow_home, self.places.sessions)
            titles = {process: " ".join(process.cmdline()) for process in processes}
            workers = {process: title for process, title in titles.items() if WORKER in title}
            if workers and all("<idle>" in title for title in workers.values()):
                return sum(sum(process.cpu_times()[:4]) for process in workers)
            time.sleep(0.1)

    def all_cpu_s(self) -> float:
        """CPU seconds of every process of the installation."""
        from tools.demo.processes import belonging

        return sum(
            sum(process.cpu_times()[:4]) for process in belonging(self.places.airflow_home, self.places.sessions)
        )

    def run_whole(self, dag_id: str, logical_date: str, run_id: str, limit_s: float) -> dict[str, object]:
        """Trigger a run and wait for its end, looking seldom: a look costs the API server time that tasks want."""
        self.api.unpause(dag_id)
        self.api.trigger(dag_id, run_id, logical_date, "a benchmark")
        started = time.monotonic()
        while True:
            self.children.require_alive()
            run = self.api.run(dag_id, run_id)
            if run is not None and run["state"] in ("success", "failed"):
                return run
            if time.monotonic() - started > limit_s:
                raise SystemExit(f"{run_id} of {dag_id} was not done after {limit_s:.0f} s")
            time.sleep(STEP_S)


def lay_out(checkout: Path, dags: Mapping[str, str], symbols: Sequence[str]) -> Path:
    """A folder that looks like a checkout to the demo's tools, with these DAG files (name to source) and symbols;
    returns the universe file."""
    (checkout / "dags").mkdir(parents=True)
    for name, source in dags.items():
        (checkout / "dags" / name).write_text(source)
    (checkout / "plugins").symlink_to(ROOT / "plugins")
    (checkout / "include").symlink_to(ROOT / "include")
    universe = checkout / "universe.csv"
    universe.write_text("\n".join(["symbol", *symbols, ""]))
    return universe


async def freeze_sets(port: int, day: date, contracts: int, settings: "Settings") -> int:
    """Freeze each symbol's contract set, so that measured tasks find it; returns how many contracts.

    Parameters
    ----------
    contracts
        How many a symbol shall have, the nearest to the money; 0: all that the settings choose.
    settings
        Their discovery rules must find as many.
    """
    from dataclasses import replace

    from opt_data.bootstrap import gateway_limits, intraday_universe, open_stores
    from opt_data.core.capture_plan import nearest_first
    from opt_data.core.clock import SystemClock
    from opt_data.gateway.session import GatewayAddress
    from opt_data.pipelines.contract_sets import freeze_contract_set

    stores = open_stores(settings, SystemClock())
    total = 0
    for underlying in intraday_universe(settings):
        outcome = await freeze_contract_set(
            underlying, day, address=GatewayAddress(port=port), limits=gateway_limits(settings), stores=stores
        )
        found = outcome.contract_set
        if contracts:
            if len(found.contracts) < contracts:
                raise SystemExit(f"{underlying.symbol} has {len(found.contracts)} contracts, fewer than {contracts}")
            chosen = tuple(nearest_first(found.contracts, found.reference_price)[:contracts])
            stores.cache.save(replace(found, contracts=chosen), replace=True)
        total += contracts or len(found.contracts)
    return total


@contextmanager
def running_airflow(
    checkout: Path, gateway_port: int, own: Mapping[str, str], *, parallelism: int, pool_slots: int
) -> Iterator[RealAirflow]:
    """Airflow's four components over the checkout, with pool and connection; all processes end with the block.

    Parameters
    ----------
    gateway_port
        Where the gateway of the connection listens on loopback.
    own
        Environment of the installation besides the demo's; this process takes it too.
    parallelism, pool_slots
        Tasks at once: of the executor, and in the pool of the gateway.
    """
    from tools.demo import airflow_home
    from tools.demo.places import Places
    from tools.demo.ports import LOOPBACK, free_port
    from tools.demo.processes import Children
    from tools.demo.progress import Progress
    from tools.demo.services import Services

    places = Places(checkout)
    places.make()
    keys = airflow_home.load_secrets(places)
    port = free_port()
    airflow_home.write_configuration(places, keys, port)
    own = {**own, "AIRFLOW__CORE__PARALLELISM": str(parallelism)}
    env = airflow_home.environment(places) | own
    os.environ.update(airflow_home.own_variables(places) | own)
    children = Children(places.airflow_home, places.logs, places.sessions)
    services = Services(places, children, Progress(), env)
    try:
        services.migrate_database()
        api = services.start_api_server(f"http://{LOOPBACK}:{port}", keys)
        api.set_pool("ib_gateway", pool_slots, "benchmark")
        extra = json.dumps({"client_id_first": 0, "client_id_count": 32})
        api.set_connection(
            {"connection_id": "ib_gateway", "conn_type": "ib_gateway", "host": LOOPBACK, "port": gateway_port}
            | {"extra": extra}
        )
        services.start_scheduler(api)
        yield RealAirflow(places, api, services, children)
    finally:
        children.stop_all()


def see_the_project() -> None:
    """Let a benchmark that runs as a script import the packages and the tools."""
    sys.path[:0] = [str(ROOT), str(ROOT / "plugins")]
