"""The cache file: the same days, without asking again, and never after the library changed."""

import json
from collections.abc import Callable, Sequence
from datetime import date, time
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from opt_data.calendars import rules_cache
from opt_data.calendars.hours import TradingHours
from opt_data.calendars.rules_cache import cache_folder, cached_days
from opt_data.errors import CalendarUnavailable

DAYS = (
    TradingHours(date(2025, 11, 26)),
    TradingHours(date(2025, 11, 28), close_et=time(13)),
    TradingHours(date(2025, 12, 1), open_et=time(9, 33)),
)


class CountingLibrary:
    """Gives fixed days and counts how often it was asked."""

    def __init__(self, days: Sequence[TradingHours] = DAYS) -> None:
        self.days = days
        self.asked = 0

    def __call__(self, first_year: int, last_year: int) -> Sequence[TradingHours]:
        self.asked += 1
        return self.days


def test_the_second_process_reads_the_same_days_from_the_file(tmp_path: Path) -> None:
    library = CountingLibrary()

    first = cached_days(2025, 2025, folder=tmp_path, load=library)
    second = cached_days(2025, 2025, folder=tmp_path, load=library)

    assert first == second == DAYS
    assert library.asked == 1
    assert [path.name for path in tmp_path.iterdir()] == ["xnys_2025_2025.json"]


def test_the_file_holds_every_day_the_library_knows(
    tmp_path: Path, load_days: Callable[[int, int], Sequence[TradingHours]]
) -> None:
    written = cached_days(2000, 2030, folder=tmp_path, load=load_days)

    read = cached_days(2000, 2030, folder=tmp_path, load=CountingLibrary(()))

    assert list(read) == list(written)
    assert len(read) > 7_000


def test_another_library_release_computes_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached_days(2025, 2025, folder=tmp_path, load=CountingLibrary())
    newer = CountingLibrary(DAYS[:1])

    monkeypatch.setattr(rules_cache, "version", lambda package: "99.0")
    days = cached_days(2025, 2025, folder=tmp_path, load=newer)

    assert (days, newer.asked) == (DAYS[:1], 1)


def test_a_library_that_is_gone_is_not_replaced_by_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached_days(2025, 2025, folder=tmp_path, load=CountingLibrary())

    def not_installed(package: str) -> str:
        raise PackageNotFoundError(package)

    def cannot_import(first_year: int, last_year: int) -> Sequence[TradingHours]:
        raise CalendarUnavailable("cannot be imported")

    monkeypatch.setattr(rules_cache, "version", not_installed)

    with pytest.raises(CalendarUnavailable):
        cached_days(2025, 2025, folder=tmp_path, load=cannot_import)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda text: "", id="empty"),
        pytest.param(lambda text: text[: len(text) // 2], id="cut off"),
        pytest.param(lambda text: "[]", id="another shape"),
        pytest.param(lambda text: json.dumps(json.loads(text) | {"days": ["x"]}), id="not dates"),
        pytest.param(lambda text: json.dumps(json.loads(text) | {"special": {"739952": ["9"]}}), id="not hours"),
    ],
)
def test_a_damaged_file_is_computed_again(tmp_path: Path, damage: Callable[[str], str]) -> None:
    cached_days(2025, 2025, folder=tmp_path, load=CountingLibrary())
    path = tmp_path / "xnys_2025_2025.json"
    path.write_text(damage(path.read_text()))
    library = CountingLibrary()

    days = cached_days(2025, 2025, folder=tmp_path, load=library)

    assert (days, library.asked) == (DAYS, 1)
    assert cached_days(2025, 2025, folder=tmp_path, load=library) == DAYS
    assert library.asked == 1


def test_a_folder_that_cannot_be_made_costs_nothing_but_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    library = CountingLibrary()

    answers = [cached_days(2025, 2025, folder=tmp_path / "file" / "cache", load=library) for _ in range(2)]

    assert answers == [DAYS, DAYS]
    assert library.asked == 2


def test_the_environment_decides_where_the_file_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPT_DATA_CALENDAR_CACHE", str(tmp_path / "named"))
    named = cache_folder()
    monkeypatch.setenv("OPT_DATA_CALENDAR_CACHE", "off")
    off = cache_folder()
    monkeypatch.delenv("OPT_DATA_CALENDAR_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))

    assert (named, off, cache_folder()) == (tmp_path / "named", None, tmp_path / "xdg" / "opt_data")
