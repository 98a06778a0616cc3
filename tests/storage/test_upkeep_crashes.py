"""Upkeep and writers killed at random moments while others read: real processes."""

import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from datetime import date
from pathlib import Path

import duckdb

from opt_data.storage.chain_reader import ChainReader
from opt_data.storage.chain_store import ChainStore
from opt_data.storage.local import LocalObjectStore
from opt_data.storage.week_store import WeekStore
from tests.fakes.clock import FixedClock
from tests.storage.weeks import DAYS, SYMBOLS, WEEK, fill, pack, plain_rows

TESTS = Path(__file__).resolve().parents[1]
DRIVER = TESTS / "storage" / "upkeep_driver.py"

Place = tuple[str, date, int, int]
# what ``fill`` stores, at two slots of each day
PLACES = {(symbol, day, slot, conid) for symbol in SYMBOLS for day in DAYS for slot in (0, 3) for conid in (1, 2, 3)}
KILLS = 25
NAMES = ["underlying", "trade_date", "slot_30m", "conid"]


def places(port: LocalObjectStore) -> Counter[Place]:
    """How often each contract of each slot is there, through our reader."""
    reader = ChainReader(port)
    found: Counter[Place] = Counter()
    for day in DAYS:
        for symbol in SYMBOLS:
            rows = reader.read_chain(day, symbol).select(NAMES).to_pylist()
            found.update(tuple(row.values()) for row in rows)
    return found


def test_kills_at_random_moments_lose_double_and_spoil_nothing(root: Path, clock: FixedClock) -> None:
    port = LocalObjectStore(root)
    chains = ChainStore(port, clock)
    fill(chains)
    driver = subprocess.Popen(
        [sys.executable, str(DRIVER), str(root), str(KILLS), "20251129"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(TESTS.parent / "plugins")},
        start_new_session=True,
    )
    kills, complaints = 0, []
    try:
        assert driver.stdout is not None
        for _ in driver.stdout:
            kills += 1
            # between two kills, and beside the next process: every contract of every slot, once
            assert places(port) == Counter(PLACES)
            # a plain reader may meet a file that goes, which is an error, or rows twice, but never a damaged file
            try:
                duckdb.sql(f"select count(bid) from '{root}/clean/**/*.parquet'").fetchall()
            except duckdb.IOException as error:
                complaints.append(str(error))
    finally:
        with suppress(ProcessLookupError):
            os.killpg(driver.pid, signal.SIGKILL)  # with the process it forked
        _, errors = driver.communicate()
    assert kills == KILLS, errors
    assert all("o such file" in complaint or "Cannot open" in complaint for complaint in complaints), complaints

    WeekStore(port, chains, None).clean_up()
    assert places(port) == Counter(PLACES)
    assert {(row[0], row[3]) for row in plain_rows(port)} == {
        (symbol, str(conid)) for symbol in SYMBOLS for conid in (1, 2, 3)
    }
    assert plain_rows(port).total() == len(PLACES)
    pack(port, clock)
    assert plain_rows(port).total() == len(PLACES)
    query = f"select underlying, trade_date, slot_30m, conid from '{root}/clean/**/*.parquet'"
    assert Counter(duckdb.sql(query).fetchall()) == Counter(PLACES)
    assert [key for key in port.list("") if key.startswith(("_quarantine/", "_incoming/", "_retired/"))] == []
    assert list(port.list(WEEK.swap_key)) == []


def test_upkeep_never_makes_a_clean_row_worse_than_raw_says(root: Path, clock: FixedClock) -> None:
    port = LocalObjectStore(root)
    chains = ChainStore(port, clock)
    fill(chains)
    pack(port, clock)
    before = plain_rows(port)
    for day in DAYS:
        for symbol in SYMBOLS:
            assert not any(slot.is_changed for slot in chains.rebuild_clean(day, symbol))
    assert plain_rows(port) == before
