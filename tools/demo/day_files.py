"""What a simulated day left in the files, read by plain DuckDB: what any reader of them can do."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import duckdb


@dataclass(frozen=True, slots=True)
class SlotResult:
    """One symbol at one slot: the ledger's counts, and what the chain files themselves hold.

    ``modes`` counts the stored quotes by capture mode; ``rows`` counts contracts with and without a quote.
    """

    expected: int
    on_time: int
    late: int
    rebuilt: int
    missing: int
    error: int
    reasons: str
    rows: int = 0
    modes: Mapping[str, int] = field(default_factory=dict)

    @property
    def kept(self) -> int:
        return self.on_time + self.late + self.rebuilt


@dataclass(frozen=True, slots=True)
class DayResult:
    """One symbol's rolled-up day, counted in contracts.

    ``captured`` are those of its slots, ``matching`` those of them that have a day. ``living`` ones expire later, so
    that there is open interest to read the next morning, which ``open_interest`` of them have.
    """

    rows: int
    captured: int
    matching: int
    adjusted: int
    living: int
    open_interest: int


@dataclass(frozen=True, slots=True)
class DayFiles:
    """Everything the screen shows, by slot and symbol, or in total."""

    slots: Mapping[tuple[int, str], SlotResult]
    days: Mapping[str, DayResult]
    strategies: Mapping[str, int]
    flags: Mapping[str, int]
    views: Mapping[str, tuple[int, int]]
    """Files and bytes of each kind of file, of all days."""


def chains(data_root: Path, view: str) -> str:
    """What to name in a query to read one view: slot files and compacted ones alike."""
    return f"{data_root}/clean/ib/chain/view={view}/**/*.parquet"


def read_day(data_root: Path, day: date) -> DayFiles:
    """Read a session's ledger, chains and day."""
    with duckdb.connect() as database:
        tables = {
            "ledger": f"{data_root}/ledger/date={day}/*.parquet",
            "intraday": chains(data_root, "intraday"),
            "daily": chains(data_root, "daily_clean"),
            "adjusted": chains(data_root, "daily_adjusted"),
        }
        for name, files in tables.items():
            if any(data_root.glob(str(Path(files).relative_to(data_root)))):
                source = f"read_parquet('{files}', hive_partitioning = false, union_by_name = true)"
                database.execute(f"create view {name} as select * from {source} where trade_date = '{day}'")
            else:
                database.execute(_EMPTY[name])
        modes: dict[tuple[int, str], dict[str, int]] = {}
        for slot, symbol, mode, rows in database.execute(_MODES).fetchall():
            modes.setdefault((slot, symbol), {})[mode or ""] = rows
        slots = {
            (slot, symbol): _slot_result(counts, modes.get((slot, symbol), {}))
            for slot, symbol, *counts in database.execute(_LEDGER).fetchall()
        }
        days = {symbol: DayResult(*counts) for symbol, *counts in database.execute(_DAYS).fetchall()}
        strategies = dict(database.execute(_STRATEGIES).fetchall())
        flags = dict(database.execute(_FLAGS).fetchall())
    return DayFiles(slots, days, strategies, flags, _sizes(data_root))


def _slot_result(counts: list[Any], modes: Mapping[str, int]) -> SlotResult:
    quotes = {mode: rows for mode, rows in modes.items() if mode}
    return replace(SlotResult(*counts), rows=sum(modes.values()), modes=quotes)


def _sizes(data_root: Path) -> dict[str, tuple[int, int]]:
    sizes: dict[str, list[int]] = {}
    for path in data_root.rglob("*.parquet"):
        sizes.setdefault(_kind(path.relative_to(data_root)), []).append(path.stat().st_size)
    return {kind: (len(found), sum(found)) for kind, found in sorted(sizes.items())}


def _kind(path: Path) -> str:
    """``raw``, ``ledger``, or the view of a clean file, with compacted weeks apart."""
    if path.parts[0] != "clean":
        return path.parts[0]
    folders = dict(part.split("=", 1) for part in path.parts if "=" in part)
    return f"{folders['view']} by week" if "week" in folders else folders["view"]


_EMPTY = {
    "ledger": """create view ledger as select 0 slot_30m, '' underlying, 0 expected, 0 on_time, 0 late, 0 rebuilt,
        0 missing, 0 error, '' reasons where false""",
    "intraday": """create view intraday as select 0 slot_30m, '' underlying, 0 conid, '' capture_mode,
        false snapshot_error, ['']::varchar[] data_quality_flag where false""",
    "daily": """create view daily as select '' underlying, 0 conid, '' rollup_strategy, 0 open_interest,
        null::date trade_date, null::date expiry, null::date oi_asof_date where false""",
    "adjusted": "create view adjusted as select '' underlying, 0 conid where false",
}

_LEDGER = "select slot_30m, underlying, expected, on_time, late, rebuilt, missing, error, reasons from ledger"

_MODES = """
select slot_30m, underlying, case when snapshot_error then '' else capture_mode end, count(distinct conid)
from intraday group by all
"""

_DAYS = """
with captured as (select distinct underlying, conid from intraday)
select underlying, count(*), (select count(*) from captured c where c.underlying = d.underlying),
       count(*) filter (conid in (select conid from captured)),
       (select count(*) from adjusted a where a.underlying = d.underlying),
       count(*) filter (expiry > trade_date),
       count(open_interest) filter (expiry > trade_date and oi_asof_date = trade_date)
from daily d group by underlying
"""

_STRATEGIES = "select rollup_strategy, count(*) from daily group by all order by 2 desc, 1"

_FLAGS = """
select flag, count(*) from (select unnest(data_quality_flag) flag from intraday) group by all order by 2 desc, 1
"""
