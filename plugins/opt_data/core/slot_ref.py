"""A slot as plain text values, so that it can travel between tasks without asking a calendar again."""

from datetime import UTC, date, datetime

from opt_data.core.sessions import TradingSession
from opt_data.core.slots import Slot, slot_of_instant


def slot_to_ref(slot: Slot) -> dict[str, str | bool]:
    """Everything needed to make the slot again, as JSON values."""
    session = slot.session
    return {
        "trade_date": session.day.isoformat(),
        "open_utc": session.open_utc.isoformat(),
        "close_utc": session.close_utc.isoformat(),
        "early_close": session.early_close,
        "instant_utc": slot.instant_utc.isoformat(),
    }


def slot_from_ref(ref: dict[str, str | bool]) -> Slot:
    """The slot that ``slot_to_ref`` described."""
    session = TradingSession(
        date.fromisoformat(str(ref["trade_date"])), _utc(ref["open_utc"]), _utc(ref["close_utc"]),
        early_close=bool(ref["early_close"]),
    )  # fmt: skip
    return slot_of_instant(session, _utc(ref["instant_utc"]))


def _utc(text: str | bool) -> datetime:
    return datetime.fromisoformat(str(text)).astimezone(UTC)
