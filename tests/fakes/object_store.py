"""An object store without directories, renames or locks: what the port promises and nothing more."""

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from opt_data.errors import AlreadyRunning, CommitConflict
from opt_data.storage.port import MUST_NOT_EXIST, ObjectMark


@dataclass(frozen=True)
class MemoryObject:
    """What was read, as it was then."""

    data: bytes
    version: str


class MemoryObjectStore:
    """``ObjectStore`` in a dict. ``before_put`` and ``after_read`` get the key, and can let others in between."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.puts: list[str] = []
        self.locks: dict[str, list[bool]] = {}
        self.before_put: Callable[[str], None] = lambda key: None
        self.after_read: Callable[[str], None] = lambda key: None

    def read(self, key: str) -> MemoryObject | None:
        data = self.objects.get(key)
        stored = None if data is None else MemoryObject(data, self._version(key))
        self.after_read(key)
        return stored

    def put(self, key: str, data: bytes | memoryview, *, expected: str) -> str:
        self.before_put(key)
        if self._version(key) != expected:
            raise CommitConflict(key)
        self.objects[key] = bytes(data)
        self.puts.append(key)
        return self._version(key)

    def list(self, prefix: str) -> Iterator[str]:
        return iter(sorted(key for key in self.objects if key.startswith(prefix)))

    def delete(self, key: str, *, expected: str | None = None) -> None:
        if key in self.objects and expected is not None and self._version(key) != expected:
            raise CommitConflict(key)
        self.objects.pop(key, None)

    def open(self, key: str) -> BinaryIO | None:
        return io.BytesIO(self.objects[key]) if key in self.objects else None

    def marks(self, prefix: str) -> Iterator[ObjectMark]:
        return (ObjectMark(key, self._version(key), len(self.objects[key])) for key in self.list(prefix))

    def move(self, moves: Sequence[tuple[str, str]]) -> None:
        for source, target in moves:
            whole = [key for key in self.objects if key == source or (source[-1] == "/" and key.startswith(source))]
            for key in whole:
                self.objects[target + key.removeprefix(source)] = self.objects.pop(key)

    def delete_all(self, folder: str) -> None:
        for key in list(self.list(folder)):
            del self.objects[key]

    @contextmanager
    def lock(self, name: str, *, shared: bool = False, wait: bool = True) -> Iterator[None]:
        """One process: whoever would have to wait would wait for itself."""
        held = self.locks.setdefault(name, [])
        if held and not (shared and all(held)):
            if not wait:
                raise AlreadyRunning(name)
            raise AssertionError(f"waiting for {name} for ever")
        held.append(shared)
        try:
            yield
        finally:
            held.remove(shared)

    def _version(self, key: str) -> str:
        data = self.objects.get(key)
        return MUST_NOT_EXIST if data is None else hashlib.md5(data).hexdigest()
