"""The contracts caches: one JSON file a symbol and day, frozen once written, replaced atomically or not at all."""

import errno
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from pathlib import Path

from opt_data.core.contracts import ContractSet
from opt_data.core.discovery_plan import only_adds
from opt_data.errors import CommitConflict, SchemaMismatch, StorageUnavailable
from opt_data.storage.atomic_file import write_atomically
from opt_data.storage.contract_set_json import contract_set_from_json, contract_set_to_json
from opt_data.storage.layout import check_symbol

LOOK_BACK_DAYS = 45
"""How far ``latest_before`` looks; anything older would be verified anew anyway."""


class CacheStatus(StrEnum):
    """What was found where a contract set should be."""

    OK = "ok"
    MISSING = "missing"
    EMPTY = "empty"
    CORRUPT = "corrupt"


@dataclass(frozen=True, slots=True)
class CacheRead:
    """One look at a cache file. ``contract_set`` is there exactly when the status is ok; ``problem`` says why not."""

    status: CacheStatus
    path: Path
    contract_set: ContractSet | None = None
    problem: str = ""


class ContractCache:
    """The contract sets in one directory.

    Parameters
    ----------
    directory
        ``state/contracts_cache``; created on the first write.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, symbol: str, day: date) -> Path:
        """Where the set of one symbol and day is. A class share's blank becomes a dot: ``BRK.B_2025-11-24.json``.

        Raises
        ------
        ValueError
            The symbol has characters of a path.
        """
        name = check_symbol(symbol).replace(" ", ".")
        return self.directory / f"{name}_{day.isoformat()}.json"

    def load(self, symbol: str, day: date) -> CacheRead:
        """Look at one file. A missing, empty or corrupt one is an answer, not an exception, and is left in place.

        Raises
        ------
        StorageUnavailable
            The file is there but cannot be read (rights, a failing disk).
        """
        path = self.path(symbol, day)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return CacheRead(CacheStatus.MISSING, path, problem=f"{path} does not exist")
        except OSError as error:
            raise StorageUnavailable(f"{path} cannot be read: {error}", path=str(path)) from error
        if not content.strip():
            return CacheRead(CacheStatus.EMPTY, path, problem=f"{path} has no content")
        try:
            contract_set = contract_set_from_json(content.decode("utf-8"))
        except (SchemaMismatch, UnicodeDecodeError) as error:
            return CacheRead(CacheStatus.CORRUPT, path, problem=f"{path}: {error}")
        if contract_set.underlying.symbol != symbol or contract_set.trade_date != day:
            problem = f"{path} holds {contract_set.underlying.symbol} of {contract_set.trade_date}"
            return CacheRead(CacheStatus.CORRUPT, path, problem=problem)
        if not contract_set.contracts:
            return CacheRead(CacheStatus.EMPTY, path, problem=f"{path} has no contracts")
        return CacheRead(CacheStatus.OK, path, contract_set)

    def save(self, contract_set: ContractSet, *, replace: bool = False) -> Path:
        """Write a set: after a crash at any moment either the old file or the new one is there, whole.

        The set of a day is frozen: a good one may only grow. An unreadable or empty one is set aside as
        ``….corrupt-<n>``, never deleted.

        Parameters
        ----------
        contract_set
            Must hold at least one contract.
        replace
            Also replace a good set of the same day, e.g. a stale one before the open.

        Raises
        ------
        CommitConflict
            The day already has a different set, maybe written a moment ago by another process: load it instead.
        SchemaMismatch
            The set is empty or contradicts itself.
        StorageUnavailable
            Full disk, missing rights.
        """
        symbol, day = contract_set.underlying.symbol, contract_set.trade_date
        path = self.path(symbol, day)
        if not contract_set.contracts:
            raise SchemaMismatch(f"the contract set of {symbol} for {day} is empty; an empty set is never frozen")
        content = contract_set_to_json(contract_set).encode("utf-8")
        try:
            with self._locked():
                current = self.load(symbol, day)
                if (
                    current.contract_set is not None
                    and not replace
                    and not only_adds(current.contract_set, contract_set)
                ):
                    raise CommitConflict(f"{path} is frozen for the day; the new set would change or drop contracts")
                if current.status in (CacheStatus.EMPTY, CacheStatus.CORRUPT):
                    _set_aside(path)
                write_atomically(path, content)
        except OSError as error:
            reason = "the disk is full" if error.errno == errno.ENOSPC else str(error)
            raise StorageUnavailable(f"{path} cannot be written: {reason}", path=str(path)) from error
        return path

    def latest_before(self, symbol: str, day: date, *, fresh_only: bool = False) -> ContractSet | None:
        """The newest good set of an earlier day, at most 45 days back; unreadable and empty files are passed over.

        ``fresh_only`` also passes over stale sets, so that a set is never carried over from one carried over itself.
        """
        for days in range(1, LOOK_BACK_DAYS + 1):
            found = self.load(symbol, day - timedelta(days=days)).contract_set
            if found is not None and not (fresh_only and found.stale):
                return found
        return None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Only one process at a time checks and writes; the kernel drops the lock of one that dies."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _set_aside(path: Path) -> Path:
    number = 1
    while (target := path.with_name(f"{path.name}.corrupt-{number}")).exists():
        number += 1
    path.rename(target)
    return target
