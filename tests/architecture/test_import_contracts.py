"""The arrows of ARCHITECTURE.md, held by import-linter and by what a linter cannot see."""

import ast
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "plugins" / "opt_data"
AIRFLOW_EDGE = {"assets", "executors", "hooks", "notifications", "operators", "timetables"}
HEAVY = {
    "duckdb",
    "exchange_calendars",
    "ib_insync",
    "numpy",
    "pandas",
    "pandas_market_calendars",
    "pyarrow",
}


def rooms() -> set[str]:
    """The packages and modules directly below ``opt_data``."""
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    return packages | {path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__"}


def contract(name: str) -> dict[str, object]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    return next(found for found in contracts if found["name"] == name)


def test_every_import_contract_is_kept() -> None:
    finished = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )

    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_every_room_but_the_edge_is_kept_free_of_airflow() -> None:
    sources = contract("Airflow stays at the edge")["source_modules"]

    assert isinstance(sources, list)
    assert {name.removeprefix("opt_data.") for name in sources} == rooms() - AIRFLOW_EDGE


def test_every_room_but_the_gateway_is_kept_free_of_ib_insync() -> None:
    sources = contract("Only the gateway speaks IB")["source_modules"]

    assert isinstance(sources, list)
    assert {name.removeprefix("opt_data.") for name in sources} >= rooms() - {"gateway", "bootstrap"}


@pytest.mark.parametrize(
    "path", [PACKAGE / "errors.py", *sorted((PACKAGE / "core").glob("*.py"))], ids=lambda p: p.stem
)
def test_core_imports_the_standard_library_and_itself_only(path: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")

    foreign = {
        name
        for name in imported
        if name.split(".")[0] not in sys.stdlib_module_names
        and not name.startswith(("opt_data.core", "opt_data.errors"))
    }

    assert foreign == set()


@pytest.mark.parametrize(
    "path",
    [*sorted((ROOT / "dags").glob("*.py")), *sorted((ROOT / "plugins").glob("*.py"))],
    ids=lambda path: path.stem,
)
def test_a_file_airflow_parses_imports_nothing_heavy(path: Path, tmp_path: Path) -> None:
    """What a DAG or plugin file imports is paid in every scheduler, DAG processor, worker and API server."""
    program = f"import runpy, sys; runpy.run_path({str(path)!r}); print(*sorted({HEAVY!r} & set(sys.modules)))"

    finished = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": str(ROOT / "plugins")},
    )

    assert (finished.returncode, finished.stdout.split()) == (0, []), finished.stderr
