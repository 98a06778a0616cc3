"""What the task instances of a run say, in words for one line."""

from typing import Any

from tools.demo.api import AirflowApi

TASK_FAILED = ("failed", "upstream_failed")

Tasks = list[dict[str, Any]]


def results(api: AirflowApi, tasks: Tasks) -> str:
    """What a run's instances said of themselves, in one line: ``AAPL 24/24, MSFT 24/24``."""
    lines: dict[str, list[str]] = {}
    for task in sorted(tasks, key=lambda task: (task["start_date"] is None, task["start_date"] or "")):
        figure = _figure(api.returned(task)) if task["state"] == "success" else None
        if figure is not None:
            lines.setdefault(task["task_id"], []).append(f"{task.get('rendered_map_index') or ''} {figure}".strip())
    return "; ".join(f"{task_id}: {', '.join(sorted(figures))}" for task_id, figures in lines.items())


def _figure(said: Any) -> str | None:
    """The one figure of an instance's result that a person follows, or None."""
    if not isinstance(said, dict) or "symbols" in said:
        return None
    for part, whole in (("kept", "expected"), ("filled", "expected"), ("quotes", "rows")):
        if {part, whole} <= said.keys():
            return f"{said[part]}/{said[whole]}"
    if "contracts" in said:
        return f"{said['contracts']} contracts"
    if "compacted" in said:
        return f"weeks compacted {len(said['compacted'])}, retired {len(said['retired'])}"
    return None


def standing(tasks: Tasks) -> str:
    """The tasks that are neither done nor waiting for others."""
    busy = [f"{label(task)} {task['state']}" for task in tasks if task["state"] not in (None, "success", "skipped")]
    return ", ".join(busy) or "waiting for the scheduler"


def label(task: dict[str, Any]) -> str:
    """Task and symbol, once the instance has its name; until then its number."""
    mapped = task.get("rendered_map_index") or (task["map_index"] if task["map_index"] >= 0 else "")
    return f"{task['task_id']} {mapped}".strip()


def failed(tasks: Tasks) -> Tasks:
    """The instances that ended badly."""
    return [task for task in tasks if task["state"] in TASK_FAILED]
