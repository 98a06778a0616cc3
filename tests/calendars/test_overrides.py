"""The overrides file: what it can say, that it is followed at once, and how it refuses."""

import os
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time
from pathlib import Path

import pytest

from opt_data.calendars.hours import TradingHours
from opt_data.calendars.overrides import COLUMNS, OverrideKind, OverridesFile
from opt_data.calendars.xnys import XnysCalendar
from opt_data.errors import ConfigInvalid, NotASession

HEADER = ",".join(COLUMNS)

Load = Callable[[int, int], Sequence[TradingHours]]
Write = Callable[..., Path]


def calendar_over(path: Path, load_days: Load) -> XnysCalendar:
    return XnysCalendar(OverridesFile(path), load_days=load_days)


def test_a_row_is_read_with_all_it_says(write_overrides: Write) -> None:
    path = write_overrides(
        '2026-03-11,early_close,14:30,"Power failure, lower Manhattan",NYSE notice,2026-03-11T11:05-04:00'
    )

    override = OverridesFile(path).read()[date(2026, 3, 11)]

    assert override.kind is OverrideKind.EARLY_CLOSE
    assert override.close_et == time(14, 30)
    assert override.reason == "Power failure, lower Manhattan"
    assert override.source == "NYSE notice"
    assert override.known_at == datetime(2026, 3, 11, 15, 5, tzinfo=UTC)
    assert override.line == 2


def test_comments_empty_lines_and_a_byte_order_mark_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "overrides.csv"
    path.write_text(f"\ufeff# a remark\n\n{HEADER}\n  # another\n2026-03-11,closed,,Storm,,\n", encoding="utf-8")

    assert list(OverridesFile(path).read()) == [date(2026, 3, 11)]


def test_a_closure_takes_the_day_out_and_says_why(write_overrides: Write, load_days: Load) -> None:
    calendar = calendar_over(write_overrides("2026-03-11,closed,,Storm,NYSE notice,"), load_days)

    with pytest.raises(NotASession, match=r"\(Storm\); the next is 2026-03-12"):
        calendar.session(date(2026, 3, 11))

    assert calendar.next_session(date(2026, 3, 10)).day == date(2026, 3, 12)
    assert calendar.previous_session(date(2026, 3, 12)).day == date(2026, 3, 10)


def test_an_early_close_shortens_the_day(write_overrides: Write, load_days: Load) -> None:
    calendar = calendar_over(write_overrides("2026-03-11,early_close,14:30,Storm,,"), load_days)

    session = calendar.session(date(2026, 3, 11))

    assert session.early_close
    assert session.open_utc == datetime(2026, 3, 11, 13, 30, tzinfo=UTC)
    assert session.close_utc == datetime(2026, 3, 11, 18, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "day", [pytest.param("2026-11-26", id="closed by the rules"), pytest.param("2026-11-27", id="shortened by them")]
)
def test_an_opening_gives_full_hours(write_overrides: Write, load_days: Load, day: str) -> None:
    calendar = calendar_over(write_overrides(f"{day},open,,Rule changed,,"), load_days)

    session = calendar.session(date.fromisoformat(day))

    assert not session.early_close
    assert session.close_utc == datetime.fromisoformat(f"{day}T21:00:00Z")


def test_a_running_calendar_follows_the_file(write_overrides: Write, load_days: Load) -> None:
    calendar = calendar_over(write_overrides(), load_days)
    before = calendar.session(date(2026, 3, 11))

    write_overrides("2026-03-11,early_close,13:00,Storm,,")
    during = calendar.session(date(2026, 3, 11))
    write_overrides()
    after = calendar.session(date(2026, 3, 11))

    assert not before.early_close
    assert during.close_utc == datetime(2026, 3, 11, 17, 0, tzinfo=UTC)
    assert after == before


def test_an_edit_of_the_same_length_is_seen(write_overrides: Write, load_days: Load) -> None:
    path = write_overrides("2026-03-11,early_close,13:00,Storm,,")
    calendar = calendar_over(path, load_days)
    calendar.session(date(2026, 3, 11))
    status = path.stat()

    path.write_text(path.read_text().replace("13:00", "14:00"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))

    assert calendar.session(date(2026, 3, 11)).close_utc == datetime(2026, 3, 11, 18, 0, tzinfo=UTC)


def test_a_broken_edit_is_an_error_and_its_repair_heals(write_overrides: Write, load_days: Load) -> None:
    calendar = calendar_over(write_overrides(), load_days)
    calendar.session(date(2026, 3, 11))

    path = write_overrides("2026-03-11,shut,,Storm,,")
    with pytest.raises(ConfigInvalid, match=f"{path}:2: kind 'shut' is none of"):
        calendar.session(date(2026, 3, 11))
    write_overrides("2026-03-11,closed,,Storm,,")

    with pytest.raises(NotASession):
        calendar.session(date(2026, 3, 11))


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        pytest.param("2026-03-11,closed", "2 fields, expected 6: date,kind", id="too few fields"),
        pytest.param("11.03.2026,closed,,Storm,,", "date '11.03.2026' is not a date; write YYYY-MM-DD", id="date"),
        pytest.param("2026-03-11,closd,,Storm,,", "did you mean closed?", id="misspelt kind"),
        pytest.param("2026-03-11,early_close,,Storm,,", "close_et '' is not a time; write HH:MM", id="no close"),
        pytest.param("2026-03-11,early_close,1 pm,Storm,,", "close_et '1 pm' is not a time", id="close in words"),
        pytest.param("2026-03-11,early_close,16:00,Storm,,", "is not between 09:30 and 16:00", id="not early"),
        pytest.param("2026-03-11,early_close,09:30,Storm,,", "is not between 09:30 and 16:00", id="before the open"),
        pytest.param("2026-03-11,closed,13:00,Storm,,", "only goes with early_close", id="closed with a close"),
        pytest.param("2026-03-14,early_close,13:00,Storm,,", "2026-03-14 is a Saturday", id="weekend"),
        pytest.param("2026-03-11,closed,,,,", "reason is empty", id="no reason"),
        pytest.param("2026-03-11,closed,,Storm,,2026-03-11T09:00", "has no offset; write e.g.", id="naive known_at"),
        pytest.param("2026-03-11,closed,,Storm,,today", "known_at 'today' is not an instant", id="known_at in words"),
        pytest.param('2026-03-11,closed,,"Storm,,', "not a CSV line", id="open quote"),
    ],
)
def test_a_bad_row_is_refused_with_its_line(write_overrides: Write, row: str, complaint: str) -> None:
    path = write_overrides("2026-03-10,closed,,Storm,,", row)

    with pytest.raises(ConfigInvalid) as caught:
        OverridesFile(path).read()

    assert str(caught.value).startswith(f"{path}:3: ")
    assert complaint in str(caught.value)


def test_a_date_twice_names_both_lines(write_overrides: Write) -> None:
    path = write_overrides("2026-03-11,closed,,Storm,,", "2026-03-11,early_close,13:00,Storm,,")

    with pytest.raises(ConfigInvalid, match=":3: 2026-03-11 is already on line 2; keep one of them"):
        OverridesFile(path).read()


@pytest.mark.parametrize(
    "text", [pytest.param("", id="empty"), pytest.param("date,kind\n", id="short"), pytest.param("x\n", id="other")]
)
def test_a_wrong_header_is_refused_with_the_right_one(tmp_path: Path, text: str) -> None:
    path = tmp_path / "overrides.csv"
    path.write_text(text)

    with pytest.raises(ConfigInvalid, match=f":1: the header must be {HEADER}"):
        OverridesFile(path).read()


def test_a_named_file_must_exist_at_every_question(write_overrides: Write, load_days: Load) -> None:
    path = write_overrides("2026-03-11,closed,,Storm,,")
    calendar = calendar_over(path, load_days)
    calendar.session(date(2026, 3, 12))

    path.unlink()

    with pytest.raises(ConfigInvalid, match="does not exist; create it with the header date,kind"):
        calendar.session(date(2026, 3, 11))


def test_a_file_that_may_be_missing_may_also_appear(tmp_path: Path, write_overrides: Write, load_days: Load) -> None:
    calendar = XnysCalendar(OverridesFile(tmp_path / "overrides.csv", may_be_missing=True), load_days=load_days)
    before = calendar.session(date(2026, 3, 11))

    write_overrides("2026-03-11,early_close,13:00,Storm,,")

    assert not before.early_close
    assert calendar.session(date(2026, 3, 11)).early_close


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "overrides.csv"
    path.write_bytes(b"\xff\xfe\x00binary")

    with pytest.raises(ConfigInvalid, match="cannot be read"):
        OverridesFile(path).read()
