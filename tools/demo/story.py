"""The story ``make run`` tells: a gateway, an Airflow, the day's contracts, one slot, a table."""

import json
import sys
import textwrap
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from ibsim.control import ControlClient
from opt_data.bootstrap import session_calendar
from opt_data.config.load import load_settings
from opt_data.config.models import Settings
from opt_data.config.universe import load_universe
from opt_data.core.sessions import NEW_YORK
from opt_data.core.slots import Slot
from tools.demo import airflow_home, runs, session_walk, single, summary
from tools.demo.api import AirflowApi
from tools.demo.errors import RunFailed
from tools.demo.places import Places
from tools.demo.ports import LOOPBACK, free_port
from tools.demo.processes import Children
from tools.demo.progress import Progress
from tools.demo.services import GatewayPorts, Services

DISCOVERY = "opt_data_discovery"
INTRADAY = "opt_data_intraday"
USUAL_UI_PORT = 8080


def capture_one_slot(places: Places, children: Children, progress: Progress) -> int:
    """Capture the next slot of the simulated session; 0 if every expected contract is accounted for, otherwise 1.

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
    calendar = session_calendar(settings)
    position = session_walk.next_position(session_walk.load_position(places.position), calendar)
    slot = session_walk.slot_at(position, calendar)
    position.save(places.position)
    progress.say(f"The simulated market's slot to capture: {slot.session.day:%A %Y-%m-%d} {slot.label} New York")

    services = Services(places, children, progress, env)
    before_open = slot.session.open_utc - timedelta(minutes=settings.discovery.before_open_min)
    gateway = services.start_gateway(before_open)
    services.migrate_database()
    api = services.start_api_server(address, keys)
    run_id = f"simulated_{slot.session.day}"
    discovery = runs.Wanted(DISCOVERY, before_open, run_id)
    capture = runs.Wanted(INTRADAY, slot.instant_utc, f"{run_id}_{slot.label.replace(':', '')}")
    for run in (discovery, capture):
        runs.give_up_unfinished(api, run, progress)
    _set_up(api, settings, gateway)
    services.start_scheduler(api)
    single.announce(places, address)
    progress.plain(f"\n  Airflow's UI: {address}   login: {airflow_home.LOGIN}   password: {keys.password}\n")

    failure = ""
    is_incomplete = bool(_unaccounted(settings, slot))
    try:
        for run in (discovery, capture):
            moment = run.logical_date
            services.wait_for_dag(api, run.dag_id)
            api.unpause(run.dag_id)
            with ControlClient(LOOPBACK, gateway.control) as control:
                control.set_clock(moment)
            progress.say(f"It is {moment.astimezone(NEW_YORK):%H:%M} New York in the simulated market: {run.dag_id}")
            runs.complete(api, run, progress, children.require_alive, repeat=run is capture and is_incomplete)
    except RunFailed as error:
        failure = str(error)
    return _show(places, progress, settings, slot, position, failure)


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


def _show(
    places: Places, progress: Progress, settings: Settings, slot: Slot, position: session_walk.Position, failure: str
) -> int:
    """Print the table; 0 and the position moved on if everything is accounted for, otherwise 1."""
    data_root = _as_typed(places, settings.paths.data_root)
    results = summary.read_results(settings.paths.data_root, slot)
    progress.plain(f"\n  Slot {slot.label} New York of {slot.session.day}, simulated; files below {data_root}\n")
    progress.plain(textwrap.indent(summary.table(results), "  "))
    found = _unaccounted(settings, slot)
    if failure or found:
        progress.plain(f"\n{failure}" if failure else "")
        if found:
            progress.plain("Not every expected contract is accounted for:")
            progress.plain("\n".join(f"  {problem}" for problem in found))
        progress.plain(f"The tasks' logs are below {places.airflow_home / 'logs'}; starting again repeats the slot.")
        return 1
    expected = sum(result.expected for result in results)
    kept = sum(result.kept for result in results)
    progress.plain(
        f"\n  All {expected} expected contracts are accounted for: {kept} quotes, {expected - kept} without."
    )
    python = _as_typed(places, Path(sys.executable))
    progress.plain(f"\nThree questions to ask the files, from {places.checkout}:\n")
    for question in summary.questions(data_root):
        progress.plain(f"  {python} -c 'import duckdb, sys; duckdb.sql(sys.argv[1]).show()' \\\n    \"{question}\"")
    replace(position, done=True).save(places.position)
    return 0


def _as_typed(places: Places, path: Path) -> Path:
    """A path as a person in the checkout types it."""
    return path.relative_to(places.checkout) if path.is_relative_to(places.checkout) else path


def _unaccounted(settings: Settings, slot: Slot) -> list[str]:
    universe = [underlying.symbol for underlying in load_universe(settings.universe.intraday_file)]
    return summary.problems(summary.read_results(settings.paths.data_root, slot), universe)
