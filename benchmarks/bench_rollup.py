"""Rolling a session up beside DuckDB making the same selection and writing the same files.

500 symbols × 48 contracts × 14 slots and the closing snapshot: 7,500 files. DuckDB does it in one query: close, slot at
the close, slot before, last good, none, slot counts, flags, the underlying's close, the same columns into one Snappy
file a symbol. Ours is ``roll_up_session``, symbol after symbol, as the mapped tasks call it: it reads the contract set
and looks for open interest, compares with what is there, and writes a run log, which DuckDB does not. The files of both
are synced to the disk, DuckDB's at the end. Each side has one thread, in a process with its libraries imported, as the
executor's workers are; Airflow itself, settings and calendar are not counted. Both results are compared row by row.
Prints ours ÷ DuckDB (bar 1.5) and our peak memory (bar 1 GiB).
"""

import argparse
import os
import shutil
import sys
import tempfile
from datetime import date
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from chain_days import EXCHANGE, SymbolDay, write_slots_and_close
from record import record
from side_by_side import figures_of, in_process, ratio_of, timed

if TYPE_CHECKING:
    from opt_data.core.sessions import TradingSession
    from opt_data.pipelines.stores import Stores

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "plugins"))

BAR, MEMORY_BAR_MIB = 1.5, 1024
SYMBOLS, CONTRACTS, DAY = 500, 48, date(2025, 11, 24)
DAILY = "data/clean/ib/chain/view=daily_clean"


def prepare(root: Path, symbols: list[SymbolDay]) -> None:
    from opt_data.storage.contract_cache import ContractCache

    for one in symbols:
        write_slots_and_close(root / "data", one)
        ContractCache(root / "state" / "contracts_cache").save(one.contract_set())


def ours(symbols: list[SymbolDay]) -> None:
    from opt_data.core.contracts import Underlying
    from opt_data.pipelines.roll_up_session import roll_up_session

    stores, session = opened()
    for one in symbols:
        roll_up_session(session, Underlying(one.symbol), EXCHANGE, is_intraday=True, stores=stores)


@cache
def opened() -> "tuple[Stores, TradingSession]":
    """What every task opens before it rolls up."""
    from opt_data.bootstrap import open_stores
    from opt_data.config.load import load_settings
    from opt_data.core.clock import SystemClock

    stores = open_stores(load_settings(), SystemClock())
    return stores, stores.calendar.session(DAY)


def get_ready() -> None:
    from opt_data.executors.warm_local import import_ahead

    import_ahead()
    opened()


def duckdb_selection(root: Path) -> str:
    """The day of all symbols as one query."""
    from opt_data.core.quality import UND_GAP_MAX
    from opt_data.tables.chain_columns import CHAIN_COLUMNS, QUOTE_VALUES
    from opt_data.tables.daily_columns import DAILY_COLUMNS

    def rows_of(view: str) -> str:
        names = ", ".join(f'"{column.name}"' for column in CHAIN_COLUMNS)
        files = f"{root}/data/clean/ib/chain/view={view}/date={DAY}/*/*/*.parquet"
        return f"SELECT {names} FROM read_parquet('{files}', hive_partitioning = false)"

    kept = "(slots_on_time + slots_late + slots_rebuilt)"
    expected = f"greatest({kept}, 14 - first_seen_slot)"
    told = "['snapshot_error', 'missing_oi']"
    fallback = """CASE wanted WHEN 14 THEN [] WHEN 13 THEN ['fallback_intraday']
        WHEN 12 THEN ['fallback_intraday', 'eod_rollup_fallback']
        ELSE ['fallback_intraday', 'eod_rollup_fallback', 'eod_rollup_stale'] END"""
    apart = f"""CASE WHEN wanted < 13 OR abs(und_last / underlying_close - 1) > {UND_GAP_MAX}
        THEN ['und_async'] ELSE [] END"""
    made = {
        "snapshot_error": "NOT is_good",
        "error_type": "CASE WHEN NOT is_good THEN coalesce(error_type, 'no_quote') END",
        "error_message": "CASE WHEN NOT is_good THEN coalesce(error_message, 'no good quote') END",
        "ingest_run_type": "'eod_rollup'",
        "schema_version": "1::SMALLINT",
        "data_quality_flag": f"""CASE WHEN NOT is_good THEN {told}
            ELSE list_concat(list_concat(data_quality_flag, ['missing_oi']), list_concat({fallback}, {apart})) END""",
        "open_interest": "NULL::BIGINT",
        "oi_asof_date": "NULL::DATE",
        "oi_observed_at": "NULL::TIMESTAMPTZ",
        "rollup_source_time": "CASE WHEN is_good THEN sample_time END",
        "rollup_source_slot": "CASE WHEN is_good THEN slot_30m END",
        "rollup_strategy": """CASE WHEN NOT is_good THEN 'none' WHEN wanted = 14 THEN 'close'
            WHEN wanted = 13 THEN 'slot_1600' WHEN wanted = 12 THEN 'slot_1530' ELSE 'last_good' END""",
        "moneyness_pct": "(strike / underlying_close - 1) * 100",
        "strike_per_100": "strike / underlying_close * 100",
        "slots_expected": f"({expected})::SMALLINT",
        "slots_missing": f"({expected} - {kept})::SMALLINT",
    } | {
        name: f'CASE WHEN is_good THEN "{name}" END' for name in (*QUOTE_VALUES, "capture_mode", "delayed_quote_age_s")
    }  # fmt: skip
    columns = ", ".join(f'{made.get(column.name, chr(34) + column.name + chr(34))} AS "{column.name}"'
                        for column in DAILY_COLUMNS)  # fmt: skip
    return f"""
        WITH slots AS ({rows_of("intraday")}), closes AS ({rows_of("close")}),
        judged AS (
            SELECT *, NOT snapshot_error AND capture_mode IS NOT NULL AND NOT coalesce(bid > ask, false)
                AND coalesce(bid, ask, last) IS NOT NULL AS is_good
            FROM (SELECT *, slot_30m::INT AS wanted FROM slots UNION ALL SELECT *, 14 AS wanted FROM closes)
        ),
        chosen AS (
            SELECT * FROM judged
            QUALIFY row_number() OVER (PARTITION BY underlying, conid ORDER BY is_good DESC, wanted DESC) = 1
        ),
        counts AS (
            SELECT conid AS counted,
                (count(*) FILTER (capture_mode IN ('on_time', 'frozen')))::SMALLINT AS slots_on_time,
                (count(*) FILTER (capture_mode = 'late'))::SMALLINT AS slots_late,
                (count(*) FILTER (capture_mode = 'rebuilt'))::SMALLINT AS slots_rebuilt
            FROM slots GROUP BY conid
        ),
        closing AS (
            SELECT underlying AS whose, arg_min(und_last, und_asof_ts) AS underlying_close
            FROM slots WHERE slot_30m = 13 GROUP BY underlying
        )
        SELECT {columns} FROM chosen JOIN counts ON conid = counted JOIN closing ON underlying = whose
        ORDER BY underlying, conid"""


def theirs(root: Path) -> None:
    import duckdb

    connection = duckdb.connect(config={"threads": 1})
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(
        f"COPY ({duckdb_selection(root)}) TO '{root}/duckdb' "
        "(FORMAT parquet, COMPRESSION snappy, PARTITION_BY (underlying), WRITE_PARTITION_COLUMNS true)"
    )
    written = root / "duckdb"
    for path in (*written.rglob("*"), written):
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def differences(root: Path) -> tuple[int, int]:
    """How many rows only one side has, and how many both have; rows of contracts without any stored row left out.

    Compared is every column but the words of an error and the order of flags.
    """
    import duckdb

    from opt_data.tables.daily_columns import DAILY_COLUMNS

    special = {"error_message": "1", "data_quality_flag": "list_sort(data_quality_flag)"}
    columns = ", ".join(special.get(column.name, f'"{column.name}"') for column in DAILY_COLUMNS)
    mine, others = (
        f"(SELECT {columns} FROM read_parquet('{root}/{folder}/**/*.parquet', hive_partitioning = false) {where})"
        for folder, where in ((DAILY, "WHERE ingest_id IS NOT NULL"), ("duckdb", ""))
    )
    query = f"""SELECT (SELECT count(*) FROM ({mine} EXCEPT ALL {others})),
        (SELECT count(*) FROM ({others} EXCEPT ALL {mine})), (SELECT count(*) FROM {mine})"""
    only_mine, only_theirs, all_mine = duckdb.execute(query).fetchone() or (0, 0, 0)
    return only_mine + only_theirs, all_mine


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=SYMBOLS)
    parser.add_argument("--contracts", type=int, default=CONTRACTS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", help="where to work; a disk, not memory")
    wanted = parser.parse_args()
    symbols = [SymbolDay(number, DAY, wanted.contracts) for number in range(wanted.symbols)]
    mine, others = [], []
    with tempfile.TemporaryDirectory(dir=wanted.folder) as folder:
        root = Path(folder)
        os.environ |= {
            "OPT_DATA_CONFIG": str(ROOT / "include/config/opt_data.toml"),
            "OPT_DATA__PATHS__DATA_ROOT": str(root / "data"),
            "OPT_DATA__PATHS__STATE_ROOT": str(root / "state"),
        }
        in_process(lambda: prepare(root, symbols))
        for _ in range(wanted.rounds):
            shutil.rmtree(root / DAILY, ignore_errors=True)
            shutil.rmtree(root / "duckdb", ignore_errors=True)
            others.append(timed(lambda: theirs(root), get_ready=lambda: import_module("duckdb")))
            mine.append(timed(lambda: ours(symbols), get_ready=get_ready))
        different, rows = in_process(lambda: differences(root))
    peak = max(run.peak_mib for run in mine)
    print(f"{rows} rows of {len(symbols)} symbols, {different} different; peak memory {peak:.0f} MiB")
    figures = {"symbols": len(symbols), "contracts": wanted.contracts, "rows": rows, "different_rows": different}
    return record(
        "rollup",
        ratio_of(mine, others),
        {**figures, **figures_of("ours", mine), **figures_of("duckdb", others)},
        bar=BAR,
        keeps_limits=peak <= MEMORY_BAR_MIB and not different,
        is_full_size=(wanted.symbols, wanted.contracts) == (SYMBOLS, CONTRACTS),
    )


if __name__ == "__main__":
    sys.exit(main())
