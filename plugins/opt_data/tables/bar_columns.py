"""The columns of stored bars: one row is one bar, or the answer that there is none."""

from opt_data.core.bars import BarAnswer, BarKind
from opt_data.tables.chain_columns import CAPTURE, IDENTITY
from opt_data.tables.column import Column, ColumnType, Group, Sign

_SHARED = {column.name: column for column in IDENTITY + CAPTURE}


def _price(name: str, sentence: str) -> Column:
    return Column(name, ColumnType.FLOAT64, Group.BAR, sentence, "USD per share", Sign.NON_NEGATIVE)


BAR_COLUMNS = (
    _SHARED["trade_date"],
    _SHARED["underlying"],
    Column("conid", ColumnType.INT64, Group.IDENTITY, "IB's contract id: an option's, or the underlying's own.",
           sign=Sign.POSITIVE, is_nullable=False),
    Column("kind", ColumnType.STRING, Group.BAR, "What the bar is made of: IB's `whatToShow`.",
           is_nullable=False, choices=tuple(BarKind)),
    Column("bar_start", ColumnType.TIMESTAMP, Group.BAR,
           "When the bar begins; it ends a minute later. The session's open where there are none.",
           "UTC", is_nullable=False),
    _price("open", "First value of the minute."),
    _price("high", "Highest."),
    _price("low", "Lowest."),
    _price("close", "Last: the value at the bar's end."),
    Column("volume", ColumnType.INT64, Group.BAR, "Traded in the minute; null for quotes.", "contracts",
           Sign.NON_NEGATIVE),
    Column("average", ColumnType.FLOAT64, Group.BAR, "Volume-weighted average price; null for quotes.",
           "USD per share", Sign.NON_NEGATIVE),
    Column("trades", ColumnType.INT64, Group.BAR, "Number of trades in the minute; null for quotes.", "trades",
           Sign.NON_NEGATIVE),
    Column("answer", ColumnType.STRING, Group.CAPTURE,
           "`bars`: IB sent them. `no_bars`: it has none. `expired`: it does not know the contract any more.",
           is_nullable=False, choices=tuple(BarAnswer)),
    Column("asked_at", ColumnType.TIMESTAMP, Group.CAPTURE, "When IB was asked.", "UTC", is_nullable=False),
    Column("until", ColumnType.TIMESTAMP, Group.CAPTURE,
           "Bars from the session's open to here were asked for.", "UTC", is_nullable=False),
    _SHARED["error_message"],
    _SHARED["ib_error_code"],
    _SHARED["source"],
    _SHARED["ingest_id"],
    _SHARED["dag_run_id"],
    _SHARED["known_at"],
    _SHARED["schema_version"],
)  # fmt: skip
