"""Which slot of the simulated market comes next, and what was left half done."""

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from opt_data.core.sessions import SessionCalendar
from opt_data.core.slots import Slot, slot_grid
from tools.demo.errors import DemoFailed
from tools.demo.places import write_whole

FIRST_SESSION = date(2025, 11, 24)


@dataclass(frozen=True, slots=True)
class Position:
    """A slot by session and index; ``done`` only when it was captured and every contract was accounted for."""

    session: date
    slot: int
    done: bool

    def save(self, path: Path) -> None:
        document = {"session": self.session.isoformat(), "slot": self.slot, "done": self.done}
        write_whole(path, json.dumps(document))


def load_position(path: Path) -> Position | None:
    """The recorded position; None before the first start.

    Raises
    ------
    DemoFailed
        The file is there but says nothing sensible.
    """
    if not path.exists():
        return None
    try:
        document = json.loads(path.read_text())
        return Position(date.fromisoformat(document["session"]), int(document["slot"]), bool(document["done"]))
    except (ValueError, KeyError, TypeError) as error:
        raise DemoFailed(f"{path} is damaged ({error}); delete it to begin with the first slot again") from error


def next_position(last: Position | None, calendar: SessionCalendar) -> Position:
    """The slot to capture now: an unfinished one again, otherwise the one after, into the next session if need be."""
    if last is None:
        return Position(FIRST_SESSION, 0, done=False)
    if not last.done:
        return last
    if last.slot + 1 < len(slot_grid(calendar.session(last.session))):
        return Position(last.session, last.slot + 1, done=False)
    return Position(calendar.next_session(last.session).day, 0, done=False)


def slot_at(position: Position, calendar: SessionCalendar) -> Slot:
    """The slot a position names."""
    return slot_grid(calendar.session(position.session))[position.slot]
