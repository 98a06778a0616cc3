"""Daily views: derived whole, written only when they change, never half."""

from datetime import date

import pyarrow as pa
import pytest

from opt_data.errors import FileUnreadable
from opt_data.storage.daily_store import DailyStore
from opt_data.storage.layout import ChainPartition, ChainView
from opt_data.storage.port import MUST_NOT_EXIST, ObjectStore
from opt_data.tables.arrow_rows import table_from_rows
from opt_data.tables.datasets import DAILY_CLEAN
from opt_data.tables.row_check import checked_rows
from tests.fakes.chain import SESSION, daily_row
from tests.fakes.object_store import MemoryObjectStore

DAY = SESSION.day
KEY = "clean/ib/chain/view=daily_clean/date=2025-11-24/underlying=AAPL/exchange=SMART/day.parquet"


def day_table(*conids: int, **changes: object) -> pa.Table:
    return table_from_rows(checked_rows(DAILY_CLEAN, [daily_row(c, **changes) for c in conids]), DAILY_CLEAN)


@pytest.fixture
def daily(port: ObjectStore) -> DailyStore:
    return DailyStore(port, ChainView.DAILY_CLEAN, DAILY_CLEAN)


def test_a_day_is_one_file_read_back_as_it_was(daily: DailyStore, port: ObjectStore) -> None:
    commit = daily.derive(DAY, "AAPL", "SMART", lambda: day_table(712, 711))
    assert (commit.key, commit.is_changed) == (KEY, True)
    assert ChainPartition(DAY, "AAPL", "SMART", ChainView.DAILY_CLEAN).day_key == KEY
    assert list(port.list("")) == [KEY]
    assert daily.read(DAY, "AAPL").column("conid").to_pylist() == [711, 712]
    assert daily.read(date(2025, 11, 25), "AAPL").num_rows == 0


def test_deriving_again_writes_nothing_and_other_rows_replace_all(daily: DailyStore, port: ObjectStore) -> None:
    daily.derive(DAY, "AAPL", "SMART", lambda: day_table(711, 712))
    before = port.read(KEY)
    assert not daily.derive(DAY, "AAPL", "SMART", lambda: day_table(712, 711)).is_changed
    assert port.read(KEY) == before
    assert daily.derive(DAY, "AAPL", "SMART", lambda: day_table(711)).is_changed
    assert daily.read(DAY, "AAPL").num_rows == 1


def test_a_derivation_that_fails_leaves_the_day_as_it_was(daily: DailyStore, port: ObjectStore) -> None:
    daily.derive(DAY, "AAPL", "SMART", lambda: day_table(711))
    before = port.read(KEY)

    def fail() -> pa.Table:
        raise RuntimeError("no close")

    with pytest.raises(RuntimeError, match="no close"):
        daily.derive(DAY, "AAPL", "SMART", fail)
    assert port.read(KEY) == before


def test_a_damaged_day_is_set_aside_and_derived_again(daily: DailyStore, port: ObjectStore) -> None:
    port.put(KEY, b"PAR1 but not really", expected=MUST_NOT_EXIST)
    with pytest.raises(FileUnreadable):
        daily.read(DAY, "AAPL")
    assert daily.derive(DAY, "AAPL", "SMART", lambda: day_table(711)).is_changed
    assert daily.read(DAY, "AAPL").num_rows == 1
    assert [key.endswith(".corrupt") for key in port.list("_quarantine/")] == [True]


def test_who_writes_last_has_seen_what_the_other_had_stored() -> None:
    port = MemoryObjectStore()
    first = DailyStore(port, ChainView.DAILY_CLEAN, DAILY_CLEAN)
    known = [711]

    def other_writer(key: str) -> None:
        port.before_put = lambda key: None
        known.append(712)
        first.derive(DAY, "AAPL", "SMART", lambda: day_table(*known))

    port.before_put = other_writer
    first.derive(DAY, "AAPL", "SMART", lambda: day_table(*known))
    assert first.read(DAY, "AAPL").column("conid").to_pylist() == [711, 712]
