"""Compacting a week of slot files beside a bare pyarrow read and write of the same bytes and codec.

The week is 500 symbols × 48 contracts × 14 slots × 5 days in one file a slot: 35,000 files, 1.68 million rows
(--symbols, --contracts for another one). Each side runs in a process of its own on hard links to the same files. The
bare side reads the files in the final order and writes row groups of the same size to one synced file: no locks, no
journal, no check, no removal of the old files. Prints ours ÷ bare (bar 1.5) and our peak memory (bar 1 GiB).
"""

import argparse
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from record import record

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "plugins"))

BAR, MEMORY_BAR_MIB = 1.5, 1024
SYMBOLS, CONTRACTS = 500, 48
MONDAY, DAYS, SLOTS = date(2025, 11, 24), 5, 14
ROW_GROUP_ROWS = 32_768


def write_week(root: Path, symbols: int, contracts: int) -> None:
    """Files as captures leave them; values that compress about as badly as quotes do."""
    import numpy as np
    import pyarrow as pa

    from opt_data.storage.layout import ChainPartition
    from opt_data.storage.parquet import encode
    from opt_data.tables.arrow import arrow_schema
    from opt_data.tables.column import ColumnType
    from opt_data.tables.datasets import CLEAN_CHAIN_INTRADAY

    dice = np.random.default_rng(1)
    schema = arrow_schema(CLEAN_CHAIN_INTRADAY)
    constants: dict[ColumnType, object] = {
        ColumnType.INT16: 1, ColumnType.INT8: 1, ColumnType.BOOL: False, ColumnType.STRING_LIST: [],
        ColumnType.STRING: "on_time",
    }  # fmt: skip

    def value(kind: ColumnType, day: date, opens: datetime) -> object:
        if kind is ColumnType.FLOAT64:
            return dice.integers(1, 4_000_000, contracts) / 10_000
        if kind in (ColumnType.INT64, ColumnType.INT32):
            return dice.integers(1, 5000, contracts)
        return [{ColumnType.DATE: day, ColumnType.TIMESTAMP: opens, **constants}[kind]] * contracts

    for number in range(symbols):
        symbol = f"S{number:04d}"
        names = [f"{symbol:6}251219C{contract:08d}" for contract in range(contracts)]
        conids = [number * 100_000 + contract for contract in range(contracts)]
        for day in (MONDAY + timedelta(days=days) for days in range(DAYS)):
            opens = datetime(day.year, day.month, day.day, 14, 30, tzinfo=UTC)
            for slot in range(SLOTS):
                values = {column.name: value(column.type, day, opens) for column in CLEAN_CHAIN_INTRADAY.columns}
                values |= {
                    "underlying": [symbol] * contracts,
                    "exchange": ["SMART"] * contracts,
                    "conid": conids,
                    "symbol": names,
                    "slot_30m": [slot] * contracts,
                    "sample_time": [opens + slot * timedelta(minutes=30)] * contracts,
                }
                table = pa.table([pa.array(values[field.name], field.type) for field in schema], schema=schema)
                path = root / ChainPartition(day, symbol, "SMART").clean_key(slot)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(encode(table, CLEAN_CHAIN_INTRADAY))


def bare(root: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from opt_data.storage.parquet import text_columns
    from opt_data.tables.datasets import CLEAN_CHAIN_INTRADAY

    def order(path: Path) -> tuple[str, str, str]:
        folders = dict(part.split("=") for part in path.parts if "=" in part)
        return folders["underlying"], folders["date"], path.name

    writer, waiting, rows = None, [], 0
    for path in sorted((root / "clean").rglob("*.parquet"), key=order):
        with pq.ParquetFile(path) as file:
            waiting.append(file.read(use_threads=False))
        rows += waiting[-1].num_rows
        if writer is None:
            writer = pq.ParquetWriter(
                root / "bare.parquet",
                waiting[0].schema,
                compression="snappy",
                use_dictionary=text_columns(CLEAN_CHAIN_INTRADAY),
                write_page_checksum=True,
            )
        if rows >= ROW_GROUP_ROWS:
            writer.write_table(pa.concat_tables(waiting), row_group_size=2 * ROW_GROUP_ROWS)
            waiting, rows = [], 0
    assert writer is not None
    if waiting:
        writer.write_table(pa.concat_tables(waiting), row_group_size=2 * ROW_GROUP_ROWS)
    writer.close()
    with (root / "bare.parquet").open("rb") as written:
        os.fsync(written.fileno())


def ours(root: Path) -> None:
    from opt_data.core.clock import SystemClock
    from opt_data.core.file_sizes import SizeLimits
    from opt_data.storage.chain_store import ChainStore
    from opt_data.storage.local import LocalObjectStore
    from opt_data.storage.part_writer import PackRules
    from opt_data.storage.week_store import WeekStore

    port = LocalObjectStore(root)
    rules = PackRules(SizeLimits(128 * 10**6, 256 * 2**20), ROW_GROUP_ROWS, "snappy")
    done = WeekStore(port, ChainStore(port, SystemClock()), None).pack(MONDAY, rules)
    sizes = ", ".join(f"{size / 1e6:.0f} MB" for _, size in done.outputs)
    print(f"{len(done.inputs)} files, {sum(size for _, size in done.inputs) / 1e6:.0f} MB → {sizes}, {done.rows} rows")


def measured(body: Callable[[Path], None], week: Path) -> tuple[float, float]:
    """Seconds and peak MiB of one process on hard links to the week; imports are not counted."""
    with tempfile.TemporaryDirectory(dir=week.parent) as folder:
        root = Path(folder) / "data"
        shutil.copytree(week, root, copy_function=os.link)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            import pyarrow.compute
            import pyarrow.parquet  # noqa: F401

            started = time.perf_counter()
            body(root)
            seconds = time.perf_counter() - started
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            sys.stdout.flush()
            os.write(writing, f"{seconds} {peak}".encode())
            os._exit(0)
        os.close(writing)
        answer = os.read(reading, 200).decode().split()
        os.close(reading)
        _, status = os.waitpid(child, 0)
        if status:
            raise SystemExit("a process failed")
        return float(answer[0]), float(answer[1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=SYMBOLS)
    parser.add_argument("--contracts", type=int, default=CONTRACTS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", help="where to work; a disk, not memory")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=wanted.folder) as folder:
        week = Path(folder) / "week"
        maker = os.fork()  # a process of its own, so that its memory is not inherited
        if maker == 0:
            write_week(week, wanted.symbols, wanted.contracts)
            os._exit(0)
        if os.waitpid(maker, 0)[1]:
            raise SystemExit("the week could not be written")
        measured(bare, week)
        rounds = [(measured(bare, week), measured(ours, week)) for _ in range(wanted.rounds)]
    ratio = statistics.median(mine[0] / theirs[0] for theirs, mine in rounds)
    peak = max(mine[1] for _, mine in rounds)
    bare_s, ours_s = (statistics.median(pair[side][0] for pair in rounds) for side in (0, 1))
    print(
        f"bare {bare_s:.1f} s ({max(theirs[1] for theirs, _ in rounds):.0f} MiB), ours {ours_s:.1f} s ({peak:.0f} MiB)"
    )
    print(f"peak memory {peak:.0f} MiB (bar {MEMORY_BAR_MIB})")
    figures = {
        "symbols": wanted.symbols,
        "contracts": wanted.contracts,
        "files": wanted.symbols * DAYS * SLOTS,
        "bare_s": [round(theirs[0], 2) for theirs, _ in rounds],
        "ours_s": [round(mine[0], 2) for _, mine in rounds],
        "bare_peak_mib": round(max(theirs[1] for theirs, _ in rounds)),
        "ours_peak_mib": round(peak),
    }
    return record(
        "compaction",
        ratio,
        figures,
        bar=BAR,
        keeps_limits=peak <= MEMORY_BAR_MIB,
        is_full_size=(wanted.symbols, wanted.contracts) == (SYMBOLS, CONTRACTS),
    )


if __name__ == "__main__":
    sys.exit(main())
