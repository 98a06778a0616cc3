"""The timetables inside a real Airflow: parsing, the backfill command, the scheduler's own loop."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.airflow.probe_dags import PROBES

DAY_OF_SLOTS = ["14:30", "15:00", "15:30", "16:00", "16:30", "17:00", "17:30", "18:00"]

# One pass of the scheduler's own loop over the probe DAGs, with the timetables' clock stopped. The clock of the
# database runs on, so every run planned for 2025 is due.
SCHEDULE = """
import json, sys
from datetime import datetime
from pathlib import Path

from opt_data.timetables import session_bound


class StoppedClock:
    at = None

    def now(self):
        return self.at

    def monotonic(self):
        return 0.0


session_bound.SystemClock = StoppedClock

from airflow.configuration import conf
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
from airflow.jobs.job import Job
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
from airflow.models import DagModel, DagRun
from airflow.utils.session import create_session
from airflow.utils.sqlalchemy import prohibit_commit
from sqlalchemy import select

DagBundlesManager().sync_bundles_to_db()
folder = conf.get("core", "dags_folder")
told = []
for moment in sys.argv[1:]:
    StoppedClock.at = datetime.fromisoformat(moment)
    bag = BundleDagBag(folder, bundle_path=Path(folder), bundle_name="dags-folder")
    sync_bag_to_db(bag, "dags-folder", None)
    with create_session() as session:
        for model in session.scalars(select(DagModel)):
            model.is_paused = False
        session.commit()
        runner = SchedulerJobRunner(job=Job(), num_runs=1)
        with prohibit_commit(session) as guard:
            runner._create_dagruns_for_dags(guard, session)
    with create_session() as session:
        told.append({
            "runs": sorted(
                [run.dag_id, run.logical_date.isoformat(), str(run.run_type)]
                for run in session.scalars(select(DagRun))
            ),
            "next": {model.dag_id: model.next_dagrun.isoformat() for model in session.scalars(select(DagModel))},
        })
print(json.dumps(told))
"""


RANGES = [
    pytest.param(
        "probe_slots",
        "2025-11-28",
        "2025-11-29",
        [f"2025-11-28 {time}" for time in DAY_OF_SLOTS],
        id="early close: 8 slots",
    ),
    pytest.param(
        "probe_slots",
        "2025-11-24",
        "2025-11-25",
        [f"2025-11-24 {time}" for time in [*DAY_OF_SLOTS, "18:30", "19:00", "19:30", "20:00", "20:30", "21:00"]],
        id="normal day: 14 slots",
    ),
    pytest.param("probe_slots", "2025-11-27", "2025-11-28", [], id="Thanksgiving: none"),
    pytest.param(
        "probe_discovery",
        "2025-11-26",
        "2025-12-02",
        ["2025-11-26 14:25", "2025-11-28 14:25", "2025-12-01 14:25"],
        id="discovery: one a session",
    ),
]


@pytest.fixture(scope="module")
def command_outputs(airflow_home: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the command line says of the probe DAGs: import errors, and a dry run of the backfill of every range."""
    dags = tmp_path_factory.mktemp("probe-dags")
    (dags / "probes.py").write_text(PROBES)
    home = airflow_home.copy_to(tmp_path_factory.mktemp("probe-home"), dags_folder=dags)
    backfills = [
        ["backfill", "create", "--dag-id", dag_id, "--from-date", first, "--to-date", last, "--dry-run"]
        for dag_id, first, last, _ in (case.values for case in RANGES)
    ]
    _, errors, *listed = home.run_all(
        ["dags", "reserialize"], ["dags", "list-import-errors", "--output", "json"], *backfills
    )
    return {"errors": errors} | {case.id: text for case, text in zip(RANGES, listed, strict=True) if case.id}


def test_the_dag_file_parses_without_errors(command_outputs: dict[str, str]) -> None:
    assert command_outputs["errors"].strip().splitlines()[-1] == "[]"


@pytest.mark.parametrize(("dag_id", "first", "last", "expected"), RANGES)
def test_backfill_create_lists_exactly_these_runs(
    command_outputs: dict[str, str],
    request: pytest.FixtureRequest,
    dag_id: str,
    first: str,
    last: str,
    expected: list[str],
) -> None:
    printed = command_outputs[request.node.callspec.id]

    assert f"dag_id = {dag_id}" in printed
    table = printed.split("Runs to be attempted:")[1]
    assert re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d(?=:00)", table) == expected


def test_the_scheduler_creates_the_running_slot_and_after_an_outage_those_missed_of_the_session(
    airflow_home: Any, tmp_path: Path
) -> None:
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "probes.py").write_text(PROBES)
    home = airflow_home.copy_to(tmp_path / "home", dags_folder=dags)

    unpaused, after_outage = json.loads(
        home.python(SCHEDULE, "2025-11-28T15:10:00+00:00", "2025-11-28T17:10:00+00:00").splitlines()[-1]
    )
    slots = [f"2025-11-28T{time}:00+00:00" for time in ("15:00", "15:30", "16:00", "16:30", "17:00")]

    assert unpaused == {
        "runs": [
            ["probe_discovery", "2025-11-28T14:25:00+00:00", "scheduled"],
            ["probe_slots", "2025-11-28T15:00:00+00:00", "scheduled"],
        ],
        "next": {"probe_slots": "2025-11-28T15:30:00+00:00", "probe_discovery": "2025-12-01T14:25:00+00:00"},
    }
    created = [date for dag_id, date, _ in after_outage["runs"] if dag_id == "probe_slots"]
    assert created == slots[: len(created)]
    assert len(created) > 1
    assert after_outage["next"]["probe_slots"] == [*slots, "2025-11-28T17:30:00+00:00"][len(created)]
