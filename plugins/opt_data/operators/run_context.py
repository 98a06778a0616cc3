"""What a task run says about itself, in the words of the package below."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from opt_data.core.sessions import NEW_YORK
from opt_data.errors import NotASlot

_FAILED = frozenset({"failed", "upstream_failed"})


def run_instant(context: Mapping[str, Any]) -> datetime:
    """The instant a run belongs to: the start of its data interval, aware UTC."""
    dag_run = context["dag_run"]
    instant = context.get("data_interval_start") or dag_run.data_interval_start or dag_run.logical_date
    if instant is None:
        raise NotASlot("this run has neither a data interval nor a logical date; trigger it with a logical date")
    return datetime.fromisoformat(instant.isoformat()).astimezone(UTC)


def run_trade_date(context: Mapping[str, Any]) -> date:
    """The trading day a run belongs to: the New York date of its instant."""
    return run_instant(context).astimezone(NEW_YORK).date()


def is_last_try(context: Mapping[str, Any]) -> bool:
    """Whether nothing runs by itself any more if this try fails."""
    ti = context["ti"]
    return bool(ti.try_number > ti.max_tries)


def failed_instances(context: Mapping[str, Any], dag_id: str, task_ids: Sequence[str]) -> dict[str, int]:
    """How many instances of each of some tasks failed in this run; tasks without any are left out."""
    counts = {}
    for task_id in task_ids:
        states = context["ti"].get_task_states(dag_id=dag_id, task_ids=[task_id], run_ids=[context["run_id"]])
        failed = sum(state in _FAILED for of_run in states.values() for state in of_run.values())
        if failed:
            counts[task_id] = failed
    return counts
