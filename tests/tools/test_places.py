"""The demo's files, ports and lock."""

import json
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tools.demo.airflow_home import environment, load_secrets, write_configuration
from tools.demo.errors import DemoFailed
from tools.demo.places import Places
from tools.demo.ports import LOOPBACK, free_port, is_free
from tools.demo.progress import Progress
from tools.demo.single import announce, only_demo


@pytest.fixture
def places(tmp_path: Path) -> Places:
    made = Places(tmp_path)
    made.make()
    return made


def test_a_port_in_use_is_passed_over() -> None:
    with socket.socket() as holder:
        holder.bind((LOOPBACK, 0))
        holder.listen()
        taken = holder.getsockname()[1]

        found = free_port(taken)

        assert found != taken
        assert is_free(found)
        assert not is_free(taken)


def test_a_preferred_port_is_taken_when_free() -> None:
    preferred = free_port()

    assert free_port(preferred) == preferred


def test_secrets_are_made_once_and_for_the_owner_only(places: Places, tmp_path: Path) -> None:
    first = load_secrets(places)
    write_configuration(places, first, 8080)

    assert load_secrets(places) == first
    assert load_secrets(_other(tmp_path)).password != first.password
    for name in ("secrets.json", "airflow.cfg", "passwords.json"):
        assert stat.S_IMODE((places.airflow_home / name).stat().st_mode) == 0o600


def _other(tmp_path: Path) -> Places:
    made = Places(tmp_path / "other")
    made.make()
    return made


def test_no_setting_of_another_airflow_reaches_the_children(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://production")
    monkeypatch.setenv("OPT_DATA__PATHS__DATA_ROOT", "/production")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")

    env = environment(places)

    assert {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "OPT_DATA__PATHS__DATA_ROOT", "HTTP_PROXY"}.isdisjoint(env)
    assert env["AIRFLOW_HOME"] == str(places.airflow_home)
    assert Path(env["OPT_DATA_CONFIG"]).name == "demo.toml"


def test_the_data_say_that_they_are_simulated(places: Places) -> None:
    assert "simulated" in (places.data_root / "SIMULATED.md").read_text()


def test_a_second_demo_is_sent_to_the_first(places: Places) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from tools.demo.places import Places; from tools.demo.progress import Progress\n"
        "from tools.demo.single import announce, only_demo\n"
        "places = Places(Path(sys.argv[1]))\n"
        "with only_demo(places, Progress()):\n"
        "    announce(places, 'http://127.0.0.1:4711')\n"
        "    print('up', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    first = subprocess.Popen(
        [sys.executable, "-c", program, str(places.checkout)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert first.stdout is not None
    assert first.stdout.readline() == b"up\n"

    with (
        pytest.raises(DemoFailed, match=rf"running at http://127\.0\.0\.1:4711.*kill {first.pid}"),
        only_demo(places, Progress()),
    ):
        pass

    first.kill()
    first.communicate()
    with only_demo(places, Progress()):
        assert json.loads(places.running.read_text())["address"] == ""
        announce(places, "http://127.0.0.1:1")
    assert not places.running.exists()
