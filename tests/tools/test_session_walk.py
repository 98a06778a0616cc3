"""Which slot the demo captures next."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from opt_data.calendars import default_calendar
from opt_data.core.sessions import SessionCalendar
from tools.demo.errors import DemoFailed
from tools.demo.session_walk import Position, load_position, next_position, slot_at

MONDAY = date(2025, 11, 24)
WEDNESDAY = date(2025, 11, 26)
AFTER_THANKSGIVING = date(2025, 11, 28)  # the market closed at 13:00


@pytest.fixture(scope="module")
def calendar() -> SessionCalendar:
    return default_calendar()


@pytest.mark.parametrize(
    ("last", "wanted"),
    [
        pytest.param(None, Position(MONDAY, 0, done=False), id="first start"),
        pytest.param(Position(MONDAY, 4, done=False), Position(MONDAY, 4, done=False), id="unfinished: again"),
        pytest.param(Position(MONDAY, 4, done=True), Position(MONDAY, 5, done=False), id="done: the next"),
        pytest.param(
            Position(WEDNESDAY, 13, done=True), Position(AFTER_THANKSGIVING, 0, done=False), id="over the holiday"
        ),
        pytest.param(
            Position(AFTER_THANKSGIVING, 7, done=True), Position(date(2025, 12, 1), 0, done=False), id="early close"
        ),
    ],
)
def test_next_position(last: Position | None, wanted: Position, calendar: SessionCalendar) -> None:
    assert next_position(last, calendar) == wanted


def test_the_first_slot_is_the_open(calendar: SessionCalendar) -> None:
    slot = slot_at(Position(MONDAY, 0, done=False), calendar)

    assert slot.instant_utc == datetime(2025, 11, 24, 14, 30, tzinfo=UTC)


def test_a_position_is_read_as_it_was_saved(tmp_path: Path) -> None:
    position = Position(WEDNESDAY, 3, done=True)

    position.save(tmp_path / "position.json")

    assert load_position(tmp_path / "position.json") == position
    assert load_position(tmp_path / "none.json") is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"session": "2025-11-24"}', '{"session": "x", "slot": 1, "done": 0}'])
def test_a_damaged_position_says_what_to_do(text: str, tmp_path: Path) -> None:
    (tmp_path / "position.json").write_text(text)

    with pytest.raises(DemoFailed, match="delete it"):
        load_position(tmp_path / "position.json")
