"""The one screen at the end: coverage by slot and symbol, the day, its files, and questions to go on with."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tools.demo.day_account import kept_and_expected
from tools.demo.day_files import DayFiles, chains
from tools.demo.day_plan import DayPlan

LETTERS = {"on_time": "o", "late": "l", "rebuilt": "r", "frozen": "f"}
WIDTH = 12


def screen(plan: DayPlan, files: DayFiles, universe: Sequence[str]) -> str:
    """Everything of the day that fits on one screen, as text."""
    return "\n".join((*_grid(plan, files, universe), "", *_totals(plan, files)))


def _grid(plan: DayPlan, files: DayFiles, universe: Sequence[str]) -> Iterator[str]:
    yield f"{'slot':<6}" + "".join(symbol.rjust(WIDTH) for symbol in universe)
    for slot in plan.slots:
        cells = (_cell(files, slot.index, symbol) for symbol in universe)
        note = "   missed, then rebuilt by the backfill" if slot == plan.missed else ""
        yield (f"{slot.label:<6}" + "".join(cell.rjust(WIDTH) for cell in cells) + note).rstrip()
    yield "quotes kept / contracts expected; o on time, l late, r rebuilt from bars, f frozen at the close"
    if plan.left_out:
        yield f"Shortened: {plan.left_out} slots of this session were left out; without SLOTS a day is shown whole."


def _cell(files: DayFiles, slot: int, symbol: str) -> str:
    result = files.slots.get((slot, symbol))
    if result is None:
        return "-"
    letters = "".join(letter for mode, letter in LETTERS.items() if result.modes.get(mode))
    return f"{result.kept}/{result.expected} {letters or '-'}"


def _totals(plan: DayPlan, files: DayFiles) -> Iterator[str]:
    kept, expected = kept_and_expected(files, plan.slots)
    days = files.days.values()
    rows, expired = sum(day.rows for day in days), sum(day.rows - day.living for day in days)
    filled = sum(day.open_interest for day in days)
    yield f"slots          {kept} quotes of {expected} expected contracts, {expected - kept} without"
    yield f"the day        {rows} rows, one a contract; its quote from: {_counts(files.strategies)}"
    yield f"open interest  {filled} of {rows - expired} contracts, read the next morning; {expired} had expired"
    yield f"flags          {_counts(files.flags)}"
    for number, (kind, (count, size)) in enumerate(files.views.items()):
        yield f"{'' if number else 'files':<15}{kind:<20}{count:>4} files {size / 1000:>9,.0f} kB"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"


def questions(data_root: Path) -> tuple[str, ...]:
    """Queries to try on the files."""
    intraday, daily = chains(data_root, "intraday"), chains(data_root, "daily_clean")
    return (
        f"select sample_time_et, capture_mode, count(*) contracts, max(lag_s) lag_s from '{intraday}' "
        "where underlying = 'SPY' group by all order by 1",
        "select symbol, bid, ask, iv, calc_iv, calc_delta, data_quality_flag from "
        f"'{intraday}' where capture_mode = 'rebuilt' order by symbol",
        f"select symbol, mid, iv, delta, open_interest, oi_asof_date, rollup_strategy from '{daily}' order by symbol",
        "select sample_time_et, underlying, expected, on_time, late, rebuilt, missing, error, reasons "
        f"from '{data_root}/ledger/**/*.parquet' order by all",
    )
