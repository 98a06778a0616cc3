"""An object store without directories, renames or locks: what the port promises and nothing more."""

import hashlib
from collections.abc import Callable, Iterator

from opt_data.errors import CommitConflict
from opt_data.storage.port import MUST_NOT_EXIST, StoredObject


class MemoryObjectStore:
    """``ObjectStore`` in a dict. ``before_put`` and ``after_read`` get the key, and can let others in between."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.puts: list[str] = []
        self.before_put: Callable[[str], None] = lambda key: None
        self.after_read: Callable[[str], None] = lambda key: None

    def read(self, key: str) -> StoredObject | None:
        data = self.objects.get(key)
        stored = None if data is None else StoredObject(data, self._version(key))
        self.after_read(key)
        return stored

    def put(self, key: str, data: bytes, *, expected: str) -> str:
        self.before_put(key)
        if self._version(key) != expected:
            raise CommitConflict(key)
        self.objects[key] = data
        self.puts.append(key)
        return self._version(key)

    def list(self, prefix: str) -> Iterator[str]:
        return iter(sorted(key for key in self.objects if key.startswith(prefix)))

    def delete(self, key: str, *, expected: str | None = None) -> None:
        if key in self.objects and expected is not None and self._version(key) != expected:
            raise CommitConflict(key)
        self.objects.pop(key, None)

    def _version(self, key: str) -> str:
        data = self.objects.get(key)
        return MUST_NOT_EXIST if data is None else hashlib.md5(data).hexdigest()
