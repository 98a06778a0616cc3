"""The overrides file: what a person knows about XNYS that the calendar library does not.

A CSV file with the columns ``date,kind,close_et,reason,source,known_at``. Empty lines and lines that begin with ``#``
are skipped. One row a date:

* ``closed``: no trading that day.
* ``early_close``: trading from 09:30 to ``close_et`` (HH:MM New York).
* ``open``: full hours, also on a day that the library holds closed or shortened.

``reason`` and ``source`` say why and who says so; ``known_at`` (optional, ISO 8601 with offset) when it was announced.
"""

import csv
import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import StrEnum
from pathlib import Path

from opt_data.calendars.hours import REGULAR_CLOSE_ET, REGULAR_OPEN_ET, TradingHours
from opt_data.core.sessions import TradingSession
from opt_data.errors import ConfigInvalid

COLUMNS = ("date", "kind", "close_et", "reason", "source", "known_at")


class OverrideKind(StrEnum):
    """What a row says of its date."""

    CLOSED = "closed"
    EARLY_CLOSE = "early_close"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Override:
    """One row. ``close_et`` is New York wall time, set exactly when ``kind`` is ``early_close``."""

    day: date
    kind: OverrideKind
    close_et: time | None
    reason: str
    source: str
    known_at: datetime | None
    line: int

    def session(self) -> TradingSession | None:
        """The trading day this row describes, or None when it closes the exchange."""
        if self.kind is OverrideKind.CLOSED:
            return None
        return TradingHours(self.day, close_et=self.close_et or REGULAR_CLOSE_ET).session()


@dataclass(frozen=True, slots=True)
class OverridesFile:
    """Where the overrides are. Equal when the path is, so that calendars can be shared by file."""

    path: Path
    may_be_missing: bool = False

    def signature(self) -> tuple[int, int, int] | None:
        """A value that changes when the file does; None when there is no file and there need not be one."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            if self.may_be_missing:
                return None
            raise self._missing() from None
        except OSError as error:
            raise self._unreadable(error) from error
        return status.st_mtime_ns, status.st_size, status.st_ino

    def read(self) -> Mapping[date, Override]:
        """Read and check every row.

        Raises
        ------
        ConfigInvalid
            The file is missing although somebody named it, cannot be read, or has a bad row; the message names file,
            line and remedy. A file with one bad row is refused whole.
        """
        try:
            text = self.path.read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            if self.may_be_missing:
                return {}
            raise self._missing() from None
        except (OSError, UnicodeDecodeError) as error:
            raise self._unreadable(error) from error
        return _parse(text, self.path)

    def _missing(self) -> ConfigInvalid:
        return ConfigInvalid(
            f"calendar overrides file {self.path} does not exist; create it with the header {','.join(COLUMNS)}, "
            "or correct the path"
        )

    def _unreadable(self, error: Exception) -> ConfigInvalid:
        return ConfigInvalid(f"calendar overrides file {self.path} cannot be read: {error}")


def _parse(text: str, path: Path) -> Mapping[date, Override]:
    rows = _rows(text, path)
    number, header = next(rows, (1, []))
    if tuple(header) != COLUMNS:
        raise ConfigInvalid(f"{path}:{number}: the header must be {','.join(COLUMNS)}, not {','.join(header)!r}")
    overrides: dict[date, Override] = {}
    for line, fields in rows:
        try:
            override = _override(fields, line)
        except ValueError as error:
            raise ConfigInvalid(f"{path}:{line}: {error}") from None
        if earlier := overrides.get(override.day):
            raise ConfigInvalid(f"{path}:{line}: {override.day} is already on line {earlier.line}; keep one of them")
        overrides[override.day] = override
    return overrides


def _rows(text: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and stripped fields of every line that is neither empty nor a comment."""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            fields = next(csv.reader([line], strict=True))
        except csv.Error as error:
            raise ConfigInvalid(f"{path}:{number}: not a CSV line: {error}") from None
        yield number, [field.strip() for field in fields]


def _override(fields: list[str], line: int) -> Override:
    if len(fields) != len(COLUMNS):
        raise ValueError(f"{len(fields)} fields, expected {len(COLUMNS)}: {','.join(COLUMNS)}")
    row = dict(zip(COLUMNS, fields, strict=True))
    day = _date(row["date"])
    kind = _kind(row["kind"])
    if day.weekday() >= 5 and kind is not OverrideKind.CLOSED:
        raise ValueError(f"{day} is a {day:%A}; XNYS does not trade at weekends, check the date")
    if not row["reason"]:
        raise ValueError("reason is empty; say why, e.g. National Day of Mourning")
    return Override(
        day, kind, _close_et(row["close_et"], kind), row["reason"], row["source"], _known_at(row["known_at"]), line
    )


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"date {text!r} is not a date; write YYYY-MM-DD") from None


def _kind(text: str) -> OverrideKind:
    try:
        return OverrideKind(text)
    except ValueError:
        near = difflib.get_close_matches(text, list(OverrideKind), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"kind {text!r} is none of {', '.join(OverrideKind)}{hint}") from None


def _close_et(text: str, kind: OverrideKind) -> time | None:
    if kind is not OverrideKind.EARLY_CLOSE:
        if text:
            raise ValueError(f"close_et {text!r} only goes with early_close; leave it empty for {kind}")
        return None
    try:
        close = datetime.strptime(text, "%H:%M").time()  # noqa: DTZ007  a wall time of New York has no date yet
    except ValueError:
        raise ValueError(f"close_et {text!r} is not a time; write HH:MM New York, e.g. 13:00") from None
    if not REGULAR_OPEN_ET < close < REGULAR_CLOSE_ET:
        raise ValueError(f"close_et {text} is not between 09:30 and 16:00 New York")
    return close


def _known_at(text: str) -> datetime | None:
    if not text:
        return None
    try:
        known_at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"known_at {text!r} is not an instant; write e.g. 2024-12-30T10:00-05:00") from None
    if known_at.tzinfo is None:
        raise ValueError(f"known_at {text!r} has no offset; write e.g. {text}-05:00")
    return known_at
