"""Rows of which only a part may have to be read."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa


class StoredRows(Protocol):
    """What choosing rows needs of a table: ``HeldRows`` are one in memory; files that are not decoded yet another."""

    @property
    def num_rows(self) -> int:
        """How many rows there are."""
        ...

    def select(self, names: Sequence[str], /) -> "pa.Table":
        """Some columns of all rows."""
        ...

    def around(self, numbers: Sequence[int], names: Sequence[str] | None = None, /) -> "tuple[pa.Table, list[int]]":
        """A table with at least the rows of these numbers, some columns or all, and where in it each of them is."""
        ...


class HeldRows:
    """A table as ``StoredRows``."""

    def __init__(self, table: "pa.Table") -> None:
        self.table = table

    @property
    def num_rows(self) -> int:
        return int(self.table.num_rows)

    def select(self, names: Sequence[str]) -> "pa.Table":
        return self.table.select(list(names))

    def around(self, numbers: Sequence[int], names: Sequence[str] | None = None) -> "tuple[pa.Table, list[int]]":
        return self.table if names is None else self.select(names), list(numbers)
