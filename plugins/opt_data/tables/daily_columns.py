"""The columns of a day's row: the quote the day is known by, where it comes from, and what the slots had."""

from dataclasses import replace

from opt_data.tables.chain_columns import CHAIN_COLUMNS
from opt_data.tables.column import Column, ColumnType, Group, Sign

_CONTRACTS = "contracts"
_PER_SHARE = "USD per share"

_OF_THE_SOURCE = {
    "sample_time": "Instant of the row's source: the close, or a slot; the close where there is none.",
    "sample_time_et": "The same in New York, ISO 8601 with offset.",
    "slot_30m": "Slot of the source: the last one for the close; the last one where there is none.",
    "attempt": "Number of the attempt that the source comes from; null where nothing is stored of the contract.",
    "ingest_id": "The source attempt's id: finds it in raw; null where nothing is stored of the contract.",
    "known_at": (
        "When the source was committed; where nothing is stored of the contract, when its contract set was made. "
        "Rolling up again never changes it. Open interest has its own instant."
    ),
}
_MAY_LACK_A_SOURCE = frozenset({"attempt", "ingest_id"})


def _of_the_day(column: Column) -> Column:
    """A chain column as it is meant in a day's row."""
    return replace(
        column,
        sentence=_OF_THE_SOURCE.get(column.name, column.sentence),
        is_nullable=column.is_nullable or column.name in _MAY_LACK_A_SOURCE,
    )


def _slots(name: str, sentence: str) -> Column:
    return Column(name, ColumnType.INT16, Group.DAY, sentence, "slots", Sign.NON_NEGATIVE, is_nullable=False)


OPEN_INTEREST = (
    Column(
        "open_interest", ColumnType.INT64, Group.OPEN_INTEREST,
        "Open contracts after the close of `oi_asof_date`; null until it has been observed.", _CONTRACTS,
        Sign.NON_NEGATIVE, sentinels=frozenset({-1.0, -2.0}),
    ),
    Column("oi_asof_date", ColumnType.DATE, Group.OPEN_INTEREST, "The session after whose close it was counted."),
    Column(
        "oi_observed_at", ColumnType.TIMESTAMP, Group.OPEN_INTEREST,
        "When the open interest was observed: a reader could not know it earlier.", "UTC",
    ),
)  # fmt: skip

DAY = (
    Column(
        "rollup_source_time", ColumnType.TIMESTAMP, Group.DAY,
        "`sample_time` of the source; null with strategy `none`.", "UTC",
    ),
    Column(
        "rollup_source_slot", ColumnType.INT8, Group.DAY,
        "`slot_30m` of the source, the last slot for the close; null with strategy `none`.", sign=Sign.NON_NEGATIVE,
    ),
    Column(
        "rollup_strategy", ColumnType.STRING, Group.DAY,
        "Where the quote comes from: `close` the closing snapshot, `slot_1600` the slot at the close, `slot_1530` the "
        "one before (on a day that closes at 13:00 `slot_1300` and `slot_1230`), `last_good` an earlier slot, `none` "
        "nowhere: no good quote exists and the prices are null.", is_nullable=False,
    ),
    Column(
        "underlying_close", ColumnType.FLOAT64, Group.DAY,
        "The underlying at the close, the same in all rows of a symbol-day; null if nobody sampled it there.",
        _PER_SHARE, Sign.POSITIVE,
    ),
    Column(
        "moneyness_pct", ColumnType.FLOAT64, Group.DAY,
        "(strike / underlying_close - 1) * 100: negative below the underlying.", "percent", Sign.ANY,
    ),
    Column(
        "strike_per_100", ColumnType.FLOAT64, Group.DAY,
        "strike / underlying_close * 100: the strike as if the underlying stood at 100.", "USD per 100 USD",
        Sign.POSITIVE,
    ),
    _slots("slots_expected", "Slots of the session at which the contract was in the set; 0 for a symbol that is "
           "captured at the close only. = slots_on_time + slots_late + slots_rebuilt + slots_missing."),
    _slots("slots_on_time", "Slots with a quote on time, frozen ones at the close among them."),
    _slots("slots_late", "Slots with a late quote."),
    _slots("slots_rebuilt", "Slots with a quote rebuilt from bars."),
    _slots("slots_missing", "Slots without a quote, whatever the reason; the slots' own rows say why."),
)  # fmt: skip

DAILY_COLUMNS = tuple(_of_the_day(column) for column in CHAIN_COLUMNS) + OPEN_INTEREST + DAY
"""The source's columns as they are, then open interest, then what the rollup adds."""
