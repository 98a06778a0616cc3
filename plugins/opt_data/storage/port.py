"""The one way to the store: whole objects by key, with a version to compare before writing.

An object store offers the same (conditional PUT by ETag); nothing above this module assumes directories or renames.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

MUST_NOT_EXIST = ""
"""The expected version of an object that is to be created."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object's bytes and the version they had when read."""

    data: bytes
    version: str


class ObjectStore(Protocol):
    """Whole objects under ``/``-separated keys. Each call is atomic: a reader sees the old state or the new one.

    Raises
    ------
    StorageUnavailable
        From every method: the store cannot be reached or written. The old state is intact.
    ValueError
        From every method: the key is malformed.
    """

    def read(self, key: str) -> StoredObject | None:
        """The object, or None if there is none of that key."""
        ...

    def put(self, key: str, data: bytes, *, expected: str) -> str:
        """Create or replace an object whose version is still ``expected``; returns the new version.

        Raises
        ------
        CommitConflict
            The object has another version now, or exists although ``expected`` is ``MUST_NOT_EXIST``, or is gone.
        """
        ...

    def list(self, prefix: str) -> Iterator[str]:
        """Keys that start with ``prefix`` (plain text, need not end at a ``/``), sorted."""
        ...

    def delete(self, key: str, *, expected: str | None = None) -> None:
        """Remove an object; nothing happens if it is gone.

        Raises
        ------
        CommitConflict
            ``expected`` is given and the object has another version now.
        """
        ...
