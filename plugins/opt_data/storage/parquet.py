"""Tables as the bytes of one Parquet file, and back."""

from typing import TYPE_CHECKING

from opt_data.errors import FileUnreadable
from opt_data.tables.arrow import arrow_schema, conform
from opt_data.tables.column import ColumnType
from opt_data.tables.datasets import Dataset

if TYPE_CHECKING:
    import pyarrow as pa

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
    ordered = table.sort_by([(name, "ascending") for name in dataset.sort_order]).combine_chunks().cast(schema)
    sink = pa.BufferOutputStream()
    pq.write_table(
        ordered, sink, compression=codec,
        use_dictionary=text_columns(dataset), write_statistics=True,
        write_page_checksum=True,
    )  # fmt: skip
    return bytes(sink.getvalue())


def decode(data: bytes, dataset: Dataset, *, origin: str) -> "pa.Table":
    """The rows of a Parquet file, with the data set's schema.

    Raises
    ------
    FileUnreadable
        The bytes are not a whole Parquet file: truncated, empty, or damaged.
    SchemaMismatch
        They are, but hold another table.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # the file itself, not pq.read_table: that would take name=value folders of a path for columns
        with pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True) as file:
            table = file.read(use_threads=False)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise FileUnreadable(f"{origin} is no readable Parquet file: {error}", path=origin) from error
    return conform(table, dataset, origin=origin)
