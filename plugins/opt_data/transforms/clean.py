"""From all attempts of a slot to its clean rows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from opt_data.core.outcomes import Answer
from opt_data.core.quotes import MarketDataType
from opt_data.core.slots import CaptureMode
from opt_data.tables.arrow_rows import row_numbers, rows_from_table
from opt_data.tables.chain_columns import PRICES
from opt_data.tables.datasets import CLEAN_CHAIN_INTRADAY

if TYPE_CHECKING:
    import pyarrow as pa

_JUDGED_BY = (
    "trade_date", "sample_time", "conid", "snapshot_error", "capture_mode", "error_type", "market_data_type",
    "data_quality_flag", *PRICES, "iv", "delta", "known_at", "attempt", "ingest_id",
)  # fmt: skip

_DELAYED = frozenset(kind for kind in MarketDataType if kind.is_delayed)


def best_rows(tables: Sequence["pa.Table"]) -> "pa.Table":
    """The best row of each (``trade_date``, ``sample_time``, ``conid``), by ``Answer.rank``.

    The result does not depend on the order of tables or rows, and merging step by step gives the same as merging at
    once. Where two tables hold the very same answer, the earlier table's copy is taken.

    Parameters
    ----------
    tables
        Attempts or clean rows, all with the chain's schema; at least one table.

    Returns
    -------
    pyarrow.Table
        Unique on the key, sorted by (underlying, trade_date, sample_time, conid); rows unchanged.
    """
    import pyarrow as pa

    rows = pa.concat_tables(tables)
    winners: dict[tuple[object, ...], tuple[Answer, int]] = {}
    for index, row in enumerate(rows_from_table(rows, _JUDGED_BY)):
        key = (row["trade_date"], row["sample_time"], row["conid"])
        answer = _answer(row)
        best = winners.get(key)
        if best is None or answer.rank() > best[0].rank():
            winners[key] = (answer, index)
    chosen = rows.take(row_numbers([index for _, index in winners.values()]))
    return chosen.sort_by([(name, "ascending") for name in CLEAN_CHAIN_INTRADAY.sort_order]).combine_chunks()


def _answer(row: dict[str, object]) -> Answer:
    mode = row["capture_mode"]
    return Answer(
        mode=CaptureMode(str(mode)) if mode is not None and not row["snapshot_error"] else None,
        error_type=str(row["error_type"] or ""),
        is_delayed=_is_delayed(row),
        has_price=any(row[name] is not None for name in PRICES),
        has_greeks=row["iv"] is not None and row["delta"] is not None,
        known_at=row["known_at"],  # type: ignore[arg-type]
        attempt=row["attempt"],  # type: ignore[arg-type]
        ingest_id=str(row["ingest_id"]),
    )


def _is_delayed(row: dict[str, object]) -> bool:
    flags = row["data_quality_flag"]
    return row["market_data_type"] in _DELAYED or (isinstance(flags, list) and "delayed_fallback" in flags)
