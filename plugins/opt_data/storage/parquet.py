"""Tables as the bytes of one Parquet file, and back."""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from opt_data.errors import FileUnreadable
from opt_data.tables.arrow import arrow_schema, check_schema, empty_table, schema_of, with_schema
from opt_data.tables.column import ColumnType
from opt_data.tables.datasets import Dataset

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

HOT_CODEC = "snappy"
"""Files younger than two weeks: cheap to write and read; compaction changes the codec later."""


def text_columns(dataset: Dataset) -> list[str]:
    """The columns that are dictionary-encoded."""
    return [column.name for column in dataset.columns if column.type is ColumnType.STRING]


def encode(table: "pa.Table", dataset: Dataset, *, codec: str = HOT_CODEC) -> bytes:
    """The table as a Parquet file, sorted as the data set says; equal rows give equal bytes.

    Statistics are written for every column, and a checksum for every page, so that a flipped bit is noticed. Only text
    is dictionary-encoded: a dictionary of prices costs more than it saves.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = arrow_schema(dataset)
    ordered = _in_order(table, dataset).combine_chunks()
    if not ordered.schema.equals(schema, check_metadata=True):
        ordered = ordered.cast(schema)
    sink = pa.BufferOutputStream()
    pq.write_table(
        ordered, sink, compression=codec,
        use_dictionary=text_columns(dataset), write_statistics=True,
        write_page_checksum=True,
    )  # fmt: skip
    return bytes(sink.getvalue())


def _in_order(table: "pa.Table", dataset: Dataset) -> "pa.Table":
    """Sorted as the data set says; mostly it is already, and moving a hundred columns costs more than looking."""
    import numpy as np
    import pyarrow.compute as pc

    order = pc.sort_indices(table, sort_keys=[(name, "ascending") for name in dataset.sort_order])
    is_sorted = not len(order) or bool((np.diff(np.frombuffer(order.buffers()[1], np.uint64)[: len(order)]) == 1).all())
    return table if is_sorted else table.take(order)


def decode(data: bytes, dataset: Dataset, *, origin: str) -> "pa.Table":
    """The rows of a Parquet file, with the data set's schema.

    Raises
    ------
    FileUnreadable
        The bytes are not a whole Parquet file: truncated, empty, or damaged.
    SchemaMismatch
        They are, but hold another table.
    """
    return read_together([StoredTable(data, dataset, origin=origin)], dataset)


class StoredTable:
    """The bytes of one Parquet file, of which only what is asked for is decoded.

    ``is_current`` says whether it has all columns that the data set has now, in their order.

    Raises
    ------
    FileUnreadable
        The bytes are not a whole Parquet file. Damage inside a column shows when that column is read.
    SchemaMismatch
        They are, but hold another table. Types that only Arrow tells apart show when their column is read.
    """

    def __init__(self, data: bytes, dataset: Dataset, *, origin: str) -> None:
        import pyarrow as pa

        self._origin = origin
        try:
            # the file itself, not pq.read_table: that would take name=value folders of a path for columns
            self._file = _file_of(dataset)(pa.BufferReader(data), page_checksum_verification=True)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise self._unreadable(error) from error
        self._dataset = dataset
        self._whole: pa.Table | None = None
        # making an Arrow schema of each of many small files takes longer than reading what is wanted of them
        self.is_current = bool(self._file.schema.equals(_usual_file(dataset).schema))
        if not self.is_current:
            check_schema(self._file.schema_arrow, dataset, origin=origin)

    @property
    def num_rows(self) -> int:
        return int(self._file.metadata.num_rows)

    def read(self, names: tuple[str, ...] | None) -> "pa.Table":
        """Some columns as they are stored, or all; those that the file lacks are left out."""
        import pyarrow as pa

        if self._whole is not None:
            return self._whole if names is None else self._whole.select(list(names))
        try:
            table = self._file.read(columns=None if names is None else list(names), use_threads=False)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise self._unreadable(error) from error
        if self.is_current and not table.schema.equals(_schema(self._dataset, names)):
            # what Arrow wrote beside the columns says something else of them
            check_schema(self._file.schema_arrow, self._dataset, origin=self._origin)
            self.is_current = False
        if names is None and self.is_current:
            self._whole = table
        return table

    def _unreadable(self, error: Exception) -> FileUnreadable:
        return FileUnreadable(f"{self._origin} is no readable Parquet file: {error}", path=self._origin)


@cache
def _usual_file(dataset: Dataset) -> "pq.ParquetFile":
    """A file with the data set's columns as they are now, and no rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pq.ParquetFile(pa.BufferReader(encode(empty_table(dataset), dataset)))


@cache
def _file_of(dataset: Dataset) -> "type[pq.ParquetFile]":
    """pyarrow's file, but the list of columns' paths is made once for all files with the usual columns.

    pyarrow makes it of every file that is opened, which takes a fifth of the time.
    """
    import pyarrow.parquet as pq

    usual = _usual_file(dataset)

    class DatasetFile(pq.ParquetFile):  # type: ignore[misc]
        _usual_paths: ClassVar[Any] = None

        def _build_nested_paths(self) -> Any:
            if not self.schema.equals(usual.schema):
                return super()._build_nested_paths()
            if DatasetFile._usual_paths is None:
                DatasetFile._usual_paths = super()._build_nested_paths()
            return DatasetFile._usual_paths

    return DatasetFile


def _schema(dataset: Dataset, names: tuple[str, ...] | None) -> "pa.Schema":
    return arrow_schema(dataset) if names is None else schema_of(dataset, names)


def read_together(files: Sequence[StoredTable], dataset: Dataset, names: tuple[str, ...] | None = None) -> "pa.Table":
    """The rows of several files of a data set, one after the other; some columns or all, with the data set's types.

    Raises
    ------
    FileUnreadable
        A file is damaged.
    """
    import pyarrow as pa

    if not files:
        return empty_table(dataset) if names is None else empty_table(dataset).select(list(names))
    schema = _schema(dataset, names)
    tables = [file.read(names) for file in files]
    if not all(file.is_current for file in files):
        tables = [with_schema(table, schema) for table in tables]
    together = pa.concat_tables(tables)
    return together if together.schema.equals(schema, check_metadata=True) else with_schema(together, schema)
