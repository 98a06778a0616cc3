"""The story ``make run`` tells: a gateway, an Airflow, and a day that the two of them live through."""

import json
import sys
import textwrap
from collections.abc import Sequence
from datetime import datetime, time
from pathlib import Path

from ibsim.control import ControlClient
from opt_data.bootstrap import session_calendar
from opt_data.config.load import load_settings
from opt_data.config.models import Settings
from opt_data.config.universe import load_universe
from tools.demo import airflow_home, day_account, day_files, day_plan, day_screen, day_walk, runs, single
from tools.demo.api import AirflowApi
from tools.demo.day_plan import DayPlan, Hours
from tools.demo.errors import RunFailed
from tools.demo.places import Places
from tools.demo.ports import LOOPBACK, free_port
from tools.demo.processes import Children
from tools.demo.progress import Progress
from tools.demo.services import GatewayPorts, Services

USUAL_UI_PORT = 8080


def show_a_day(places: Places, children: Children, progress: Progress, slots_wanted: int | None) -> int:
    """Live through the next simulated day; 0 if everything expected of it is accounted for, otherwise 1.

    Raises
    ------
    DemoFailed
        Something did not start. A DAG run that does not succeed is told and counts as 1, so that Airflow stays up.
    """
    ui_port = free_port(USUAL_UI_PORT)
    address = f"http://{LOOPBACK}:{ui_port}"
    keys = airflow_home.load_secrets(places)
    airflow_home.write_configuration(places, keys, ui_port)
    env = airflow_home.environment(places)
    settings = load_settings(environ=env)

    services = Services(places, children, progress, env)
    services.migrate_database()
    api = services.start_api_server(address, keys)
    for dag_id in day_plan.DAGS:
        services.wait_for_dag(api, dag_id)
    plan = _next_day(api, settings, slots_wanted)
    for step in plan.steps:
        runs.give_up_unfinished(api, step, progress)
    gateway = services.start_gateway(plan.steps[0].moment)
    _set_up(api, settings, gateway)
    services.start_scheduler(api)
    for dag_id in day_plan.DAGS:
        api.unpause(dag_id)
    single.announce(places, address)
    progress.plain(f"\n  Airflow's UI: {address}   login: {airflow_home.LOGIN}   password: {keys.password}\n")
    _introduce(plan, progress)

    failure = ""
    try:
        with ControlClient(LOOPBACK, gateway.control) as control:
            day_walk.walk(plan, api, control.set_clock, progress, children.require_alive)
    except RunFailed as error:
        failure = str(error)
    return _show(places, progress, settings, plan, failure)


def _next_day(api: AirflowApi, settings: Settings, slots_wanted: int | None) -> DayPlan:
    """The day after the newest one whose upkeep Airflow remembers; a day half done is gone on with."""
    calendar = session_calendar(settings)
    upkeep = [
        datetime.fromisoformat(run["logical_date"])
        for run in api.succeeded_runs(day_plan.MAINTENANCE)
        if run["dag_run_id"].startswith(day_plan.OURS)
    ]
    session = day_plan.session_to_show(upkeep, calendar)
    hours = Hours(
        discovery_before_open_min=settings.discovery.before_open_min,
        eod_at=time.fromisoformat(settings.rollup.run_at),
        open_interest_at=time.fromisoformat(settings.open_interest.start_at),
    )
    return day_plan.plan_day(session, calendar.next_session(session.day), hours, slots_wanted)


def _introduce(plan: DayPlan, progress: Progress) -> None:
    day, count = plan.session.day, len(plan.slots)
    shortened = f", shortened to {count} slots" if plan.left_out else f" with its {count} slots"
    progress.say(f"Simulated {day:%A %Y-%m-%d}{shortened}: {len(plan.steps)} steps, each at its own time in New York")


def _set_up(api: AirflowApi, settings: Settings, gateway: GatewayPorts) -> None:
    """Create what an operator creates once: the pool, and the connection (each start has another port)."""
    api.set_pool(
        settings.capture.pool,
        settings.capture.parallel_tasks,
        "Tasks that talk to IB Gateway at once; they share its lines and messages",
    )
    api.set_connection(
        {
            "connection_id": settings.gateway.conn_id,
            "conn_type": "ib_gateway",
            "description": "The simulated gateway of make run; host and port are set anew at every start",
            "host": LOOPBACK,
            "port": gateway.api,
            "extra": json.dumps({"client_id_first": 0, "client_id_count": 32, "read_only": True}),
        }
    )


def _show(places: Places, progress: Progress, settings: Settings, plan: DayPlan, failure: str) -> int:
    """Print the screen; 0 if everything is accounted for, otherwise 1 and the reasons."""
    data_root = _as_typed(places, settings.paths.data_root)
    universe = [underlying.symbol for underlying in load_universe(settings.universe.intraday_file)]
    files = day_files.read_day(settings.paths.data_root, plan.session.day)
    progress.plain(f"\n  {plan.session.day:%A %Y-%m-%d}, simulated; files below {data_root}\n")
    progress.plain(textwrap.indent(day_screen.screen(plan, files, universe), "  "))
    found = day_account.problems(plan, files, universe, settings.open_interest.min_filled_pct)
    if failure or found:
        _tell_problems(places, progress, failure, found)
        return 1
    progress.plain("\n  Everything expected is accounted for.")
    python = _as_typed(places, Path(sys.executable))
    progress.plain(f"\nQuestions to ask the files, from {places.checkout}:\n")
    for question in day_screen.questions(data_root):
        progress.plain(f"  {python} -c 'import duckdb, sys; duckdb.sql(sys.argv[1]).show()' \\\n    \"{question}\"")
    return 0


def _tell_problems(places: Places, progress: Progress, failure: str, found: Sequence[str]) -> None:
    progress.plain(f"\n{failure}" if failure else "")
    if found:
        progress.plain("Not everything is accounted for:")
        progress.plain("\n".join(f"  {problem}" for problem in found))
    progress.plain(f"The tasks' logs are below {places.airflow_home / 'logs'}.")
    if failure:
        progress.plain("Starting again repeats the run that failed and goes on from there.")


def _as_typed(places: Places, path: Path) -> Path:
    """A path as a person in the checkout types it."""
    return path.relative_to(places.checkout) if path.is_relative_to(places.checkout) else path
