"""Data sets as Arrow schemas, and tables brought to them."""

from functools import cache
from typing import TYPE_CHECKING

from opt_data.errors import SchemaMismatch
from opt_data.tables.column import Column, ColumnType
from opt_data.tables.datasets import Dataset

if TYPE_CHECKING:
    import pyarrow as pa


def arrow_type(kind: ColumnType) -> "pa.DataType":
    """The Arrow type of a column type: timestamps are ``timestamp[us, tz=UTC]``, dates ``date32``."""
    import pyarrow as pa

    types: dict[ColumnType, pa.DataType] = {
        ColumnType.DATE: pa.date32(),
        ColumnType.TIMESTAMP: pa.timestamp("us", tz="UTC"),
        ColumnType.STRING: pa.string(),
        ColumnType.FLOAT64: pa.float64(),
        ColumnType.INT64: pa.int64(),
        ColumnType.INT32: pa.int32(),
        ColumnType.INT16: pa.int16(),
        ColumnType.INT8: pa.int8(),
        ColumnType.BOOL: pa.bool_(),
        ColumnType.STRING_LIST: pa.list_(pa.string()),
        ColumnType.COUNTS: pa.map_(pa.string(), pa.int64()),
    }
    return types[kind]


def _field(column: Column) -> "pa.Field":
    import pyarrow as pa

    metadata = {key: value for key, value in (("unit", column.unit), ("sign", str(column.sign))) if value}
    return pa.field(column.name, arrow_type(column.type), nullable=column.is_nullable, metadata=metadata or None)


@cache
def arrow_schema(dataset: Dataset) -> "pa.Schema":
    """The schema that every file of a data set has; units and signs are in the fields' metadata.

    Sentences are left to ``docs/DATASETS.md``: in each of thousands of small files they would outweigh the data.
    """
    import pyarrow as pa

    return pa.schema(
        [_field(column) for column in dataset.columns],
        metadata={"dataset": dataset.name, "schema_version": str(dataset.schema_version)},
    )


def conform(table: "pa.Table", dataset: Dataset, *, origin: str) -> "pa.Table":
    """Bring a stored table to a data set's schema: columns in order, nullable ones that an older file lacks as nulls.

    Parameters
    ----------
    table
        What a file held.
    dataset
        What it should be.
    origin
        The file, for the message.

    Raises
    ------
    SchemaMismatch
        A column that may not be null is absent, a type does not fit, or there is a column nobody knows.
    """
    import pyarrow as pa

    schema = arrow_schema(dataset)
    if table.schema.equals(schema):
        return pa.Table.from_arrays(table.columns, schema=schema)
    unknown = sorted(set(table.schema.names) - set(schema.names))
    if unknown:
        raise SchemaMismatch(f"{origin}: column {unknown[0]!r} is not a column of {dataset.name}")
    arrays: list[pa.ChunkedArray] = []
    for field in schema:
        if field.name in table.schema.names:
            column = table.column(field.name)
            if column.type != field.type:
                raise SchemaMismatch(f"{origin}: column {field.name!r} is {column.type}, expected {field.type}")
            arrays.append(column)
        elif field.nullable:
            arrays.append(pa.chunked_array([pa.nulls(table.num_rows, field.type)]))
        else:
            raise SchemaMismatch(f"{origin}: column {field.name!r} of {dataset.name} is absent")
    return pa.table(arrays, schema=schema)


def empty_table(dataset: Dataset) -> "pa.Table":
    """A table of no rows with the data set's schema."""
    import pyarrow as pa

    return pa.Table.from_batches([], schema=arrow_schema(dataset))
