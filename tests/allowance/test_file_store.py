"""The allowance of one host in a file: real processes, real kills."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from opt_data.allowance.file_store import SIZE, FileStore
from opt_data.allowance.state_json import decode, encode
from opt_data.core import allowance
from opt_data.core.allowance import AllowancePolicy, AllowanceState, Holder, Resource
from opt_data.core.allowance_share import AllowanceShare
from opt_data.errors import AllowanceUnavailable
from tests.allowance.worker import POLICY

PLUGINS = Path(__file__).parents[2] / "plugins"
WORKER = Path(__file__).with_name("worker.py")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "allowance" / "127.0.0.1_4002.json"


@pytest.fixture
def start(path: Path) -> Iterator[object]:
    started: list[subprocess.Popen[str]] = []

    def worker(name: str, kind: str, seconds: float) -> subprocess.Popen[str]:
        command = [sys.executable, str(WORKER), str(path), name, kind, str(seconds)]
        environment = os.environ | {"PYTHONPATH": str(PLUGINS)}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        started.append(process)
        return process

    yield worker
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_processes_together_keep_to_the_limit_and_use_it(start, path):
    workers = [start(name, "send", 4.0) for name in "abcd"]

    sent = [[float(line) for line in worker.communicate()[0].split()] for worker in workers]

    times = sorted(at for moments in sent for at in moments)
    assert max(sum(1 for at in times if first <= at < first + 1.0) for first in times) < 50
    assert all(len(moments) > 10 for moments in sent)


def test_lines_of_a_killed_process_come_back(start, path, monkeypatch):
    holders = [start(name, "hold", 600.0) for name in "ab"]
    assert [holder.stdout.readline().strip() for holder in holders] == ["10", "10"]
    mine = AllowanceShare(FileStore(path), POLICY, "mine")
    assert sum(mine.take(Resource.LINE) for _ in range(30)) == 10

    for holder in holders:
        holder.kill()
        holder.wait()
    killed_at = time.monotonic()
    monkeypatch.setattr("opt_data.allowance.file_store.time.monotonic", lambda: killed_at + allowance.ALIVE_S)

    assert sum(mine.take(Resource.LINE) for _ in range(30)) == 20


@pytest.mark.parametrize("damage", [b"", b"[2,12.5,nu", b"[1]", b"\xff\xfe"], ids=["empty", "cut", "other", "binary"])
def test_a_damaged_state_is_begun_anew_after_a_pause(path, damage):
    share = AllowanceShare(FileStore(path), POLICY, "a")
    share.take(Resource.LINE)
    with path.open("r+b") as file:
        file.write((damage + b"\0").ljust(400, b"\0"))

    wait = share.send_or_wait_s(lambda: None)

    assert wait == 0.0 if damage == b"" else 0.5 < wait <= allowance.PAUSE_AFTER_LOSS_S + 0.1
    share.sign_of_life()
    others = AllowanceShare(FileStore(path), POLICY, "b")
    assert sum(others.take(Resource.LINE) for _ in range(40)) == 29  # what "a" holds is known again


def test_the_file_has_its_size_from_the_first_moment(path):
    AllowanceShare(FileStore(path), POLICY, "a").sign_of_life()

    assert path.stat().st_size == SIZE
    assert path.stat().st_blocks * 512 >= SIZE  # the blocks are there: a disk that fills later stops nobody


def test_a_place_that_cannot_be_written_is_told_with_its_path(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")

    with pytest.raises(AllowanceUnavailable, match=str(blocked)):
        AllowanceShare(FileStore(blocked / "a.json"), POLICY, "a").sign_of_life()


def test_what_is_read_is_what_was_written():
    state = AllowanceState(
        next_at=12.5,
        recent=[11.0, 11.25],
        lines_seen=60,
        lines_seen_at=3.5,
        holders={"a": Holder(2, 12.0, {"line": 3}, 12.6, 12.1, 12.2, {"line": 13.0}), "b": Holder(0, 1.0)},
    )

    assert decode(encode(state)) == state


def test_the_state_of_a_full_house_fits_the_file():
    largest = AllowancePolicy(237.5, 250, 500)
    late = 1e6 + 1 / 3
    holders = {
        f"a-rather-long-host-name-{n}.example.org:{4000000 + n}:0123abcd": Holder(
            3,
            1e6 + 1 / 3,
            {"line": 100, "bar_request": 50},
            1e6 + 1 / 3,
            1e6 + 1 / 3,
            1e6 + 1 / 3,
            {"line": 1e6 + 1 / 3},
        )
        for n in range(32)  # IB's greatest number of clients
    }
    state = AllowanceState(late, late, late, [late] * largest.limit_per_s * 2, 500, late, holders)

    assert len(encode(state)) < SIZE // 2


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_whoever_leaves_holds_nothing_open_and_nothing_back(path):
    before = open_files()
    for number in range(50):
        share = AllowanceShare(FileStore(path), POLICY, f"task {number}")
        assert share.take(Resource.LINE)
        share.leave()
        share.give_back(Resource.LINE)  # a cancel that left late

    assert open_files() == before
    state = decode(path.read_bytes().partition(b"\0")[0])
    assert state is not None
    assert state.holders == {}
