"""The door: which overrides file it takes, and that one process has one calendar."""

import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from opt_data.calendars import check_overrides, default_calendar, overrides_file
from opt_data.calendars.rules import library_days
from opt_data.errors import CalendarUnavailable, ConfigInvalid, NotASession

PROJECT = Path(__file__).parents[2]

Write = Callable[..., Path]


def test_the_project_file_is_found_from_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)

    assert overrides_file().path == PROJECT / "include" / "config" / "calendar_overrides.csv"


def test_the_shipped_file_is_valid_and_changes_nothing() -> None:
    assert overrides_file(PROJECT / "include" / "config" / "calendar_overrides.csv").read() == {}


def test_one_process_has_one_calendar_for_a_file(write_overrides: Write) -> None:
    path = write_overrides("2026-03-11,closed,,Storm,,")

    calendar = default_calendar(path)

    assert default_calendar(path) is calendar
    with pytest.raises(NotASession, match="Storm"):
        calendar.session(date(2026, 3, 11))


def test_without_the_setting_an_unknown_year_is_an_error(write_overrides: Write) -> None:
    path = write_overrides()

    with pytest.raises(CalendarUnavailable):
        default_calendar(path).session(date(2031, 3, 3))

    assert default_calendar(path, fixed_hours_fallback=True).session(date(2031, 3, 3)).day == date(2031, 3, 3)


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"nowhere\.csv does not exist"):
        check_overrides(tmp_path / "nowhere.csv")
    with pytest.raises(ConfigInvalid, match=r"nowhere\.csv does not exist"):
        default_calendar(tmp_path / "nowhere.csv").session(date(2026, 3, 11))


def test_a_missing_library_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas_market_calendars", None)

    with pytest.raises(CalendarUnavailable, match="pandas-market-calendars cannot be imported"):
        library_days(2025, 2025)


def test_years_the_library_cannot_compute_are_an_error() -> None:
    with pytest.raises(CalendarUnavailable, match="has no sessions for 12000 to 12000"):
        library_days(12000, 12000)
