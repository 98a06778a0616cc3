"""The one way to the store: whole objects by key, with a version to compare before writing.

An object store offers the same (conditional PUT by ETag); nothing above this module assumes directories or renames.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO, Protocol

MUST_NOT_EXIST = ""
"""The expected version of an object that is to be created."""


class StoredObject(Protocol):
    """An object's bytes and the version they had when read."""

    @property
    def data(self) -> bytes: ...

    @property
    def version(self) -> str: ...


@dataclass(frozen=True, slots=True)
class ObjectMark:
    """What a listing says about an object without reading it.

    ``tag`` differs whenever the object was replaced; it cannot be compared with a version. ``size`` is in bytes.
    """

    key: str
    tag: str
    size: int


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

    def put(self, key: str, data: bytes | memoryview, *, expected: str) -> str:
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

    def open(self, key: str) -> BinaryIO | None:
        """The object for reading in parts, or None if there is none; it stays whole when it is replaced meanwhile."""
        ...

    def marks(self, prefix: str) -> Iterator[ObjectMark]:
        """Like ``list``, with tag and size of each object."""
        ...

    def move(self, moves: Sequence[tuple[str, str]]) -> None:
        """Give objects other keys, one move after the other without delay; each alone is atomic, all together are not.

        A source that ends in ``/`` moves everything below it; its target must have nothing below it. An object at the
        target is replaced. Sources that are gone are passed over, so that moves cut off in the middle can be repeated.
        """
        ...

    def delete_all(self, folder: str) -> None:
        """Remove everything below a key that ends in ``/``, in any order and not atomically."""
        ...

    def lock(self, name: str, *, shared: bool = False, wait: bool = True) -> AbstractContextManager[None]:
        """Hold a lock while in the context; a process that dies lets go of it.

        It binds only those who take it. Shared holders exclude exclusive ones and the other way round.

        Raises
        ------
        AlreadyRunning
            Another holds it and ``wait`` is false.
        """
        ...
