"""Keeps every test away from the user's own Airflow and cache: set before anything imports Airflow."""

import atexit
import os
import shutil
import tempfile

import pytest
from hypothesis import settings

_SCRATCH = tempfile.mkdtemp(prefix="opt-data-tests-")
atexit.register(shutil.rmtree, _SCRATCH, ignore_errors=True)

for _name in [name for name in os.environ if name.startswith(("AIRFLOW__", "OPT_DATA_"))]:
    del os.environ[_name]
os.environ["AIRFLOW_HOME"] = f"{_SCRATCH}/airflow"
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
# One folder for the run: the calendar library is imported by one process, the others read what it wrote.
os.environ["OPT_DATA_CALENDAR_CACHE"] = f"{_SCRATCH}/calendar"

# A first call may have to import a library; how long it takes is measured in benchmarks, not here.
settings.register_profile("project", deadline=None)
settings.load_profile("project")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that wait for a whole Airflow first: begun last, they would be waited for alone."""
    items.sort(key=lambda item: "system" not in item.path.parts)
