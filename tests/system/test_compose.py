"""``docker-compose.yaml`` without Docker: valid, complete, and its commands and environment run as plain processes."""

import base64
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tools.demo.api import AirflowApi
from tools.demo.places import Places
from tools.demo.ports import LOOPBACK, free_port
from tools.demo.processes import Children

ROOT = Path(__file__).resolve().parents[2]
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(?:(:[-?])([^}]*))?\}")
SECRETS = {"POSTGRES_PASSWORD", "ADMIN_PASSWORD", "AIRFLOW_FERNET_KEY", "AIRFLOW_API_SECRET_KEY", "AIRFLOW_JWT_SECRET"}
COMPONENTS = ("api-server", "dag-processor", "scheduler", "triggerer")
LIMIT_S = 120.0

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def text() -> str:
    return (ROOT / "docker-compose.yaml").read_text()


@pytest.fixture(scope="module")
def compose(text: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


@pytest.fixture(scope="module")
def example() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if re.match(r"\w+=", line))


def interpolated(value: str, env: dict[str, str]) -> str:
    """A value as Compose makes it of the variables: ``:-`` names a default, ``:?`` refuses an empty one."""

    def replace(match: re.Match[str]) -> str:
        name, kind, rest = match.groups()
        found = env.get(name, "")
        assert found or kind != ":?", f"{name} must be set"
        return found or (rest if kind == ":-" else "")

    return VARIABLE.sub(replace, value).replace("$$", "$")


def test_the_file_follows_the_compose_specification(compose: dict[str, Any]) -> None:
    schema = json.loads((ROOT / "tests" / "data" / "compose" / "compose_spec.json").read_text())
    # The schema is of 2021: the project's name became part of the specification afterwards.
    validator = jsonschema.Draft201909Validator(schema)
    validator.validate({key: value for key, value in compose.items() if key != "name"})


def test_every_variable_stands_in_the_example(text: str, example: dict[str, str]) -> None:
    assert {match[1] for match in VARIABLE.finditer(text)} <= set(example)


def test_secrets_are_empty_in_the_example_and_required_in_the_file(text: str, example: dict[str, str]) -> None:
    required = {match[1] for match in VARIABLE.finditer(text) if match[2] == ":?"}

    assert required >= SECRETS
    assert {example[name] for name in SECRETS | {"TWS_USERID", "TWS_PASSWORD"}} == {""}


def test_all_parts_are_there_and_only_the_ui_is_published(compose: dict[str, Any]) -> None:
    services = compose["services"]

    assert set(services) == {"postgres", "init", *COMPONENTS, "ibsim", "ib-gateway"}
    assert {name: service["profiles"] for name, service in services.items() if "profiles" in service} == {
        "ibsim": ["demo"],
        "ib-gateway": ["live"],
    }
    assert [name for name, service in services.items() if "ports" in service] == ["api-server"]
    assert services["ib-gateway"]["environment"]["READ_ONLY_API"] == "yes"
    for name in COMPONENTS:
        assert services[name]["depends_on"] == {"init": {"condition": "service_completed_successfully"}}
        assert "healthcheck" in services[name]


def handshake(compose: dict[str, Any], port: int) -> int:
    """The exit code of the gateway's health check, run against a port."""
    _, *command = compose["services"]["ib-gateway"]["healthcheck"]["test"]
    env = os.environ | {"API_PORT": str(port)}
    done = subprocess.run([interpolated(part, {}) for part in command], env=env, capture_output=True, timeout=30)
    return done.returncode


def test_the_gateways_health_is_an_answered_handshake(compose: dict[str, Any]) -> None:
    from ibsim.launch import running_gateway

    with running_gateway() as gateway:
        assert handshake(compose, gateway.port) == 0
    assert handshake(compose, free_port()) != 0


def test_a_port_that_accepts_and_says_nothing_is_not_healthy(compose: dict[str, Any]) -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        accepted: list[socket.socket] = []
        thread = threading.Thread(target=lambda: accepted.append(server.accept()[0]))
        thread.start()
        assert handshake(compose, server.getsockname()[1]) != 0
        thread.join()
        accepted[0].close()


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Children]:
    places = Places(tmp_path)
    places.make()
    made = Children(places.airflow_home, places.logs, places.sessions)
    yield made
    made.stop_all()


def wait_until(is_true: Callable[[], bool], children: Children, what: str) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not is_true():
        children.require_alive()
        assert time.monotonic() < deadline, f"waited {LIMIT_S:.0f} s for {what}"
        time.sleep(0.3)


def test_commands_and_environment_run_as_plain_processes(
    compose: dict[str, Any], example: dict[str, str], children: Children, tmp_path: Path
) -> None:
    """The profile demo as the example sets it, with SQLite for Postgres and folders of this machine for volumes."""
    home, port, api_port = Places(tmp_path).airflow_home, free_port(), free_port()
    filled = example | {name: "x" * 32 for name in SECRETS}
    filled["AIRFLOW_FERNET_KEY"] = base64.urlsafe_b64encode(b"a key of 32 bytes, for a test ..").decode()
    here = {
        "/opt/opt_data": str(ROOT),
        "/opt/airflow": str(home),
        "/srv/opt_data": str(tmp_path / "srv"),
        "http://api-server:8080": f"http://{LOOPBACK}:{port}",
        f"postgresql+psycopg2://airflow:{filled['POSTGRES_PASSWORD']}@postgres/airflow": f"sqlite:///{home}/airflow.db",
        "0.0.0.0": LOOPBACK,
        "8080": str(port),
        "4002": str(api_port),
    }

    def moved(value: str) -> str:
        found = interpolated(value, filled)
        for there, place in here.items():
            found = found.replace(there, place)
        return found

    image = {"AIRFLOW_HOME": str(home), "PYTHONPATH": f"{ROOT}/plugins:{ROOT}", "OPT_DATA_PROJECT_ROOT": str(ROOT)}
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "OPT_DATA"))}

    def start(name: str) -> tuple[list[str], dict[str, str]]:
        service = compose["services"][name]
        env = {key: moved(str(value)) for key, value in service.get("environment", {}).items()}
        program, *arguments = [moved(part) for part in service["command"]]
        python = [sys.executable] if program == "python" else [sys.executable, "-m", program]
        return [*python, *arguments], clean | image | env

    children.start("ibsim", *start("ibsim"))
    command, env = start("init")
    children.run("init", command, env | {"IB_HOST": LOOPBACK}, LIMIT_S)
    children.run("init", command, env | {"IB_HOST": "elsewhere"}, LIMIT_S)
    for name in COMPONENTS:
        children.start(name, *start(name))
    api = AirflowApi(f"http://{LOOPBACK}:{port}", filled["ADMIN_PASSWORD"])
    wait_until(api.is_answering, children, "the API server")
    parts = ("metadatabase", "scheduler", "dag_processor", "triggerer")
    wait_until(lambda: all(api.health()[part]["status"] == "healthy" for part in parts), children, "Airflow")

    pool = api._ask("GET", "/pools/ib_gateway")
    connection = api._ask("GET", "/connections/ib_gateway")
    assert pool["slots"] == 5  # parallel_tasks of demo.toml, the profile's configuration
    # The second start left what the first had made.
    assert (connection["conn_type"], connection["host"], connection["port"]) == ("ib_gateway", LOOPBACK, api_port)
    tested = api._ask("POST", "/connections/test", json={"connection_id": "ib_gateway", "conn_type": "ib_gateway"} | {
        name: connection[name] for name in ("host", "port", "extra")
    })  # fmt: skip
    assert tested["status"] is True, tested
    wait_until(lambda: api.dag("opt_data_intraday") is not None, children, "the DAGs to be read")
    assert api.import_errors() == []
