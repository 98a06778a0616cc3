"""Arrays built from buffers against pyarrow's own conversion of the same values."""

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opt_data.tables.arrow import arrow_type
from opt_data.tables.arrow_rows import row_numbers, rows_from_table, table_from_rows
from opt_data.tables.column import Column, ColumnType, Group
from opt_data.tables.datasets import Dataset

instants = st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC))
texts = st.text(max_size=8).filter(lambda text: not any(0xD800 <= ord(letter) < 0xE000 for letter in text))
VALUES: dict[ColumnType, st.SearchStrategy[object]] = {
    ColumnType.DATE: st.dates(),
    ColumnType.TIMESTAMP: instants,
    ColumnType.STRING: texts,
    ColumnType.FLOAT64: st.floats(allow_nan=False),
    ColumnType.INT64: st.integers(-(2**63), 2**63 - 1),
    ColumnType.INT32: st.integers(-(2**31), 2**31 - 1),
    ColumnType.INT16: st.integers(-(2**15), 2**15 - 1),
    ColumnType.INT8: st.integers(-128, 127),
    ColumnType.BOOL: st.booleans(),
    ColumnType.STRING_LIST: st.lists(texts, max_size=3),
    ColumnType.COUNTS: st.dictionaries(texts, st.integers(0, 9), max_size=3).map(lambda counts: sorted(counts.items())),
}


def one_column(kind: ColumnType) -> Dataset:
    column = Column("value", kind, Group.QUOTE, "A value.")
    return Dataset("probe", "", "", (column,), (), (), (), 1)


@pytest.mark.parametrize("kind", list(ColumnType))
@settings(deadline=None)
@given(data=st.data())
def test_every_type_is_built_as_pyarrow_builds_it(kind: ColumnType, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.none() | VALUES[kind], max_size=20))
    table = table_from_rows([{"value": value} for value in values], one_column(kind))
    table.validate(full=True)
    if kind is ColumnType.COUNTS:  # an absent map is stored as an empty one
        values = [value or [] for value in values]
    assert table.column("value").to_pylist() == pa.array(values, arrow_type(kind)).to_pylist()


def test_rows_come_back_with_instants_in_utc_and_maps_as_dicts() -> None:
    table = pa.table(
        {
            "day": pa.array([date(2025, 11, 24)]),
            "at": pa.array([datetime(2025, 11, 24, 15, 0, 0, 123456, tzinfo=UTC)], pa.timestamp("us", tz="UTC")),
            "never": pa.array([None], pa.timestamp("us", tz="UTC")),
            "counts": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
        }
    )
    (row,) = rows_from_table(table)
    assert row == {
        "day": date(2025, 11, 24),
        "at": datetime(2025, 11, 24, 15, 0, 0, 123456, tzinfo=UTC),
        "never": None,
        "counts": {"a": 1},
    }
    assert row["at"].tzinfo is UTC
    assert rows_from_table(table, ["day"]) == [{"day": date(2025, 11, 24)}]


def test_row_numbers_take_rows() -> None:
    assert pa.table({"x": ["a", "b", "c"]}).take(row_numbers([2, 0])).to_pydict() == {"x": ["c", "a"]}
