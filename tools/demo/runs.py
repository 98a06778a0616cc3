"""Make Airflow run one DAG for one logical date, and tell how it goes."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tools.demo.api import AirflowApi
from tools.demo.errors import DemoFailed, RunFailed
from tools.demo.progress import Progress

POLL_S = 0.7
QUIET_LIMIT_S = 300.0
FINISHED = ("success", "failed")
TASK_FAILED = ("failed", "upstream_failed")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A DAG run the demo wants to have succeeded: ``logical_date`` is what its interval must begin with."""

    dag_id: str
    logical_date: datetime
    run_id: str


def give_up_unfinished(api: AirflowApi, wanted: Wanted, progress: Progress) -> None:
    """Mark a run that an earlier, killed demo left running or waiting as failed, so that it can be repeated whole."""
    run = api.run_at(wanted.dag_id, wanted.logical_date.isoformat())
    if run is not None and run["state"] not in FINISHED:
        progress.say(f"Giving up {run['dag_run_id']} of {wanted.dag_id}, left {run['state']} by an earlier start")
        api.set_run_failed(wanted.dag_id, run["dag_run_id"])


def complete(
    api: AirflowApi, wanted: Wanted, progress: Progress, require_alive: Callable[[], None], *, repeat: bool = False
) -> None:
    """Have the run succeed: trigger it, or clear a failed one.

    A run that has succeeded before is left as it is unless ``repeat`` asks for it again.

    Raises
    ------
    RunFailed
        The run or one of its tasks failed, or nothing changed for five minutes.
    """
    run = api.run_at(wanted.dag_id, wanted.logical_date.isoformat())
    if run is None:
        run = api.trigger(wanted.dag_id, wanted.run_id, wanted.logical_date.isoformat(), "asked for by make run")
        begins = datetime.fromisoformat(run["data_interval_start"])
        if begins != wanted.logical_date:
            raise DemoFailed(
                f"{wanted.dag_id} was asked for {wanted.logical_date.isoformat()} but its timetable answered with the "
                f"interval that begins at {begins.isoformat()}"
            )
    elif run["state"] == "success" and not repeat:
        progress.say(f"{wanted.dag_id} has succeeded for {wanted.logical_date.isoformat()} before")
        return
    elif run["state"] in FINISHED:
        progress.say(f"Repeating {run['dag_run_id']} of {wanted.dag_id}")
        api.clear_run(wanted.dag_id, run["dag_run_id"])
    _follow(api, wanted.dag_id, run["dag_run_id"], progress, require_alive)


def _follow(api: AirflowApi, dag_id: str, run_id: str, progress: Progress, require_alive: Callable[[], None]) -> None:
    """Wait for the end of a run, telling each change of a task's state."""
    seen: dict[tuple[str, int], str] = {}
    changed_at = time.monotonic()
    while True:
        require_alive()
        run = api.run(dag_id, run_id)
        if run is None:
            raise DemoFailed(f"{run_id} of {dag_id} was deleted while it ran")
        tasks = api.task_instances(dag_id, run_id)
        if _tell_changes(api, tasks, seen, progress):
            changed_at = time.monotonic()
        if run["state"] in FINISHED:
            _require_success(dag_id, run, tasks)
            return
        if time.monotonic() - changed_at > QUIET_LIMIT_S:
            states = ", ".join(f"{_label(task)} {task['state']}" for task in tasks)
            raise RunFailed(
                f"Nothing moved in {run_id} of {dag_id} for {QUIET_LIMIT_S:.0f} s ({states}); "
                f"see .run/logs/scheduler.log, then start again: the run will be repeated"
            )
        time.sleep(POLL_S)


def _tell_changes(
    api: AirflowApi, tasks: list[dict[str, Any]], seen: dict[tuple[str, int], str], progress: Progress
) -> bool:
    changed = False
    for task in tasks:
        key = (task["task_id"], task["map_index"])
        state = task["state"] or "waiting"
        # A mapped instance gets its label a moment after it began; until then its number stands there.
        is_nameless = state == "running" and task.get("rendered_map_index") in ("", str(task["map_index"]))
        if seen.get(key) == state or is_nameless:
            continue
        changed = True
        seen[key] = state
        if state in ("running", "up_for_retry", "success", *TASK_FAILED):
            progress.say(f"{task['dag_id']}: {_label(task)} {state.replace('_', ' ')}{_result(api, task)}")
    return changed


def _result(api: AirflowApi, task: dict[str, Any]) -> str:
    """What a finished instance says of itself: how long it took, and what it kept or found."""
    if task["state"] != "success":
        return ""
    text = f" after {task['duration']:.1f} s" if task.get("duration") else ""
    said = api.returned(task) if task["map_index"] >= 0 else None
    if isinstance(said, dict) and {"kept", "expected"} <= said.keys():
        text += f", {said['kept']} of {said['expected']} contracts"
    elif isinstance(said, dict) and "contracts" in said:
        text += f", {said['contracts']} contracts"
    return text


def _label(task: dict[str, Any]) -> str:
    mapped = task.get("rendered_map_index") or (task["map_index"] if task["map_index"] >= 0 else "")
    return f"{task['task_id']} {mapped}".strip()


def _require_success(dag_id: str, run: dict[str, Any], tasks: list[dict[str, Any]]) -> None:
    failed = [task for task in tasks if task["state"] in TASK_FAILED]
    if run["state"] == "success" and not failed:
        return
    names = ", ".join(_label(task) for task in failed) or "none of its tasks"
    raise RunFailed(
        f"{run['dag_run_id']} of {dag_id} ended as {run['state']}; failed: {names}. The reason is in the task's log: "
        f"in the UI, or below .run/airflow/logs. Starting again repeats the run"
    )
