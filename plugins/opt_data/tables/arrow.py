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


@cache
def schema_of(dataset: Dataset, names: tuple[str, ...]) -> "pa.Schema":
    """The data set's schema with some of its columns only, in the order given."""
    import pyarrow as pa

    whole = arrow_schema(dataset)
    return pa.schema([whole.field(name) for name in names], metadata=whole.metadata)


def check_schema(found: "pa.Schema", dataset: Dataset, *, origin: str) -> None:
    """Look whether a stored table's columns are a data set's; nullable ones may be absent, as in an older file.

    Raises
    ------
    SchemaMismatch
        A column that may not be null is absent, a type does not fit, or there is a column nobody knows.
    """
    schema = arrow_schema(dataset)
    if found.equals(schema):
        return
    if unknown := sorted(set(found.names) - set(schema.names)):
        raise SchemaMismatch(f"{origin}: column {unknown[0]!r} is not a column of {dataset.name}")
    for field in schema:
        if field.name in found.names:
            kind = found.field(field.name).type
            if kind != field.type:
                raise SchemaMismatch(f"{origin}: column {field.name!r} is {kind}, expected {field.type}")
        elif not field.nullable:
            raise SchemaMismatch(f"{origin}: column {field.name!r} of {dataset.name} is absent")


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
        The columns are not the data set's (``check_schema``).
    """
    check_schema(table.schema, dataset, origin=origin)
    return with_schema(table, arrow_schema(dataset))


def with_schema(table: "pa.Table", schema: "pa.Schema") -> "pa.Table":
    """A table whose columns have passed ``check_schema``, with exactly the schema's columns; absent ones as nulls."""
    import pyarrow as pa

    if table.schema.equals(schema):
        return pa.Table.from_arrays(table.columns, schema=schema)
    held = set(table.schema.names)
    arrays = [
        table.column(field.name) if field.name in held else pa.chunked_array([pa.nulls(table.num_rows, field.type)])
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


@cache
def empty_table(dataset: Dataset) -> "pa.Table":
    """A table of no rows with the data set's schema."""
    import pyarrow as pa

    return pa.Table.from_batches([], schema=arrow_schema(dataset))
