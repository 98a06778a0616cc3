"""The data sets: which columns, what is unique, how files are partitioned and sorted."""

from dataclasses import dataclass

from opt_data.tables.adjusted_columns import ADJUSTED_COLUMNS
from opt_data.tables.bar_columns import BAR_COLUMNS
from opt_data.tables.chain_columns import CHAIN_COLUMNS
from opt_data.tables.column import Column
from opt_data.tables.daily_columns import DAILY_COLUMNS
from opt_data.tables.ledger_columns import LEDGER_COLUMNS
from opt_data.tables.open_interest_columns import OPEN_INTEREST_COLUMNS


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """One kind of stored table; each is made once, so that two are equal only if they are the same.

    ``path`` is where its files lie below the data root; ``partitions`` are the ``name=value`` folders in it.
    ``sort_order`` holds within a file.
    """

    name: str
    sentence: str
    path: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    partitions: tuple[str, ...]
    sort_order: tuple[str, ...]
    schema_version: int

    def column(self, name: str) -> Column:
        """One column by name; KeyError if the data set has none of that name."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


CHAIN_SCHEMA_VERSION = 2
"""2: the calculated columns at the end; files of version 1 read as if those were null."""
DAILY_SCHEMA_VERSION = 1
LEDGER_SCHEMA_VERSION = 1
OPEN_INTEREST_SCHEMA_VERSION = 1
BAR_SCHEMA_VERSION = 1

_CHAIN_PARTITIONS = ("view", "date", "underlying", "exchange")

RAW_CHAIN_INTRADAY = Dataset(
    name="raw chain intraday",
    sentence="Every capture attempt as it came, one file each; never edited. For audits and for rebuilding.",
    path="raw/ib/chain/view=intraday/date=YYYY-MM-DD/underlying=SYM/exchange=SMART/slot_NN_aNN_INGEST.parquet",
    columns=CHAIN_COLUMNS,
    primary_key=("trade_date", "sample_time", "conid", "ingest_id"),
    partitions=_CHAIN_PARTITIONS,
    sort_order=("underlying", "trade_date", "sample_time", "conid"),
    schema_version=CHAIN_SCHEMA_VERSION,
)

CLEAN_CHAIN_INTRADAY = Dataset(
    name="clean chain intraday",
    sentence=(
        "The best answer per contract and slot out of all attempts, one file per slot. This is the one to read. "
        "Rows with `snapshot_error` have no quote and say why. Finished weeks lie in a few large files "
        "`view=intraday/week=YYYY-Www/part_NNN.parquet`, in the same order: select by columns, not by folders."
    ),
    path="clean/ib/chain/view=intraday/date=YYYY-MM-DD/underlying=SYM/exchange=SMART/slot_NN.parquet",
    columns=CHAIN_COLUMNS,
    primary_key=("trade_date", "sample_time", "conid"),
    partitions=_CHAIN_PARTITIONS,
    sort_order=("underlying", "trade_date", "sample_time", "conid"),
    schema_version=CHAIN_SCHEMA_VERSION,
)

RAW_CHAIN_CLOSE = Dataset(
    name="raw chain close",
    sentence="Every attempt at the closing snapshot as it came, one file each; never edited.",
    path="raw/ib/chain/view=close/date=YYYY-MM-DD/underlying=SYM/exchange=SMART/slot_NN_aNN_INGEST.parquet",
    columns=CHAIN_COLUMNS,
    primary_key=("trade_date", "sample_time", "conid", "ingest_id"),
    partitions=_CHAIN_PARTITIONS,
    sort_order=("underlying", "trade_date", "sample_time", "conid"),
    schema_version=CHAIN_SCHEMA_VERSION,
)

CLEAN_CHAIN_CLOSE = Dataset(
    name="clean chain close",
    sentence=(
        "The closing snapshot: the best answer per contract out of all attempts after the bell, as IB froze it. "
        "`sample_time` is the close, `slot_30m` the last slot; every quote is `frozen`."
    ),
    path="clean/ib/chain/view=close/date=YYYY-MM-DD/underlying=SYM/exchange=SMART/slot_NN.parquet",
    columns=CHAIN_COLUMNS,
    primary_key=("trade_date", "sample_time", "conid"),
    partitions=_CHAIN_PARTITIONS,
    sort_order=("underlying", "trade_date", "sample_time", "conid"),
    schema_version=CHAIN_SCHEMA_VERSION,
)

DAILY_CLEAN = Dataset(
    name="daily clean",
    sentence=(
        "The day: one row per contract of the day's set, with the quote the day is known by. A contract without a good "
        "quote has its row too, with nulls and strategy `none`. Derived from `view=close` and `view=intraday`: "
        "deleting and rolling up again gives the same rows."
    ),
    path="clean/ib/chain/view=daily_clean/date=YYYY-MM-DD/underlying=SYM/exchange=SMART/day.parquet",
    columns=DAILY_COLUMNS,
    primary_key=("trade_date", "conid"),
    partitions=_CHAIN_PARTITIONS,
    sort_order=("underlying", "trade_date", "conid"),
    schema_version=DAILY_SCHEMA_VERSION,
)

DAILY_ADJUSTED = Dataset(
    name="daily adjusted",
    sentence=(
        "The day on the terms of now: rows before a split rescaled, later ones never, so that a series can be followed "
        "across it. Derived from `daily_clean` and the corporate-action table; deleting and adjusting again gives the "
        "same rows."
    ),
    path="clean/ib/chain/view=daily_adjusted/date=YYYY-MM-DD/underlying=SYM/exchange=SMART/day.parquet",
    columns=ADJUSTED_COLUMNS,
    primary_key=("trade_date", "conid"),
    partitions=_CHAIN_PARTITIONS,
    sort_order=("underlying", "trade_date", "conid"),
    schema_version=DAILY_SCHEMA_VERSION,
)

OPEN_INTEREST_READS = Dataset(
    name="open interest reads",
    sentence=(
        "What the gateway showed as open interest on the morning after a session, every read of a symbol one file; "
        "never edited. `daily_clean` has the accepted values; for audits and for rebuilding."
    ),
    path="clean/ib/chain/view=enrichment/date=YYYY-MM-DD/underlying=SYM/exchange=SMART/read_NN_INGEST.parquet",
    columns=OPEN_INTEREST_COLUMNS,
    primary_key=("trade_date", "conid", "ingest_id"),
    partitions=_CHAIN_PARTITIONS,
    sort_order=("underlying", "trade_date", "read_number", "conid"),
    schema_version=OPEN_INTEREST_SCHEMA_VERSION,
)

SLOT_LEDGER = Dataset(
    name="slot ledger",
    sentence=(
        "What became of every expected contract, per slot and symbol, one file per slot. A symbol with nothing at all "
        "has a row too. expected = on_time + late + rebuilt + missing + error, always."
    ),
    path="ledger/date=YYYY-MM-DD/slot_NN.parquet",
    columns=LEDGER_COLUMNS,
    primary_key=("trade_date", "sample_time", "underlying"),
    partitions=("date",),
    sort_order=("underlying",),
    schema_version=LEDGER_SCHEMA_VERSION,
)

RAW_BARS_1MIN = Dataset(
    name="raw one-minute bars",
    sentence=(
        "What IB's history answered when a missed slot was rebuilt, one file per pass; never edited. Kept, so that the "
        "day's other missed slots ask nothing. `high` and `low` of a minute are not those of an instant."
    ),
    path="raw/ib/history/bars=1min/date=YYYY-MM-DD/underlying=SYM/asked_YYYYMMDDTHHMMSSZ_INGEST.parquet",
    columns=BAR_COLUMNS,
    primary_key=("trade_date", "conid", "kind", "bar_start", "ingest_id"),
    partitions=("bars", "date", "underlying"),
    sort_order=("conid", "kind", "bar_start"),
    schema_version=BAR_SCHEMA_VERSION,
)

DATASETS = (
    CLEAN_CHAIN_INTRADAY, RAW_CHAIN_INTRADAY, CLEAN_CHAIN_CLOSE, RAW_CHAIN_CLOSE, DAILY_CLEAN, DAILY_ADJUSTED,
    OPEN_INTEREST_READS, SLOT_LEDGER, RAW_BARS_1MIN,
)  # fmt: skip
"""In the order in which a reader wants to know them."""
