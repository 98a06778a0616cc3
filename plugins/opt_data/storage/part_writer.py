"""Writing compacted files as a stream: row group after row group, file after file of a wanted size."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from opt_data.core.file_sizes import SizeLimits, should_cut
from opt_data.storage.parquet import text_columns
from opt_data.storage.port import MUST_NOT_EXIST, ObjectStore
from opt_data.tables.arrow import arrow_schema
from opt_data.tables.datasets import Dataset

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class PackRules:
    """How compacted files are made: their size, rows per row group, and codec (``snappy`` or ``zstd``)."""

    sizes: SizeLimits
    row_group_rows: int
    codec: str


@dataclass(frozen=True, slots=True)
class StagedPart:
    """A file that waits to be moved into place; ``size`` in bytes."""

    staged_key: str
    size: int


class PartWriter:
    """Takes rows in their final order and stages files.

    Parameters
    ----------
    port
        Where files are staged.
    dataset
        What the rows are.
    folder
        The staging folder, ending in ``/``.
    rules
        Size, row groups, codec.
    """

    def __init__(self, port: ObjectStore, dataset: Dataset, *, folder: str, rules: PackRules) -> None:
        self._port = port
        self._dataset = dataset
        self._folder = folder
        self._rules = rules
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0
        self._sink: pa.BufferOutputStream | None = None
        self.parts: list[StagedPart] = []
        self.rows = 0

    def write(self, table: "pa.Table", *, share_done: float) -> None:
        """Take the next rows.

        Parameters
        ----------
        table
            Rows that follow all rows before.
        share_done
            Which part of all input has been given when this table is in, 0 to 1: sizes of files are planned by it.
        """
        self._waiting.append(table)
        self._waiting_rows += table.num_rows
        self.rows += table.num_rows
        if self._waiting_rows >= self._rules.row_group_rows:
            self._write_group()
            written = sum(part.size for part in self.parts) + self._size()
            if should_cut(self._size(), written, share_done, self._rules.sizes):
                self._close()

    def finish(self) -> list[StagedPart]:
        """Stage what is left and return all files."""
        self._write_group()
        self._close()
        return self.parts

    def _size(self) -> int:
        return 0 if self._sink is None else int(self._sink.tell())

    def _write_group(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not self._waiting_rows:
            return
        if self._sink is None:
            self._sink = pa.BufferOutputStream()
            self._writer = pq.ParquetWriter(
                self._sink,
                arrow_schema(self._dataset),
                compression=self._rules.codec,
                use_dictionary=text_columns(self._dataset),
                write_statistics=True,
                write_page_checksum=True,
            )
        rows = pa.concat_tables(self._waiting).cast(arrow_schema(self._dataset))
        self._writer.write_table(rows, row_group_size=max(self._rules.row_group_rows, 1) * 2)
        self._waiting, self._waiting_rows = [], 0

    def _close(self) -> None:
        if self._sink is None:
            return
        self._writer.close()
        data = memoryview(self._sink.getvalue())
        self._sink = None
        staged = f"{self._folder}{len(self.parts)}.parquet"
        self._port.put(staged, data, expected=MUST_NOT_EXIST)
        self.parts.append(StagedPart(staged, len(data)))
