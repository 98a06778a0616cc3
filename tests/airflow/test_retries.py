"""How often a task is tried, and how long it waits: as the DAGs and the settings say."""

from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import RetryAction

from opt_data.errors import GatewayUnavailable, NotEntitled
from opt_data.operators.retries import IB_RETRIES


@pytest.fixture(scope="module")
def capture() -> Any:
    from airflow.dag_processing.dagbag import DagBag

    dags = DagBag(dag_folder=str(Path(__file__).parents[2] / "dags" / "opt_data_intraday.py")).dags
    return dags["opt_data_intraday"].get_task("capture")


def waits(task: Any, tries: range, max_tries: int) -> list[float]:
    decisions = [IB_RETRIES.evaluate(GatewayUnavailable("gone"), one, max_tries, {"task": task}) for one in tries]
    assert {decision.action for decision in decisions} == {RetryAction.RETRY}
    return [decision.retry_delay.total_seconds() for decision in decisions]


def test_a_capture_backs_off_30_60_120_240_seconds_and_anew_after_a_clear(capture) -> None:
    assert capture.retries == 4
    assert waits(capture, range(1, 5), max_tries=4) == [30.0, 60.0, 120.0, 240.0]
    # five tries are behind it; the clear allows as many again
    assert waits(capture, range(6, 10), max_tries=9) == [30.0, 60.0, 120.0, 240.0]


def test_what_a_person_must_do_is_not_tried_again(capture) -> None:
    decision = IB_RETRIES.evaluate(NotEntitled("no"), 1, 4, {"task": capture})

    assert decision.action is RetryAction.FAIL


def test_a_foreign_error_is_left_to_airflow(capture) -> None:
    assert IB_RETRIES.evaluate(KeyError("a bug"), 1, 4, {"task": capture}).action is RetryAction.DEFAULT


def test_the_policy_survives_airflows_database() -> None:
    assert type(IB_RETRIES).deserialize(IB_RETRIES.serialize()).rules == IB_RETRIES.rules
