"""An Airflow of its own for tests: fresh home, SQLite, the project's plugins; commands end before the test does."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


# Several commands in one process: starting the command line costs seconds, a command itself much less.
COMMANDS = """
import json, sys
from airflow.cli.cli_parser import get_parser

for arguments in json.loads(sys.argv[1]):
    parsed = get_parser().parse_args(arguments)
    parsed.func(parsed)
    print("\\n=== end of command ===", flush=True)
"""


@dataclass(frozen=True)
class AirflowHome:
    """A migrated Airflow home and the environment that selects it."""

    path: Path
    env: dict[str, str]

    def run(self, *arguments: str, timeout_s: float = 120) -> str:
        """Run ``airflow <arguments>`` and give what it printed; the test fails when the exit code is not 0."""
        return self._checked([sys.executable, "-m", "airflow", *arguments], timeout_s)

    def run_all(self, *commands: Sequence[str], timeout_s: float = 240) -> list[str]:
        """Run several ``airflow`` commands one after the other in one process: what each printed."""
        printed = self._checked([sys.executable, "-c", COMMANDS, json.dumps(commands)], timeout_s)
        return printed.split("\n=== end of command ===\n")[:-1]

    def python(self, script: str, *arguments: str, timeout_s: float = 120) -> str:
        """Run Python source and give what it printed."""
        return self._checked([sys.executable, "-c", script, *arguments], timeout_s)

    def copy_to(self, path: Path, *, dags_folder: Path) -> "AirflowHome":
        """A home of one's own, with a copy of the database and another DAG folder."""
        shutil.copytree(self.path, path, dirs_exist_ok=True)
        own = {
            "AIRFLOW_HOME": str(path),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{path / 'airflow.db'}",
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags_folder),
        }
        return AirflowHome(path, self.env | own)

    def _checked(self, command: list[str], timeout_s: float) -> str:
        done = subprocess.run(
            command, env=self.env, cwd=self.path, capture_output=True, text=True, timeout=timeout_s, check=False
        )
        if done.returncode:
            raise AssertionError(
                f"{command} ended with {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-8000:]}"
            )
        return done.stdout


@pytest.fixture(scope="session")
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> AirflowHome:
    """One Airflow home for all tests of the run: database migrated once, DAGs paused at creation.

    A test that stores DAGs or runs takes a copy (``copy_to``); the home itself stays as it was migrated.
    """
    path = tmp_path_factory.mktemp("airflow-home")
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")} | {
        "AIRFLOW_HOME": str(path),
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{path / 'airflow.db'}",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "COLUMNS": "200",
        "NO_COLOR": "1",
        "PYTHONPATH": str(PROJECT / "plugins"),
    }
    home = AirflowHome(path, env)
    home.run("db", "migrate", timeout_s=280)
    return home


@pytest.fixture
def fresh_python() -> Callable[[str], str]:
    """Run source in a new interpreter with the project's plugins on the path and give what it printed."""

    def run(source: str) -> str:
        env = os.environ | {"PYTHONPATH": str(PROJECT / "plugins")}
        done = subprocess.run(
            [sys.executable, "-c", source], env=env, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
