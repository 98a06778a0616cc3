"""The DAGs are the ones we meant, and each explains itself."""

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
EXPECTED = {
    "opt_data_discovery", "opt_data_eod", "opt_data_intraday", "opt_data_maintenance", "opt_data_open_interest",
}  # fmt: skip


@pytest.fixture(scope="module")
def dag_bag():
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(dag_folder=str(PROJECT / "dags"))


@pytest.fixture(params=sorted(EXPECTED))
def dag(dag_bag, request):
    return dag_bag.dags[request.param]


def test_exactly_the_expected_dags_load_without_errors(dag_bag):
    assert dag_bag.import_errors == {}
    assert set(dag_bag.dags) == EXPECTED


def test_one_dag_a_file_named_like_it(dag_bag):
    assert {Path(dag.fileloc).stem for dag in dag_bag.dags.values()} == {
        p.stem for p in (PROJECT / "dags").glob("*.py")
    }
    assert all(Path(dag.fileloc).stem == dag_id for dag_id, dag in dag_bag.dags.items())


def test_dag_explains_itself(dag):
    assert dag.doc_md.strip().startswith("### ")
    for word in ("**When**", "**What**", "**When something is red**"):
        assert word in dag.doc_md
    assert "opt_data" in dag.tags
    assert any(tag.startswith("stage:") for tag in dag.tags)
    assert dag.owner == "opt_data"


def test_unpausing_floods_nobody(dag):
    assert dag.catchup is False
    assert dag.max_active_runs <= 2


def test_every_dag_says_by_when_it_must_be_done(dag):
    from opt_data.notifications.deadlines import CALLBACK

    (alert,) = dag.deadline
    assert alert.callback.path == CALLBACK
    assert alert.name == alert.callback.kwargs["promise"]


def test_deadlines_survive_airflows_database(dag):
    from airflow.serialization.encoders import encode_deadline_alert

    from opt_data.notifications.deadlines import RunDeadline

    (alert,) = dag.deadline
    stored = encode_deadline_alert(alert)["reference"]
    assert stored["__class_path"] == "opt_data.notifications.deadlines.RunDeadline"
    assert RunDeadline.deserialize_reference(stored) == alert.reference


def test_a_login_that_takes_the_data_is_told_of_wherever_the_gateway_is_asked(dag):
    from opt_data.notifications.competing import tell_of_competing_session

    for task in dag.tasks:
        if task.pool == "ib_gateway":
            assert list(task.on_retry_callback) == list(task.on_failure_callback) == [tell_of_competing_session]


def test_every_task_is_bounded_and_follows_the_retry_policy(dag):
    from opt_data.operators.retries import IB_RETRIES

    for task in dag.tasks:
        assert task.execution_timeout is not None, task.task_id
        assert task.retry_policy is IB_RETRIES, task.task_id
        assert task.retries > 0, task.task_id


def test_only_tasks_that_ask_the_gateway_use_its_pool(dag):
    pools = {task.task_id: task.pool for task in dag.tasks}

    asking = {"capture", "close_snapshot", "discover", "read"} & set(pools)
    assert len(asking) == (dag.dag_id != "opt_data_maintenance")
    assert {name for name, pool in pools.items() if pool == "ib_gateway"} == asking


def test_mapped_instances_are_labelled_by_symbol(dag):
    mapped = [task for task in dag.tasks if task.is_mapped]

    assert bool(mapped) == (dag.dag_id != "opt_data_maintenance")
    assert {task.map_index_template for task in mapped} <= {"{{ task.symbol }}", "{{ task.symbols_label }}"}


def test_the_report_runs_whatever_happened_before_it(dag_bag):
    report = dag_bag.dags["opt_data_intraday"].get_task("slot_report")

    assert report.trigger_rule == "all_done"
    assert report.watched == ("capture",)
    assert {asset.name for asset in report.outlets} == {"opt_data_clean_intraday", "opt_data_slot_ledger"}


def test_the_day_is_rolled_up_and_reported_whatever_became_of_the_close(dag_bag):
    dag = dag_bag.dags["opt_data_eod"]

    assert {task.task_id: task.trigger_rule for task in dag.tasks} == {
        "plan": "all_success", "close_snapshot": "all_success", "rollup": "all_done", "adjust": "all_done",
        "eod_report": "all_done",
    }  # fmt: skip
    assert dag.get_task("rollup").upstream_task_ids == {"plan", "close_snapshot"}
    assert dag.get_task("eod_report").upstream_task_ids == {"rollup", "adjust"}
    assert dag.get_task("adjust").upstream_task_ids == {"rollup"}
    assert dag.get_task("eod_report").watched == ("close_snapshot", "rollup", "adjust")
    assert dag.timetable.summary == "XNYS 17:30 New York"


def test_open_interest_is_counted_whatever_happened_before(dag_bag):
    report = dag_bag.dags["opt_data_open_interest"].get_task("oi_report")

    assert report.trigger_rule == "all_done"
    assert {asset.name for asset in report.outlets} == {"opt_data_open_interest"}


def test_params_make_a_form_and_refuse_nonsense(dag_bag):
    from airflow.sdk.exceptions import ParamValidationError

    params = dag_bag.dags["opt_data_intraday"].params

    assert set(params) == {"symbols", "exchange", "strikes", "ticks", "timeout"}
    assert all(params.get_param(name).description for name in params)
    for name, nonsense in {"symbols": "AAPL", "exchange": "../x", "strikes": 0, "ticks": "1;2", "timeout": -1}.items():
        with pytest.raises(ParamValidationError):
            params.get_param(name).resolve(nonsense)


def test_parsing_imports_nothing_heavy():
    script = """
import sys
sys.path.insert(0, "plugins")
import runpy
from pathlib import Path
for path in Path("dags").glob("*.py"):
    runpy.run_path(str(path))
heavy = {"pandas", "numpy", "pyarrow", "duckdb", "ib_insync", "pandas_market_calendars", "exchange_calendars"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True)

    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_upkeep_runs_on_saturday_morning_in_new_york_and_can_be_looked_at_first(dag_bag):
    import pendulum
    from airflow.serialization.serialized_objects import DagSerialization
    from airflow.timetables.base import TimeRestriction

    dag = DagSerialization.from_dict(DagSerialization.to_dict(dag_bag.dags["opt_data_maintenance"]))
    start = pendulum.datetime(2025, 11, 1, tz="UTC")
    runs, last = [], None
    for _ in range(2):
        info = dag.timetable.next_dagrun_info(
            last_automated_data_interval=last, restriction=TimeRestriction(start, None, True)
        )
        runs.append(info.run_after.in_timezone("America/New_York").format("ddd YYYY-MM-DD HH:mm"))
        last = info.data_interval
    # in between the clocks change
    assert runs == ["Sat 2025-11-01 09:00", "Sat 2025-11-08 09:00"]
    assert dag_bag.dags["opt_data_maintenance"].params.get_param("dry_run").resolve() is False
