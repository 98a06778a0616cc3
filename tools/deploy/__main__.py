"""Bring Airflow's database up to date and create what it needs: login, pool, connection.

What is there already is left alone, so that a pool's slots or a connection changed in the UI stay as a person set them.
Run as ``python -m tools.deploy`` with Airflow's environment and ``ADMIN_PASSWORD``, ``IB_HOST``, ``IB_PORT``,
``IB_CLIENT_ID_FIRST``.
"""

import contextlib
import io
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from opt_data.bootstrap import capture_groups, whole_universe
from opt_data.config.load import load_settings
from opt_data.config.models import Settings
from opt_data.errors import OptDataError


def main(env: Mapping[str, str] = os.environ) -> int:
    """Set up; returns the exit code, and says on standard error what is wrong. Airflow's own errors end it."""
    try:
        settings = load_settings(environ=env)
        port, first = int(env["IB_PORT"]), int(env["IB_CLIENT_ID_FIRST"])
        host, password = env["IB_HOST"], env["ADMIN_PASSWORD"]
        passwords = Path(env["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
    except (OptDataError, KeyError, ValueError) as error:
        print(f"tools.deploy: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    passwords.parent.mkdir(parents=True, exist_ok=True)
    passwords.touch(0o600)
    passwords.write_text(json.dumps({"admin": password}))
    extra = json.dumps({"client_id_first": first, "client_id_count": 32, "read_only": True})
    pool = [settings.capture.pool, str(settings.capture.parallel_tasks), "Tasks that talk to IB Gateway at once"]
    connection = [settings.gateway.conn_id, "--conn-type", "ib_gateway", "--conn-host", host, "--conn-port", str(port)]
    _airflow("db", "migrate")
    if not _is_there("pools", "get", settings.capture.pool):
        _airflow("pools", "set", *pool, "--include-deferred")
    if not _is_there("connections", "get", settings.gateway.conn_id):
        _airflow("connections", "add", *connection, "--conn-extra", extra)
    for warning in limits_too_small(settings):
        print(f"tools.deploy: warning: {warning}", file=sys.stderr)
    return 0


def limits_too_small(settings: Settings) -> list[str]:
    """What Airflow's configuration lacks for this universe and this many tasks at once.

    Too few places only make a slot slow. Too short a map fails every plan. The table is in ``docs/deployment.md``.
    """
    from airflow.configuration import conf

    wanted = settings.capture.parallel_tasks
    mapped = max(len(capture_groups(settings)), len(whole_universe(settings)))
    needed = {
        "parallelism": (wanted + 1, f"{wanted} captures and whatever else runs"),
        "max_active_tasks_per_dag": (wanted, f"{wanted} captures at once"),
        "max_map_length": (mapped, f"{mapped} mapped instances"),
    }
    return [
        f"[core] {key} = {conf.getint('core', key)} is too small for {why}; make it {least} or more"
        for key, (least, why) in needed.items()
        if conf.getint("core", key) < least
    ]


def _airflow(*arguments: str) -> None:
    """Run one of Airflow's commands in this process: starting a process for each would take most of the time."""
    from airflow.cli.cli_parser import get_parser

    parsed = get_parser().parse_args(arguments)
    parsed.func(parsed)


def _is_there(*arguments: str) -> bool:
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            _airflow(*arguments)
    except SystemExit:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
