"""Which symbols one task captures, when it may begin, and how it is called in the grid."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from opt_data.core.slots import Slot

LABEL_WIDTH = 60
"""How many characters of a grid's label name symbols."""


@dataclass(frozen=True, slots=True)
class CaptureGroup:
    """Symbols of one task, and how many minutes after the slot's instant their turn comes."""

    symbols: tuple[str, ...]
    offset_min: int = 0


def group_symbols(
    symbols: Iterable[str], offsets_min: Mapping[str, int], symbols_per_task: int
) -> tuple[CaptureGroup, ...]:
    """Cut a universe into groups: batches with an early turn first, the order of the universe within.

    Symbols of different batches never share a task.

    Parameters
    ----------
    symbols
        The universe.
    offsets_min
        Minutes after the slot by symbol; a symbol that is not in it begins with the slot.
    symbols_per_task
        The most symbols a group may have.

    Examples
    --------
    >>> [group.symbols for group in group_symbols("ABCDE", {"B": 5}, 3)]
    [('A', 'C', 'D'), ('E',), ('B',)]
    """
    batches: dict[int, list[str]] = {}
    for symbol in symbols:
        batches.setdefault(offsets_min.get(symbol, 0), []).append(symbol)
    return tuple(
        CaptureGroup(tuple(members[first : first + symbols_per_task]), offset_min)
        for offset_min, members in sorted(batches.items())
        for first in range(0, len(members), symbols_per_task)
    )


def batch_wait_s(slot: Slot, offset_min: int, now: datetime) -> float:
    """Seconds that a batch gives way to others: from the slot's instant until its turn, 0 before and after."""
    if now < slot.instant_utc:
        return 0.0
    return max(0.0, (slot.instant_utc + timedelta(minutes=offset_min) - now).total_seconds())


def symbols_label(symbols: Sequence[str]) -> str:
    """A group's name in the grid: its symbols, as many as fit.

    Examples
    --------
    >>> symbols_label(["AAPL"])
    'AAPL'
    >>> symbols_label([f"SYN{number:03}" for number in range(1, 26)])
    'SYN001, SYN002, SYN003, SYN004, SYN005, SYN006, SYN007 +18'
    """
    shown: list[str] = []
    for symbol in symbols:
        if shown and len(", ".join([*shown, symbol])) > LABEL_WIDTH:
            break
        shown.append(symbol)
    more = len(symbols) - len(shown)
    return ", ".join(shown) + (f" +{more}" if more else "")
