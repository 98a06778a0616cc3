"""Writers killed at every system call and at random moments, and writers side by side: real processes."""

import os
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from opt_data.core.slot_account import Expectation
from opt_data.errors import StorageUnavailable
from opt_data.storage.chain_reader import ChainReader
from opt_data.storage.chain_store import ChainStore
from opt_data.storage.layout import ChainPartition
from opt_data.storage.ledger import SlotLedger
from opt_data.storage.local import STAGING, LocalObjectStore
from opt_data.storage.parquet import decode
from opt_data.tables.datasets import RAW_CHAIN_INTRADAY
from tests.fakes.chain import SESSION, SLOT, error_row, ingest, late_row, quote_row
from tests.fakes.clock import FixedClock

TESTS = Path(__file__).resolve().parents[1]
DRIVER = TESTS / "storage" / "crash_driver.py"
DAY = SESSION.day
PARTITION = ChainPartition(DAY, "AAPL", "SMART")
CLOCK = FixedClock(SLOT.instant_utc + timedelta(minutes=20))


def drive(*arguments: object) -> str:
    return python(str(DRIVER), *map(str, arguments))


def python(*arguments: str) -> str:
    """Run an interpreter of its own with our packages and the fakes on its path; returns what it prints."""
    path = os.pathsep.join((str(TESTS.parent / "plugins"), str(TESTS)))
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def stores(root: Path) -> tuple[LocalObjectStore, ChainStore, SlotLedger]:
    port = LocalObjectStore(root)
    chains = ChainStore(port, CLOCK)
    return port, chains, SlotLedger(port, CLOCK, chains)


def origins(root: Path, symbol: str = "AAPL") -> dict[int, str]:
    """Which attempt each contract's clean row comes from; a contract with two rows fails."""
    rows = ChainReader(LocalObjectStore(root)).read_chain(DAY, symbol).select(["conid", "ingest_id"]).to_pylist()
    assert all(count == 1 for count in Counter(row["conid"] for row in rows).values())
    return {row["conid"]: row["ingest_id"] for row in rows}


def raw_rows(root: Path) -> dict[str, pa.Table]:
    """Every attempt in raw by its ingest id; an unreadable file fails."""
    port = LocalObjectStore(root)
    tables = [decode(port.read(key).data, RAW_CHAIN_INTRADAY, origin=key) for key in port.list("raw/")]
    return {table.column("ingest_id")[0].as_py(): table for table in tables}


def test_a_writer_killed_at_any_system_call_leaves_the_old_state_or_the_new(root: Path, tmp_path: Path) -> None:
    port, chains, ledger = stores(root)
    chains.commit_attempt(SLOT, "AAPL", "SMART", [quote_row(1), late_row(2), error_row(3)], ingest("first"))
    ledger.update(SLOT, [Expectation("AAPL", "SMART", frozenset(range(1, 9)))])
    work = tmp_path / "work"
    work.mkdir()
    calls = int(drive("at-every-call", root, work))
    assert calls > 30

    old = {1: "first", 2: "first", 3: "first"}
    new = {1: "first", 2: "second", 3: "second", 4: "second"}
    assert origins(work / "000") == new
    seen = Counter[str]()
    for copy in sorted(path for path in work.iterdir() if path.name != "000"):
        port, chains, ledger = stores(copy)
        clean, raw = origins(copy), raw_rows(copy)
        assert clean in (old, new)
        assert set(raw) in ({"first"}, {"first", "second"})
        if clean == new:
            assert "second" in raw
        (row,) = ledger.read(DAY).to_pylist()
        assert row["expected"] == sum(row[name] for name in ("on_time", "late", "rebuilt", "missing", "error"))
        seen["before raw" if "second" not in raw else "before clean" if clean == old else "after clean"] += 1

        rerun = [late_row(1), quote_row(2), quote_row(3), quote_row(4)]
        chains.commit_attempt(SLOT, "AAPL", "SMART", rerun, ingest("third", 3))
        ledger.update(SLOT, [Expectation("AAPL", "SMART", frozenset(range(1, 9)))])
        # the attempt known last replaces its equals
        assert origins(copy) == {1: "first", 2: "third", 3: "third", 4: "third"}
        (row,) = ledger.read(DAY).to_pylist()
        assert (row["on_time"], row["missing"], row["expected"]) == (4, 4, 8)
        assert list((copy / STAGING).iterdir()) == []
        assert list(port.list("_quarantine/")) == []
    assert set(seen) == {"before raw", "before clean", "after clean"}


def test_writers_killed_at_random_moments_lose_double_and_spoil_nothing(root: Path) -> None:
    finished = [line.split(":") for line in drive("at-random", root, 25, 20251124).split()]
    assert len(finished) > 10
    raw = raw_rows(root)
    for name, count in finished:
        assert raw[name].num_rows == int(count)
    everything = pa.concat_tables(raw.values())

    port, chains, ledger = stores(root)
    before = origins(root)
    clean = chains.refresh(PARTITION, 3)
    assert set(before) <= set(origins(root)) == set(everything.column("conid").to_pylist())
    rows = clean.rows.to_pylist()
    stored = everything.to_pylist()
    for row in rows:
        rivals = [other for other in stored if other["conid"] == row["conid"]]
        assert row in rivals
        modes = {other["capture_mode"] for other in rivals}
        assert row["capture_mode"] == ("on_time" if "on_time" in modes else "late" if "late" in modes else None)
    (account,) = ledger.update(SLOT, [Expectation("AAPL", "SMART", frozenset(range(1, 9)))])
    assert account.on_time == sum(row["capture_mode"] == "on_time" for row in rows)
    assert list(port.list("_quarantine/")) == []
    assert chains.rebuild_clean(DAY, "AAPL")[0].rows.equals(clean.rows)


def test_writers_side_by_side_lose_none_of_each_others_rows_or_symbols(root: Path) -> None:
    writers, attempts = 4, 4
    drive("side-by-side", root, writers, attempts)
    own = {100 * (writer + 1) + attempt: f"w{writer}-{attempt}" for writer in range(4) for attempt in range(1, 5)}
    clean = origins(root)
    shared = clean.pop(1)
    assert clean == own
    # known_at follows the attempt's number here, so that the last ones tie and the greatest id decides
    assert shared == "w3-4"
    assert len(raw_rows(root)) == writers * attempts * 2
    rows = {row["underlying"]: row for row in stores(root)[2].read(DAY).to_pylist()}
    assert set(rows) == {"AAPL", "SYM0", "SYM1", "SYM2", "SYM3"}
    assert (rows["AAPL"]["late"], rows["AAPL"]["unexpected"], rows["AAPL"]["attempts"]) == (1, 16, 16)
    assert all(rows[f"SYM{writer}"]["on_time"] == 1 for writer in range(4))


LIMITED = """
import resource, sys
from pathlib import Path
from fakes.chain import SLOT, ingest, quote_row
from fakes.clock import FixedClock
from opt_data.errors import StorageUnavailable
from opt_data.storage.chain_store import ChainStore
from opt_data.storage.local import LocalObjectStore
chains = ChainStore(LocalObjectStore(Path(sys.argv[1])), FixedClock(SLOT.instant_utc))
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    chains.commit_attempt(SLOT, "AAPL", "SMART", [quote_row(conid) for conid in range(1, 50)], ingest("big", 2))
except StorageUnavailable as error:
    print(error.path, error)
"""


def test_a_commit_without_room_says_so_and_leaves_everything_as_it_was(root: Path) -> None:
    # A full disk cannot be had without a mount. A file size limit makes the kernel do the same: take a part, then fail.
    port, chains, _ = stores(root)
    chains.commit_attempt(SLOT, "AAPL", "SMART", [quote_row(1)], ingest("first"))
    before = {key: port.read(key) for key in port.list("")}
    printed = python("-c", LIMITED, str(root))
    assert "ulimit -f" in printed
    assert str(root) in printed
    assert {key: port.read(key) for key in port.list("")} == before
    assert list((root / STAGING).iterdir()) == []


NO_PANDAS = """
import sys
from pathlib import Path
from fakes.chain import SESSION, SLOT, SLOTS, ingest, late_row, quote_row
from fakes.clock import FixedClock
from opt_data.core.contracts import ContractSet, Underlying
from opt_data.core.slot_account import Expectation
from opt_data.storage.chain_reader import ChainReader
from opt_data.storage.chain_store import ChainStore
from opt_data.storage.daily_store import DailyStore
from opt_data.storage.layout import ChainView
from opt_data.storage.ledger import SlotLedger
from opt_data.storage.local import LocalObjectStore
from opt_data.tables.datasets import DAILY_CLEAN
from opt_data.transforms.rollup import roll_up
from opt_data.transforms.rollup_columns import RollupRules
assert "pyarrow" not in sys.modules
port, clock = LocalObjectStore(Path(sys.argv[1])), FixedClock(SLOT.instant_utc)
chains = ChainStore(port, clock)
for attempt in (1, 2):
    chains.commit_attempt(SLOT, "AAPL", "SMART", [late_row(1), quote_row(2)], ingest(f"a{attempt}", attempt))
    SlotLedger(port, clock, chains).update(SLOT, [Expectation("AAPL", "SMART", frozenset({1, 2, attempt + 2}))])
day, made = SESSION.day, SLOT.instant_utc
contracts = ContractSet(Underlying("AAPL", conid=265598), day, 700.0, "previous_close", (), made, day, "x")
reader = ChainReader(port)
slots, close = reader.open_chain(day, "AAPL"), reader.open_chain(day, "AAPL", view=ChainView.CLOSE)
DailyStore(port, ChainView.DAILY_CLEAN, DAILY_CLEAN).derive(
    day, "AAPL", "SMART", lambda: roll_up(close, slots, contracts, "SMART", RollupRules(SLOTS, True, True))
)
print("pandas" in sys.modules)
"""


def test_committing_and_rolling_up_import_pyarrow_when_they_must_and_pandas_never(root: Path) -> None:
    assert python("-c", NO_PANDAS, str(root)) == "False\n"


@pytest.mark.parametrize("folder", ["raw", "clean"])
def test_a_file_in_the_way_of_a_partition_is_named_and_raw_is_not_lost(root: Path, folder: str) -> None:
    root.mkdir(parents=True)
    (root / folder).write_text("in the way")
    _, chains, _ = stores(root)
    with pytest.raises(StorageUnavailable, match="move it away"):
        chains.commit_attempt(SLOT, "AAPL", "SMART", [quote_row(1)], ingest("a"))
    (root / folder).unlink()
    chains.commit_attempt(SLOT, "AAPL", "SMART", [quote_row(2)], ingest("b", 2))
    assert origins(root) == ({2: "b"} if folder == "raw" else {1: "a", 2: "b"})
