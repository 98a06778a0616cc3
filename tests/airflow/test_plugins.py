"""The plugin file: it loads, registers timetables and deadlines, and brings nothing heavy or harmful with it."""

import json
from collections.abc import Callable
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]

HEAVY = ["pandas", "numpy", "pyarrow", "duckdb", "ib_insync", "pandas_market_calendars", "exchange_calendars"]


def test_airflow_loads_the_plugin_and_leaves_the_standard_library_alone(airflow_home) -> None:  # type: ignore[no-untyped-def]
    answer = json.loads(
        airflow_home.python(
            "import calendar, errno, json, sys, types\n"
            "before = {name: getattr(sys.modules[name], '__file__', None) for name in ('calendar', 'types')}\n"
            "from airflow import plugins_manager\n"
            "registered = sorted(plugins_manager.get_timetables_plugins())\n"
            "registered += plugins_manager.get_deadline_references_plugins()\n"
            "after = {name: getattr(sys.modules[name], '__file__', None) for name in ('calendar', 'types')}\n"
            "import opt_data.errors\n"
            "print(json.dumps([registered, plugins_manager.get_import_errors(), before, after,\n"
            "    sorted(name for name in sys.modules if name in ('errors', 'xnys', 'slots', 'sessions', 'clock'))]))\n"
        ).splitlines()[-1]
    )

    registered, import_errors, before, after, bare_names = answer
    assert {
        "opt_data.timetables.next_morning.NextMorningTimetable",
        "opt_data.timetables.sessions.SessionTimetable",
        "opt_data.timetables.slots.SlotTimetable",
        "opt_data.notifications.deadlines.RunDeadline",
    } <= set(registered)
    assert import_errors == {}
    assert after == before
    assert bare_names == [], "Airflow imported package modules by bare name: plugins/.airflowignore does not hold"


def test_the_ignore_file_keeps_airflow_out_of_the_packages() -> None:
    lines = (PROJECT / "plugins" / ".airflowignore").read_text().split()

    assert {"opt_data/", "ibsim/"} <= set(lines)


def test_plugin_and_timetables_import_nothing_heavy(fresh_python: Callable[[str], str]) -> None:
    printed = fresh_python(
        "import sys\n"
        "import opt_data_plugin, opt_data.calendars, opt_data.timetables.slots, opt_data.timetables.sessions\n"
        f"print([name for name in {HEAVY} if name in sys.modules])\n"
    )

    assert printed.splitlines()[-1] == "[]"


def test_the_calendar_needs_no_airflow_and_with_its_cache_no_pandas(fresh_python: Callable[[str], str]) -> None:
    question = (
        "import sys\n"
        "from datetime import date\n"
        "from opt_data.calendars import default_calendar\n"
        "print(default_calendar().session(date(2025, 11, 28)).close_utc.isoformat())\n"
        "print([name for name in ['airflow', 'pandas'] if name in sys.modules])\n"
    )

    fresh_python(question)
    second = fresh_python(question)

    assert second.splitlines() == ["2025-11-28T18:00:00+00:00", "[]"]
