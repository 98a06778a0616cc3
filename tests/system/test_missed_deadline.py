"""A deadline passes in a real Airflow: the scheduler notices, the triggerer tells; repeated old dates tell nobody."""

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tools.demo import airflow_home
from tools.demo.places import Places
from tools.demo.ports import LOOPBACK, free_port
from tools.demo.processes import Children
from tools.demo.progress import Progress
from tools.demo.services import Services

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 60.0
OLD = datetime(2025, 11, 24, 15, 0, tzinfo=UTC)

# Its task waits for a pool that is not there, so that the run is never done.
MINUTES = 0.2
DAG = f"""
import pendulum
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

from opt_data.notifications.deadlines import deadline_after_start

with DAG(
    "watched", schedule=None, start_date=pendulum.datetime(2025, 1, 2),
    deadline=deadline_after_start({MINUTES}, "the slot"),
):
    BashOperator(task_id="wait", bash_command="true", pool="not_there")
"""

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    checkout = tmp_path / "checkout"
    (checkout / "dags").mkdir(parents=True)
    (checkout / "dags" / "watched.py").write_text(DAG)
    for name in ("plugins", "include"):
        (checkout / name).symlink_to(ROOT / name)
    made = Places(checkout)
    made.make()
    return made


@pytest.fixture
def children(places: Places) -> Iterator[Children]:
    made = Children(places.airflow_home, places.logs, places.sessions)
    yield made
    made.stop_all()


def wait_until(is_true: Callable[[], bool], children: Children, what: str) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not is_true():
        children.require_alive()
        assert time.monotonic() < deadline, f"waited {LIMIT_S:.0f} s for {what}"
        time.sleep(0.2)


def deadlines(places: Places) -> dict[str, datetime]:
    """The deadlines in Airflow's database, by run."""
    with closing(sqlite3.connect(places.airflow_home / "airflow.db")) as database:
        query = "select run_id, deadline_time from deadline join dag_run on dag_run.id = deadline.dagrun_id"
        return {run: datetime.fromisoformat(at).replace(tzinfo=UTC) for run, at in database.execute(query)}


def test_the_real_scheduler_misses_one_and_leaves_the_past_alone(places: Places, children: Children) -> None:
    keys, port = airflow_home.load_secrets(places), free_port()
    airflow_home.write_configuration(places, keys, port)
    env = airflow_home.environment(places) | {"OPT_DATA__PATHS__STATE_ROOT": str(places.state_root)}
    services = Services(places, children, Progress(), env)
    services.migrate_database()
    api = services.start_api_server(f"http://{LOOPBACK}:{port}", keys)
    services.start_scheduler(api)
    services.wait_for_dag(api, "watched")
    api.unpause("watched")

    began = datetime.now(UTC)
    api.trigger("watched", "repeated", OLD.isoformat(), "an old date by hand")
    api.trigger("watched", "by_hand", began.isoformat(), "now")

    assert deadlines(places) == {"by_hand": began + timedelta(minutes=MINUTES)}
    written = places.state_root / "run_logs" / "deadlines"
    wait_until(lambda: any(written.glob("*.jsonl")), children, "the missed deadline to be told")
    (line,) = [json.loads(line) for path in written.glob("*.jsonl") for line in path.read_text().splitlines()]
    assert (line["event"], line["dag_id"], line["run_id"]) == ("missed", "watched", "by_hand")
    assert datetime.fromisoformat(line["due"]) == began + timedelta(minutes=MINUTES)
    assert line["state"] in ("queued", "running")
    wait_until(lambda: "watched missed its deadline" in logs(places), children, "the log line")


def logs(places: Places) -> str:
    """What the triggerer and its callbacks wrote."""
    files = [places.logs / "triggerer.log", *(places.airflow_home / "logs").rglob("*.log")]
    return "".join(path.read_text(errors="replace") for path in files)
