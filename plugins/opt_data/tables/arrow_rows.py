"""Checked rows as Arrow tables, and tables as rows, without pandas.

If pandas is installed, ``pyarrow.array`` of a list imports it to ask whether the list is one of its objects, and so do
``pyarrow.scalar``, ``to_numpy``, and ``to_pylist`` of instants with a time zone: more than a second of CPU in a task.
Arrays made from buffers, and instants read as whole numbers, do not.
"""

from array import array
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from opt_data.tables.arrow import arrow_schema, arrow_type
from opt_data.tables.column import ColumnType
from opt_data.tables.datasets import Dataset

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_EPOCH_DAY = date(1970, 1, 1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_WIDTHS = {
    ColumnType.DATE: "i",
    ColumnType.TIMESTAMP: "q",
    ColumnType.FLOAT64: "d",
    ColumnType.INT64: "q",
    ColumnType.INT32: "i",
    ColumnType.INT16: "h",
    ColumnType.INT8: "b",
}
"""Array type codes of the columns with fixed width: their sizes are those of the Arrow types."""


def table_from_rows(rows: Sequence[Mapping[str, Any]], dataset: Dataset) -> "pa.Table":
    """Rows that ``checked_rows`` let pass, as a table with the data set's schema, in the order given."""
    import pyarrow as pa

    columns = [column_array(column.type, [row[column.name] for row in rows]) for column in dataset.columns]
    return pa.Table.from_arrays(columns, schema=arrow_schema(dataset))


def rows_from_table(table: "pa.Table", names: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The rows of a table by column name, all columns or some; instants in UTC, maps as dicts."""
    import pyarrow as pa

    chosen = table.select(list(names)) if names else table
    instants = [field.name for field in chosen.schema if pa.types.is_timestamp(field.type)]
    numbers = pa.schema([field.with_type(pa.int64()) if field.name in instants else field for field in chosen.schema])
    rows: list[dict[str, Any]] = chosen.cast(numbers).to_pylist(maps_as_pydicts="strict")
    for row in rows:
        for name in instants:
            if row[name] is not None:
                row[name] = _EPOCH + row[name] * _MICROSECOND
    return rows


def whole_column(table: "pa.Table", name: str) -> "pa.Array":
    """A column in one piece."""
    import pyarrow as pa

    chunks = table.column(name).chunks
    if len(chunks) == 1:
        return chunks[0]
    return pa.concat_arrays(chunks) if chunks else pa.nulls(0, table.schema.field(name).type)


def column_numbers(column: "pa.Array", kind: ColumnType) -> "np.ndarray[Any, Any]":
    """The values of a column of fixed width; NaN for an absent float, anything for another absent value."""
    import numpy as np

    held = np.frombuffer(column.buffers()[1], _WIDTHS[kind]) if len(column) else np.empty(0, _WIDTHS[kind])
    values = held[column.offset : column.offset + len(column)]
    return np.where(column_truths(column.is_valid()), values, np.nan) if kind is ColumnType.FLOAT64 else values


def column_truths(column: "pa.Array") -> "np.ndarray[Any, Any]":
    """The values of a column of truths; anything for an absent one."""
    import numpy as np

    bits = np.frombuffer(column.buffers()[1], np.uint8) if len(column) else np.empty(0, np.uint8)
    return np.unpackbits(bits, bitorder="little")[column.offset : column.offset + len(column)].astype(bool)


def row_numbers(numbers: Sequence[int | None]) -> "pa.Array":
    """Row numbers as ``Table.take`` wants them; None takes a row of nulls."""
    return column_array(ColumnType.INT64, numbers)


def column_array(kind: ColumnType, values: Sequence[Any]) -> "pa.Array":
    """Checked values of one column as an Arrow array, None as null."""
    import pyarrow as pa

    count = len(values)
    is_whole = None not in values
    validity = None if is_whole else pa.py_buffer(_bitmap([value is not None for value in values]))
    if kind is ColumnType.STRING:
        texts = [(value or "").encode() for value in values]
        return pa.Array.from_buffers(pa.string(), count, [validity, _offsets(texts), pa.py_buffer(b"".join(texts))])
    if kind is ColumnType.BOOL:
        return pa.Array.from_buffers(pa.bool_(), count, [validity, pa.py_buffer(_bitmap(values))])
    if kind is ColumnType.STRING_LIST:
        lists = [value or [] for value in values]
        words = column_array(ColumnType.STRING, [word for words in lists for word in words])
        return pa.Array.from_buffers(arrow_type(kind), count, [validity, _offsets(lists)], children=[words])
    if kind is ColumnType.COUNTS:
        maps = [value or [] for value in values]
        keys = column_array(ColumnType.STRING, [key for pairs in maps for key, _ in pairs])
        items = column_array(ColumnType.INT64, [item for pairs in maps for _, item in pairs])
        offsets = pa.Array.from_buffers(pa.int32(), count + 1, [None, _offsets(maps)])
        return pa.MapArray.from_arrays(offsets, keys, items)
    is_plain = is_whole and kind not in (ColumnType.DATE, ColumnType.TIMESTAMP)
    numbers = array(_WIDTHS[kind], values if is_plain else [_number(kind, value) for value in values])
    return pa.Array.from_buffers(arrow_type(kind), count, [validity, pa.py_buffer(numbers)])


def _number(kind: ColumnType, value: Any) -> Any:
    """How Arrow stores a value of a fixed width; whatever stands at an absent value is not looked at."""
    if value is None:
        return 0
    if kind is ColumnType.DATE:
        return (value - _EPOCH_DAY).days
    if kind is ColumnType.TIMESTAMP:
        return (value - _EPOCH) // _MICROSECOND
    return value


def _bitmap(bits: Sequence[bool | None]) -> bytes:
    """One bit per value, least significant first."""
    packed = bytearray((len(bits) + 7) // 8)
    for index, bit in enumerate(bits):
        if bit:
            packed[index // 8] |= 1 << (index % 8)
    return bytes(packed)


def _offsets(parts: Sequence[Sequence[Any]]) -> "pa.Buffer":
    import pyarrow as pa

    ends = array("i", [0])
    for part in parts:
        ends.append(ends[-1] + len(part))
    return pa.py_buffer(ends)
