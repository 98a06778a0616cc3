"""The bytes of a file: the same for the same rows, refused when damaged."""

import random
from datetime import timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from opt_data.errors import FileUnreadable, SchemaMismatch
from opt_data.storage.chain_rows import attempt_table
from opt_data.storage.layout import ChainPartition
from opt_data.storage.parquet import decode, encode
from opt_data.tables.arrow import arrow_schema
from opt_data.tables.datasets import RAW_CHAIN_INTRADAY, SLOT_LEDGER
from tests.fakes.chain import SESSION, SLOT, ingest, quote_row


@pytest.fixture(scope="module")
def table() -> pa.Table:
    rows = [quote_row(conid, data_quality_flag=["wide"]) for conid in range(1, 60)]
    partition = ChainPartition(SESSION.day, "AAPL", "SMART")
    return attempt_table(SLOT, partition, rows, ingest("a"), SLOT.instant_utc + timedelta(seconds=9))


def test_a_table_survives_the_file_with_its_schema(table: pa.Table) -> None:
    back = decode(encode(table, RAW_CHAIN_INTRADAY), RAW_CHAIN_INTRADAY, origin="x")
    assert back.equals(table)
    assert back.schema.equals(arrow_schema(RAW_CHAIN_INTRADAY), check_metadata=True)


def test_equal_rows_in_any_order_give_equal_bytes(table: pa.Table) -> None:
    numbers = list(range(table.num_rows))
    random.Random(1).shuffle(numbers)
    assert encode(table.take(numbers), RAW_CHAIN_INTRADAY) == encode(table, RAW_CHAIN_INTRADAY)


def test_the_file_is_snappy_with_statistics_and_units(table: pa.Table) -> None:
    file = pq.ParquetFile(pa.BufferReader(encode(table, RAW_CHAIN_INTRADAY)))
    group = file.metadata.row_group(0)
    columns = {group.column(index).path_in_schema: group.column(index) for index in range(group.num_columns)}
    assert {column.compression for column in columns.values()} == {"SNAPPY"}
    assert (columns["strike"].statistics.min, columns["strike"].statistics.max) == (1.0, 59.0)
    assert file.schema_arrow.field("iv").metadata[b"unit"] == b"fraction per year"


def test_every_truncation_and_an_empty_file_are_noticed(table: pa.Table) -> None:
    data = encode(table, RAW_CHAIN_INTRADAY)
    for length in (0, 1, 4, 8, len(data) // 2, len(data) - 1):
        with pytest.raises(FileUnreadable, match="file-7") as raised:
            decode(data[:length], RAW_CHAIN_INTRADAY, origin="file-7")
        assert raised.value.path == "file-7"


def test_a_flipped_byte_never_gives_other_rows(table: pa.Table) -> None:
    data = encode(table, RAW_CHAIN_INTRADAY)
    dice = random.Random(7)
    noticed = 0
    for _ in range(150):
        position = dice.randrange(len(data))
        damaged = data[:position] + bytes([data[position] ^ (1 << dice.randrange(8))]) + data[position + 1 :]
        try:
            back = decode(damaged, RAW_CHAIN_INTRADAY, origin="x")
        except (FileUnreadable, SchemaMismatch):
            noticed += 1
        else:
            assert back.num_rows == table.num_rows
            assert back.equals(table)
    assert noticed > 50


def test_a_whole_file_of_another_kind_is_a_mismatch_not_damage(table: pa.Table) -> None:
    with pytest.raises(SchemaMismatch):
        decode(encode(table, RAW_CHAIN_INTRADAY), SLOT_LEDGER, origin="x")


def test_a_type_that_only_arrow_tells_apart_is_a_mismatch(table: pa.Table) -> None:
    schema = table.schema.set(
        table.schema.get_field_index("right"), pa.field("right", pa.large_string(), nullable=False)
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table.cast(schema), sink)
    with pytest.raises(SchemaMismatch, match=r"file-7: column 'right' is large_string, expected string"):
        decode(sink.getvalue().to_pybytes(), RAW_CHAIN_INTRADAY, origin="file-7")
