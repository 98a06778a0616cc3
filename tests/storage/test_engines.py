"""What other people's readers see: DuckDB, pyarrow, pandas, over folders and columns of the same name."""

from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.dataset as ds
import pytest

from opt_data.core.slot_account import Expectation
from opt_data.storage.chain_store import ChainStore
from opt_data.storage.ledger import SlotLedger
from opt_data.storage.local import LocalObjectStore
from tests.fakes.chain import LAST_SLOT, SLOT, error_row, ingest, late_row, quote_row
from tests.fakes.clock import FixedClock


@pytest.fixture
def data(root: Path, clock: FixedClock) -> Path:
    """Two symbols, two slots, two attempts, a quarantined and a staged file, a ledger."""
    port = LocalObjectStore(root)
    chains = ChainStore(port, clock)
    torn = chains.commit_attempt(SLOT, "AAPL", "SMART", [quote_row(1)], ingest("torn"))
    (root / torn.raw_key).write_bytes(b"PAR1")
    chains.commit_attempt(SLOT, "AAPL", "SMART", [quote_row(1), error_row(2)], ingest("a"))
    chains.commit_attempt(SLOT, "BRK B", "SMART", [late_row(3, data_quality_flag=["no_bid"])], ingest("b"))
    chains.commit_attempt(LAST_SLOT, "AAPL", "SMART", [quote_row(1, LAST_SLOT)], ingest("c"))
    SlotLedger(port, clock, chains).update(SLOT, [Expectation("AAPL", "SMART", frozenset({1, 2, 9}))])
    (root / "_staging").mkdir(exist_ok=True)
    (root / "_staging" / "left-over.stage").write_bytes(b"PAR1")
    return root


def test_duckdb_reads_clean_by_a_plain_glob(data: Path) -> None:
    query = f"""
        select underlying, exchange, slot_30m, conid, bid, capture_mode, data_quality_flag, "date" = trade_date
        from '{data}/clean/**/*.parquet' order by underlying, slot_30m, conid
    """
    assert duckdb.sql(query).fetchall() == [
        ("AAPL", "SMART", 3, 1, 1.25, "on_time", [], True),
        ("AAPL", "SMART", 3, 2, None, None, ["snapshot_error"], True),
        ("AAPL", "SMART", 13, 1, 1.25, "on_time", [], True),
        ("BRK B", "SMART", 3, 3, 1.25, "late", ["late_capture", "no_bid"], True),
    ]


def test_duckdb_filters_by_folder_and_reads_instants_as_utc(data: Path) -> None:
    query = f"""
        select count(*), epoch(min(sample_time)) from '{data}/clean/**/*.parquet'
        where underlying = 'BRK B' and date = '2025-11-24' and view = 'intraday'
    """
    assert duckdb.sql(query).fetchall() == [(1, SLOT.instant_utc.timestamp())]


def test_duckdb_reads_everything_below_the_root_without_meeting_our_own_files(data: Path) -> None:
    raw = duckdb.sql(f"select distinct ingest_id from '{data}/raw/**/*.parquet' order by 1").fetchall()
    assert raw == [("a",), ("b",), ("c",)]
    files = duckdb.sql(f"select file from glob('{data}/**/*.parquet')").fetchall()
    assert not [file for (file,) in files if "/_" in file]


def test_duckdb_reads_the_ledger(data: Path) -> None:
    query = f"select underlying, expected, on_time, missing, reasons['no_row'] from '{data}/ledger/**/*.parquet'"
    assert duckdb.sql(query).fetchall() == [("AAPL", 3, 1, 2, 1)]


def test_pyarrow_reads_folders_and_columns_together(data: Path) -> None:
    dataset = ds.dataset(data / "clean", partitioning="hive")
    table = dataset.to_table(filter=ds.field("underlying") == "BRK B")
    assert table.column("conid").to_pylist() == [3]
    assert table.column("view").to_pylist() == ["intraday"]
    assert dataset.count_rows() == 4


def test_pandas_reads_a_day_as_the_page_says(data: Path) -> None:
    frame = pd.read_parquet(data / "clean/ib/chain/view=intraday/date=2025-11-24", partitioning=None)
    assert sorted(zip(frame["underlying"], frame["conid"], strict=True)) == [
        ("AAPL", 1),
        ("AAPL", 1),
        ("AAPL", 2),
        ("BRK B", 3),
    ]
