"""Open-interest reads: appended, kept as they came, a damaged one set aside."""

from datetime import UTC, date, datetime, timedelta

import pytest

from opt_data.errors import CommitConflict, SchemaMismatch
from opt_data.storage.open_interest_store import OpenInterestStore
from opt_data.storage.port import ObjectStore
from tests.fakes.chain import Row, ingest
from tests.fakes.clock import FixedClock

DAY = date(2025, 11, 24)
MORNING = datetime(2025, 11, 25, 12, 30, tzinfo=UTC)
FOLDER = "clean/ib/chain/view=enrichment/date=2025-11-24/underlying=AAPL/exchange=SMART/"


def seen(conid: int, value: int | None, **changes: object) -> Row:
    return {
        "conid": conid,
        "symbol": f"AAPL  251219C{conid:08d}",
        "right": "C",
        "open_interest": value,
        "absence": None if value is not None else "timed_out",
        "verdict": "first_read",
        "is_accepted": False,
        "observed_at": MORNING,
        "market_data_type": 1,
        **changes,
    }


@pytest.fixture
def store(port: ObjectStore) -> OpenInterestStore:
    return OpenInterestStore(port, FixedClock(MORNING + timedelta(seconds=20)))


def test_each_read_is_a_file_of_its_own(store: OpenInterestStore, port: ObjectStore) -> None:
    first = store.commit_read(DAY, "AAPL", "SMART", 1, [seen(711, 40), seen(712, None)], ingest("one"))
    second = store.commit_read(DAY, "AAPL", "SMART", 2, [seen(711, 41)], ingest("two"))

    assert [first, second] == [f"{FOLDER}read_01_one.parquet", f"{FOLDER}read_02_two.parquet"]
    assert list(port.list("")) == [first, second]
    rows = store.reads(DAY, "AAPL").to_pylist()
    assert [(row["read_number"], row["conid"], row["open_interest"]) for row in rows] == [
        (1, 711, 40), (1, 712, None), (2, 711, 41),
    ]  # fmt: skip
    assert {row["known_at"] for row in rows} == {MORNING + timedelta(seconds=20)}
    assert {(row["trade_date"], row["underlying"], row["dag_run_id"]) for row in rows} == {(DAY, "AAPL", "manual__1")}
    assert store.reads(date(2025, 11, 25), "AAPL").num_rows == 0
    assert store.reads(DAY, "MSFT").num_rows == 0


def test_a_read_is_never_written_twice(store: OpenInterestStore) -> None:
    store.commit_read(DAY, "AAPL", "SMART", 1, [seen(711, 40)], ingest("one"))

    with pytest.raises(CommitConflict):
        store.commit_read(DAY, "AAPL", "SMART", 1, [seen(711, 50)], ingest("one"))

    assert store.reads(DAY, "AAPL").column("open_interest").to_pylist() == [40]


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        pytest.param([], "a read has no rows", id="nothing"),
        pytest.param([seen(711, -1)], "column 'open_interest'", id="IB's word for none"),
        pytest.param([seen(711, None, absence="lazy")], "column 'absence': 'lazy' is not one of", id="no such reason"),
        pytest.param([seen(711, 40), seen(711, 41)], "has the key of row 0", id="a contract twice"),
    ],
)
def test_a_read_that_breaks_a_rule_is_refused_whole(
    store: OpenInterestStore, port: ObjectStore, rows: list[Row], complaint: str
) -> None:
    with pytest.raises(SchemaMismatch, match=complaint):
        store.commit_read(DAY, "AAPL", "SMART", 1, rows, ingest("one"))

    assert list(port.list("")) == []


def test_a_damaged_read_counts_as_not_made(store: OpenInterestStore, port: ObjectStore) -> None:
    damaged = store.commit_read(DAY, "AAPL", "SMART", 1, [seen(711, 40)], ingest("one"))
    whole = store.commit_read(DAY, "AAPL", "SMART", 2, [seen(711, 41)], ingest("two"))
    stored = port.read(damaged)
    assert stored is not None
    port.put(damaged, stored.data[:-20], expected=stored.version)

    assert store.reads(DAY, "AAPL").column("open_interest").to_pylist() == [41]
    assert [key for key in port.list("") if not key.startswith("_quarantine/")] == [whole]
    assert len(list(port.list("_quarantine/"))) == 1
