"""The rows of one symbol-day, decoded only as far as somebody looks at them."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from opt_data.storage.parquet import StoredTable, read_together
from opt_data.tables.datasets import Dataset

if TYPE_CHECKING:
    import pyarrow as pa


class ChainFiles:
    """Several files' rows as one table: ``StoredRows``.

    The files' bytes are held, so that what is decoded later is of the same moment. A row of a hundred columns is mostly
    not looked at: of a day's slots a rollup needs seven columns, and whole rows of one or two files.

    Parameters
    ----------
    files
        In the order of their rows.
    dataset
        What the rows are.
    """

    def __init__(self, files: Sequence[StoredTable], dataset: Dataset) -> None:
        self._files = files
        self._dataset = dataset
        self._starts = [0, *accumulate(file.num_rows for file in files)]

    @property
    def num_rows(self) -> int:
        return self._starts[-1]

    def read(self) -> "pa.Table":
        """All rows and columns.

        Raises
        ------
        FileUnreadable
            A file is damaged.
        """
        return read_together(self._files, self._dataset)

    def select(self, names: Sequence[str]) -> "pa.Table":
        """Some columns of all rows.

        Raises
        ------
        FileUnreadable
            A file is damaged in one of them.
        """
        return read_together(self._files, self._dataset, tuple(names))

    def around(self, numbers: Sequence[int], names: Sequence[str] | None = None) -> "tuple[pa.Table, list[int]]":
        """The files that hold the rows of these numbers, some columns or all, and where in them each of those is.

        Raises
        ------
        FileUnreadable
            A file with one of the rows is damaged.
        """
        places = [bisect_right(self._starts, row) - 1 for row in numbers]
        wanted = sorted(set(places))
        files = [self._files[place] for place in wanted]
        table = read_together(files, self._dataset, None if names is None else tuple(names))
        counts = (file.num_rows for file in files)
        shifts = {
            place: start - self._starts[place]
            for place, start in zip(wanted, accumulate(counts, initial=0), strict=False)
        }
        return table, [row + shifts[place] for row, place in zip(numbers, places, strict=True)]
