"""How the demo makes Airflow run a DAG for a logical date, by itself or by a backfill."""

import io
from contextlib import redirect_stdout
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tools.demo.day_plan import Action, Step
from tools.demo.errors import DemoFailed, RunFailed
from tools.demo.progress import Progress
from tools.demo.run_lines import results
from tools.demo.runs import complete, give_up_unfinished, is_done

OPEN = datetime(2025, 11, 24, 14, 30, tzinfo=UTC)
SLOT = datetime(2025, 11, 24, 16, 30, tzinfo=UTC)
CLOSE = datetime(2025, 11, 24, 21, 0, tzinfo=UTC)
WANTED = Step(Action.RUN, "a slot", "opt_data_intraday", SLOT, SLOT, "simulated_2025-11-24_1130")
MISSED = replace(WANTED, action=Action.BACKFILL, backfilled=(OPEN, CLOSE))


def task(
    task_id: str, state: str | None, map_index: int = -1, label: str | None = None, try_number: int = 1
) -> dict[str, Any]:
    return {
        "dag_id": WANTED.dag_id,
        "dag_run_id": WANTED.run_id,
        "task_id": task_id,
        "state": state,
        "map_index": map_index,
        "rendered_map_index": label,
        "start_date": "2026-01-01T00:00:00Z",
        "try_number": try_number,
    }


class FakeApi:
    """An Airflow in which every run that is started has ended by the next look."""

    def __init__(self, state: str | None, tasks: list[dict[str, Any]], outcome: str = "success") -> None:
        self.state = state
        self.tasks = tasks
        self.outcome = outcome
        self.begins = SLOT
        self.busy_backfills = 0
        self.created_by_backfill = [SLOT]
        self.asked: list[str] = []

    def run_at(self, dag_id: str, logical_date: str) -> dict[str, Any] | None:
        assert datetime.fromisoformat(logical_date) == SLOT
        return self.run(dag_id, WANTED.run_id)

    def run(self, dag_id: str, run_id: str) -> dict[str, Any] | None:
        return None if self.state is None else self._described(self.begins)

    def _described(self, begins: datetime) -> dict[str, Any]:
        return {
            "dag_run_id": WANTED.run_id if begins == SLOT else f"run_{begins:%H%M}",
            "state": self.state,
            "logical_date": begins.isoformat(),
            "data_interval_start": begins.isoformat(),
        }

    def runs_between(self, dag_id: str, first: str, last: str) -> list[dict[str, Any]]:
        assert (datetime.fromisoformat(first), datetime.fromisoformat(last)) == (OPEN, CLOSE)
        created = self.created_by_backfill if "backfill" in self.asked else []
        return [self._described(begins) for begins in (OPEN, *created)]

    def create_backfill(self, dag_id: str, first: str, last: str) -> bool:
        if self.busy_backfills:
            self.busy_backfills -= 1
            return False
        self.asked.append("backfill")
        self.state = self.outcome
        return True

    def trigger(self, dag_id: str, run_id: str, logical_date: str, note: str) -> dict[str, Any]:
        self.asked.append("trigger")
        self.state = self.outcome
        return self._described(self.begins)

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


def run(api: FakeApi, step: Step = WANTED) -> str:
    told = io.StringIO()
    with redirect_stdout(told):
        tasks = complete(api, step, Progress(), lambda: None)  # type: ignore[arg-type]
    assert tasks == api.tasks
    return told.getvalue()


GOOD = [task("plan", "success"), task("capture", "success", 0, "AAPL"), task("slot_report", "success")]


@pytest.mark.parametrize(
    ("step", "state", "asked"),
    [
        pytest.param(WANTED, None, ["trigger"], id="new"),
        pytest.param(WANTED, "failed", ["clear"], id="failed before"),
        pytest.param(WANTED, "success", ["clear"], id="succeeded before, but something it rests on is done again"),
        pytest.param(MISSED, None, ["backfill"], id="missed"),
        pytest.param(MISSED, "failed", ["clear"], id="a backfill was killed"),
    ],
)
def test_what_is_asked_of_airflow(step: Step, state: str | None, asked: list[str]) -> None:
    api = FakeApi(state, GOOD)

    run(api, step)

    assert api.asked == asked


@pytest.mark.parametrize(
    ("state", "tasks", "done"),
    [
        pytest.param(None, [], False, id="never ran"),
        pytest.param("running", GOOD, False, id="runs"),
        pytest.param("failed", GOOD, False, id="failed"),
        pytest.param("success", GOOD, True, id="succeeded"),
        pytest.param("success", [*GOOD, task("capture", "failed", 1, "SPY")], False, id="one symbol failed"),
    ],
)
def test_what_counts_as_done(state: str | None, tasks: list[dict[str, Any]], done: bool) -> None:
    assert is_done(FakeApi(state, tasks), WANTED) is done  # type: ignore[arg-type]


@pytest.mark.parametrize(("state", "asked"), [("running", ["give up"]), ("queued", ["give up"]), ("success", [])])
def test_a_run_left_half_done_is_given_up(state: str, asked: list[str]) -> None:
    api = FakeApi(state, GOOD)

    give_up_unfinished(api, WANTED, Progress())  # type: ignore[arg-type]

    assert api.asked == asked


def test_a_backfill_waits_for_the_one_before_it() -> None:
    api = FakeApi(None, GOOD)
    api.busy_backfills = 2

    told = run(api, MISSED)

    assert told.count("waiting for an earlier backfill") == 1
    assert api.asked == ["backfill"]


@pytest.mark.parametrize("created", [[], [SLOT, CLOSE], [CLOSE]])
def test_a_backfill_that_creates_anything_but_the_missed_run_is_told(created: list[datetime]) -> None:
    api = FakeApi(None, GOOD)
    api.created_by_backfill = created

    with pytest.raises(DemoFailed, match="the missed slot's run and no other"):
        run(api, MISSED)


def test_results_are_one_line_by_name_with_what_was_kept() -> None:
    tasks = [*GOOD, task("capture", "success", 1, "SPY"), task("capture", "skipped", 2, "NVDA")]

    line = results(FakeApi("success", tasks), [one for one in tasks if one["map_index"] >= 0])  # type: ignore[arg-type]

    assert line == "capture: AAPL 23/24, SPY 23/24"


def test_a_retry_is_told_once() -> None:
    told = run(FakeApi(None, [*GOOD, task("capture", "up_for_retry", 1, "SPY")]))

    assert told.count("capture SPY up for retry") == 1


@pytest.mark.parametrize("outcome", ["success", "failed"])
def test_a_failed_symbol_fails_the_demo_by_name(outcome: str) -> None:
    api = FakeApi(None, [*GOOD, task("capture", "failed", 1, "SPY")], outcome)

    with pytest.raises(RunFailed, match="failed: capture SPY"):
        run(api)


def test_a_run_of_another_slot_is_not_taken_for_ours() -> None:
    api = FakeApi(None, GOOD)
    api.begins = OPEN

    with pytest.raises(DemoFailed, match="answered with the interval that begins at 2025-11-24T14:30"):
        run(api)
