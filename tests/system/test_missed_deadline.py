"""A deadline passes in a real Airflow: the scheduler notices, the triggerer tells; repeated old dates tell nobody."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.system.installation import Installation, wait_until
from tools.demo.places import Places

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
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path, {"watched.py": DAG})
    made.env["OPT_DATA__PATHS__STATE_ROOT"] = str(made.places.state_root)
    yield made
    made.stop()


def deadlines(places: Places) -> dict[str, datetime]:
    """The deadlines in Airflow's database, by run."""
    with closing(sqlite3.connect(places.airflow_home / "airflow.db")) as database:
        query = "select run_id, deadline_time from deadline join dag_run on dag_run.id = deadline.dagrun_id"
        return {run: datetime.fromisoformat(at).replace(tzinfo=UTC) for run, at in database.execute(query)}


def test_the_real_scheduler_misses_one_and_leaves_the_past_alone(installation: Installation) -> None:
    places, require_alive = installation.places, installation.children.require_alive
    api = installation.start("watched")

    began = datetime.now(UTC)
    api.trigger("watched", "repeated", OLD.isoformat(), "an old date by hand")
    api.trigger("watched", "by_hand", began.isoformat(), "now")

    assert deadlines(places) == {"by_hand": began + timedelta(minutes=MINUTES)}
    written = places.state_root / "run_logs" / "deadlines"
    wait_until(lambda: any(written.glob("*.jsonl")), "the missed deadline to be told", require_alive)
    (line,) = [json.loads(line) for path in written.glob("*.jsonl") for line in path.read_text().splitlines()]
    assert (line["event"], line["dag_id"], line["run_id"]) == ("missed", "watched", "by_hand")
    assert datetime.fromisoformat(line["due"]) == began + timedelta(minutes=MINUTES)
    assert line["state"] in ("queued", "running")
    wait_until(lambda: "watched missed its deadline" in logs(places), "the log line", require_alive)


def logs(places: Places) -> str:
    """What the triggerer and its callbacks wrote."""
    files = [places.logs / "triggerer.log", *(places.airflow_home / "logs").rglob("*.log")]
    return "".join(path.read_text(errors="replace") for path in files)
