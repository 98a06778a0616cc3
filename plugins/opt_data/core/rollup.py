"""Which quote a day is known by: the names of the ways, and the flags they bring."""

from collections.abc import Sequence
from enum import StrEnum

from opt_data.core.slots import Slot


class Strategy(StrEnum):
    """Where a day's quote comes from, apart from the two slots that are named after their time."""

    CLOSE = "close"
    LAST_GOOD = "last_good"
    NONE = "none"


def slot_strategies(slots: Sequence[Slot]) -> tuple[str, ...]:
    """The strategy's name for a source at each slot, in the slots' order.

    Examples
    --------
    A day that closes at 16:00 ends with ``last_good``, ``slot_1530``, ``slot_1600``; one that closes at 13:00 with
    ``last_good``, ``slot_1230``, ``slot_1300``.
    """
    named = len(slots) - 2
    return tuple(
        f"slot_{slot.label.replace(':', '')}" if position >= named else str(Strategy.LAST_GOOD)
        for position, slot in enumerate(slots)
    )


def strategy_flags(strategy: str, last_slot_strategy: str) -> tuple[str, ...]:
    """The flags of a row whose quote came by ``strategy``; ``last_slot_strategy`` names the slot at the close."""
    if strategy in (Strategy.CLOSE, Strategy.NONE):
        return ()
    if strategy == last_slot_strategy:
        return ("fallback_intraday",)
    if strategy == Strategy.LAST_GOOD:
        return ("fallback_intraday", "eod_rollup_fallback", "eod_rollup_stale")
    return ("fallback_intraday", "eod_rollup_fallback")
