"""Rows as a capture would hand them to the store, for one session."""

from datetime import UTC, date, datetime, timedelta

from opt_data.core.sessions import TradingSession
from opt_data.core.slots import Slot, slot_grid
from opt_data.storage.chain_rows import IngestRun

SESSION = TradingSession(
    date(2025, 11, 24), datetime(2025, 11, 24, 14, 30, tzinfo=UTC), datetime(2025, 11, 24, 21, 0, tzinfo=UTC)
)
SLOTS = slot_grid(SESSION)
SLOT = SLOTS[3]
LAST_SLOT = SLOTS[13]

Row = dict[str, object]


def contract_row(conid: int) -> Row:
    """The identity of a call whose strike follows from its conid."""
    return {
        "und_conid": 265598,
        "conid": conid,
        "symbol": f"AAPL  251219C{conid:08d}",
        "expiry": date(2025, 12, 19),
        "right": "C",
        "strike": float(conid),
        "multiplier": 100,
        "trading_class": "AAPL",
        "currency": "USD",
        "first_seen_slot": 0,
    }


def quote_row(conid: int, slot: Slot = SLOT, lag_s: float = 5.0, **changes: object) -> Row:
    """A complete quote, sampled on time unless changed."""
    return {
        **contract_row(conid),
        "snapshot_error": False,
        "asof_ts": slot.instant_utc + timedelta(seconds=lag_s),
        "capture_mode": "on_time",
        "bid": 1.25,
        "ask": 1.35,
        "last": 1.3,
        "iv": 0.25,
        "delta": 0.5,
        "market_data_type": 1,
        **changes,
    }


def late_row(conid: int, slot: Slot = SLOT, **changes: object) -> Row:
    return quote_row(conid, slot, 600.0, **{"capture_mode": "late", **changes})


def error_row(conid: int, error_type: str = "timed_out", **changes: object) -> Row:
    """A contract that gave no quote."""
    return {**contract_row(conid), "snapshot_error": True, "error_type": error_type, **changes}


def ingest(name: str, attempt: int = 1) -> IngestRun:
    return IngestRun(ingest_id=name, attempt=attempt, dag_run_id="manual__1")
