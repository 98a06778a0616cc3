"""The library's trading days in a small file, so that short processes need not import pandas for them.

The file holds New York wall times and the exact versions it was computed with. It is used only while all of them are
what is installed; overrides and the time zone table are applied after reading. So it cannot go stale: another release
is another key, and the file is computed again. Deleting it is always safe.
"""

import json
import os
import tempfile
from collections.abc import Callable, Sequence
from datetime import date, time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from opt_data.calendars.hours import REGULAR_CLOSE_ET, REGULAR_OPEN_ET, TradingHours
from opt_data.calendars.rules import CALENDAR_NAME, LIBRARY, library_days

CACHE_VARIABLE = "OPT_DATA_CALENDAR_CACHE"
FORMAT = 1

Load = Callable[[int, int], Sequence[TradingHours]]


def cache_folder() -> Path | None:
    """Where the file lies: ``$OPT_DATA_CALENDAR_CACHE`` (``off``: nowhere), else the user's cache folder."""
    if named := os.environ.get(CACHE_VARIABLE):
        return None if named == "off" else Path(named)
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg) / "opt_data"
    try:
        return Path.home() / ".cache" / "opt_data"
    except RuntimeError:  # a service user without a home
        return None


def cached_days(
    first_year: int, last_year: int, *, folder: Path | None = None, load: Load = library_days
) -> Sequence[TradingHours]:
    """``library_days``, read from the cache file if it was made by the installed versions.

    A missing, foreign or broken file, or a folder that cannot be written, costs time and nothing else.

    Raises
    ------
    CalendarUnavailable
        As ``library_days`` does; also when the library is not installed, whatever the file says.
    """
    folder = folder or cache_folder()
    key = _key(first_year, last_year)
    if folder is None or key is None:
        return load(first_year, last_year)
    path = folder / f"xnys_{first_year}_{last_year}.json"
    if (days := _read(path, key)) is not None:
        return days
    days = load(first_year, last_year)
    _write(path, key, days)
    return days


def _key(first_year: int, last_year: int) -> dict[str, Any] | None:
    try:
        return {
            "format": FORMAT,
            "calendar": CALENDAR_NAME,
            "first_year": first_year,
            "last_year": last_year,
            LIBRARY: version(LIBRARY),
            "pandas": version("pandas"),
        }
    except PackageNotFoundError:
        return None


def _read(path: Path, key: dict[str, Any]) -> Sequence[TradingHours] | None:
    try:
        content = json.loads(path.read_bytes())
        if content["key"] != key:
            return None
        special = {
            int(ordinal): (time.fromisoformat(opens), time.fromisoformat(closes))
            for ordinal, (opens, closes) in content["special"].items()
        }
        regular = (REGULAR_OPEN_ET, REGULAR_CLOSE_ET)
        return tuple(
            TradingHours(date.fromordinal(ordinal), *special.get(ordinal, regular)) for ordinal in content["days"]
        )
    except (OSError, ValueError, TypeError, LookupError, AttributeError):
        return None


def _write(path: Path, key: dict[str, Any], days: Sequence[TradingHours]) -> None:
    content = {
        "key": key,
        "special": {
            day.day.toordinal(): (day.open_et.isoformat(), day.close_et.isoformat())
            for day in days
            if not day.is_regular
        },
        "days": [day.day.toordinal() for day in days],
    }
    staged: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".tmp", delete=False) as file:
            staged = Path(file.name)
            json.dump(content, file)
        staged.replace(path)
    except OSError:
        if staged is not None:
            staged.unlink(missing_ok=True)
