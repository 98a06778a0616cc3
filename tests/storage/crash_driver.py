"""A process that forks writers and kills them, for the crash tests: real processes, real SIGKILL.

Everything is imported once, so that a writer costs a fork and not a start of the interpreter. Run with ``plugins`` and
``tests`` on the path, as
``crash_driver.py at-every-call BASE WORK``, ``at-random ROOT KILLS SEED`` or ``side-by-side ROOT WRITERS ATTEMPTS``.
"""

import contextlib
import fcntl
import os
import random
import select
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pyarrow.compute
import pyarrow.parquet  # noqa: F401  (imported here once, for every writer forked below)

from fakes.chain import SLOT, error_row, ingest, late_row, quote_row
from fakes.clock import FixedClock
from opt_data.core.slot_account import Expectation
from opt_data.storage.chain_store import ChainStore
from opt_data.storage.ledger import SlotLedger
from opt_data.storage.local import LocalObjectStore

WATCHED = [(os, name) for name in ("open", "write", "fsync", "mkdir", "rename", "unlink", "close")] + [(fcntl, "flock")]


def commit(root: Path, name: str, rows: list[dict[str, object]], attempt: int, symbol: str = "AAPL") -> None:
    port = LocalObjectStore(root)
    clock = FixedClock(SLOT.instant_utc + timedelta(seconds=attempt))
    chains = ChainStore(port, clock)
    chains.commit_attempt(SLOT, symbol, "SMART", rows, ingest(name, attempt))
    SlotLedger(port, clock, chains).update(SLOT, [Expectation(symbol, "SMART", frozenset(range(1, 9)))])


def child(body: Callable[[], None]) -> int:
    """Fork; the child runs ``body`` and exits 0, or 1 with its traceback."""
    pid = os.fork()
    if pid:
        return pid
    try:
        body()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


@contextlib.contextmanager
def killed_at(call: int) -> Iterator[None]:
    """Die by SIGKILL right before the n-th call of the watched functions; a write has then written its first half."""
    calls = 0

    def counted(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def watched(*arguments: object, **more: object) -> object:
            nonlocal calls
            calls += 1
            if calls == call:
                if name == "write":
                    real(arguments[0], arguments[1][: len(arguments[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **more)

        return watched

    for module, name in WATCHED:
        setattr(module, name, counted(name, getattr(module, name)))
    yield


def at_every_call(base: Path, work: Path) -> None:
    """Kill the second attempt at each of its system calls in turn, each time on a fresh copy of ``base``.

    Prints how many calls there are; ``work/000`` is the copy whose writer was never killed.
    """
    call = 1
    while True:
        root = work / f"{call:03d}"
        shutil.copytree(base, root)

        def second_attempt(root: Path = root, call: int = call) -> None:
            with killed_at(call):
                commit(root, "second", [late_row(1), quote_row(2), quote_row(3), quote_row(4)], 2)

        _, status = os.waitpid(child(second_attempt), 0)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            call += 1
            continue
        assert status == 0, f"writer {call} failed"
        root.rename(work / "000")
        print(call - 1)
        return


def at_random(root: Path, kills: int, seed: int) -> None:
    """Let writers commit attempt after attempt and kill each at a random moment; prints the attempts they finished."""
    dice = random.Random(seed)
    for number in range(kills):
        reading, writing = os.pipe()

        def write_on(number: int = number, writing: int = writing) -> None:
            own = random.Random(seed * 1000 + number)
            for attempt in range(1, 1000):
                conids = own.sample(range(1, 9), own.randint(1, 8))
                kinds = [own.choice((quote_row, late_row, error_row)) for _ in conids]
                name = f"w{number}-{attempt}"
                commit(root, name, [kind(conid) for kind, conid in zip(kinds, conids, strict=True)], attempt)
                os.write(writing, f"{name}:{len(conids)}\n".encode())

        pid = child(write_on)
        os.close(writing)
        finished = b""
        wanted = dice.randint(0, 2)
        while finished.count(b"\n") < wanted:
            finished += os.read(reading, 65536)
        select.select([], [], [], dice.random() * 0.05)  # nothing to wait for: a random moment of the next attempt
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        while rest := os.read(reading, 65536):
            finished += rest
        os.close(reading)
        print(finished.decode(), end="")


def side_by_side(root: Path, writers: int, attempts: int) -> None:
    """Writers that begin together and commit to one slot: contracts of their own, and contracts they share."""
    reading, writing = os.pipe()
    pids = []
    for writer in range(writers):

        def write(writer: int = writer) -> None:
            os.close(writing)
            os.read(reading, 1)  # returns when the parent closes its end
            for attempt in range(1, attempts + 1):
                own, shared = 100 * (writer + 1) + attempt, 1
                name = f"w{writer}-{attempt}"
                commit(root, name, [quote_row(own), late_row(shared)], attempt)
                commit(root, f"{name}-own", [quote_row(1)], attempt, symbol=f"SYM{writer}")

        pids.append(child(write))
    os.close(writing)
    os.close(reading)
    failed = [pid for pid in pids if os.waitpid(pid, 0)[1] != 0]
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    verb, *arguments = sys.argv[1:]
    if verb == "at-every-call":
        at_every_call(Path(arguments[0]), Path(arguments[1]))
    elif verb == "at-random":
        at_random(Path(arguments[0]), int(arguments[1]), int(arguments[2]))
    elif verb == "side-by-side":
        side_by_side(Path(arguments[0]), int(arguments[1]), int(arguments[2]))
    else:
        sys.exit(f"{verb}: unknown")
