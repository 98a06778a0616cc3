"""The shared state in a small locked file: all tasks of one host, and nothing else to run."""

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from opt_data.allowance.state_json import decode, encode
from opt_data.core.allowance import PAUSE_AFTER_LOSS_S, AllowanceState, as_of_now
from opt_data.errors import AllowanceUnavailable

T = TypeVar("T")

SIZE = 64 * 1024
"""The file's size from its first moment on, so that a full disk does not stop anybody later."""


class FileStore:
    """One file, one exclusive lock around each change; the kernel drops the lock of a process that dies.

    Times are this host's monotonic clock, which all its processes and containers share. A state that was cut short, by
    a kill in the middle of writing, is begun anew after a moment's pause.

    Parameters
    ----------
    path
        The gateway's file; its folder is created on first use. Must lie on a disk of this host.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    @property
    def repeats(self) -> bool:
        return False

    def now(self) -> float:
        return time.monotonic()

    def transact(self, change: Callable[[AllowanceState, float], T]) -> T:
        try:
            file = self._opened()
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                now = self.now()
                state = self._read(file, now)
                result = change(state, now)
                os.pwrite(file, encode(state) + b"\0", 0)
                return result
            finally:
                fcntl.flock(file, fcntl.LOCK_UN)
        except OSError as error:
            raise AllowanceUnavailable(f"{self._path} cannot be read or written: {error}") from error

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _opened(self) -> int:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            if os.fstat(self._file).st_size < SIZE:
                os.posix_fallocate(self._file, 0, SIZE)
        return self._file

    @staticmethod
    def _read(file: int, now: float) -> AllowanceState:
        data, _, _ = os.pread(file, SIZE, 0).partition(b"\0")
        if not data:
            return AllowanceState()
        state = decode(data)
        return AllowanceState(next_at=now + PAUSE_AFTER_LOSS_S) if state is None else as_of_now(state, now)
