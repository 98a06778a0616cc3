"""The columns of the slot ledger: one row is one symbol at one slot."""

from opt_data.tables.chain_columns import CAPTURE, IDENTITY
from opt_data.tables.column import Column, ColumnType, Group, Sign

_SHARED = {column.name: column for column in IDENTITY + CAPTURE}


def _count(name: str, sentence: str) -> Column:
    return Column(name, ColumnType.INT32, Group.ACCOUNT, sentence, "contracts", Sign.NON_NEGATIVE, is_nullable=False)


LEDGER_COLUMNS = (
    _SHARED["trade_date"],
    _SHARED["underlying"],
    _SHARED["exchange"],
    _SHARED["sample_time"],
    _SHARED["sample_time_et"],
    _SHARED["slot_30m"],
    _SHARED["schema_version"],
    _count("expected", "Contracts of the day's set at this slot; = on_time + late + rebuilt + missing + error."),
    _count("on_time", "Quotes sampled within the grace period, and frozen ones at the close."),
    _count("late", "Quotes sampled after the grace period, before the next slot."),
    _count("rebuilt", "Quotes rebuilt from bars after the slot was over."),
    _count("missing", "Contracts without a quote where nothing came; reasons in `reasons`."),
    _count("error", "Contracts without a quote where somebody said no or something broke; reasons in `reasons`."),
    _count("frozen", "How many of `on_time` are closing values that IB froze."),
    _count("unexpected", "Rows stored for contracts that are not in the day's set; in none of the counts above."),
    Column(
        "reasons", ColumnType.COUNTS, Group.ACCOUNT,
        "How often each `error_type` occurs; `no_row` stands for contracts of which nothing is stored.",
        "contracts", is_nullable=False,
    ),
    Column("lag_p50_s", ColumnType.FLOAT64, Group.ACCOUNT, "Median lag of the quotes kept; null without any.",
           "seconds", Sign.NON_NEGATIVE),
    Column("lag_max_s", ColumnType.FLOAT64, Group.ACCOUNT, "Greatest lag of the quotes kept; null without any.",
           "seconds", Sign.NON_NEGATIVE),
    Column("coverage", ColumnType.FLOAT64, Group.ACCOUNT,
           "(on_time + late + rebuilt) / expected; null when nothing was expected.", "fraction", Sign.NON_NEGATIVE),
    Column("contract_set", ColumnType.STRING, Group.ACCOUNT,
           "The day's contract set: `ok`, `stale` (an earlier day's), `missing` (then expected is 0).",
           is_nullable=False, choices=("ok", "stale", "missing")),
    Column("attempts", ColumnType.INT32, Group.ACCOUNT, "How many capture attempts are stored in raw.", "attempts",
           Sign.NON_NEGATIVE, is_nullable=False),
    Column("updated_at", ColumnType.TIMESTAMP, Group.ACCOUNT, "When the row last changed.", "UTC", is_nullable=False),
    Column("dag_run_id", ColumnType.STRING, Group.ACCOUNT, "Run that last changed the row."),
)  # fmt: skip
