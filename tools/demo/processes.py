"""The demo's child processes, and the promise that none of them is left behind.

A process belongs to the demo of this checkout if one of two things is true. Its environment carries the mark: every
child is started with it and hands it on. Or its session was started by the demo and it works in the demo's folder:
Airflow's workers write their title over their environment, so the mark alone does not find them. Both also hold for
what is left over after the demo itself was killed.
"""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from tools.demo.errors import DemoFailed
from tools.demo.places import write_whole

MARK = "OPT_DATA_DEMO_OF"
PATIENCE_S = 12.0
KILL_WAIT_S = 5.0


@dataclass(slots=True)
class Child:
    """One started process; ``log`` holds what it wrote."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def tail(self, lines: int = 15) -> str:
        """The last lines of the child's log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


class Children:
    """Starts processes in sessions of their own and ends them all.

    Parameters
    ----------
    home
        The folder the children work in; its path is the mark.
    logs
        Folder for one log file a child; an older one is kept as ``.1``.
    record
        File that remembers the sessions, so that the next demo can end what a killed one left.
    patience_s
        How long processes may take to end politely before they are killed.
    """

    def __init__(self, home: Path, logs: Path, record: Path, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._home = home
        self._logs = logs
        self._record = record
        self._children: list[Child] = []
        self._sessions: list[int] = []

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> Child:
        """Start a child whose output goes to ``<logs>/<name>.log``."""
        log = self._logs / f"{name}.log"
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        with log.open("wb") as sink:
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env={**env, MARK: str(self._home)},
                cwd=self._home,
                start_new_session=True,
            )
        self._sessions.append(process.pid)
        write_whole(self._record, json.dumps(self._sessions))
        child = Child(name, process, log)
        self._children.append(child)
        return child

    def run(self, name: str, command: Sequence[str], env: Mapping[str, str], timeout_s: float) -> Child:
        """Start a child and wait for its end.

        Raises
        ------
        DemoFailed
            It failed or took longer than ``timeout_s``; the message ends with its last lines.
        """
        child = self.start(name, command, env)
        try:
            code = child.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise DemoFailed(f"{name} did not finish within {timeout_s:.0f} s; see {child.log}") from None
        if code != 0:
            raise DemoFailed(f"{name} failed with exit code {code}; see {child.log}\n{child.tail()}")
        self._children.remove(child)
        return child

    def require_alive(self) -> None:
        """Raise DemoFailed if a child has ended by itself."""
        for child in self._children:
            code = child.process.poll()
            if code is not None:
                raise DemoFailed(f"{child.name} ended with exit code {code}; see {child.log}\n{child.tail()}")

    def stop_all(self) -> None:
        """End all children and whatever they started, the youngest first, politely and then not.

        Raises
        ------
        DemoFailed
            A process could not be ended even by force.
        """
        for child in reversed(self._children):
            if child.process.poll() is None:
                child.process.terminate()
        left = end_leftovers(self._home, self._record, self._patience_s)
        for child in self._children:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(1)
        self._children.clear()
        if left:
            raise DemoFailed(f"These processes could not be ended: {', '.join(str(pid) for pid in left)}")


def belonging(home: Path, record: Path) -> list[psutil.Process]:
    """Every living process of the demo whose children work in ``home`` and are recorded in ``record``."""
    sessions = set(json.loads(record.read_text())) if record.exists() else set()
    found = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        with contextlib.suppress(psutil.Error, OSError):
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            carries_mark = process.environ().get(MARK) == str(home)
            if carries_mark or (os.getsid(process.pid) in sessions and Path(process.cwd()) == home):
                found.append(process)
    return found


def end_leftovers(home: Path, record: Path, patience_s: float = PATIENCE_S) -> list[int]:
    """End every process of the demo and forget the record; returns the ids of those that would not go.

    A process may start another while we look, so the search is repeated until it finds nothing.
    """
    deadline = time.monotonic() + patience_s
    told: set[psutil.Process] = set()
    while (alive := belonging(home, record)) and time.monotonic() < deadline:
        _signal((process for process in alive if process not in told), signal.SIGTERM)
        told.update(alive)
        psutil.wait_procs(alive, timeout=0.5)
    deadline = time.monotonic() + KILL_WAIT_S
    while (alive := belonging(home, record)) and time.monotonic() < deadline:
        _signal(alive, signal.SIGKILL)
        psutil.wait_procs(alive, timeout=0.5)
    left = [process.pid for process in belonging(home, record)]
    if not left:
        record.unlink(missing_ok=True)
    return left


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
