"""Start the simulated gateway and Airflow's processes and wait until each does its work."""

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tools.demo.airflow_home import Secrets
from tools.demo.api import AirflowApi
from tools.demo.errors import DemoFailed
from tools.demo.places import Places, write_whole
from tools.demo.ports import LOOPBACK
from tools.demo.processes import Children
from tools.demo.progress import Progress

START_LIMIT_S = 180.0
AIRFLOW = (sys.executable, "-m", "airflow")
SCHEDULER = (*AIRFLOW, "scheduler", "--skip-serve-logs")


@dataclass(frozen=True, slots=True)
class GatewayPorts:
    """Where the simulated gateway listens: for clients, and for whoever steers it."""

    api: int
    control: int


class Services:
    """The demo's processes, started one after the other.

    Parameters
    ----------
    places, children, progress
        Where files lie, what starts processes, what tells about it.
    env
        The environment of every child.
    """

    def __init__(self, places: Places, children: Children, progress: Progress, env: Mapping[str, str]) -> None:
        self._places = places
        self._children = children
        self._progress = progress
        self._env = env
        self._started_at = datetime.now(UTC)

    def start_gateway(self, clock: datetime) -> GatewayPorts:
        """Start ``ibsim`` on free ports with its market's clock set."""
        ready = self._places.run / "ibsim.json"
        ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", "ibsim", "--port", "0", "--control-port", "0"]
        command += ["--clock", clock.isoformat(), "--ready-file", str(ready)]
        self._children.start("ibsim", command, self._env)
        self._wait("the simulated gateway", lambda: ready.exists() and ready.stat().st_size > 0)
        said = json.loads(ready.read_text())
        ports = GatewayPorts(int(said["port"]), int(said["control_port"]))
        self._progress.say(f"The simulated gateway listens on {LOOPBACK}:{ports.api}")
        return ports

    def migrate_database(self) -> None:
        """Create Airflow's database, or bring it to the installed version; skipped where that was done before."""
        from importlib.metadata import version

        installed = version("apache-airflow-core")
        stamp = self._places.airflow_home / "database-version"
        if self._database.exists() and stamp.exists() and stamp.read_text() == installed:
            return
        self._progress.say("Creating Airflow's database")
        self._children.run("db-migrate", [*AIRFLOW, "db", "migrate"], self._env, START_LIMIT_S)
        write_whole(stamp, installed)

    @property
    def _database(self) -> Path:
        return self._places.airflow_home / "airflow.db"

    def start_api_server(self, address: str, keys: Secrets) -> AirflowApi:
        """Start the API server and the DAG processor and wait until the API takes our login."""
        self._children.start("api-server", [*AIRFLOW, "api-server"], self._env)
        self._children.start("dag-processor", [*AIRFLOW, "dag-processor"], self._env)
        self._progress.say("Starting Airflow's API server and DAG processor")
        api = AirflowApi(address, keys.password)
        self._wait("the API server", api.is_answering)
        return api

    def start_scheduler(self, api: AirflowApi) -> None:
        """Start the scheduler with its local workers, and the triggerer; wait until all are healthy."""
        self._progress.say("Starting Airflow's scheduler and triggerer")
        self._children.start("scheduler", SCHEDULER, self._env)
        self._children.start("triggerer", [*AIRFLOW, "triggerer", "--skip-serve-logs"], self._env)
        self._wait("Airflow", lambda: self._is_healthy(api.health()))
        self._progress.say("Airflow is healthy")

    def wait_for_dag(self, api: AirflowApi, dag_id: str) -> None:
        """Wait until the DAG processor has read the DAG's file as it is now."""
        self._wait(f"the DAG {dag_id}", lambda: self._is_parsed(api, dag_id))

    def _is_parsed(self, api: AirflowApi, dag_id: str) -> bool:
        for error in api.import_errors():
            if datetime.fromisoformat(error["timestamp"]) >= self._started_at:
                raise DemoFailed(f"Airflow cannot read {error['filename']}:\n{error['stack_trace']}")
        dag = api.dag(dag_id)
        return dag is not None and self._is_of_this_start(dag["last_parsed_time"])

    def _is_healthy(self, health: Mapping[str, Any]) -> bool:
        """Whether all parts report health with a heartbeat of this start and not of an earlier one."""
        return health["metadatabase"]["status"] == "healthy" and all(
            health[part]["status"] == "healthy" and self._is_of_this_start(health[part][f"latest_{part}_heartbeat"])
            for part in ("scheduler", "dag_processor", "triggerer")
        )

    def _is_of_this_start(self, moment: str | None) -> bool:
        return moment is not None and datetime.fromisoformat(moment) >= self._started_at

    def _wait(self, what: str, is_ready: Callable[[], bool]) -> None:
        started = time.monotonic()
        told = started
        while not is_ready():
            self._children.require_alive()
            now = time.monotonic()
            if now - started > START_LIMIT_S:
                raise DemoFailed(
                    f"{what} was not ready after {START_LIMIT_S:.0f} s; its log is below {self._places.logs}"
                )
            if now - told > 5:
                told = now
                self._progress.say(f"  waiting for {what}")
            time.sleep(0.3)
