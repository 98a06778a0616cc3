"""Which stored row each contract's day is made of, and how many quotes its slots had."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opt_data.core.slots import CaptureMode
from opt_data.tables.arrow_rows import column_array, column_numbers, column_truths, whole_column
from opt_data.tables.chain_columns import PRICES
from opt_data.tables.column import ColumnType

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

DECIDING = ("conid", "slot_30m", "snapshot_error", "capture_mode", *PRICES)
"""The columns that say which rows become the day's."""
UNDERLYING = ("und_asof_ts", "conid", "und_last", "und_bid", "und_ask")
"""The columns that say what the underlying's close is."""

_COUNTED = (
    (str(CaptureMode.ON_TIME), str(CaptureMode.FROZEN)),
    (str(CaptureMode.LATE),),
    (str(CaptureMode.REBUILT),),
)
"""The capture modes that ``Sources.slots`` counts together."""


@dataclass(frozen=True, slots=True)
class Sources:
    """One row per contract of which anything is stored, in the order of conids.

    ``rows`` counts through the slots' rows and then the closing snapshot's. ``wanted`` is the slot's number, and one
    more than the last slot's for the closing snapshot. Where ``is_good`` is False the row is no quote: it only says
    why there is none. ``slots`` are how many slots have a quote on time (frozen ones among them), late and rebuilt.
    """

    conids: "np.ndarray"
    rows: "np.ndarray"
    wanted: "np.ndarray"
    is_good: "np.ndarray"
    slots: "tuple[np.ndarray, np.ndarray, np.ndarray]"


def choose_sources(close: "pa.Table", intraday: "pa.Table", slot_count: int, *, allows_fallback: bool) -> Sources:
    """The most wanted good row of each contract, else its most wanted row.

    A good row has a bid, an ask or a last, is not crossed and no error. The closing snapshot is wanted most, then the
    slot at the close, then the one before, and so on. The result does not depend on the order of rows.

    Parameters
    ----------
    close, intraday
        The ``DECIDING`` columns of one symbol and day, rows unique on their key.
    slot_count
        How many slots the session has.
    allows_fallback
        Whether a slot's row may be good.
    """
    import numpy as np
    import pyarrow as pa

    judged = pa.concat_tables([intraday, close]).combine_chunks()
    conids = column_numbers(whole_column(judged, "conid"), ColumnType.INT64)
    wanted = column_numbers(whole_column(judged, "slot_30m"), ColumnType.INT8).astype(np.int64)
    wanted[intraday.num_rows :] = slot_count
    good = _is_good(judged)
    if not allows_fallback:
        good &= wanted == slot_count
    order = np.lexsort((wanted, good, conids))
    ordered = conids[order]
    is_last = np.append(ordered[1:] != ordered[:-1], True)[: len(order)]
    rows = order[is_last]
    slots = _count_slots(judged, intraday.num_rows, conids, conids[rows])
    return Sources(conids[rows], rows, wanted[rows], good[rows], slots)


def underlying_close(sampled: "pa.Table") -> float | None:
    """The underlying's price sampled first, USD per share: its last trade, else its mid; None if nobody sampled one.

    Parameters
    ----------
    sampled
        The ``UNDERLYING`` columns of rows that were captured from the bell on.
    """
    import pyarrow as pa

    instants, *others = (sampled.column(name) for name in UNDERLYING)
    values = zip(instants.cast(pa.int64()).to_pylist(), *(one.to_pylist() for one in others), strict=True)
    for _, _, traded, bid, ask in sorted((row for row in values if row[0] is not None), key=lambda row: row[:2]):
        price = underlying_price(traded, bid, ask)
        if price is not None:
            return price
    return None


def underlying_price(last: float | None, bid: float | None, ask: float | None) -> float | None:
    """The last trade, else the mid of a sound quote; USD per share."""
    if last is not None and last > 0:
        return last
    return (bid + ask) / 2 if bid is not None and ask is not None and 0 < bid <= ask else None


def _is_good(judged: "pa.Table") -> "np.ndarray":
    """Whether each row is a quote that could be a day's."""
    import numpy as np

    bid, ask, last = (column_numbers(whole_column(judged, name), ColumnType.FLOAT64) for name in PRICES)
    has_price = ~(np.isnan(bid) & np.isnan(ask) & np.isnan(last))
    has_mode = column_truths(whole_column(judged, "capture_mode").is_valid())
    good: np.ndarray = has_price & has_mode & ~column_truths(whole_column(judged, "snapshot_error")) & ~(bid > ask)
    return good


def _count_slots(
    judged: "pa.Table", slot_rows: int, conids: "np.ndarray", known: "np.ndarray"
) -> "tuple[np.ndarray, np.ndarray, np.ndarray]":
    """How many of the first ``slot_rows`` rows of each known contract, sorted, were got in each of ``_COUNTED``; a
    contract has one row a slot."""
    import numpy as np
    import pyarrow.compute as pc

    places = np.searchsorted(known, conids[:slot_rows])
    modes = whole_column(judged, "capture_mode")

    def counted(among: Sequence[str]) -> "np.ndarray":
        is_one = column_truths(pc.is_in(modes, value_set=column_array(ColumnType.STRING, among)))
        return np.bincount(places[is_one[:slot_rows]], minlength=len(known))

    on_time, late, rebuilt = (counted(among) for among in _COUNTED)
    return on_time, late, rebuilt
