"""From a day's slots and closing snapshot to one row per contract."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING

from opt_data.core.contracts import ContractSet
from opt_data.core.outcomes import ErrorType
from opt_data.core.quality import UND_GAP_MAX
from opt_data.core.rollup import Strategy, slot_strategies, strategy_flags
from opt_data.core.sessions import NEW_YORK
from opt_data.core.slots import CaptureMode, Slot
from opt_data.tables.arrow import arrow_schema, arrow_type
from opt_data.tables.arrow_rows import column_array, row_numbers, table_from_rows
from opt_data.tables.chain_columns import CHAIN_COLUMNS, PRICES, QUOTE_VALUES
from opt_data.tables.column import ColumnType
from opt_data.tables.daily_columns import DAILY_COLUMNS
from opt_data.tables.datasets import DAILY_CLEAN
from opt_data.tables.flags import ordered_flags
from opt_data.tables.row_check import checked_rows

if TYPE_CHECKING:
    import pyarrow as pa

RUN_TYPE = "eod_rollup"
NO_GOOD_QUOTE = "no good quote at the close, nor at any slot that may stand in"
NOTHING_STORED = "nothing is stored of this contract, neither at the close nor at any slot"

_CHAIN_NAMES = [column.name for column in CHAIN_COLUMNS]
_ABSENT_IN_NONE = (*QUOTE_VALUES, "capture_mode", "delayed_quote_age_s")
_SLOT_COUNTS = ("slots_expected", "slots_on_time", "slots_late", "slots_rebuilt", "slots_missing")
_CIRCUMSTANCES = frozenset(
    {"crossed", "discovery_stale", "adjusted_contract", "farm_outage", "fallback_exchange", "slot_retry_exceeded"}
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


def roll_up(
    close: "pa.Table", intraday: "pa.Table", contract_set: ContractSet, exchange: str, rules: RollupRules
) -> "pa.Table":
    """One row per contract of the day: the quote it is known by, or nulls with strategy ``none``.

    A good quote has a bid, an ask or a last and is not crossed; error rows never become prices. The closing snapshot is
    taken before the slot at the close, that before the slot before, that before any earlier one, the newest first. The
    result does not depend on the order of rows.

    Parameters
    ----------
    close, intraday
        Clean rows of one symbol and day, unique on their key; either may be empty.
    contract_set
        The day's set. Contracts that have stored rows but are not in the set get a row too.
    exchange
        The route whose partition is rolled up: what rows of contracts without any stored row say.
    rules
        The day and the settings.

    Returns
    -------
    pyarrow.Table
        Of the data set ``daily clean``, without open interest, sorted by conid.
    """
    import pyarrow as pa

    rows = pa.concat_tables([intraday.select(_CHAIN_NAMES), close.select(_CHAIN_NAMES)]).combine_chunks()
    preference = _preferences(rows, intraday.num_rows, len(rules.slots))
    good = _good_rows(rows, preference, len(rules.slots), allows_fallback=rules.allows_fallback)
    sources = _newest_rows(rows, preference, good)
    reasons = {c: n for c, n in _newest_rows(rows, preference, None).items() if c not in sources}
    bare = _bare_rows(contract_set, {*sources, *reasons}, exchange, rules.slots[-1])
    taken = rows.take(row_numbers([*sources.values(), *reasons.values()]))
    chosen = pa.Table.from_arrays(taken.columns, schema=bare.schema)
    strategies = _strategies(preference, list(sources.values()), rules.slots)
    strategies += [str(Strategy.NONE)] * (len(reasons) + bare.num_rows)
    und_close = underlying_close(close, intraday, rules.slots[-1])
    counts = _slot_counts(intraday, rules)
    return _assemble(pa.concat_tables([chosen, bare]).combine_chunks(), strategies, und_close, counts, rules)


def underlying_close(close: "pa.Table", intraday: "pa.Table", last: Slot) -> float | None:
    """The underlying's price sampled nearest to the bell, USD per share: in the slot at the close before the closing
    snapshot, because the underlying may go on trading after hours. Its last trade, else its mid."""
    import pyarrow.compute as pc

    for rows in (intraday.filter(pc.field("slot_30m") == last.index), close):
        known = rows.select(["und_asof_ts", "und_last", "und_bid", "und_ask", "conid"])
        known = known.filter(pc.field("und_asof_ts").is_valid())
        nearest = known.sort_by([("und_asof_ts", "ascending"), ("conid", "ascending")])
        for number in range(nearest.num_rows):
            price = _underlying_price(*(nearest.column(n)[number].as_py() for n in ("und_last", "und_bid", "und_ask")))
            if price is not None:
                return price
    return None


def _underlying_price(last: float | None, bid: float | None, ask: float | None) -> float | None:
    if last is not None and last > 0:
        return last
    return (bid + ask) / 2 if bid is not None and ask is not None and 0 < bid <= ask else None


def _preferences(rows: "pa.Table", intraday_count: int, slot_count: int) -> "pa.Array":
    """How much each row is wanted: its slot's number, and for the closing snapshot one more than the last slot's."""
    import pyarrow as pa
    import pyarrow.compute as pc

    slots = pc.cast(rows.column("slot_30m").slice(0, intraday_count), pa.int64())
    closes = pa.repeat(pa.scalar(slot_count, pa.int64()), rows.num_rows - intraday_count)
    return pa.concat_arrays([*slots.chunks, closes])


def _good_rows(rows: "pa.Table", preference: "pa.Array", slot_count: int, *, allows_fallback: bool) -> "pa.Array":
    """Which rows may be the day's: a price, not crossed, no error; slots only where they may stand in."""
    import pyarrow.compute as pc

    bid, ask, last = (rows.column(name) for name in PRICES)
    has_price = pc.or_(pc.or_(pc.is_valid(bid), pc.is_valid(ask)), pc.is_valid(last))
    is_crossed = pc.fill_null(pc.greater(bid, ask), False)
    good = pc.and_(pc.and_not(has_price, rows.column("snapshot_error")), pc.invert(is_crossed))
    good = pc.and_(good, pc.is_valid(rows.column("capture_mode")))
    return good if allows_fallback else pc.and_(good, pc.equal(preference, slot_count))


def _newest_rows(rows: "pa.Table", preference: "pa.Array", among: "pa.Array | None") -> dict[int, int]:
    """The most wanted row's number by conid, ``among`` some rows or all, in the order of conids."""
    import pyarrow as pa
    import pyarrow.compute as pc

    size = max(1, rows.num_rows)
    number = row_numbers(range(rows.num_rows))
    wanted = pa.table([rows.column("conid"), pc.add(pc.multiply(preference, size), number)], names=["conid", "wanted"])
    if among is not None:
        wanted = wanted.filter(among)
    best = wanted.group_by("conid", use_threads=False).aggregate([("wanted", "max")]).sort_by("conid")
    conids, greatest = best.column("conid").to_pylist(), best.column("wanted_max").to_pylist()
    return {conid: value % size for conid, value in zip(conids, greatest, strict=True)}


def _strategies(preference: "pa.Array", numbers: Sequence[int], slots: Sequence[Slot]) -> list[str]:
    names = (*slot_strategies(slots), str(Strategy.CLOSE))
    return [names[wanted] for wanted in preference.take(row_numbers(numbers)).to_pylist()]


def _bare_rows(contract_set: ContractSet, seen: set[int], exchange: str, last: Slot) -> "pa.Table":
    """Rows of contracts of which nothing is stored; their place in time is the close."""
    rows = [
        {
            "trade_date": contract_set.trade_date,
            "underlying": contract_set.underlying.symbol,
            **contract.identity(),
            "exchange": exchange,
            "reference_price": contract_set.reference_price or None,
            "sample_time": last.instant_utc.astimezone(UTC),
            "sample_time_et": last.instant_utc.astimezone(NEW_YORK).isoformat(),
            "slot_30m": last.index,
            "first_seen_slot": contract.first_seen_slot,
            "snapshot_error": True,
            "error_type": str(ErrorType.NOT_ASKED),
            "error_message": NOTHING_STORED,
            "data_quality_flag": ["snapshot_error"],
            "source": "IBKR",
            "ingest_run_type": RUN_TYPE,
            "known_at": contract_set.created_at,
            "schema_version": DAILY_CLEAN.schema_version,
        }
        for contract in contract_set.contracts
        if contract.conid not in seen
    ]
    no_slots = dict.fromkeys(_SLOT_COUNTS, 0)
    whole = [{**row, **no_slots, "rollup_strategy": str(Strategy.NONE)} for row in rows]
    return table_from_rows(checked_rows(DAILY_CLEAN, whole), DAILY_CLEAN).select(_CHAIN_NAMES)


@dataclass(frozen=True, slots=True)
class _Counts:
    on_time: int = 0
    late: int = 0
    rebuilt: int = 0


def _slot_counts(intraday: "pa.Table", rules: RollupRules) -> Mapping[int, _Counts]:
    """How many slots of each contract have a quote, by how it was got."""
    kept: dict[int, dict[str, int]] = {}
    groups = intraday.select(["conid", "capture_mode", "slot_30m"]).group_by(
        ["conid", "capture_mode"], use_threads=False
    )
    counted = groups.aggregate([("slot_30m", "count_distinct")])
    for conid, mode, count in zip(*(column.to_pylist() for column in counted.columns), strict=True):
        if mode is not None:
            kept.setdefault(conid, {})[mode] = count
    return {
        conid: _Counts(
            modes.get(CaptureMode.ON_TIME, 0) + modes.get(CaptureMode.FROZEN, 0),
            modes.get(CaptureMode.LATE, 0),
            modes.get(CaptureMode.REBUILT, 0),
        )
        for conid, modes in kept.items()
    }


def _assemble(
    rows: "pa.Table",
    strategies: Sequence[str],
    und_close: float | None,
    counts: Mapping[int, _Counts],
    rules: RollupRules,
) -> "pa.Table":
    import pyarrow as pa

    columns = {name: rows.column(name) for name in _CHAIN_NAMES}
    columns |= _without_source(rows, strategies)
    columns |= _constant_columns(rows.num_rows)
    columns["data_quality_flag"] = _flag_column(rows, strategies, und_close, rules)
    columns |= _source_columns(rows, strategies)
    columns |= _strike_columns(rows, und_close)
    columns |= _count_columns(rows, counts, rules)
    arrays = [
        columns[column.name] if column.name in columns else pa.nulls(rows.num_rows, arrow_type(column.type))
        for column in DAILY_COLUMNS
    ]
    table = pa.Table.from_arrays(arrays, schema=arrow_schema(DAILY_CLEAN))
    return table.sort_by([(name, "ascending") for name in DAILY_CLEAN.sort_order]).combine_chunks()


def _without_source(rows: "pa.Table", strategies: Sequence[str]) -> "dict[str, pa.Array]":
    """The columns of a quote, null where the strategy is ``none``; such a row says why it has none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    is_none = column_array(ColumnType.BOOL, [strategy == Strategy.NONE for strategy in strategies])
    columns = {}
    for name in _ABSENT_IN_NONE:
        column = rows.column(name)
        columns[name] = pc.if_else(is_none, pa.scalar(None, column.type), column)
    columns["snapshot_error"] = is_none
    for name, reason in (("error_type", str(ErrorType.NO_QUOTE)), ("error_message", NO_GOOD_QUOTE)):
        given = rows.column(name)
        columns[name] = pc.if_else(is_none, pc.fill_null(given, reason), pa.scalar(None, given.type))
    return columns


def _constant_columns(count: int) -> "dict[str, pa.Array]":
    return {
        "ingest_run_type": column_array(ColumnType.STRING, [RUN_TYPE] * count),
        "schema_version": column_array(ColumnType.INT16, [DAILY_CLEAN.schema_version] * count),
    }


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
        if und_close is not None and not (strategy in at_the_close and _is_near(_underlying_price(*price), und_close)):
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
        "rollup_source_time": pc.if_else(has_source, time, pa.scalar(None, time.type)),
        "rollup_source_slot": pc.if_else(has_source, slot, pa.scalar(None, slot.type)),
        "rollup_strategy": column_array(ColumnType.STRING, strategies),
    }


def _strike_columns(rows: "pa.Table", und_close: float | None) -> "dict[str, pa.Array]":
    import pyarrow.compute as pc

    if und_close is None:
        return {}
    ratio = pc.divide(rows.column("strike"), und_close)
    return {
        "underlying_close": column_array(ColumnType.FLOAT64, [und_close] * rows.num_rows),
        "moneyness_pct": pc.multiply(pc.subtract(ratio, 1.0), 100.0),
        "strike_per_100": pc.multiply(ratio, 100.0),
    }


def _count_columns(rows: "pa.Table", counts: Mapping[int, _Counts], rules: RollupRules) -> "dict[str, pa.Array]":
    columns: dict[str, list[int]] = {name: [] for name in _SLOT_COUNTS}
    conids, first_slots = rows.column("conid").to_pylist(), rows.column("first_seen_slot").to_pylist()
    for conid, first in zip(conids, first_slots, strict=True):
        had = counts.get(conid, _Counts())
        kept = had.on_time + had.late + had.rebuilt
        expected = max(kept, len(rules.slots) - first if rules.is_intraday else 0)
        for name, value in zip(
            _SLOT_COUNTS, (expected, had.on_time, had.late, had.rebuilt, expected - kept), strict=True
        ):
            columns[name].append(value)
    return {name: column_array(ColumnType.INT16, values) for name, values in columns.items()}
