"""An Airflow of a test's own: a checkout made of links, the demo's configuration, its components as real processes."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tools.demo import airflow_home
from tools.demo.api import AirflowApi
from tools.demo.places import Places
from tools.demo.ports import LOOPBACK, free_port
from tools.demo.processes import Children
from tools.demo.progress import Progress
from tools.demo.services import Services

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 60.0


class Installation:
    """Where a test's Airflow lies, and its processes; ``stop`` ends them all.

    ``env`` is every process's environment: add to it before anything is started.

    Parameters
    ----------
    folder
        A checkout is laid out in it.
    dags
        DAG files, name to source.
    """

    def __init__(self, folder: Path, dags: Mapping[str, str]) -> None:
        checkout = folder / "checkout"
        (checkout / "dags").mkdir(parents=True)
        for name, source in dags.items():
            (checkout / "dags" / name).write_text(source)
        for name in ("plugins", "include"):
            (checkout / name).symlink_to(ROOT / name)
        self.places = Places(checkout)
        self.places.make()
        self.env = airflow_home.environment(self.places)
        self.children = Children(self.places.airflow_home, self.places.logs, self.places.sessions)
        self.services = Services(self.places, self.children, Progress(), self.env)

    def use_universe(self, symbols: Sequence[str]) -> None:
        """Let both universe files be one with these symbols."""
        universe = self.places.run / "universe.csv"
        universe.write_text("\n".join(["symbol", *symbols, ""]))
        self.env["OPT_DATA__UNIVERSE__INTRADAY_FILE"] = self.env["OPT_DATA__UNIVERSE__CLOSE_FILE"] = str(universe)

    def start(self, dag_id: str, gateway_port: int | None = None) -> AirflowApi:
        """Start Airflow, connected to a gateway if there is one, and unpause the DAG once it is read."""
        keys, port = airflow_home.load_secrets(self.places), free_port()
        airflow_home.write_configuration(self.places, keys, port)
        self.services.migrate_database()
        api = self.services.start_api_server(f"http://{LOOPBACK}:{port}", keys)
        if gateway_port is not None:
            api.set_pool("ib_gateway", 2, "symbols at once")
            api.set_connection(
                {"connection_id": "ib_gateway", "conn_type": "ib_gateway", "host": LOOPBACK, "port": gateway_port}
            )
        self.services.start_scheduler(api)
        self.services.wait_for_dag(api, dag_id)
        api.unpause(dag_id)
        return api

    def stop(self) -> None:
        self.children.stop_all()


def wait_until(is_true: Callable[[], bool], what: str, watch: Callable[[], None] = lambda: None) -> None:
    """Wait for something that happens by itself; ``watch`` raises if it cannot happen any more."""
    deadline = time.monotonic() + LIMIT_S
    while not is_true():
        watch()
        assert time.monotonic() < deadline, f"waited {LIMIT_S:.0f} s for {what}"
        time.sleep(0.1)


def dag_source(dag_id: str) -> dict[str, str]:
    """One of the project's DAG files, as ``dags`` of an installation."""
    name = f"{dag_id}.py"
    return {name: (ROOT / "dags" / name).read_text()}
