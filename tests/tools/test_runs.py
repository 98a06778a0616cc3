"""How the demo makes Airflow run a DAG for a logical date."""

import io
from contextlib import redirect_stdout
from datetime import UTC, datetime
from typing import Any

import pytest

from tools.demo.errors import DemoFailed, RunFailed
from tools.demo.progress import Progress
from tools.demo.runs import Wanted, complete, give_up_unfinished

SLOT = datetime(2025, 11, 24, 14, 30, tzinfo=UTC)
WANTED = Wanted("opt_data_intraday", SLOT, "simulated_2025-11-24_0930")


def task(task_id: str, state: str, map_index: int = -1, label: str | None = None) -> dict[str, Any]:
    return {
        "dag_id": WANTED.dag_id,
        "dag_run_id": WANTED.run_id,
        "task_id": task_id,
        "state": state,
        "map_index": map_index,
        "rendered_map_index": label,
        "duration": 2.5,
    }


class FakeApi:
    """An Airflow in which every run that is started has ended by the next look."""

    def __init__(self, state: str | None, tasks: list[dict[str, Any]], outcome: str = "success") -> None:
        self.state = state
        self.tasks = tasks
        self.outcome = outcome
        self.begins = SLOT
        self.asked: list[str] = []

    def run_at(self, dag_id: str, logical_date: str) -> dict[str, Any] | None:
        assert datetime.fromisoformat(logical_date) == SLOT
        return self.run(dag_id, WANTED.run_id)

    def run(self, dag_id: str, run_id: str) -> dict[str, Any] | None:
        return None if self.state is None else {"dag_run_id": run_id, "state": self.state}

    def trigger(self, dag_id: str, run_id: str, logical_date: str, note: str) -> dict[str, Any]:
        self.asked.append("trigger")
        self.state = self.outcome
        return {"dag_run_id": run_id, "state": "queued", "data_interval_start": self.begins.isoformat()}

    def clear_run(self, dag_id: str, run_id: str) -> None:
        self.asked.append("clear")
        self.state = self.outcome

    def set_run_failed(self, dag_id: str, run_id: str) -> None:
        self.asked.append("give up")
        self.state = "failed"

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        return self.tasks

    def returned(self, one: dict[str, Any]) -> Any:
        return {"kept": 23, "expected": 24}


def run(api: FakeApi, **options: bool) -> str:
    told = io.StringIO()
    with redirect_stdout(told):
        complete(api, WANTED, Progress(), lambda: None, **options)  # type: ignore[arg-type]
    return told.getvalue()


GOOD = [task("plan", "success"), task("capture", "success", 0, "AAPL"), task("slot_report", "success")]


@pytest.mark.parametrize(
    ("state", "repeat", "asked"),
    [
        pytest.param(None, False, ["trigger"], id="new"),
        pytest.param("failed", False, ["clear"], id="failed before"),
        pytest.param("success", False, [], id="succeeded before"),
        pytest.param("success", True, ["clear"], id="succeeded before, but its files are gone"),
    ],
)
def test_what_is_asked_of_airflow(state: str | None, repeat: bool, asked: list[str]) -> None:
    api = FakeApi(state, GOOD)

    run(api, repeat=repeat)

    assert api.asked == asked


@pytest.mark.parametrize(("state", "asked"), [("running", ["give up"]), ("queued", ["give up"]), ("success", [])])
def test_a_run_left_half_done_is_given_up(state: str, asked: list[str]) -> None:
    api = FakeApi(state, GOOD)

    give_up_unfinished(api, WANTED, Progress())  # type: ignore[arg-type]

    assert api.asked == asked


def test_each_symbol_is_told_by_name_with_what_it_kept() -> None:
    told = run(FakeApi(None, GOOD))

    assert "opt_data_intraday: capture AAPL success after 2.5 s, 23 of 24 contracts" in told


def test_an_instance_without_its_name_is_not_told_yet() -> None:
    told = run(FakeApi(None, [task("capture", "running", 3, "3"), *GOOD]))

    assert "capture 3" not in told


@pytest.mark.parametrize("outcome", ["success", "failed"])
def test_a_failed_symbol_fails_the_demo_by_name(outcome: str) -> None:
    api = FakeApi(None, [*GOOD, task("capture", "failed", 1, "SPY")], outcome)

    with pytest.raises(RunFailed, match="failed: capture SPY"):
        run(api)


def test_a_run_of_another_slot_is_not_taken_for_ours() -> None:
    api = FakeApi(None, GOOD)
    api.begins = datetime(2025, 11, 24, 14, 0, tzinfo=UTC)

    with pytest.raises(DemoFailed, match="answered with the interval that begins at 2025-11-24T14:00"):
        run(api)
