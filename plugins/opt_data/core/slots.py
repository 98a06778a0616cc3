"""Slots: every 30 minutes from open to close, both included, and what may be written when."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from opt_data.core.sessions import NEW_YORK, TradingSession
from opt_data.errors import NotASlot

SLOT_LENGTH = timedelta(minutes=30)
CLOSE_ENDS_BEFORE_OPEN = timedelta(minutes=30)
"""How long before the next open a session's closing values are no longer taken for its own."""


class CaptureMode(StrEnum):
    """How far a stored quote may be trusted to show its slot's instant."""

    ON_TIME = "on_time"
    LATE = "late"
    REBUILT = "rebuilt"
    FROZEN = "frozen"


@dataclass(frozen=True, slots=True)
class Slot:
    """One capture instant of one session.

    ``ends_utc`` is the next slot's instant, or close + 30 minutes for the last slot: from then on a live quote must
    not be stored under this slot.
    """

    session: TradingSession
    index: int
    instant_utc: datetime
    ends_utc: datetime

    @property
    def is_last(self) -> bool:
        return self.instant_utc == self.session.close_utc

    @property
    def label(self) -> str:
        """New York wall time of the instant, e.g. ``09:30``."""
        return self.instant_utc.astimezone(NEW_YORK).strftime("%H:%M")


class SlotPhase(StrEnum):
    """Where an instant lies relative to a slot."""

    BEFORE = "before"
    ON_TIME = "on_time"
    LATE = "late"
    OVER = "over"


def slot_grid(session: TradingSession, length: timedelta = SLOT_LENGTH) -> tuple[Slot, ...]:
    """Cut a session into slots: 14 on a normal day, 8 when the close is 13:00.

    Parameters
    ----------
    session
        The trading day. The close always is a slot, also when ``length`` does not divide the session.
    length
        Distance of two slots.

    Raises
    ------
    ValueError
        If ``length`` is not positive.
    """
    if length <= timedelta(0):
        raise ValueError("length must be positive")
    instants = []
    instant = session.open_utc.astimezone(UTC)
    close = session.close_utc.astimezone(UTC)
    while instant < close:
        instants.append(instant)
        instant += length
    instants.append(close)
    ends = [*instants[1:], close + length]
    return tuple(
        Slot(session, index, start, end) for index, (start, end) in enumerate(zip(instants, ends, strict=True))
    )


def close_slot(session: TradingSession, following: TradingSession) -> Slot:
    """The closing snapshot's time: it belongs to the close like the last slot, and lasts until shortly before the
    ``following`` session opens, because until then IB serves the values it froze at the bell."""
    return replace(slot_grid(session)[-1], ends_utc=following.open_utc - CLOSE_ENDS_BEFORE_OPEN)


def slot_of_instant(session: TradingSession, instant: datetime) -> Slot:
    """The slot that begins exactly at ``instant``.

    Raises
    ------
    ValueError
        If ``instant`` is naive.
    NotASlot
        If the instant is not on the session's grid; the message lists the grid.
    """
    if instant.tzinfo is None:
        raise ValueError(f"{instant!r} has no time zone; give a slot as an aware instant, e.g. 2025-11-24T10:00-05:00")
    grid = slot_grid(session)
    for slot in grid:
        if slot.instant_utc == instant:
            return slot
    local = instant.astimezone(NEW_YORK)
    labels = " ".join(slot.label for slot in grid)
    raise NotASlot(
        f"{local:%Y-%m-%d %H:%M} New York is not a slot of {session.day}; its slots are {labels}", instant=instant
    )


def newest_slot_begun(slots: Sequence[Slot], at: datetime) -> Slot | None:
    """The last slot with ``instant <= at``, or None before the first."""
    begun = [slot for slot in slots if slot.instant_utc <= at]
    return begun[-1] if begun else None


def slot_phase(slot: Slot, at: datetime, grace: timedelta) -> SlotPhase:
    """Which of the four phases ``at`` belongs to.

    ``instant <= at <= instant + grace`` is on time, then late until ``ends_utc`` (excluded), then over.
    """
    if at < slot.instant_utc:
        return SlotPhase.BEFORE
    if at <= slot.instant_utc + grace:
        return SlotPhase.ON_TIME
    if at < slot.ends_utc:
        return SlotPhase.LATE
    return SlotPhase.OVER
