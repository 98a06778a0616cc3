"""No process of the demo survives it, whatever the process did to hide."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tools.demo.errors import DemoFailed
from tools.demo.processes import Children, belonging, end_leftovers

# A child that refuses to end politely, with a grandchild in a process group of its own that has written its title
# over its environment, as Airflow's task processes do.
STUBBORN = """
import os, pathlib, signal, sys, time
import setproctitle
if os.fork() == 0:
    os.setpgid(0, 0)
    setproctitle.setproctitle("a worker " + "x" * 4000)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
while True:
    time.sleep(1)
"""


def wait_until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_true():
        assert time.monotonic() < deadline, "waited 30 s"
        time.sleep(0.05)


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Children]:
    made = Children(tmp_path, tmp_path, tmp_path / "sessions.json", patience_s=0.5)
    yield made
    end_leftovers(tmp_path, tmp_path / "sessions.json")


def start_stubborn(children: Children, tmp_path: Path) -> tuple[psutil.Process, psutil.Process]:
    told = tmp_path / "grandchild"
    child = children.start("stubborn", [sys.executable, "-c", STUBBORN, str(told)], {})
    wait_until(lambda: told.exists() and told.read_text() != "")
    return psutil.Process(child.process.pid), psutil.Process(int(told.read_text()))


def test_a_grandchild_that_hides_is_found_and_ended(children: Children, tmp_path: Path) -> None:
    child, grandchild = start_stubborn(children, tmp_path)
    assert grandchild in belonging(tmp_path, tmp_path / "sessions.json")

    children.stop_all()

    assert not child.is_running()
    assert not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE


def test_what_a_killed_demo_left_is_ended_by_its_record(children: Children, tmp_path: Path) -> None:
    child, grandchild = start_stubborn(children, tmp_path)
    child.kill()
    wait_until(lambda: child.status() == psutil.STATUS_ZOMBIE)

    left = end_leftovers(tmp_path, tmp_path / "sessions.json", patience_s=0.5)

    assert left == []
    wait_until(lambda: not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE)
    assert not (tmp_path / "sessions.json").exists()


def test_a_process_of_somebody_else_is_left_alone(children: Children, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    other = Children(elsewhere, elsewhere, elsewhere / "sessions.json")
    bystander = other.start("bystander", [sys.executable, "-c", "import time; time.sleep(600)"], {})

    children.stop_all()

    assert bystander.process.poll() is None
    other.stop_all()


def test_a_child_that_ends_by_itself_is_told_with_its_last_words(children: Children) -> None:
    child = children.start("brief", [sys.executable, "-c", "raise SystemExit('no port left')"], {})
    child.process.wait(30)

    with pytest.raises(DemoFailed, match=r"brief ended with exit code 1; .*\n.*no port left"):
        children.require_alive()


def test_a_command_that_fails_is_told_with_its_last_words(children: Children) -> None:
    with pytest.raises(DemoFailed, match=r"migrate failed with exit code 1; .*\n.*disk is full"):
        children.run("migrate", [sys.executable, "-c", "raise SystemExit('disk is full')"], {}, 30)
