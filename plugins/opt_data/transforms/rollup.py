"""From a day's slots and closing snapshot to one row per contract."""

from collections.abc import Mapping
from datetime import UTC
from typing import TYPE_CHECKING

from opt_data.core.contracts import ContractSet
from opt_data.core.outcomes import ErrorType
from opt_data.core.rollup import Strategy
from opt_data.core.sessions import NEW_YORK
from opt_data.core.slots import Slot
from opt_data.tables.arrow import arrow_schema, empty_table, with_schema
from opt_data.tables.arrow_rows import column_numbers, row_numbers, table_from_rows, whole_column
from opt_data.tables.chain_columns import CHAIN_COLUMNS
from opt_data.tables.column import ColumnType
from opt_data.tables.datasets import DAILY_CLEAN
from opt_data.tables.row_check import checked_rows
from opt_data.tables.stored_rows import StoredRows
from opt_data.transforms.rollup_columns import RUN_TYPE, SLOT_COUNTS, RollupRules, day_columns
from opt_data.transforms.rollup_sources import DECIDING, UNDERLYING, Sources, choose_sources, underlying_close

if TYPE_CHECKING:
    import pyarrow as pa

NOTHING_STORED = "nothing is stored of this contract, neither at the close nor at any slot"

_CHAIN_NAMES = [column.name for column in CHAIN_COLUMNS]


def roll_up(
    close: StoredRows, intraday: StoredRows, contract_set: ContractSet, exchange: str, rules: RollupRules
) -> "pa.Table":
    """One row per contract of the day: the quote it is known by, or nulls with strategy ``none``.

    ``choose_sources`` says which quote. Whole rows are taken of those only.

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
    deciding = intraday.select(DECIDING)
    closing, _ = close.around(range(close.num_rows))  # of the close, nearly all rows become the day's
    allows_fallback = rules.allows_fallback
    sources = choose_sources(closing.select(DECIDING), deciding, len(rules.slots), allows_fallback=allows_fallback)
    rows = _whole_rows(close, intraday, sources, _bare_rows(contract_set, sources, exchange, rules.slots[-1]))
    und_close = underlying_close(_underlying_at(rules.slots[-1], intraday, deciding))
    if und_close is None:
        und_close = underlying_close(closing.select(UNDERLYING))
    return _in_order(day_columns(rows, sources, und_close, rules), rows)


def _underlying_at(last: Slot, intraday: StoredRows, deciding: "pa.Table") -> "pa.Table":
    """The underlying as it was sampled with the slot at the close, which comes before the closing snapshot's: the
    underlying may go on trading after hours."""
    import numpy as np

    slots = column_numbers(whole_column(deciding, "slot_30m"), ColumnType.INT8)
    table, places = intraday.around(np.flatnonzero(slots == last.index).tolist(), UNDERLYING)
    return table.take(row_numbers(places))


def _whole_rows(close: StoredRows, intraday: StoredRows, sources: Sources, bare: "pa.Table") -> "pa.Table":
    """The sources' rows in their order, then those of contracts of which nothing is stored."""
    import numpy as np
    import pyarrow as pa

    is_close = sources.rows >= intraday.num_rows
    tables, chosen, held = [], np.empty(len(is_close), np.int64), 0
    for rows, first, is_wanted in ((intraday, 0, ~is_close), (close, intraday.num_rows, is_close)):
        if is_wanted.any():
            table, places = rows.around((sources.rows[is_wanted] - first).tolist())
            chosen[is_wanted] = np.array(places) + held
            held += table.num_rows
            tables.append(table)
    if not tables:
        return bare
    whole = pa.concat_tables(tables).combine_chunks().take(row_numbers(chosen.tolist()))
    return pa.concat_tables([with_schema(whole, bare.schema), bare]) if bare.num_rows else whole


def _bare_rows(contract_set: ContractSet, sources: Sources, exchange: str, last: Slot) -> "pa.Table":
    """Rows of contracts of which nothing is stored; their place in time is the close."""
    seen = set(sources.conids.tolist())
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
    if not rows:
        return empty_table(DAILY_CLEAN).select(_CHAIN_NAMES)
    no_slots = dict.fromkeys(SLOT_COUNTS, 0)
    whole = [{**row, **no_slots, "rollup_strategy": str(Strategy.NONE)} for row in rows]
    return table_from_rows(checked_rows(DAILY_CLEAN, whole), DAILY_CLEAN).select(_CHAIN_NAMES)


def _in_order(columns: "Mapping[str, pa.Array]", rows: "pa.Table") -> "pa.Table":
    """The day's table: what the rollup adds or changes, all else from the sources' rows; sorted by conid."""
    import numpy as np
    import pyarrow as pa

    schema, held = arrow_schema(DAILY_CLEAN), set(rows.schema.names)
    arrays = [
        columns[field.name]
        if field.name in columns
        else rows.column(field.name)
        if field.name in held
        else pa.nulls(rows.num_rows, field.type)
        for field in schema
    ]
    day = pa.Table.from_arrays(arrays, schema=schema)
    order = np.argsort(rows.column("conid").to_pylist())
    is_in_order = bool((np.diff(order) == 1).all())
    return day if is_in_order else day.combine_chunks().take(row_numbers(order.tolist()))
