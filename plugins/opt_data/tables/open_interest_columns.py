"""The columns of an open-interest observation: one row is one contract in one read of its symbol."""

from opt_data.core.open_interest import VERDICT_SENTENCES, ReadVerdict
from opt_data.core.outcomes import ErrorType
from opt_data.tables.chain_columns import CAPTURE, IDENTITY
from opt_data.tables.column import Column, ColumnType, Group, Sign

NOT_LIVE = "not_live"
"""The gateway did not say that it served live or frozen data."""
NOT_READ = "not_read"
"""Nobody got as far as asking: the gateway was down all morning."""

_SHARED = {column.name: column for column in IDENTITY + CAPTURE}
_VERDICTS = "; ".join(f"`{verdict}` {sentence}" for verdict, sentence in VERDICT_SENTENCES.items())

OPEN_INTEREST_COLUMNS = (
    *(_SHARED[name] for name in ("trade_date", "underlying", "conid", "symbol", "right", "exchange")),
    Column("read_number", ColumnType.INT16, Group.OPEN_INTEREST, "Which read of the symbol's morning; 1 is the first.",
           sign=Sign.POSITIVE, is_nullable=False),
    Column("open_interest", ColumnType.INT64, Group.OPEN_INTEREST,
           "Open contracts as the gateway showed them; null when it showed none, which is not 0.", "contracts",
           Sign.NON_NEGATIVE, sentinels=frozenset({-1.0, -2.0})),
    Column("absence", ColumnType.STRING, Group.OPEN_INTEREST,
           "Why there is no value: a word of `error_type`, `not_live` (delayed, or the gateway did not say what it "
           "served) or `not_read` (the gateway could not be asked at all).",
           choices=(*ErrorType, NOT_LIVE, NOT_READ)),
    Column("verdict", ColumnType.STRING, Group.OPEN_INTEREST, f"What the whole read is worth: {_VERDICTS}.",
           is_nullable=False, choices=tuple(ReadVerdict)),
    Column("is_accepted", ColumnType.BOOL, Group.OPEN_INTEREST,
           "True: this is the session's open interest of the contract, and `daily_clean` has it.", is_nullable=False),
    Column("observed_at", ColumnType.TIMESTAMP, Group.OPEN_INTEREST, "When the value arrived, or was given up.", "UTC",
           is_nullable=False),
    *(_SHARED[name] for name in
      ("market_data_type", "error_message", "ib_error_code", "source", "ingest_id", "dag_run_id", "known_at",
       "schema_version")),
)  # fmt: skip
