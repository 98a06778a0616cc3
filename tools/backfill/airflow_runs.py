"""Airflow's side of a backfill: ``airflow backfill create``, and the runs it made, followed in Airflow's database.

The command is the public way to make a backfill; how its runs go is read from the same database that the command
writes to, because asking by command costs seconds of a processor each time.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tools.backfill.errors import BackfillFailed, BackfillRefused
from tools.backfill.window import Window

POLL_S = 2.0
CLOSING_LIMIT_S = 90.0
"""Airflow looks every 30 s for backfills whose runs are all done; until then it refuses another one."""
SCHEDULER_LIMIT_S = 120.0
CREATE_TRIES = 5
LOCKED = "database is locked"
"""SQLite lets one write at a time; Airflow takes back what it had made of the backfill: it can be made again."""
FINISHED = ("success", "failed")


@dataclass(frozen=True, slots=True)
class RunState:
    """One run of a backfill; ``state`` is Airflow's word, or why it was not made: *already exists*, *in flight*."""

    instant: datetime
    run_id: str
    state: str
    failed: tuple[str, ...] = ()

    @property
    def is_finished(self) -> bool:
        return not self.run_id or self.state in FINISHED


def check_ready(dag_id: str) -> None:
    """Refuse where a backfill would wait for ever.

    Raises
    ------
    BackfillRefused
        Airflow does not know the DAG, it is paused, another backfill of it runs, or no scheduler lives.
    """
    from airflow.models import DagModel
    from airflow.utils.session import create_session

    with create_session() as session:
        dag = session.get(DagModel, dag_id)
        if dag is None or dag.is_stale:
            raise BackfillRefused(f"Airflow does not know {dag_id}: is the DAG processor running?")
        if dag.is_paused:
            raise BackfillRefused(
                f"{dag_id} is paused: its backfill would wait for ever. Unpause it in the UI, or by "
                f"`airflow dags unpause {dag_id}`"
            )
    if not _is_scheduler_alive():
        raise BackfillRefused("no scheduler of this Airflow is alive: start it, then make the backfill")
    _wait_until_earlier_is_closed(dag_id)


def create(window: Window, reprocess: str, *, is_dry_run: bool = False) -> str:
    """Run ``airflow backfill create`` for a window and return what it printed.

    Raises
    ------
    BackfillFailed
        The command ended with an error; the message holds its last lines.
    """
    command = [sys.executable, "-m", "airflow", *arguments(window, reprocess, _runs_at_once(window.dag_id))]
    for tries_left in reversed(range(CREATE_TRIES)):
        done = subprocess.run(
            [*command, *(["--dry-run"] if is_dry_run else [])], capture_output=True, text=True, check=False
        )
        said = done.stdout + done.stderr
        if not done.returncode:
            return done.stdout
        if not (tries_left and LOCKED in said):
            break
        time.sleep(POLL_S)
    raise BackfillFailed("`airflow backfill create` ended with an error:\n" + "\n".join(said.strip().splitlines()[-3:]))


def arguments(window: Window, reprocess: str, runs_at_once: int) -> list[str]:
    """The command a person would type after ``airflow``."""
    return [
        "backfill", "create", "--dag-id", window.dag_id,
        "--from-date", window.first.isoformat(), "--to-date", window.last.isoformat(),
        "--reprocess-behavior", reprocess, "--max-active-runs", str(runs_at_once),
    ]  # fmt: skip


def newest_backfill(dag_id: str) -> int:
    """The number of the DAG's newest backfill; 0 if it has none."""
    from airflow.models.backfill import Backfill
    from airflow.utils.session import create_session
    from sqlalchemy import func, select

    with create_session() as session:
        return session.scalar(select(func.max(Backfill.id)).where(Backfill.dag_id == dag_id)) or 0


def follow(backfill_id: int, tell: Callable[[list[RunState]], None]) -> list[RunState]:
    """Wait until every run of a backfill is done, telling how it goes at each look.

    Raises
    ------
    BackfillFailed
        The scheduler died on the way; the backfill goes on when it is up again.
    """
    alive_at = time.monotonic()
    while True:
        states = run_states(backfill_id)
        tell(states)
        if all(run.is_finished for run in states):
            return states
        now = time.monotonic()
        if _is_scheduler_alive():
            alive_at = now
        elif now - alive_at > SCHEDULER_LIMIT_S:
            raise BackfillFailed("the scheduler has died; the backfill goes on when it is up again")
        time.sleep(POLL_S)


def run_states(backfill_id: int) -> list[RunState]:
    """The runs of a backfill in order, with the tasks that failed."""
    from airflow.models import DagRun, TaskInstance
    from airflow.models.backfill import BackfillDagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    query = (
        select(BackfillDagRun.logical_date, BackfillDagRun.exception_reason, DagRun.run_id, DagRun.state, DagRun.dag_id)
        .outerjoin(DagRun, DagRun.id == BackfillDagRun.dag_run_id)
        .where(BackfillDagRun.backfill_id == backfill_id)
        .order_by(BackfillDagRun.logical_date)
    )
    found = []
    with create_session() as session:
        for row in session.execute(query):
            failed: tuple[str, ...] = ()
            if row.state == "failed":
                tasks = session.scalars(
                    select(TaskInstance).where(
                        TaskInstance.dag_id == row.dag_id,
                        TaskInstance.run_id == row.run_id,
                        TaskInstance.state == "failed",
                    )
                )
                failed = tuple(_label(task) for task in tasks)
            state = str(getattr(row.state, "value", row.state) or row.exception_reason or "deleted")
            found.append(RunState(row.logical_date, row.run_id or "", state, failed))
    return found


def gateway_connection(conn_id: str) -> Any:
    """The Airflow connection of that name.

    Raises
    ------
    BackfillRefused
        There is none.
    """
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = session.scalar(select(Connection).where(Connection.conn_id == conn_id))
        if found is None:
            raise BackfillRefused(f"Airflow has no connection {conn_id}: the market's time cannot be asked for")
        session.expunge(found)
    return found


def _label(task: Any) -> str:
    mapped = task.rendered_map_index or (str(task.map_index) if task.map_index >= 0 else "")
    return f"{task.task_id} {mapped}".strip()


def _runs_at_once(dag_id: str) -> int:
    """As many as the DAG's own schedule may have: Airflow counts runs of a backfill apart."""
    from airflow.models import DagModel
    from airflow.utils.session import create_session

    with create_session() as session:
        dag = session.get(DagModel, dag_id)
        return dag.max_active_runs or 1 if dag is not None else 1


def _is_scheduler_alive() -> bool:
    from airflow.jobs.job import most_recent_job
    from airflow.utils.session import create_session

    with create_session() as session:
        job = most_recent_job("SchedulerJob", session=session)
        return job is not None and job.is_alive()


def _wait_until_earlier_is_closed(dag_id: str) -> None:
    began = time.monotonic()
    while (earlier := _open_backfill(dag_id)) is not None:
        is_done = all(run.is_finished for run in run_states(earlier))
        if not is_done or time.monotonic() - began > CLOSING_LIMIT_S:
            raise BackfillRefused(
                f"backfill {earlier} of {dag_id} is still running: wait for it, or cancel it in the UI (the DAG's "
                "page, tab Backfills)"
            )
        time.sleep(POLL_S)


def _open_backfill(dag_id: str) -> int | None:
    from airflow.models.backfill import Backfill
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found: int | None = session.scalar(
            select(Backfill.id).where(Backfill.dag_id == dag_id, Backfill.completed_at.is_(None)).limit(1)
        )
        return found
