"""Which steps of a day are done, in which order, and what time it is in the simulated market then."""

from datetime import UTC, date, datetime, time
from typing import Any

from opt_data.core.sessions import TradingSession
from tools.demo.day_plan import Action, DayPlan, Hours, plan_day
from tools.demo.day_walk import walk
from tools.demo.progress import Progress


def session(day: int) -> TradingSession:
    at_open = datetime(2025, 11, day, 14, 30, tzinfo=UTC)
    return TradingSession(date(2025, 11, day), at_open, at_open.replace(hour=21, minute=0))


PLAN: DayPlan = plan_day(session(24), session(25), Hours(5, time(17, 30), time(7, 30)), 3)
EVERY_RUN = [step for step in PLAN.steps if step.action is not Action.MISS]


class FakeApi:
    """An Airflow that knows some runs from before, and in which every run that is asked for succeeds at once."""

    def __init__(self, done: int) -> None:
        self.runs = {(step.dag_id, step.logical_date) for step in EVERY_RUN[:done]}
        self.log: list[tuple[str, str, datetime]] = []

    def _run(self, dag_id: str, at: datetime) -> dict[str, Any]:
        return {"dag_run_id": at.isoformat(), "state": "success", "logical_date": at.isoformat(),
                "data_interval_start": at.isoformat()}  # fmt: skip

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        return self._run(dag_id, datetime.fromisoformat(run_id))

    def run_at(self, dag_id: str, logical_date: str) -> dict[str, Any] | None:
        at = datetime.fromisoformat(logical_date)
        return self._run(dag_id, at) if (dag_id, at) in self.runs else None

    def runs_between(self, dag_id: str, first: str, last: str) -> list[dict[str, Any]]:
        assert first == last
        return [run] if (run := self.run_at(dag_id, first)) else []

    def _make(self, what: str, dag_id: str, logical_date: str) -> None:
        at = datetime.fromisoformat(logical_date)
        self.log.append((what, dag_id, at))
        self.runs.add((dag_id, at))

    def trigger(self, dag_id: str, run_id: str, logical_date: str, note: str) -> dict[str, Any]:
        self._make("run", dag_id, logical_date)
        return self.run(dag_id, logical_date)

    def create_backfill(self, dag_id: str, first: str, last: str) -> bool:
        self._make("backfill", dag_id, first)
        return True

    def clear_run(self, dag_id: str, run_id: str) -> None:
        self._make("clear", dag_id, run_id)

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        return []


def walked(api: FakeApi) -> list[datetime]:
    """Walk; the moments the clock was set to."""
    moments: list[datetime] = []
    walk(PLAN, api, moments.append, Progress(), lambda: None)  # type: ignore[arg-type]
    return moments


def test_every_step_is_done_at_its_moment_and_nothing_runs_for_the_missed_slot() -> None:
    api = FakeApi(done=0)

    moments = walked(api)

    assert moments == [step.moment for step in PLAN.steps]
    assert api.log == [(str(step.action), step.dag_id, step.logical_date) for step in EVERY_RUN]


def test_a_second_start_goes_on_where_the_first_one_ended() -> None:
    api = FakeApi(done=3)

    moments = walked(api)

    assert api.log == [(str(step.action), step.dag_id, step.logical_date) for step in EVERY_RUN[3:]]
    assert moments[-1] == PLAN.steps[-1].moment


def test_a_day_that_is_done_is_left_alone() -> None:
    api = FakeApi(done=len(EVERY_RUN))

    assert walked(api) == []
    assert api.log == []


def test_what_rests_on_a_repeated_step_is_repeated() -> None:
    api = FakeApi(done=len(EVERY_RUN))
    api.runs.remove((EVERY_RUN[2].dag_id, EVERY_RUN[2].logical_date))

    walked(api)

    assert [what for what, *_ in api.log] == ["run"] + ["clear"] * (len(EVERY_RUN) - 3)
