"""Reading one symbol-day through our reader beside DuckDB reading the same files.

A symbol-day is 14 files of 48 rows, as captures leave them. Both give an Arrow table of all columns in the same order,
with one thread, in one warm process, and take turns over 100 symbol-days; ours also checks every page's checksum and
every file's columns, and sees to it that no swap of files gets in between. Prints ours ÷ DuckDB (bar 1.2).
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from chain_days import SymbolDay, write_slots
from record import record
from side_by_side import in_process

if TYPE_CHECKING:
    import pyarrow as pa

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "plugins"))

BAR = 1.2
SYMBOLS, CONTRACTS, DAY = 100, 48, date(2025, 11, 24)


def compare(root: Path, symbols: list[SymbolDay]) -> dict[str, list[float]]:
    """Milliseconds of each side, symbol after symbol; the first one is read before, to warm both up."""
    import duckdb

    from opt_data.storage.chain_reader import ChainReader
    from opt_data.storage.local import LocalObjectStore

    connection = duckdb.connect(config={"threads": 1})
    connection.execute("SET TimeZone = 'UTC'")
    reader = ChainReader(LocalObjectStore(root))

    def ours(one: SymbolDay) -> "pa.Table":
        return reader.read_chain(DAY, one.symbol)

    def theirs(one: SymbolDay) -> "pa.Table":
        files = f"{root}/clean/ib/chain/view=intraday/date={DAY}/underlying={one.symbol}/*/*.parquet"
        query = f"FROM read_parquet('{files}', hive_partitioning = false) ORDER BY sample_time, conid"
        return connection.sql(query).to_arrow_table()

    sides: dict[str, Callable[[SymbolDay], pa.Table]] = {"duckdb": theirs, "ours": ours}
    mine, other = (side(symbols[0]) for side in (ours, theirs))
    if [row["conid"] for row in mine.select(["conid"]).to_pylist()] != other.column("conid").to_pylist():
        raise SystemExit("the two sides read different rows")
    times: dict[str, list[float]] = {name: [] for name in sides}
    for number, one in enumerate(symbols):
        for name in sorted(sides, reverse=number % 2 == 0):
            started = time.perf_counter()
            sides[name](one)
            times[name].append((time.perf_counter() - started) * 1000)
    return times


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=SYMBOLS)
    parser.add_argument("--contracts", type=int, default=CONTRACTS)
    wanted = parser.parse_args()
    symbols = [SymbolDay(number, DAY, wanted.contracts) for number in range(wanted.symbols)]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        in_process(lambda: [write_slots(root, one) for one in symbols])
        times = in_process(lambda: compare(root, symbols))
    ratio = statistics.median(mine / theirs for mine, theirs in zip(times["ours"], times["duckdb"], strict=True))
    figures: dict[str, object] = {"symbol_days": len(symbols), "contracts": wanted.contracts}
    for name, values in times.items():
        figures[f"{name}_ms_median"] = round(statistics.median(values), 2)
        figures[f"{name}_ms_least"] = round(min(values), 2)
    print(", ".join(f"{name} {value}" for name, value in figures.items()))
    is_full_size = (wanted.symbols, wanted.contracts) == (SYMBOLS, CONTRACTS)
    return record("reader", ratio, figures, bar=BAR, is_full_size=is_full_size)


if __name__ == "__main__":
    sys.exit(main())
