"""Run logs: what each stage did, one JSON object a line, one file a task and day."""

import errno
import fcntl
import json
import os
import re
from collections.abc import Mapping
from datetime import date, datetime
from enum import Enum
from pathlib import Path

from opt_data.core.clock import Clock
from opt_data.errors import StorageUnavailable

GATEWAY = "gateway"
"""The task under which events of connections to the gateway lie: one file a day."""
ERRORS = "errors"
"""The task under which error logs lie: one file a day."""

_DATE_IN_NAME = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})")
_TASK = re.compile(r"[a-z][a-z0-9_]*")


class RunLog:
    """Appends to ``<directory>/<task>/<YYYY-MM-DD>.jsonl``.

    Parameters
    ----------
    directory
        ``state/run_logs``.
    clock
        Gives each line its ``logged_at`` (UTC).
    """

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock

    def path(self, task: str, day: date) -> Path:
        """The file of one task (lower case, e.g. ``discovery``) and New York trading day."""
        if not _TASK.fullmatch(task):
            raise ValueError(f"{task!r} cannot name a run log")
        return self._directory / task / f"{day.isoformat()}.jsonl"

    def append(self, task: str, day: date, record: Mapping[str, object]) -> Path:
        """Append one line. Lines of processes that write at once do not mix: each is a single append.

        Dates, instants and enumerations are written as text. A line that a kill or a full disk cut short stays as it
        is; the next one begins on a line of its own.

        Raises
        ------
        StorageUnavailable
            Full disk, missing rights.
        """
        path = self.path(task, day)
        line = json.dumps(
            {"logged_at": self._clock.now(), **record}, default=_encode, ensure_ascii=False, allow_nan=False
        )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                # Without it, a line that another writer has half written would look cut short.
                fcntl.flock(file, fcntl.LOCK_EX)
                _write_whole(file, (("" if _ends_with_a_line(file) else "\n") + line + "\n").encode())
            finally:
                os.close(file)
        except OSError as error:
            raise StorageUnavailable(f"{path} cannot be written: {error}", path=str(path)) from error
        return path

    def append_once(self, task: str, day: date, key: str, record: Mapping[str, object]) -> bool:
        """Append a line unless one with the same ``key`` is there, also among processes that try at once.

        Returns
        -------
        bool
            Whether the line was written by this call.

        Raises
        ------
        StorageUnavailable
            Full disk, missing rights.
        """
        path = self.path(task, day)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.with_suffix(".once").open("a", encoding="utf-8") as turn:
                fcntl.flock(turn, fcntl.LOCK_EX)
                if any(line.get("key") == key for line in self.read(task, day)):
                    return False
                self.append(task, day, {"key": key, **record})
                return True
        except OSError as error:
            raise StorageUnavailable(f"{path} cannot be written: {error}", path=str(path)) from error

    def read(self, task: str, day: date) -> list[dict[str, object]]:
        """The lines of one task and day, oldest first; a line that a kill left half written is left out.

        Raises
        ------
        StorageUnavailable
            Missing rights.
        """
        path = self.path(task, day)
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StorageUnavailable(f"{path} cannot be read: {error}", path=str(path)) from error
        return [record for line in text.splitlines() if (record := _record(line)) is not None]

    def files_before(self, task: str, day: date) -> list[Path]:
        """The files of one task whose names hold an earlier date, as ``2025-11-24`` or ``20251124``, in order."""
        folder = self.path(task, day).parent
        return sorted(path for path in folder.glob("*") if path.is_file() and _is_before(path.name, day))

    def remove(self, path: Path) -> None:
        """Delete one file of the run logs; nothing happens if it is gone.

        Raises
        ------
        StorageUnavailable
            Missing rights.
        """
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StorageUnavailable(f"{path} cannot be deleted: {error}", path=str(path)) from error


def _record(line: str) -> dict[str, object] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _ends_with_a_line(file: int) -> bool:
    size = os.fstat(file).st_size
    return size == 0 or os.pread(file, 1, size - 1) == b"\n"


def _write_whole(file: int, data: bytes) -> None:
    """Raise where less than all is taken, as by the last free block of a disk."""
    if (written := os.write(file, data)) < len(data):
        raise OSError(errno.ENOSPC, f"only {written} of {len(data)} bytes were taken")


def _is_before(name: str, day: date) -> bool:
    found = _DATE_IN_NAME.search(name)
    return found is not None and "".join(found.groups()) < day.strftime("%Y%m%d")


def _encode(value: object) -> object:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form in a run log")
