"""Parsing all DAG files beside as many empty ones, the way Airflow's processor does it: each in a forked process.

Prints ours ÷ empty. The bar is 1.5.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from record import record

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 15
BAR = 1.5

EMPTY = """
import pendulum
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG("empty_{number}", schedule="@hourly", start_date=pendulum.datetime(2024, 1, 1, tz="UTC"), catchup=False):
    EmptyOperator(task_id="first") >> EmptyOperator(task_id="second")
"""


def parse_in_fork(path: Path) -> float:
    """Seconds to fork, parse one file into a serialized DAG, and end."""
    started = time.perf_counter()
    child = os.fork()
    if child == 0:
        from airflow.dag_processing.dagbag import DagBag
        from airflow.serialization.serialized_objects import DagSerialization

        bag = DagBag(dag_folder=str(path), collect_dags=True)
        ok = not bag.import_errors and all(DagSerialization.to_dict(dag) for dag in bag.dags.values()) and bag.dags
        os._exit(0 if ok else 1)
    _, status = os.waitpid(child, 0)
    if status:
        raise SystemExit(f"{path} did not parse")
    return time.perf_counter() - started


def main() -> int:
    os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "ERROR")
    with tempfile.TemporaryDirectory() as home:
        os.environ["AIRFLOW_HOME"] = home
        os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"] = str(ROOT / "plugins")
        # What the processor has loaded before it forks.

        from airflow import plugins_manager

        plugins_manager.ensure_plugins_loaded()

        ours = sorted((ROOT / "dags").glob("*.py"))
        empty = []
        for number, _ in enumerate(ours):
            path = Path(home) / f"empty_{number}.py"
            path.write_text(EMPTY.format(number=number))
            empty.append(path)
        for path in (*ours, *empty):
            parse_in_fork(path)
        times: dict[str, list[float]] = {"ours": [], "empty": []}
        for _ in range(ROUNDS):
            times["empty"].append(sum(map(parse_in_fork, empty)))
            times["ours"].append(sum(map(parse_in_fork, ours)))
    medians = {name: statistics.median(values) for name, values in times.items()}
    ratio = medians["ours"] / medians["empty"]
    print(f"{len(ours)} DAG files: {medians['ours']:.3f} s, as many empty ones: {medians['empty']:.3f} s")
    figures = {"files": len(ours)} | {f"{name}_s": round(value, 4) for name, value in medians.items()}
    return record("dag_parse", ratio, figures, bar=BAR)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "plugins"))
    sys.exit(main())
