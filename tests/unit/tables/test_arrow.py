"""Schemas, and tables brought to them."""

import pyarrow as pa
import pytest

from opt_data.errors import SchemaMismatch
from opt_data.tables.arrow import arrow_schema, conform, empty_table
from opt_data.tables.datasets import CLEAN_CHAIN_INTRADAY, SLOT_LEDGER


def test_types_units_and_signs_are_in_the_schema() -> None:
    schema = arrow_schema(CLEAN_CHAIN_INTRADAY)
    assert schema.field("sample_time").type == pa.timestamp("us", tz="UTC")
    assert schema.field("trade_date").type == pa.date32()
    assert schema.field("slot_30m").type == pa.int8()
    assert schema.field("volume").type == pa.int64()
    assert schema.field("bid_size").type == pa.float64()
    assert schema.field("data_quality_flag").type == pa.list_(pa.string())
    assert schema.field("theta").metadata == {b"unit": b"USD per share and day", b"sign": b"any"}
    assert not schema.field("conid").nullable
    assert schema.metadata == {b"dataset": b"clean chain intraday", b"schema_version": b"2"}


def test_an_empty_table_has_the_schema() -> None:
    table = empty_table(SLOT_LEDGER)
    assert table.num_rows == 0
    assert table.schema.equals(arrow_schema(SLOT_LEDGER), check_metadata=True)


def test_an_older_file_without_a_nullable_column_gets_nulls_and_the_order_is_restored() -> None:
    table = empty_table(SLOT_LEDGER)
    older = table.drop_columns(["coverage"]).select(list(reversed(table.drop_columns(["coverage"]).schema.names)))
    assert conform(older, SLOT_LEDGER, origin="x").schema.equals(arrow_schema(SLOT_LEDGER))


def test_a_file_of_another_kind_is_refused_with_its_column() -> None:
    table = empty_table(SLOT_LEDGER)
    with pytest.raises(SchemaMismatch, match=r"file-1.*'expected'.*absent"):
        conform(table.drop_columns(["expected"]), SLOT_LEDGER, origin="file-1")
    with pytest.raises(SchemaMismatch, match="'colour'"):
        conform(table.append_column("colour", pa.nulls(0, pa.string())), SLOT_LEDGER, origin="file-1")
    doubled = table.set_column(
        table.schema.get_field_index("late"), pa.field("late", pa.float64()), pa.nulls(0, pa.float64())
    )
    with pytest.raises(SchemaMismatch, match="'late' is double, expected int32"):
        conform(doubled, SLOT_LEDGER, origin="file-1")
