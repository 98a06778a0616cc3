"""What happens on a connection besides answers: its beginning and end, the gateway's notices, its clock."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class EventKind(StrEnum):
    """What an event is about."""

    CONNECTED = "connected"
    REFUSED = "refused"  # no connection came about; the text says why
    NOTICE = "notice"  # a message of the gateway that concerns no single request
    CLOCK = "clock"  # its time beside ours
    LOST = "lost"  # the connection ended, or became useless, before the work was done
    CLOSED = "closed"  # we left


@dataclass(frozen=True, slots=True)
class GatewayEvent:
    """One event; ``at`` is the session's clock. ``skew_s`` and ``uncertainty_s`` belong to ``CLOCK``, seconds."""

    at: datetime
    kind: EventKind
    text: str = ""
    code: int | None = None
    client_id: int | None = None
    skew_s: float | None = None
    uncertainty_s: float | None = None


Observer = Callable[[GatewayEvent], None]
"""Is told of every event as it happens; must not raise."""


def unobserved(event: GatewayEvent) -> None:
    """For sessions whose events nobody keeps: a handshake behind a button, a test."""
