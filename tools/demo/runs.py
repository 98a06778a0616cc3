"""Make Airflow run one DAG for one logical date, by itself or by a backfill, and tell how it goes."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from tools.demo.api import AirflowApi
from tools.demo.day_plan import Step
from tools.demo.errors import DemoFailed, RunFailed
from tools.demo.progress import Progress
from tools.demo.run_lines import TASK_FAILED, Tasks, failed, label, standing

POLL_S = 0.4
QUIET_LIMIT_S = 300.0
STILL_S = 15.0
FINISHED = ("success", "failed")


def give_up_unfinished(api: AirflowApi, step: Step, progress: Progress) -> None:
    """Mark a run that an earlier, killed demo left running or waiting as failed, so that it can be repeated whole."""
    run = api.run_at(step.dag_id, step.logical_date.isoformat())
    if run is not None and run["state"] not in FINISHED:
        progress.say(f"Giving up {run['dag_run_id']} of {step.dag_id}, left {run['state']} by an earlier start")
        api.set_run_failed(step.dag_id, run["dag_run_id"])


def is_done(api: AirflowApi, step: Step) -> bool:
    """Whether the step's run has succeeded, with all its tasks."""
    run = api.run_at(step.dag_id, step.logical_date.isoformat())
    if run is None or run["state"] != "success":
        return False
    return not failed(api.task_instances(step.dag_id, run["dag_run_id"]))


def complete(api: AirflowApi, step: Step, progress: Progress, require_alive: Callable[[], None]) -> Tasks:
    """Have the step's run succeed and return its task instances: trigger it, backfill it, or clear an earlier one.

    Raises
    ------
    RunFailed
        The run or one of its tasks failed, or nothing changed for five minutes.
    """
    run = api.run_at(step.dag_id, step.logical_date.isoformat())
    if run is not None:
        progress.say(f"  repeating {run['dag_run_id']} of {step.dag_id}, which was left {run['state']}")
        api.clear_run(step.dag_id, run["dag_run_id"])
    elif step.backfilled is not None:
        run = _backfill(api, step, progress, require_alive)
    else:
        run = api.trigger(step.dag_id, step.run_id, step.logical_date.isoformat(), "asked for by make run")
    begins = datetime.fromisoformat(run["data_interval_start"])
    if begins != step.logical_date:
        raise DemoFailed(
            f"{step.dag_id} was asked for {step.logical_date.isoformat()} but its timetable answered with the "
            f"interval that begins at {begins.isoformat()}"
        )
    return _follow(api, step.dag_id, run["dag_run_id"], progress, require_alive)


def _backfill(api: AirflowApi, step: Step, progress: Progress, require_alive: Callable[[], None]) -> dict[str, Any]:
    """Create a backfill of what never ran; the step's own run must be among it, and the only one."""
    assert step.backfilled is not None
    first, last = step.backfilled
    before = {run["dag_run_id"] for run in api.runs_between(step.dag_id, first.isoformat(), last.isoformat())}
    deadline = time.monotonic() + QUIET_LIMIT_S
    while not api.create_backfill(step.dag_id, first.isoformat(), last.isoformat()):
        require_alive()
        progress.say_once("  waiting for an earlier backfill to end: Airflow allows one a DAG")
        if time.monotonic() > deadline:
            raise RunFailed(f"an earlier backfill of {step.dag_id} did not end; cancel it in the UI, then start again")
        time.sleep(POLL_S)
    runs = api.runs_between(step.dag_id, first.isoformat(), last.isoformat())
    created = [run for run in runs if run["dag_run_id"] not in before]
    if [datetime.fromisoformat(run["logical_date"]) for run in created] != [step.logical_date]:
        names = ", ".join(run["dag_run_id"] for run in created) or "none"
        raise DemoFailed(f"the backfill was to create the missed slot's run and no other; it created: {names}")
    return created[0]


def _follow(api: AirflowApi, dag_id: str, run_id: str, progress: Progress, require_alive: Callable[[], None]) -> Tasks:
    """Wait for the end of a run, telling failures and retries, and that it still lives."""
    told: set[tuple[str, int, str, int]] = set()
    states: list[tuple[str, int, str]] = []
    changed_at = told_at = time.monotonic()
    while True:
        require_alive()
        run = api.run(dag_id, run_id)
        if run is None:
            raise DemoFailed(f"{run_id} of {dag_id} was deleted while it ran")
        tasks = api.task_instances(dag_id, run_id)
        now = time.monotonic()
        if (seen := [(task["task_id"], task["map_index"], task["state"]) for task in tasks]) != states:
            states, changed_at = seen, now
        _tell_trouble(tasks, told, progress)
        if run["state"] in FINISHED:
            _require_success(dag_id, run, tasks)
            return tasks
        if now - changed_at > QUIET_LIMIT_S:
            raise RunFailed(
                f"Nothing moved in {run_id} of {dag_id} for {QUIET_LIMIT_S:.0f} s ({standing(tasks)}); "
                f"see .run/logs/scheduler.log, then start again: the run will be repeated"
            )
        if now - told_at > STILL_S:
            told_at = now
            progress.say(f"  {standing(tasks)}")
        time.sleep(POLL_S)


def _tell_trouble(tasks: Tasks, told: set[tuple[str, int, str, int]], progress: Progress) -> None:
    for task in tasks:
        key = (task["task_id"], task["map_index"], str(task["state"]), task.get("try_number") or 0)
        if task["state"] in ("up_for_retry", *TASK_FAILED) and key not in told:
            told.add(key)
            progress.say(f"  {label(task)} {task['state'].replace('_', ' ')}; its log says why")


def _require_success(dag_id: str, run: dict[str, Any], tasks: Tasks) -> None:
    bad = failed(tasks)
    if run["state"] == "success" and not bad:
        return
    names = ", ".join(label(task) for task in bad) or "none of its tasks"
    raise RunFailed(
        f"{run['dag_run_id']} of {dag_id} ended as {run['state']}; failed: {names}. The reason is in the task's log: "
        f"in the UI, or below .run/airflow/logs. Starting again repeats the run"
    )
