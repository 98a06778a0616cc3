"""A process that forks writers and disturbs them: SIGKILL at a random call or moment, a full disk, a read-only one.

Everything is imported once, so that a writer costs a fork. Run with ``plugins`` on the path, as
``random_kills.py WORK kill COUNT:SEED…`` or ``random_kills.py WORK no-space|read-only WRITER…``; prints one line of
JSON a trial. A kill is repeated by ``random_kills.py WORK kill 1:SEED --only NUMBER``.
"""

import argparse
import contextlib
import errno
import fcntl
import importlib
import json
import logging
import os
import pickle
import random
import select
import shutil
import signal
import sys
import time
import traceback
import types
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

# this folder, as pytest has it, and not the package of that name that some library installs
sys.modules.setdefault("tests", types.ModuleType("tests")).__path__ = [str(Path(__file__).resolve().parents[1])]

from tests.storage.stored_facts import Facts, cold_rows, left_over, look  # noqa: E402
from tests.storage.trials import (  # noqa: E402
    AFTER,
    BEFORE,
    HALF,
    Fault,
    Trial,
    compare_disturbed,
    compare_finished,
)  # fmt: skip
from tests.storage.writers import WRITERS, Writer, stores_in  # noqa: E402

CALLS = [
    *((os, name) for name in ("open", "write", "fsync", "mkdir", "rename", "replace", "unlink", "rmdir", "close")),
    (fcntl, "flock"),
]
NEEDS_ROOM = {"open to create", "write", "fsync", "mkdir"}
CHANGES = {*NEEDS_ROOM, "rename", "replace", "unlink", "rmdir"}
IMPORTED_ONCE = ("pyarrow.compute", "pyarrow.parquet", "duckdb", "pandas")
REFUSED = 3


def child(body: Callable[[], object]) -> tuple[int, int]:
    """Fork; the child runs ``body`` and exits 0 with its pickled result in the pipe that is returned."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    status = 1
    try:
        os.close(reading)
        result = pickle.dumps(body())
        while result:
            result = result[os.write(writing, result) :]
        status = 0
    except BaseException as error:
        status = REFUSED if type(error).__name__ in ("StorageUnavailable", "AlreadyRunning") else 1
        if status == 1:
            traceback.print_exc()
            sys.stderr.flush()
    os._exit(status)


def collect(pid: int, reading: int) -> tuple[int, Any]:
    data = b""
    while part := os.read(reading, 1 << 20):
        data += part
    os.close(reading)
    _, status = os.waitpid(pid, 0)
    return status, pickle.loads(data) if status == 0 else None


def in_child(body: Callable[[], object]) -> Any:
    status, result = collect(*child(body))
    assert status == 0, f"ended with {status}"
    return result


@contextlib.contextmanager
def watched(at: Callable[[int, str, str], None], when: Callable[[str], bool] = lambda name: True) -> Iterator[None]:
    """Call ``at`` with number, name and moment around each call that changes files or locks them."""
    real = {(module, name): getattr(module, name) for module, name in CALLS}
    calls = 0

    def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            nonlocal calls
            kind = "open to create" if name == "open" and arguments[1] & os.O_CREAT else name
            if not when(kind):
                return function(*arguments, **more)
            calls += 1
            number = calls
            at(number, kind, BEFORE)
            if name == "write" and len(arguments[1]) > 1:
                half = function(arguments[0], arguments[1][: len(arguments[1]) // 2])
                at(number, kind, HALF)
                result = half + function(arguments[0], arguments[1][half:])
            else:
                at(number, kind, HALF)
                result = function(*arguments, **more)
            at(number, kind, AFTER)
            return result

        return call

    for (module, name), function in real.items():
        setattr(module, name, counted(name, function))
    try:
        yield
    finally:
        for (module, name), function in real.items():
            setattr(module, name, function)


def run_disturbed(run: Callable[[Path], None], root: Path, fault: Fault) -> None:
    def at(number: int, name: str, moment: str) -> None:
        if fault.kind == "kill" and fault.call == number and fault.moment == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        if fault.kind != "kill" and number >= fault.call > 0 and moment == BEFORE:
            code = errno.ENOSPC if fault.kind == "no-space" else errno.EROFS
            raise OSError(code, os.strerror(code))

    with watched(at, when=calls_of(fault.kind)):
        run(root)


def calls_of(kind: str) -> Callable[[str], bool]:
    """Which calls a fault can hit."""
    hit = {"no-space": NEEDS_ROOM, "read-only": CHANGES}.get(kind)
    return lambda name: hit is None or name in hit


def count_calls(run: Callable[[Path], None], root: Path, kind: str) -> int:
    last = 0

    def at(number: int, name: str, moment: str) -> None:
        nonlocal last
        last = number

    with watched(at, when=calls_of(kind)):
        run(root)
    return last


class Scene:
    """A writer, what it finds, and what it leaves if nothing disturbs it; each looked up once, when first asked for."""

    def __init__(self, writer: Writer, base: Path, copy: Callable[[Path], Path]) -> None:
        self.writer = writer
        self.base = base
        self._copy = copy
        self._calls: dict[str, int] = {}

    @cached_property
    def before(self) -> Facts:
        return self._after()

    @cached_property
    def alone(self) -> Facts:
        return self._after(self.writer.run)

    @cached_property
    def only_beside(self) -> Facts:
        """What the other one leaves."""
        return self._after(self.writer.beside)

    @cached_property
    def both(self) -> Facts:
        return self._after(self.writer.run, self.writer.beside)

    @cached_property
    def seconds(self) -> float:
        root = self._copy(self.base)
        taken: float = in_child(lambda: timed(self.writer.run, root))
        shutil.rmtree(root)
        return taken

    def calls(self, kind: str) -> int:
        """How many calls a fault of this kind can hit."""
        if kind not in self._calls:
            root = self._copy(self.base)
            self._calls[kind] = in_child(lambda: count_calls(self.writer.run, root, kind))
            shutil.rmtree(root)
        return self._calls[kind]

    def _after(self, *runs: Callable[[Path], None]) -> Facts:

        root = self._copy(self.base)
        for run in runs:
            in_child(lambda run=run: run(root))
        facts: Facts = in_child(lambda: look(root))
        shutil.rmtree(root)
        return facts


class Stage:
    """Prepares scenes and plays trials on copies of what the writers find."""

    def __init__(self, work: Path) -> None:
        self._work = work
        self._scenes: dict[str, Scene] = {}
        self._played = 0

    def scene(self, writer: Writer) -> Scene:
        if writer.name not in self._scenes:
            self._scenes[writer.name] = self._prepared(writer)
        return self._scenes[writer.name]

    def play(self, number: int, writer: Writer, fault: Fault, is_beside: bool) -> Trial:
        """Disturb one run; look; run it again to its end; look again."""

        scene = self.scene(writer)
        root = self._copy(scene.base)
        trial = Trial(number, writer.name, fault, is_beside)
        other = child(lambda: writer.beside(root)) if is_beside else None
        pid, reading = child(lambda: run_disturbed(writer.run, root, fault))
        if fault.after_s is not None:
            select.select([], [], [], fault.after_s)  # nothing to wait for: a random moment
            os.kill(pid, signal.SIGKILL)
        status, _ = collect(pid, reading)
        trial.ended = (
            "killed" if os.WIFSIGNALED(status) else {0: "finished", REFUSED: "refused"}.get(status >> 8, "failed")
        )
        if other:
            other_status, _ = collect(*other)
            assert other_status == 0, f"trial {number}: the one beside ended with {other_status}"
        states = (scene.only_beside, scene.both) if other else (scene.before, scene.alone)
        raw = {place for place in scene.before.rows if place[0] == "raw"}
        cold = in_child(lambda: cold_rows(root))
        compare_disturbed(trial, in_child(lambda: look(root)), writer, states, raw, cold)

        status, _ = collect(*child(lambda: writer.run(root)))
        if status != 0:
            trial.not_as_undisturbed.append(f"the next run ended with {status}")
        compare_finished(trial, in_child(lambda: look(root)), scene.both if other else scene.alone)
        in_child(lambda: stores_in(root).weeks.clean_up())
        trial.not_as_undisturbed += [f"left over: {key}" for key in in_child(lambda: left_over(root))]
        shutil.rmtree(root)
        return trial

    def _prepared(self, writer: Writer) -> Scene:
        base = self._work / "found" / writer.prepare.__name__
        if not base.exists():
            base.mkdir(parents=True)
            in_child(lambda: writer.prepare(base))
        return Scene(writer, base, self._copy)

    def _copy(self, base: Path) -> Path:
        self._played += 1
        root = self._work / f"{self._played:05d}"
        shutil.copytree(base, root)
        return root


def timed(run: Callable[[Path], None], root: Path) -> float:
    started = time.monotonic()
    run(root)
    return time.monotonic() - started


def plan_kill(number: int, seed: str, stage: Stage, writers: tuple[Writer, ...]) -> tuple[Writer, Fault, bool]:
    """Which writer, where, and whether another one works beside it: all by the seed and the trial's number."""
    dice = random.Random(f"{seed}:{number}")
    writer = writers[number % len(writers)]
    scene = stage.scene(writer)
    is_beside = dice.random() < 0.3
    if dice.random() < 0.5:
        fault = Fault("kill", dice.randint(1, scene.calls("kill")), dice.choice((BEFORE, HALF, AFTER)))
    else:
        fault = Fault("kill", after_s=dice.random() * scene.seconds)
    return writer, fault, is_beside


def tell(trial: Trial) -> None:
    print(json.dumps(asdict(trial)), flush=True)


def kill(stage: Stage, count: int, seed: str, only: int | None) -> None:
    """Until so many writers were really killed: one that had ended before its moment does not count."""

    if only is not None:
        tell(stage.play(only, *plan_kill(only, seed, stage, WRITERS)))
        return
    kills, number = 0, 0
    while kills < count:
        trial = stage.play(number, *plan_kill(number, seed, stage, WRITERS))
        kills += trial.is_kill
        number += 1
        tell(trial)


def fail(stage: Stage, kind: str, names: list[str], at_most: int) -> None:
    """Fail from every call on, or from so many of them, spread evenly; the first and the last are among them."""

    for writer in (writer for writer in WRITERS if writer.name in names):
        calls = stage.scene(writer).calls(kind)
        trials = min(at_most, calls)
        for call in sorted({1 + round(number * (calls - 1) / max(trials - 1, 1)) for number in range(trials)}):
            tell(stage.play(call, writer, Fault(kind, call), False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("kind", choices=("kill", "no-space", "read-only"))
    parser.add_argument("what", nargs="+", help="COUNT:SEED, or names of writers")
    parser.add_argument("--only", type=int, help="repeat the trial of this number")
    parser.add_argument("--at-most", type=int, default=10**6, help="so many calls of a writer")
    arguments = parser.parse_args()
    for name in IMPORTED_ONCE:
        importlib.import_module(name)
    logging.disable()
    stage = Stage(arguments.work)
    if arguments.kind != "kill":
        fail(stage, arguments.kind, arguments.what, arguments.at_most)
        return
    for what in arguments.what:
        count, seed = what.split(":")
        kill(stage, int(count), seed, arguments.only)


if __name__ == "__main__":
    main()
