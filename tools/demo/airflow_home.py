"""The demo's Airflow: its folder, its configuration, its secrets.

Everything is in ``airflow.cfg`` and not in environment variables, so that Airflow's own commands work on the demo as
soon as ``AIRFLOW_HOME`` points there. Secrets are made once per folder and never leave it.
"""

import base64
import configparser
import io
import json
import os
import secrets
import shlex
from dataclasses import dataclass

from tools.demo.places import Places, write_whole
from tools.demo.ports import LOOPBACK

LOGIN = "admin"


@dataclass(frozen=True, slots=True)
class Secrets:
    """What only this home knows."""

    password: str
    fernet_key: str
    api_secret_key: str
    jwt_secret: str


def load_secrets(places: Places) -> Secrets:
    """Read the home's secrets, making them at the first start; the file is readable by its owner only."""
    path = places.airflow_home / "secrets.json"
    if path.exists():
        return Secrets(**json.loads(path.read_text()))
    made = Secrets(
        password=secrets.token_urlsafe(9),
        fernet_key=base64.urlsafe_b64encode(os.urandom(32)).decode(),
        api_secret_key=secrets.token_hex(32),
        jwt_secret=secrets.token_urlsafe(48),
    )
    write_whole(path, json.dumps({name: getattr(made, name) for name in Secrets.__slots__}, indent=2), 0o600)
    return made


def write_configuration(places: Places, keys: Secrets, ui_port: int) -> None:
    """Write ``airflow.cfg``, the password file and the file to source in a shell."""
    home = places.airflow_home
    passwords = home / "passwords.json"
    write_whole(passwords, json.dumps({LOGIN: keys.password}), 0o600)
    sections: dict[str, dict[str, str]] = {
        "core": {
            "dags_folder": str(places.checkout / "dags"),
            "plugins_folder": str(places.checkout / "plugins"),
            "executor": "opt_data.executors.warm_local.WarmLocalExecutor",
            # One more than symbols: a task that has just ended still counts for some seconds.
            "parallelism": "6",
            # Far more than the demo needs: whoever lengthens its universe shall not run into them.
            "max_active_tasks_per_dag": "16",
            "max_map_length": "1024",
            "load_examples": "False",
            "fernet_key": keys.fernet_key,
            "hostname_callable": "socket.gethostname",
            "simple_auth_manager_users": f"{LOGIN}:admin",
            "simple_auth_manager_passwords_file": str(passwords),
            "test_connection": "Enabled",
            "execution_api_server_url": f"http://{LOOPBACK}:{ui_port}/execution/",
        },
        "database": {"sql_alchemy_conn": f"sqlite:///{home / 'airflow.db'}"},
        "logging": {
            "base_log_folder": str(home / "logs"),
            "dag_processor_child_process_log_directory": str(home / "logs" / "dag_processor"),
            "colored_console_log": "False",
        },
        "api": {
            "host": LOOPBACK,
            "port": str(ui_port),
            "base_url": f"http://{LOOPBACK}:{ui_port}",
            "workers": "1",
            "secret_key": keys.api_secret_key,
            "instance_name": "opt_data (simulated market)",
        },
        "api_auth": {"jwt_secret": keys.jwt_secret},
        # The simulated session lies in the past: were the scheduler to make runs by the machine's clock, they would
        # ask for slots the simulated market has not reached. Runs asked for by hand, by the demo or by a backfill work.
        # Between two looks it sleeps a short while only: somebody is watching.
        "scheduler": {
            "use_job_schedule": "False",
            "scheduler_idle_sleep_time": "0.2",
            # As in production: docs/deployment.md says what for.
            "orphaned_tasks_check_interval": "60",
            "task_instance_heartbeat_timeout": "120",
        },
        "dag_processor": {"parsing_processes": "1", "refresh_interval": "30"},
    }
    parser = configparser.RawConfigParser()
    parser.read_dict(sections)
    text = io.StringIO()
    parser.write(text)
    write_whole(home / "airflow.cfg", text.getvalue().replace("%", "%%"), 0o600)
    lines = [f"export {name}={shlex.quote(value)}" for name, value in own_variables(places).items()]
    write_whole(places.environment, "\n".join(["# source this, then: airflow dags list", *lines, ""]))


def own_variables(places: Places) -> dict[str, str]:
    """The environment variables that make a process part of the demo."""
    return {
        "AIRFLOW_HOME": str(places.airflow_home),
        "OPT_DATA_CONFIG": str(places.checkout / "include" / "config" / "demo.toml"),
        "OPT_DATA_CALENDAR_CACHE": str(places.run / "calendar"),
        "OPT_DATA_PROJECT_ROOT": str(places.checkout),
        "PYTHONPATH": str(places.checkout / "plugins"),
    }


def environment(places: Places) -> dict[str, str]:
    """The environment for every child: the caller's, without settings of another Airflow and without proxies.

    A caller's AIRFLOW or OPT_DATA variable could point the demo at production's database or data.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW", "OPT_DATA", "_AIRFLOW")) and name.lower() not in _PROXIES
    }
    return {
        **inherited,
        **own_variables(places),
        "PYTHONUNBUFFERED": "1",
        "NO_PROXY": f"{LOOPBACK},localhost",
        "no_proxy": f"{LOOPBACK},localhost",
    }


_PROXIES = {"http_proxy", "https_proxy", "all_proxy"}
