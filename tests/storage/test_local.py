"""The file system's own side of the port: staging, sweeping, faults of the disk."""

import errno
import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from opt_data.errors import CommitConflict, StorageUnavailable
from opt_data.storage.local import STAGING, LocalObjectStore
from opt_data.storage.port import MUST_NOT_EXIST

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def store(root: Path) -> LocalObjectStore:
    return LocalObjectStore(root)


def files_below(root: Path) -> set[str]:
    found = (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    return {name for name in found if not name.startswith("_locks/")}


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "../a", "a/../b", "a/./b", "a\0b", "_staging/a", "_locks/a"])
def test_a_key_never_leaves_the_root_or_meets_our_own_folders(store: LocalObjectStore, key: str) -> None:
    for call in (store.read, store.delete, lambda key: store.put(key, b"", expected=MUST_NOT_EXIST)):
        with pytest.raises(ValueError, match="is not a key"):
            call(key)


def test_reading_and_listing_create_nothing(store: LocalObjectStore, root: Path) -> None:
    assert store.read("a/b") is None
    assert list(store.list("a/")) == []
    store.delete("a/b")
    assert not root.exists()


def test_what_a_killed_writer_staged_is_swept_by_the_next_write(store: LocalObjectStore, root: Path) -> None:
    (root / STAGING).mkdir(parents=True)
    (root / STAGING / "left-over.stage").write_bytes(b"half a fi")
    store.put("a", b"one", expected=MUST_NOT_EXIST)
    assert files_below(root) == {"a"}


def test_what_a_living_writer_has_staged_is_left_alone(store: LocalObjectStore, root: Path) -> None:
    (root / STAGING).mkdir(parents=True)
    staged = root / STAGING / "alive.stage"
    with staged.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert store.sweep_staging() == 0
        assert staged.exists()
    assert store.sweep_staging() == 1


def test_staged_files_match_no_readers_glob(
    store: LocalObjectStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[Path]] = []
    rename = Path.rename

    def watch(self: Path, target: Path) -> Path:
        seen.append([path for path in root.rglob("*.parquet")])
        assert self.exists()
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", watch)
    store.put("x/slot_03.parquet", b"PAR1", expected=MUST_NOT_EXIST)
    assert seen == [[]]
    assert list(root.rglob("*.parquet")) == [root / "x" / "slot_03.parquet"]


def test_between_comparing_and_renaming_nobody_else_gets_in(
    store: LocalObjectStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = store.put("a", b"old", expected=MUST_NOT_EXIST)
    rename, flock = Path.rename, fcntl.flock
    outcome: list[object] = []
    locks_taken: list[int] = []
    waits = threading.Event()

    def put_as_second() -> None:
        try:
            outcome.append(LocalObjectStore(root).put("a", b"second", expected=version))
        except CommitConflict as conflict:
            outcome.append(conflict)

    second = threading.Thread(target=put_as_second)

    def watched_flock(descriptor: int, operation: int) -> None:
        if threading.current_thread() is second and operation == fcntl.LOCK_EX:
            locks_taken.append(descriptor)
            if len(locks_taken) == 2:  # the first is on its own staged file
                waits.set()
        flock(descriptor, operation)

    def interrupted_rename(self: Path, target: Path) -> Path:
        if threading.current_thread() is not second:
            second.start()
            while not waits.wait(0.01) and second.is_alive():
                pass
        return rename(self, target)

    monkeypatch.setattr(fcntl, "flock", watched_flock)
    monkeypatch.setattr(Path, "rename", interrupted_rename)
    store.put("a", b"first", expected=version)
    second.join()
    assert isinstance(outcome[0], CommitConflict)
    assert store.read("a").data == b"first"


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free space"),
        (errno.EDQUOT, "quota"),
        (errno.EACCES, "owner or mode"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "hardware"),
    ],
)
@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_a_fault_of_the_disk_names_path_and_remedy_and_leaves_the_old_state(
    store: LocalObjectStore, root: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int, remedy: str
) -> None:
    version = store.put("a/b", b"one", expected=MUST_NOT_EXIST)

    def fail(*arguments: object, **more: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as broken:
        broken.setattr(os, call, fail)
        with pytest.raises(StorageUnavailable, match=remedy) as raised:
            store.put("a/b", b"two", expected=version)
    assert str(root) in raised.value.path
    assert store.read("a/b").data == b"one"
    assert files_below(root) == {"a/b"}
    store.put("a/b", b"two", expected=version)


def test_a_file_where_a_directory_is_needed_is_named(store: LocalObjectStore, root: Path) -> None:
    # Tests may run as root, whom no file mode keeps out: a file in the way fails for everybody.
    root.mkdir(parents=True)
    (root / "raw").write_text("in the way")
    with pytest.raises(StorageUnavailable, match="move it away"):
        store.put("raw/ib/x", b"one", expected=MUST_NOT_EXIST)
    with pytest.raises(StorageUnavailable, match="move it away"):
        store.read("raw/ib/x")
    assert files_below(root) == {"raw"}


def test_a_root_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")
    with pytest.raises(StorageUnavailable) as raised:
        LocalObjectStore(tmp_path / "data").put("a", b"one", expected=MUST_NOT_EXIST)
    assert raised.value.path.startswith(str(tmp_path / "data"))


LIMITED = """
import resource, sys
from pathlib import Path
from opt_data.errors import StorageUnavailable
from opt_data.storage.local import LocalObjectStore
store = LocalObjectStore(Path(sys.argv[1]))
version = store.put("a", b"x" * 1000, expected="")
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
try:
    store.put("a", b"y" * 20000, expected=version)
except StorageUnavailable as error:
    print(error)
"""


def test_a_write_that_the_kernel_cuts_short_leaves_the_old_object(root: Path) -> None:
    # A full disk cannot be had without a mount. A file size limit makes the kernel do the same: take a part, then fail.
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(root)], capture_output=True, text=True, env=_environment(), check=True
    )
    assert "larger than this process may write" in done.stdout
    assert (root / "a").read_bytes() == b"x" * 1000
    assert files_below(root) == {"a"}


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "plugins")}
