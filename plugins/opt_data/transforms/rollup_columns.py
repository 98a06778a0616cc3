"""What a rollup adds to the rows it took, and what it takes out of rows that are no quote."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opt_data.core.outcomes import ErrorType
from opt_data.core.quality import UND_GAP_MAX
from opt_data.core.rollup import Strategy, slot_strategies, strategy_flags
from opt_data.core.slots import Slot
from opt_data.tables.arrow_rows import column_array, row_numbers
from opt_data.tables.chain_columns import QUOTE_VALUES
from opt_data.tables.column import ColumnType
from opt_data.tables.datasets import DAILY_CLEAN
from opt_data.tables.flags import ordered_flags
from opt_data.transforms.rollup_sources import Sources, underlying_price

if TYPE_CHECKING:
    import pyarrow as pa

RUN_TYPE = "eod_rollup"
NO_GOOD_QUOTE = "no good quote at the close, nor at any slot that may stand in"
SLOT_COUNTS = ("slots_expected", "slots_on_time", "slots_late", "slots_rebuilt", "slots_missing")

_ABSENT_IN_NONE = (*QUOTE_VALUES, "capture_mode", "delayed_quote_age_s")
_CIRCUMSTANCES = frozenset(
    {
        "crossed",
        "discovery_stale",
        "adjusted_contract",
        "farm_outage",
        "clock_skew",
        "fallback_exchange",
        "slot_retry_exceeded",
    }
)
"""Flags that a row without a quote may keep: they say how it came to that."""


@dataclass(frozen=True, slots=True)
class RollupRules:
    """What one symbol-day is rolled up by.

    ``slots`` is the session's grid. ``is_intraday`` says whether the symbol is captured at the slots at all.
    ``allows_fallback`` lets a slot stand in where the close has no good quote.
    """

    slots: Sequence[Slot]
    is_intraday: bool
    allows_fallback: bool


def day_columns(
    rows: "pa.Table", sources: Sources, und_close: float | None, rules: RollupRules
) -> "dict[str, pa.Array]":
    """The columns in which a day's rows differ from the rows they were made of.

    Parameters
    ----------
    rows
        The sources' rows in their order, then rows of contracts without a source.
    und_close
        The underlying at the close, USD per share; None if nobody sampled it.
    """
    names = (*slot_strategies(rules.slots), str(Strategy.CLOSE))
    chosen = zip(sources.wanted.tolist(), sources.is_good.tolist(), strict=True)
    strategies = [names[wanted] if is_good else str(Strategy.NONE) for wanted, is_good in chosen]
    strategies += [str(Strategy.NONE)] * (rows.num_rows - len(strategies))
    return {
        **_without_quote(rows, strategies),
        **_source_columns(rows, strategies),
        **_strike_columns(rows, und_close),
        **_count_columns(rows, sources, rules),
        "data_quality_flag": _flag_column(rows, strategies, und_close, rules),
        "ingest_run_type": column_array(ColumnType.STRING, [RUN_TYPE] * rows.num_rows),
        "schema_version": column_array(ColumnType.INT16, [DAILY_CLEAN.schema_version] * rows.num_rows),
    }


def _without_quote(rows: "pa.Table", strategies: Sequence[str]) -> "dict[str, pa.Array]":
    """The columns of a quote, null where the strategy is ``none``; such a row says why it has none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    is_none = column_array(ColumnType.BOOL, [strategy == Strategy.NONE for strategy in strategies])
    columns = {"snapshot_error": is_none}
    if Strategy.NONE in strategies:
        kept = [None if strategy == Strategy.NONE else row for row, strategy in enumerate(strategies)]
        emptied = rows.select(_ABSENT_IN_NONE).take(row_numbers(kept))
        columns |= dict(zip(_ABSENT_IN_NONE, emptied.columns, strict=True))
    for name, reason in (("error_type", str(ErrorType.NO_QUOTE)), ("error_message", NO_GOOD_QUOTE)):
        said = pc.coalesce(rows.column(name), column_array(ColumnType.STRING, [reason] * rows.num_rows))
        columns[name] = pc.if_else(is_none, said, pa.nulls(rows.num_rows, pa.string()))
    return columns


def _flag_column(
    rows: "pa.Table", strategies: Sequence[str], und_close: float | None, rules: RollupRules
) -> "pa.Array":
    """The source's flags and those of the strategy."""
    at_the_close = (str(Strategy.CLOSE), slot_strategies(rules.slots)[-1])
    prices = zip(*(rows.column(name).to_pylist() for name in ("und_last", "und_bid", "und_ask")), strict=True)
    flags = []
    for strategy, given, price in zip(strategies, rows.column("data_quality_flag").to_pylist(), prices, strict=True):
        if strategy == Strategy.NONE:
            flags.append(ordered_flags({"snapshot_error", *_CIRCUMSTANCES.intersection(given)}))
            continue
        found = {*given, *strategy_flags(strategy, at_the_close[1])}
        if und_close is not None and not (strategy in at_the_close and _is_near(underlying_price(*price), und_close)):
            found.add("und_async")
        flags.append(ordered_flags(found))
    return column_array(ColumnType.STRING_LIST, flags)


def _is_near(sampled: float | None, und_close: float) -> bool:
    """Whether the underlying sampled with the option is the one at the close; nothing is said if none was sampled."""
    return sampled is None or abs(sampled / und_close - 1) <= UND_GAP_MAX


def _source_columns(rows: "pa.Table", strategies: Sequence[str]) -> "dict[str, pa.Array]":
    import pyarrow as pa
    import pyarrow.compute as pc

    has_source = column_array(ColumnType.BOOL, [strategy != Strategy.NONE for strategy in strategies])
    time, slot = rows.column("sample_time"), rows.column("slot_30m")
    return {
        "rollup_source_time": pc.if_else(has_source, time, pa.nulls(rows.num_rows, time.type)),
        "rollup_source_slot": pc.if_else(has_source, slot, pa.nulls(rows.num_rows, slot.type)),
        "rollup_strategy": column_array(ColumnType.STRING, strategies),
    }


def _strike_columns(rows: "pa.Table", und_close: float | None) -> "dict[str, pa.Array]":
    if und_close is None:
        return {}
    ratios = [strike / und_close for strike in rows.column("strike").to_pylist()]
    columns = {
        "underlying_close": [und_close] * rows.num_rows,
        "moneyness_pct": [(ratio - 1.0) * 100.0 for ratio in ratios],
        "strike_per_100": [ratio * 100.0 for ratio in ratios],
    }
    return {name: column_array(ColumnType.FLOAT64, values) for name, values in columns.items()}


def _count_columns(rows: "pa.Table", sources: Sources, rules: RollupRules) -> "dict[str, pa.Array]":
    import numpy as np

    padding = (0, rows.num_rows - len(sources.conids))
    on_time, late, rebuilt = (np.pad(counts, padding) for counts in sources.slots)
    kept = on_time + late + rebuilt
    first_slots = np.array(rows.column("first_seen_slot").to_pylist(), np.int64)
    open_slots = len(rules.slots) - first_slots if rules.is_intraday else 0
    expected = np.maximum(kept, open_slots)
    counts = (expected, on_time, late, rebuilt, expected - kept)
    return {
        name: column_array(ColumnType.INT16, values.tolist()) for name, values in zip(SLOT_COUNTS, counts, strict=True)
    }
