"""Five hundred symbols in one slot: planned, taken by Airflow's limits as they are shipped, and expanded by Airflow."""

import json
from pathlib import Path

import pytest

from tests.airflow.conftest import AirflowHome

PROJECT = Path(__file__).resolve().parents[2]
SYMBOLS = [f"SYN{number:03}" for number in range(1, 501)]

# What happens in a running Airflow between the end of `plan` and the start of the first `capture`.
EXPAND = """
import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

from airflow.api.common.trigger_dag import trigger_dag
from airflow.api_fastapi.execution_api.routes.xcoms import set_xcom
from airflow.configuration import conf
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
from airflow.models.dagbag import DBDagBag
from airflow.models.taskmap import TaskMap
from airflow.utils.session import create_session
from airflow.utils.types import DagRunTriggeredByType

slot = datetime(2025, 11, 24, 15, 0, tzinfo=UTC)
DagBundlesManager().sync_bundles_to_db()
folder = conf.get("core", "dags_folder")
bag = BundleDagBag(folder, bundle_path=Path(folder), bundle_name="dags-folder")
sync_bag_to_db(bag, "dags-folder", None)
dag = bag.dags["opt_data_intraday"]
planned = dag.get_task("plan")
planned.symbols = None
said = planned.execute({"data_interval_start": slot, "dag_run": None})
with create_session() as session:
    run = trigger_dag(
        dag.dag_id, triggered_by=DagRunTriggeredByType.TEST, run_id="large", logical_date=slot, session=session
    )
    session.flush()
    set_xcom(dag.dag_id, "large", "plan", "return_value", session, value=json.dumps(said), mapped_length=len(said))
    session.flush()
    stored = DBDagBag().get_latest_version_of_dag(dag.dag_id, session=session)
    instances, last = TaskMap.expand_mapped_task(stored.get_task("capture"), "large", session=session)
    print(json.dumps([[one.map_index for one in instances], last, said[0]["symbols"], said[-1]["symbols"]]))
"""


LOOK = """
import json, os
from opt_data.config.load import load_settings
from tools.deploy.__main__ import limits_too_small

shipped = limits_too_small(load_settings())
os.environ["AIRFLOW__CORE__PARALLELISM"] = "4"
os.environ["AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG"] = "3"
os.environ["AIRFLOW__CORE__MAX_MAP_LENGTH"] = "499"
print(json.dumps([shipped, limits_too_small(load_settings())]))
"""


@pytest.fixture
def large(airflow_home: AirflowHome, tmp_path: Path) -> AirflowHome:
    """An Airflow with the capture's DAG, over a universe of five hundred symbols."""
    universe = tmp_path / "universe.csv"
    universe.write_text("\n".join(["symbol", *SYMBOLS, ""]))
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "opt_data_intraday.py").symlink_to(PROJECT / "dags" / "opt_data_intraday.py")
    home = airflow_home.copy_to(tmp_path / "home", dags_folder=dags)
    home.env.update({
        "OPT_DATA__UNIVERSE__INTRADAY_FILE": str(universe),
        "OPT_DATA__UNIVERSE__CLOSE_FILE": str(universe),
        "PYTHONPATH": f"{PROJECT / 'plugins'}:{PROJECT}",
    })  # fmt: skip
    return home


def test_five_hundred_symbols_are_five_hundred_instances(large: AirflowHome) -> None:
    printed = large.python(EXPAND, timeout_s=240)

    indices, last, first_symbols, last_symbols = json.loads(printed.splitlines()[-1])
    assert (sorted(indices), last) == (list(range(500)), 499)
    assert (first_symbols, last_symbols) == (["SYN001"], ["SYN500"])


def test_setting_up_warns_of_limits_that_are_too_small_and_says_what_they_must_be(large: AirflowHome) -> None:
    shipped, narrow = json.loads(large.python(LOOK).splitlines()[-1])

    assert shipped == []
    assert [warning.partition("; ")[2] for warning in narrow] == [
        "make it 5 or more", "make it 4 or more", "make it 500 or more",
    ]  # fmt: skip
