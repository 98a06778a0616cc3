"""What calendar tests share: the library's days computed once, and a way to write an overrides file."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from opt_data.calendars.hours import TradingHours
from opt_data.calendars.overrides import COLUMNS
from opt_data.calendars.rules import FIRST_YEAR, LAST_YEAR, library_days


@pytest.fixture(scope="session")
def load_days() -> Callable[[int, int], Sequence[TradingHours]]:
    """The library's answer for the covered years, asked once for all tests and never taken from the cache file."""
    days = library_days(FIRST_YEAR, LAST_YEAR)

    def load(first_year: int, last_year: int) -> Sequence[TradingHours]:
        return [day for day in days if first_year <= day.day.year <= last_year]

    return load


@pytest.fixture
def write_overrides(tmp_path: Path) -> Callable[..., Path]:
    """Write rows below the right header to ``overrides.csv``; every call replaces the file."""

    def write(*rows: str) -> Path:
        path = tmp_path / "overrides.csv"
        staged = tmp_path / "overrides.csv.new"
        staged.write_text("\n".join([",".join(COLUMNS), *rows, ""]))
        staged.replace(path)
        return path

    return write
