"""Rows as a capture would hand them to the store, for one session."""

from datetime import UTC, date, datetime, timedelta

from opt_data.core.sessions import NEW_YORK, TradingSession
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


def stored_row(row: Row, slot: Slot = SLOT, **changes: object) -> Row:
    """A row as the store keeps it, stamped."""
    asof = row.get("asof_ts")
    return {
        "trade_date": slot.session.day,
        "underlying": "AAPL",
        "exchange": "SMART",
        "sample_time": slot.instant_utc,
        "sample_time_et": slot.instant_utc.astimezone(NEW_YORK).isoformat(),
        "slot_30m": slot.index,
        "lag_s": (asof - slot.instant_utc).total_seconds() if isinstance(asof, datetime) else None,
        "attempt": 1,
        "data_quality_flag": [],
        "source": "IBKR",
        "ingest_id": f"slot{slot.index}",
        "ingest_run_type": "intraday",
        "known_at": slot.instant_utc + timedelta(seconds=30),
        "schema_version": 1,
        **row,
        **changes,
    }


def daily_row(conid: int, **changes: object) -> Row:
    """A day's row from the closing snapshot."""
    close = stored_row(
        quote_row(conid, LAST_SLOT, 5400.0, capture_mode="frozen"), LAST_SLOT, ingest_run_type="eod_rollup"
    )
    return {
        **close,
        "rollup_source_time": LAST_SLOT.instant_utc,
        "rollup_source_slot": LAST_SLOT.index,
        "rollup_strategy": "close",
        "slots_expected": 14,
        "slots_on_time": 14,
        "slots_late": 0,
        "slots_rebuilt": 0,
        "slots_missing": 0,
        **changes,
    }
