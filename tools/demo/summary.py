"""What one slot left in the store: the table at the end of the demo, and whether it adds up."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from opt_data.core.slots import Slot
from opt_data.storage.layout import ledger_key

HEADINGS = ("symbol", "expected", "kept", "missing", "error", "flags", "lag s", "file")
NUMBERS = {"expected", "kept", "missing", "error", "lag s"}


@dataclass(frozen=True, slots=True)
class SymbolResult:
    """One symbol at one slot: the ledger's counts and what the clean file itself holds.

    ``rows`` and ``quotes`` are counted in the file; ``lag_s`` is the greatest lag of a kept quote, None without any.
    """

    symbol: str
    expected: int
    kept: int
    missing: int
    error: int
    lag_s: float | None
    reasons: str
    rows: int
    quotes: int
    flags: str
    file: str

    def problem(self) -> str | None:
        """Why this symbol's contracts are not all accounted for, or None."""
        if self.expected == 0:
            return f"{self.symbol}: no contract was expected, so there is no contract set"
        if self.expected != self.kept + self.missing + self.error:
            return f"{self.symbol}: {self.expected} expected, but {self.kept} + {self.missing} + {self.error} accounted"
        if self.rows != self.expected:
            return f"{self.symbol}: {self.expected} contracts expected, {self.rows} rows stored"
        if self.quotes != self.kept:
            return f"{self.symbol}: the ledger counts {self.kept} quotes, the file holds {self.quotes}"
        if self.kept == 0:
            return f"{self.symbol}: not one quote was kept ({self.reasons})"
        return None


def read_results(data_root: Path, slot: Slot) -> list[SymbolResult]:
    """Read the slot's ledger and clean files, one result a symbol in the ledger, by symbol.

    Plain DuckDB over plain Parquet: what any reader of the files can do.
    """
    ledger = data_root / ledger_key(slot.session.day, slot.index)
    if not ledger.exists():
        return []
    chains = f"{data_root}/clean/ib/chain/view=intraday/date={slot.session.day}/*/*/slot_{slot.index:02d}.parquet"
    has_chains = any(data_root.glob(str(Path(chains).relative_to(data_root))))
    with duckdb.connect() as database:
        stored = {
            symbol: (rows, quotes, flags, file)
            for symbol, rows, quotes, flags, file in (
                database.execute(_CHAINS, [chains]).fetchall() if has_chains else []
            )
        }
        counts = database.execute(_LEDGER, [str(ledger)]).fetchall()
    results = []
    for symbol, expected, kept, missing, error, lag_s, reasons in counts:
        rows, quotes, flags, file = stored.get(symbol, (0, 0, "", ""))
        name = str(Path(file).relative_to(data_root)) if file else "none"
        results.append(
            SymbolResult(symbol, expected, kept, missing, error, lag_s, str(reasons), rows, quotes, flags or "-", name)
        )
    return results


def problems(results: Sequence[SymbolResult], universe: Sequence[str]) -> list[str]:
    """Everything that is not accounted for; empty means every expected contract of every symbol is."""
    found = [problem for result in results if (problem := result.problem()) is not None]
    known = {result.symbol for result in results}
    return found + [f"{symbol}: not in the slot ledger" for symbol in universe if symbol not in known]


def table(results: Sequence[SymbolResult]) -> str:
    """The results as aligned text."""
    lines = [HEADINGS, *(_cells(result) for result in results)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if name in NUMBERS else cell.ljust(width)
            for name, cell, width in zip(HEADINGS, line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def questions(data_root: Path) -> tuple[str, ...]:
    """Three queries to try on the files."""
    chains = f"'{data_root}/clean/**/*.parquet'"
    ledger = f"'{data_root}/ledger/**/*.parquet'"
    return (
        f"select underlying, slot_30m, count(*) rows, count(bid) bids from {chains} group by all order by all",
        f"select symbol, bid, ask, iv, delta, lag_s from {chains} where underlying = 'SPY' order by expiry, strike",
        f"select sample_time_et, underlying, expected, on_time, missing, error, reasons from {ledger} order by all",
    )


def _cells(result: SymbolResult) -> tuple[str, ...]:
    lag = "-" if result.lag_s is None else f"{result.lag_s:.1f}"
    counts = (str(count) for count in (result.expected, result.kept, result.missing, result.error))
    return (result.symbol, *counts, result.flags, lag, result.file)


_LEDGER = """
select underlying, expected, on_time + late + rebuilt, missing, error, lag_max_s, reasons
from read_parquet(?, hive_partitioning = false)
order by underlying
"""

_CHAINS = """
with rows as (select * from read_parquet(?, hive_partitioning = false, filename = true)),
flag_counts as (
    select underlying, flag, count(*) as times
    from (select underlying, unnest(data_quality_flag) as flag from rows where not snapshot_error)
    group by all
),
flags as (
    select underlying, string_agg(flag || ' ' || times, ', ' order by times desc, flag) as flags
    from flag_counts group by underlying
)
select underlying, count(*), count(*) filter (not snapshot_error), any_value(flags.flags), any_value(filename)
from rows left join flags using (underlying)
group by underlying
"""
