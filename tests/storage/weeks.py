"""A small week of chains and what any plain reader sees of it."""

import io
from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq

from opt_data.core.file_sizes import SizeLimits
from opt_data.core.sessions import TradingSession
from opt_data.core.slots import Slot, slot_grid
from opt_data.storage.chain_store import ChainStore
from opt_data.storage.compaction import WeekPacker
from opt_data.storage.layout import ChainWeek
from opt_data.storage.part_writer import PackRules
from opt_data.storage.port import ObjectStore
from tests.fakes.chain import error_row, ingest, late_row, quote_row
from tests.fakes.clock import FixedClock

DAYS = (date(2025, 11, 24), date(2025, 11, 25), date(2025, 11, 28))
WEEK = ChainWeek(date(2025, 11, 24))
SYMBOLS = ("AAPL", "BRK B", "SPY")
RULES = PackRules(SizeLimits(2**27, 2**28), 16, "snappy")
Rows = Counter[tuple[object, ...]]


def slots_of(day: date) -> tuple[Slot, ...]:
    opens = datetime(day.year, day.month, day.day, 14, 30, tzinfo=UTC)
    return slot_grid(TradingSession(day, opens, opens + timedelta(hours=6.5)))


def fill(chains: ChainStore, symbols: tuple[str, ...] = SYMBOLS) -> None:
    """Two slots a day and symbol, with quotes, a late one and an error."""
    for day in DAYS:
        for slot in (slots_of(day)[0], slots_of(day)[3]):
            for symbol in symbols:
                rows = [quote_row(3, slot), late_row(1, slot), error_row(2)]
                chains.commit_attempt(slot, symbol, "SMART", rows, ingest(f"{symbol[:3]}-{day}-{slot.index}"))


def pack(port: ObjectStore, clock: FixedClock, rules: PackRules = RULES, week: ChainWeek = WEEK):
    return WeekPacker(port, ChainStore(port, clock), rules).pack(week)


def plain_rows(port: ObjectStore) -> Rows:
    """Every row a reader of all Parquet files below ``clean`` sees, by what tells rows apart."""
    return counted(
        pq.ParquetFile(io.BytesIO(port.read(key).data)).read()
        for key in port.list("clean/")
        if key.endswith(".parquet")
    )


def counted(tables) -> Rows:
    names = ["underlying", "exchange", "sample_time", "conid", "ingest_id", "bid", "error_type", "known_at"]
    found: Rows = Counter()
    for table in tables:
        found.update(tuple(str(value) for value in row.values()) for row in table.select(names).to_pylist())
    return found


def packed_tables(port: ObjectStore, week: ChainWeek = WEEK) -> list[pa.Table]:
    return [pq.ParquetFile(io.BytesIO(port.read(key).data)).read() for key in port.list(week.packed_prefix)]
