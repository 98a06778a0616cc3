"""Rows of which only a part may have to be read."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa


class StoredRows(Protocol):
    """What choosing rows needs of a table: a ``pyarrow.Table`` is one, and so are files that are not decoded yet."""

    @property
    def num_rows(self) -> int:
        """How many rows there are."""
        ...

    def select(self, names: Sequence[str], /) -> "pa.Table":
        """Some columns of all rows."""
        ...

    def take(self, numbers: "pa.Array", /) -> "pa.Table":
        """Whole rows by their numbers, in that order."""
        ...
