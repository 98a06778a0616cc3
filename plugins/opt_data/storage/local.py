"""The object store on a file system: stage, fsync, lock, compare, rename, fsync.

A process killed at any byte leaves the old object or the new one, and at worst a staged file under ``_staging``, which
readers never look at and the next writer sweeps. Locks are advisory ``flock`` locks: writers of one root must run on
one host, or on a file system whose ``flock`` works across hosts.
"""

import errno
import fcntl
import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from opt_data.errors import AlreadyRunning, CommitConflict, StorageUnavailable
from opt_data.storage.port import MUST_NOT_EXIST, ObjectMark

STAGING = "_staging"
LOCKS = "_locks"

_LOCK_FILES = 256
"""Keys share lock files by hash, so that locks never need cleaning up; a lock is held for milliseconds."""

_LOCK_NAME = re.compile(r"[A-Za-z0-9_-]{3,64}")

_REMEDIES = {
    errno.ENOSPC: "the disk is full: free space or move the data root",
    errno.EDQUOT: "the disk quota is used up: free space or raise the quota",
    errno.EFBIG: "the file would be larger than this process may write: raise its file size limit (ulimit -f)",
    errno.EACCES: "this user may not write there: fix owner or mode",
    errno.EPERM: "this user may not write there: fix owner or mode",
    errno.EROFS: "the file system is mounted read-only: remount it writable (check the kernel log for disk errors)",
    errno.ENOTDIR: "a file stands where a directory is needed: move it away",
    errno.EEXIST: "a file stands where a directory is needed: move it away",
    errno.EISDIR: "a directory stands where a file is needed: move it away",
    errno.EXDEV: "the data root must be one file system: do not mount or link another one inside it",
    errno.ENOLCK: "the file system has no flock locks: use a local one, or mount it with locks",
    errno.EOPNOTSUPP: "the file system has no flock locks: use a local one, or mount it with locks",
    errno.EIO: "the disk reports an error: check the hardware",
}


@dataclass(frozen=True, slots=True)
class LocalObject:
    """A file's bytes; most readers never ask for their version."""

    data: bytes

    @property
    def version(self) -> str:
        return _version(self.data)


class LocalObjectStore:
    """An ``ObjectStore`` below one directory.

    The version of an object is the SHA-256 of its bytes: equal bytes are the same version.

    Parameters
    ----------
    root
        The directory; created on the first write. It must be one file system.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._swept = False

    def path_of(self, key: str) -> Path:
        """The file that holds an object; for messages and for engines that read files themselves."""
        _check_key(key)
        return self.root / key

    def read(self, key: str) -> LocalObject | None:
        path = self.path_of(key)
        with _explained(path):
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                return None
        return LocalObject(data)

    def put(self, key: str, data: bytes | memoryview, *, expected: str) -> str:
        path = self.path_of(key)
        with _explained(path):
            if not self._swept:
                self.sweep_staging()
                self._swept = True
            with self._staged(data) as staged, self._locked(key):
                self._compare(path, key, expected)
                made = self._make_directory(path.parent, syncs=False)
                staged.rename(path)
                for directory in (path.parent, *made):
                    _sync_directory(directory)
        return _version(data)

    def list(self, prefix: str) -> Iterator[str]:
        folder = prefix[: prefix.rfind("/") + 1]
        if folder and not _is_key(folder.removesuffix("/")):
            return
        with _explained(self.root / prefix):
            yield from sorted(self._walk(folder, prefix))

    def delete(self, key: str, *, expected: str | None = None) -> None:
        path = self.path_of(key)
        with _explained(path):
            if not path.parent.is_dir():
                return
            with self._locked(key):
                if expected is not None and path.exists():
                    self._compare(path, key, expected)
                path.unlink(missing_ok=True)
                _sync_directory(path.parent)

    def open(self, key: str) -> BinaryIO | None:
        path = self.path_of(key)
        with _explained(path):
            try:
                return path.open("rb")
            except FileNotFoundError:
                return None

    def marks(self, prefix: str) -> Iterator[ObjectMark]:
        """Writers rename new files into place, so that inode, size and time of change tell replaced objects apart."""
        for key in self.list(prefix):
            with suppress(FileNotFoundError):
                status = (self.root / key).stat()
                yield ObjectMark(key, f"{status.st_ino}-{status.st_size}-{status.st_mtime_ns}", status.st_size)

    def move(self, moves: Sequence[tuple[str, str]]) -> None:
        paths = [(self.path_of(source.rstrip("/")), self.path_of(target.rstrip("/"))) for source, target in moves]
        with _explained(self.root):
            for _, target in paths:
                self._make_directory(target.parent)
            for source, target in paths:
                self._replace(source, target)
            for parent in sorted({path.parent for pair in paths for path in pair}):
                with suppress(FileNotFoundError):
                    _sync_directory(parent)

    def delete_all(self, folder: str) -> None:
        path = self.path_of(folder.rstrip("/"))
        with _explained(path):
            if path.is_dir():
                shutil.rmtree(path)
                _sync_directory(path.parent)

    @contextmanager
    def lock(self, name: str, *, shared: bool = False, wait: bool = True) -> Iterator[None]:
        if not _LOCK_NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot name a lock")
        path = self.root / LOCKS / f"{name}.lock"
        with _explained(path):
            self._make_directory(path.parent)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError as error:
                os.close(descriptor)
                raise AlreadyRunning(f"{name} is locked by another process ({path})") from error
        try:
            yield
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    def sweep_staging(self) -> int:
        """Remove what killed writers left staged; returns how many files. Files of living writers are locked."""
        swept = 0
        with suppress(FileNotFoundError):
            for entry in os.scandir(self.root / STAGING):
                with suppress(FileNotFoundError, BlockingIOError):
                    descriptor = os.open(entry.path, os.O_RDWR)
                    try:
                        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        Path(entry.path).unlink()
                        swept += 1
                    finally:
                        os.close(descriptor)
        return swept

    def _replace(self, source: Path, target: Path) -> None:
        """Rename, also when somebody removes the target's empty folder meanwhile; a source that is gone is done."""
        while True:
            try:
                source.replace(target)
                return
            except FileNotFoundError:
                if not source.exists():
                    return
                self._make_directory(target.parent)

    @contextmanager
    def _staged(self, data: bytes | memoryview) -> Iterator[Path]:
        """A complete, synced file on the same file system, locked so that no sweeper takes it, gone afterwards."""
        directory = self.root / STAGING
        self._make_directory(directory)
        descriptor, staged = _create_locked(directory)
        try:
            _write_all(descriptor, data)
            os.fsync(descriptor)
            yield staged
        finally:
            staged.unlink(missing_ok=True)
            os.close(descriptor)

    @contextmanager
    def _locked(self, key: str) -> Iterator[None]:
        stripe = int.from_bytes(hashlib.sha256(key.encode()).digest()[:2], "big") % _LOCK_FILES
        directory = self.root / LOCKS
        self._make_directory(directory)
        descriptor = os.open(directory / f"{stripe:02x}.lock", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            # not left to close: a process forked meanwhile has a copy of the descriptor and would keep the lock
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    def _compare(self, path: Path, key: str, expected: str) -> None:
        try:
            current = _version(path.read_bytes())
        except FileNotFoundError:
            current = MUST_NOT_EXIST
        if current != expected:
            found = "is gone" if current == MUST_NOT_EXIST else "exists" if expected == MUST_NOT_EXIST else "changed"
            raise CommitConflict(f"{key} {found}: another writer was faster")

    def _make_directory(self, directory: Path, *, syncs: bool = True) -> tuple[Path, ...]:
        """Create a directory and its parents; returns the directories that hold the new ones, lowest first.

        They are synced, so that a power cut cannot lose them, unless the caller does it once the file is there too:
        then mostly one flush serves all.
        """
        if directory.is_dir():
            return ()
        if directory != self.root:
            above: tuple[Path, ...] = self._make_directory(directory.parent, syncs=syncs)
            directory.mkdir(exist_ok=True)
        else:
            above = ()
            directory.mkdir(parents=True, exist_ok=True)
        if syncs:
            _sync_directory(directory.parent)
        return (directory.parent, *above)

    def _walk(self, folder: str, prefix: str) -> Iterator[str]:
        """Keys below one folder key (empty or ending in ``/``), entering only folders that can hold the prefix."""
        try:
            entries = list(os.scandir(self.root / folder))
        except (FileNotFoundError, NotADirectoryError):
            return
        for entry in entries:
            key = folder + entry.name
            if key in (STAGING, LOCKS):
                continue
            if entry.is_dir():
                if (key + "/").startswith(prefix) or prefix.startswith(key + "/"):
                    yield from self._walk(key + "/", prefix)
            elif key.startswith(prefix):
                yield key


def _check_key(key: str) -> None:
    if not _is_key(key):
        raise ValueError(f"{key!r} is not a key")


def _is_key(key: str) -> bool:
    parts = key.split("/")
    return "\0" not in key and parts[0] not in (STAGING, LOCKS) and not any(part in ("", ".", "..") for part in parts)


def _version(data: bytes | memoryview) -> str:
    return hashlib.sha256(data).hexdigest()


def _create_locked(directory: Path) -> tuple[int, Path]:
    """A new file, locked. A sweeper may take it between creation and lock: then try again."""
    while True:
        path = directory / f"{uuid.uuid4().hex}.stage"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            if path.stat().st_ino == os.fstat(descriptor).st_ino:
                return descriptor, path
        except FileNotFoundError:
            pass
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes | memoryview) -> None:
    """A write may take only a part, e.g. up to the limit or the last free block: the next one says why."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn the operating system's errors into ours, with the path and what to do."""
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "see the error")
        where = str(error.filename or path)
        raise StorageUnavailable(f"{where}: {error.strerror or error}; {remedy}", path=where) from error
