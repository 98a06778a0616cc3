"""The allowance of several hosts in Redis: real processes, real kills, a server that goes away."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from opt_data.allowance import redis_store
from opt_data.allowance.redis_store import RedisAddress, RedisStore
from opt_data.core.allowance import ALIVE_S, PAUSE_AFTER_LOSS_S, Resource
from opt_data.core.allowance_share import AllowanceShare, PrivateStore
from opt_data.core.clock import SystemClock
from opt_data.errors import AllowanceUnavailable
from tests.allowance.worker import POLICY

HERE = Path(__file__).parent
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def run(script: str, *arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, str(HERE / script), *arguments]
        environment = os.environ | {"PYTHONPATH": str(HERE.parents[1] / "plugins")}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def server(start: Start) -> "subprocess.Popen[str]":
    return start("redis_server.py")


@pytest.fixture
def port(server: "subprocess.Popen[str]") -> int:
    return int(server.stdout.readline())


def share(port: int, name: str, **more: object) -> AllowanceShare:
    return AllowanceShare(RedisStore(RedisAddress("127.0.0.1", port), "gateway:4001"), POLICY, name, **more)


def test_processes_together_keep_to_the_limit_and_use_it(start, port):
    workers = [start("worker.py", f"redis:{port}", name, "send", "4.0") for name in "abc"]

    sent = [[float(line) for line in worker.communicate()[0].split()] for worker in workers]

    times = sorted(at for moments in sent for at in moments)
    assert max(sum(1 for at in times if first <= at < first + 1.0) for first in times) < 50
    assert all(len(moments) > 10 for moments in sent)


def test_lines_of_a_killed_process_come_back(start, port, monkeypatch):
    holders = [start("worker.py", f"redis:{port}", name, "hold", "600") for name in "ab"]
    assert [holder.stdout.readline().strip() for holder in holders] == ["10", "10"]
    mine = share(port, "mine")
    assert sum(mine.take(Resource.LINE) for _ in range(30)) == 10

    for holder in holders:
        holder.kill()
        holder.wait()
    read = RedisStore._read

    def later(store: RedisStore) -> list[object]:
        watched, data, (seconds, microseconds) = read(store)
        return [watched, data, (int(seconds) + int(ALIVE_S) + 1, microseconds)]

    monkeypatch.setattr(RedisStore, "_read", later)

    assert sum(mine.take(Resource.LINE) for _ in range(30)) == 20


def test_without_its_server_a_task_goes_on_alone_with_an_even_part(server, port):
    one = share(port, "one", alone=PrivateStore(SystemClock()), tasks=3)
    assert one.take(Resource.LINE)

    server.kill()
    server.wait()

    assert sum(one.take(Resource.LINE) for _ in range(30)) == 9  # of an even part of ten it holds one already
    assert one.is_alone


def test_a_server_that_does_not_answer_is_waited_for_within_bounds(monkeypatch):
    import socket

    monkeypatch.setattr(redis_store, "ANSWER_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(AllowanceUnavailable, match="Redis at 127"):
        share(silent.getsockname()[1], "one").sign_of_life()


def test_a_change_is_made_again_when_another_task_was_faster(port):
    mine, other = share(port, "mine"), share(port, "other")
    seen: list[int] = []

    def change(state: object, now: float) -> None:
        if not seen:
            other.take(Resource.LINE)
        seen.append(state.held(Resource.LINE))

    RedisStore(RedisAddress("127.0.0.1", port), "gateway:4001").transact(change)

    assert seen == [0, 1]
    assert sum(mine.take(Resource.LINE) for _ in range(40)) == 29


def test_a_line_whose_change_is_made_again_is_held_once(port, monkeypatch):
    """A task's first line: what it holds is in no state yet that the second try could start from."""
    mine, other = share(port, "mine"), share(port, "other")
    read, is_first = RedisStore._read, True

    def overtaken(store: RedisStore) -> list[object]:
        nonlocal is_first
        found, was_first, is_first = read(store), is_first, False
        if was_first:
            other.take(Resource.LINE)
        return found

    monkeypatch.setattr(RedisStore, "_read", overtaken)

    assert mine.take(Resource.LINE)

    probe = RedisStore(RedisAddress("127.0.0.1", port), "gateway:4001")
    assert probe.transact(lambda state, now: state.held(Resource.LINE)) == 2


def test_a_state_that_may_have_been_lost_is_begun_after_a_pause(port):
    assert 0.5 < share(port, "one").send_or_wait_s(lambda: None) <= PAUSE_AFTER_LOSS_S


def test_a_connection_that_was_closed_while_idle_is_made_anew(port):
    store = RedisStore(RedisAddress("127.0.0.1", port), "gateway:4001")
    store.transact(lambda state, now: None)
    store._connection._sock.close()

    assert store.transact(lambda state, now: len(state.holders)) == 0


def test_whoever_leaves_closes_the_connection(port):
    before = sum(1 for _ in Path("/proc/self/fd").iterdir())
    for number in range(5):
        one = share(port, f"task {number}")
        assert one.take(Resource.LINE)
        one.leave()

    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) == before


def test_no_text_tells_the_password():
    address = RedisAddress("127.0.0.1", 1, username="us", password="secret-word")

    with pytest.raises(AllowanceUnavailable) as caught:
        AllowanceShare(RedisStore(address, "gateway:4001"), POLICY, "one").sign_of_life()

    assert "secret-word" not in f"{address!r} {caught.value!r} {caught.value.__cause__!r}"


def test_times_are_the_servers(port):
    before = time.time()
    told = RedisStore(RedisAddress("127.0.0.1", port), "gateway:4001").transact(lambda state, now: now)

    assert before - 0.001 <= told <= time.time()
