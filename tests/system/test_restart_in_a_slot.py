"""The scheduler ends, or Airflow's database cannot be written, in the middle of a slot: the next try finishes it.

One Airflow over one simulated gateway lives through one slot a story. Where a part of Airflow ends, the test starts it
again, as systemd or Docker do.
"""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import duckdb
import psutil
import pytest

from ibsim.launch import GatewayProcess, running_gateway
from tests.system.installation import Installation, dag_source, wait_until
from tools.demo.api import AirflowApi
from tools.demo.services import SCHEDULER

DAG, DAY = "opt_data_intraday", "2025-11-24"
CONTRACTS, AT_ONCE = 12, 4
# Every contract is answered well, four at a time: there is a middle to hit.
SCENARIO = {
    "dwell": {"kind": "fixed", "low_s": 1.5},
    "market": {"no_bid_fraction": 0.0, "greeks_late_fraction": 0.0, "greeks_never_fraction": 0.0},
}
SETTINGS = {
    "OPT_DATA__GATEWAY__CONCURRENT_SNAPSHOTS_MAX": str(AT_ONCE),
    "OPT_DATA__DISCOVERY__MAX_EXPIRIES_PER_CLASS": "3",
    "OPT_DATA__DISCOVERY__MAX_STRIKES_PER_EXPIRY": "2",
    "OPT_DATA__DISCOVERY__STRIKES_PER_SIDE": "1",
    "AIRFLOW__CORE__PARALLELISM": "2",
    # Airflow notices and gives up in seconds what takes it minutes as it is shipped.
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "6",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "2",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "2",
    "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MIN": "0.1",
    "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "0.2",
    "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "30",
}
LOCK_WAIT_S = 2  # as it is shipped, 5
LOCK = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
database.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""

pytestmark = pytest.mark.timeout(240)


@dataclass
class Desk:
    """A running installation with its gateway, and the scheduler of the moment."""

    installation: Installation
    gateway: GatewayProcess
    api: AirflowApi
    scheduler: psutil.Process

    def begin(self, slot: str) -> str:
        """Trigger the run of a slot and wait until some of its contracts are sampled and others are not."""
        instant = f"{DAY}T{slot}:00-05:00"
        self.gateway.control.set_clock(instant)
        self.gateway.control.reset_counters()
        self.api.trigger(DAG, slot, instant, "a story")
        wait_until(lambda: self.requests("cancelMktData") >= AT_ONCE, f"the middle of {slot}")
        assert self.rows(slot) == []
        return slot

    def requests(self, kind: str) -> int:
        return int(self.gateway.control.stats()["requests"].get(kind, 0))

    def start_scheduler(self, **own: str) -> None:
        """Start the next scheduler at once, as a service manager does."""
        child = self.installation.children.start("scheduler", SCHEDULER, self.installation.env | own)
        self.scheduler = psutil.Process(child.process.pid)

    def wait_for_success(self, slot: str) -> None:
        def state() -> str:
            return str((self.api.run(DAG, slot) or {})["state"])

        wait_until(lambda: state() in ("success", "failed"), f"the end of {slot}")
        assert state() == "success", self.states(slot)

    def states(self, slot: str) -> list[tuple[str, str, int]]:
        """Task, state and number of tries, as the grid shows them."""
        found = self.api.task_instances(DAG, slot)
        return sorted((one["task_id"], one["state"], one["try_number"]) for one in found)

    def rows(self, slot: str) -> list[int]:
        """The contract of every clean row of the slot."""
        if not any(self.installation.places.data_root.rglob("clean/**/*.parquet")):
            return []
        files = f"{self.installation.places.data_root}/clean/ib/chain/view=intraday/**/*.parquet"
        wanted = f"substr(sample_time_et, 12, 5) = '{slot}'"
        found = duckdb.sql(f"select conid from '{files}' where {wanted} order by all").fetchall()
        return [conid for (conid,) in found]

    def times_asked(self, slot: str) -> set[int]:
        """How often the slot's contracts were asked for at the gateway."""
        return {len(self.gateway.control.sent(conid)) for conid in self.rows(slot)}

    def task_log(self, slot: str, attempt: int) -> str:
        (path,) = (self.installation.places.airflow_home / "logs").glob(
            f"dag_id={DAG}/run_id={slot}/task_id=capture/map_index=0/attempt={attempt}.log"
        )
        return path.read_text()

    def scheduler_log(self) -> str:
        return (self.installation.places.logs / "scheduler.log").read_text(errors="replace")

    def assert_complete(self, slot: str, *, dead: int = 0) -> None:
        """One row a contract, the ledger adds up, nothing is held at the gateway, nor by more than the dead of late."""
        places = self.installation.places
        held = json.loads((places.state_root / "contracts_cache" / f"AAPL_{DAY}.json").read_text())
        assert self.rows(slot) == sorted(one["conid"] for one in held["contracts"])
        (line,) = duckdb.sql(
            "select expected, on_time + late, missing, error "
            f"from '{places.data_root}/ledger/date={DAY}/*.parquet' where substr(sample_time_et, 12, 5) = '{slot}'"
        ).fetchall()
        assert line == (CONTRACTS, CONTRACTS, 0, 0)
        wait_until(lambda: self.gateway.control.stats()["lines_open"] == 0, "the gateway's lines to be free")
        assert self.gateway.control.stats()["strikes"] == 0
        (allowance,) = (places.state_root / "allowance").glob("*.json")
        holders = json.loads(allowance.read_bytes().partition(b"\0")[0])[-1]
        assert len(holders) <= dead


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    installation = Installation(tmp_path_factory.mktemp("restart"), dag_source(DAG))
    installation.use_universe(["AAPL"])
    database = installation.places.airflow_home / "airflow.db"
    installation.env |= SETTINGS
    installation.env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = f"sqlite:///{database}?timeout={LOCK_WAIT_S}"
    with running_gateway(SCENARIO, clock=f"{DAY}T09:55:00-05:00") as gateway:
        try:
            api = installation.start(DAG, gateway.port)
            (scheduler,) = [one for one in psutil.Process().children() if " scheduler" in " ".join(one.cmdline())]
            yield Desk(installation, gateway, api, scheduler)
        finally:
            installation.stop()


def are_gone(processes: list[psutil.Process]) -> bool:
    return not any(lives(one) for one in processes)


def lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_a_killed_scheduler_leaves_its_tasks_running_and_the_next_one_goes_on(desk: Desk) -> None:
    slot = desk.begin("10:00")
    workers = desk.scheduler.children(recursive=True)

    desk.scheduler.kill()
    # It is there before its predecessor can be taken for dead, and leaves the tasks alone.
    desk.start_scheduler(AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD="300")

    desk.wait_for_success(slot)
    assert desk.states(slot) == [("capture", "success", 1), ("plan", "success", 1), ("slot_report", "success", 1)]
    desk.assert_complete(slot)
    assert desk.times_asked(slot) == {1}
    wait_until(lambda: are_gone(workers), "the orphaned workers to end")


def test_a_scheduler_killed_with_its_tasks_has_them_tried_again_by_the_next(desk: Desk) -> None:
    slot = desk.begin("10:30")
    processes = [desk.scheduler, *desk.scheduler.children(recursive=True)]

    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    assert ("capture", "running", 1) in desk.states(slot)
    desk.start_scheduler()

    desk.wait_for_success(slot)
    assert ("capture", "success", 2) in desk.states(slot)
    reset = r"Reset the following 1 orphaned TaskInstances:\s+<TaskInstance: \S+\.capture"
    assert re.search(reset, desk.scheduler_log())
    assert f"of {CONTRACTS} contracts {CONTRACTS} improved" in desk.task_log(slot, 2)
    desk.assert_complete(slot, dead=1)
    assert 2 in desk.times_asked(slot)


def test_a_scheduler_that_is_stopped_waits_for_its_tasks(desk: Desk) -> None:
    slot = desk.begin("11:00")

    desk.scheduler.send_signal(signal.SIGTERM)
    wait_until(lambda: are_gone([desk.scheduler]), "the scheduler to end")
    assert ("capture", "success", 1) in desk.states(slot)
    desk.start_scheduler()

    desk.wait_for_success(slot)
    assert ("capture", "success", 1) in desk.states(slot)
    desk.assert_complete(slot)
    assert desk.times_asked(slot) == {1}


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Nobody else can write the database, because another process does not end its transaction."""
    holder = subprocess.Popen(
        [sys.executable, "-c", LOCK, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        yield


def test_a_database_that_cannot_be_written_costs_a_try_but_no_quote(desk: Desk) -> None:
    slot = desk.begin("11:30")

    with locked(desk.installation.places.airflow_home / "airflow.db"):
        wait_until(lambda: "API server error" in desk.scheduler_log(), "the task to be refused")
        failed = "Exception when executing SchedulerJob._run_scheduler_loop"
        wait_until(lambda: failed in desk.scheduler_log(), "the scheduler to fail")
    wait_until(lambda: are_gone([desk.scheduler]), "the scheduler to end")
    assert "database is locked" in desk.scheduler_log()
    desk.start_scheduler()

    desk.wait_for_success(slot)
    assert ("capture", "success", 2) in desk.states(slot)
    assert "'reason': 'Database error'" in desk.task_log(slot, 1)
    assert f"of {CONTRACTS} contracts 0 improved, {CONTRACTS} unchanged" in desk.task_log(slot, 2)
    desk.assert_complete(slot)
    assert desk.times_asked(slot) == {1}
