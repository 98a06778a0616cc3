"""The executor with warm workers: the scheduler stays light, the workers know what tasks need."""

import json
from collections.abc import Callable

HEAVY = ["numpy", "pyarrow", "ib_insync", "opt_data.pipelines.capture_slot"]


def test_a_scheduler_that_loads_the_executor_imports_nothing_heavy(airflow_home) -> None:  # type: ignore[no-untyped-def]
    printed = airflow_home.python(
        "import os, sys\n"
        "os.environ['AIRFLOW__CORE__EXECUTOR'] = 'opt_data.executors.warm_local.WarmLocalExecutor'\n"
        "from airflow.executors.executor_loader import ExecutorLoader\n"
        "executor, _ = ExecutorLoader.import_default_executor_cls()\n"
        f"print(executor.__name__, executor.is_local, [name for name in {HEAVY} if name in sys.modules])\n"
    )

    assert printed.splitlines()[-1] == "WarmLocalExecutor True []"


def test_importing_ahead_finds_every_module_and_leaves_no_event_loop(fresh_python: Callable[[str], str]) -> None:
    printed = fresh_python(
        "import asyncio, json, logging, sys\n"
        "from opt_data.executors import warm_local\n"
        "warm_local.import_ahead()\n"
        "try:\n"
        "    asyncio.get_event_loop(); loop = 'there'\n"
        "except RuntimeError:\n"
        "    loop = 'none'\n"
        "missing = [name for name in warm_local.IMPORTED_AHEAD if name not in sys.modules]\n"
        f"print(json.dumps([loop, missing, [name for name in {HEAVY} if name not in sys.modules]]))\n"
    )

    assert json.loads(printed.splitlines()[-1]) == ["none", [], []]


def test_a_module_that_is_not_there_is_left_to_the_task(fresh_python: Callable[[str], str]) -> None:
    printed = fresh_python(
        "import logging, sys\n"
        "logging.basicConfig(stream=sys.stdout)\n"
        "from opt_data.executors import warm_local\n"
        "warm_local.IMPORTED_AHEAD = ('opt_data.nowhere', 'opt_data.core.slots')\n"
        "warm_local.import_ahead()\n"
        "print('opt_data.core.slots' in sys.modules)\n"
    )

    assert "opt_data.nowhere cannot be imported ahead" in printed
    assert printed.splitlines()[-1] == "True"
