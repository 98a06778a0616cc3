"""The only builder of keys. Roots come from the settings; keys are relative to them.

``name=value`` folders are hive partitions: DuckDB and pyarrow read them as columns. Values are percent-encoded, which
both decode, so that ``underlying=BRK%20B`` reads as ``BRK B``.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from urllib.parse import quote, unquote

_SYMBOL = re.compile(r"[A-Z][A-Z0-9]{0,11}([. ][A-Z0-9]{1,3})?")
_EXCHANGE = re.compile(r"[A-Z][A-Z0-9.]{0,15}")
_INGEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")
_SLOT_FILE = re.compile(r"slot_(\d{2,3})(?:_a\d+_[A-Za-z0-9-]+)?\.parquet")

QUARANTINE = "_quarantine/"
RETIRED = "_retired/"
_CHAIN = "ib/chain"
LARGEST_SLOT = 127


class ChainView(StrEnum):
    """Which table of chains a key belongs to: the value of the partition ``view``."""

    INTRADAY = "intraday"
    CLOSE = "close"
    DAILY_CLEAN = "daily_clean"
    DAILY_ADJUSTED = "daily_adjusted"
    ENRICHMENT = "enrichment"


@dataclass(frozen=True, slots=True)
class ChainPartition:
    """One symbol's chain on one day at one route: a folder with one file per slot (clean), attempt (raw) or day."""

    day: date
    symbol: str
    exchange: str
    view: ChainView = ChainView.INTRADAY

    def __post_init__(self) -> None:
        check_symbol(self.symbol)
        if not _EXCHANGE.fullmatch(self.exchange):
            raise ValueError(f"{self.exchange!r} is not an exchange: capital letters, digits and dots, e.g. SMART")

    @property
    def raw_prefix(self) -> str:
        return f"raw/{self._folder}"

    @property
    def clean_prefix(self) -> str:
        return f"clean/{self._folder}"

    @property
    def _folder(self) -> str:
        return f"{_day_folder(self.view, self.day)}{_symbol_folder(self.symbol)}exchange={self.exchange}/"

    def raw_slot_prefix(self, slot: int) -> str:
        """What the keys of all attempts at one slot start with."""
        return f"{self.raw_prefix}slot_{_two_digits(slot)}_a"

    def raw_key(self, slot: int, attempt: int, ingest_id: str) -> str:
        """One attempt's own file: no other attempt ever has this key."""
        if attempt < 0:
            raise ValueError(f"attempt {attempt} is negative")
        return f"{self.raw_slot_prefix(slot)}{attempt:02d}_{_checked_ingest_id(ingest_id)}.parquet"

    def clean_key(self, slot: int) -> str:
        """The file with the best rows of one slot."""
        return f"{self.clean_prefix}slot_{_two_digits(slot)}.parquet"

    def read_key(self, number: int, ingest_id: str) -> str:
        """One read's own file of open-interest observations: no other read ever has this key."""
        return f"{self.clean_prefix}read_{number:02d}_{_checked_ingest_id(ingest_id)}.parquet"

    @property
    def day_key(self) -> str:
        """The one file of a daily view."""
        return f"{self.clean_prefix}day.parquet"


def symbol_prefix(layer: str, day: date, symbol: str, view: ChainView = ChainView.INTRADAY) -> str:
    """What all keys of one symbol-day in ``raw`` or ``clean`` start with, whatever the exchange."""
    check_symbol(symbol)
    return f"{layer}/{_day_folder(view, day)}{_symbol_folder(symbol)}"


def view_prefix(layer: str, view: ChainView) -> str:
    """What all keys of one view in ``raw`` or ``clean`` start with."""
    return f"{layer}/{_CHAIN}/view={view}/"


def ledger_key(day: date, slot: int) -> str:
    """The slot ledger's file of one slot; outside ``clean``, so that a glob over chains reads chains only."""
    return f"{ledger_prefix(day)}slot_{_two_digits(slot)}.parquet"


def ledger_prefix(day: date) -> str:
    return f"ledger/date={day.isoformat()}/"


@dataclass(frozen=True, slots=True)
class ChainWeek:
    """One view's ISO week: what is compacted, locked and retired as a whole.

    Parameters
    ----------
    monday
        Its first day.
    """

    monday: date
    view: ChainView = ChainView.INTRADAY

    def __post_init__(self) -> None:
        if self.monday.weekday() != 0:
            raise ValueError(f"{self.monday} is not a Monday")

    @classmethod
    def of_day(cls, day: date, view: ChainView = ChainView.INTRADAY) -> "ChainWeek":
        return cls(day - timedelta(days=day.weekday()), view)

    @property
    def label(self) -> str:
        """The ISO week, e.g. ``2025-W48``."""
        year, week, _ = self.monday.isocalendar()
        return f"{year}-W{week:02d}"

    @property
    def name(self) -> str:
        """What locks, journals and staged files of the week are called."""
        return f"{self.view}-{self.label}"

    @property
    def days(self) -> tuple[date, ...]:
        return tuple(self.monday + timedelta(days=days) for days in range(7))

    @property
    def packed_prefix(self) -> str:
        """The folder of the week's compacted files."""
        return f"clean/{_CHAIN}/view={self.view}/week={self.label}/"

    def part_key(self, number: int) -> str:
        return f"{self.packed_prefix}part_{number:03d}.parquet"

    @property
    def incoming_prefix(self) -> str:
        """Where files wait until they are moved into place."""
        return f"_incoming/{self.name}/"

    def retired_prefix(self, swap: str) -> str:
        """Where files go that one swap takes away, until they are deleted."""
        return f"{RETIRED}{self.name}-{swap}/"

    @property
    def swap_prefix(self) -> str:
        return f"_swaps/{self.name}."

    @property
    def swap_key(self) -> str:
        """The journal of a swap that has begun."""
        return f"{self.swap_prefix}json"

    @property
    def swap_done_key(self) -> str:
        """The journal of the last swap that is done."""
        return f"{self.swap_prefix}done"


def week_of_name(name: str) -> ChainWeek:
    """The week of a ``ChainWeek.name``; ValueError if it is none."""
    view, _, label = name.partition("-")
    year, _, number = label.partition("-W")
    return ChainWeek(date.fromisocalendar(int(year), int(number), 1), ChainView(view))


def week_of_packed_key(key: str) -> ChainWeek:
    """The week of a compacted file's key; ValueError if it is none."""
    folders = dict(part.split("=", 1) for part in key.split("/")[:-1] if "=" in part)
    if "week" not in folders or "view" not in folders:
        raise ValueError(f"{key!r} is not a key of a compacted file")
    return week_of_name(f"{folders['view']}-{folders['week']}")


def day_prefix(layer: str, day: date, view: ChainView = ChainView.INTRADAY) -> str:
    """What all keys of one day start with, whatever the symbol."""
    return f"{layer}/{_day_folder(view, day)}"


def bars_prefix(day: date, symbol: str) -> str:
    """What the keys of all bars of one symbol-day start with."""
    return f"raw/ib/history/bars=1min/date={day.isoformat()}/{_symbol_folder(check_symbol(symbol))}"


def bars_key(day: date, symbol: str, asked_at: datetime, ingest_id: str) -> str:
    """One pass's own file; later passes sort behind earlier ones of the same UTC day."""
    if not _INGEST_ID.fullmatch(ingest_id):
        raise ValueError(f"{ingest_id!r} is not an ingest id: up to 64 letters, digits and hyphens")
    return f"{bars_prefix(day, symbol)}asked_{asked_at:%Y%m%dT%H%M%SZ}_{ingest_id}.parquet"


def slot_of_key(key: str) -> int | None:
    """The slot index in a file's name, or None if the file is not of one slot."""
    match = _SLOT_FILE.fullmatch(key.rsplit("/", 1)[-1])
    return int(match.group(1)) if match else None


def partition_of_key(key: str) -> ChainPartition:
    """The partition that a raw or clean key lies in.

    Raises
    ------
    ValueError
        If the key does not belong to a chain.
    """
    folders = dict(part.split("=", 1) for part in key.split("/")[:-1] if "=" in part)
    try:
        return ChainPartition(
            date.fromisoformat(folders["date"]),
            unquote(folders["underlying"]),
            unquote(folders["exchange"]),
            ChainView(folders["view"]),
        )
    except KeyError as error:
        raise ValueError(f"{key!r} is not a key of a chain: no folder {error.args[0]}=…") from error


def quarantine_key(key: str, version: str) -> str:
    """Where an unreadable object is set aside: out of every ``*.parquet`` glob, distinct for distinct bytes."""
    return f"{QUARANTINE}{key}.{version[:12]}.corrupt"


def check_symbol(symbol: str) -> str:
    """The symbol itself, if it may become part of a key.

    Capital letters and digits, and one dot or blank before a class: ``AAPL``, ``SPX``, ``BRK B``, ``BF.B``.

    Raises
    ------
    ValueError
        Otherwise; above all for path characters.
    """
    if not _SYMBOL.fullmatch(symbol):
        raise ValueError(
            f"{symbol!r} is not a symbol: capital letters and digits, and a blank or dot before a share class"
        )
    return symbol


def _day_folder(view: ChainView, day: date) -> str:
    return f"{_CHAIN}/view={view}/date={day.isoformat()}/"


def _symbol_folder(symbol: str) -> str:
    return f"underlying={quote(symbol, safe='')}/"


def _checked_ingest_id(ingest_id: str) -> str:
    if not _INGEST_ID.fullmatch(ingest_id):
        raise ValueError(f"{ingest_id!r} is not an ingest id: up to 64 letters, digits and hyphens")
    return ingest_id


def _two_digits(slot: int) -> str:
    if not 0 <= slot <= LARGEST_SLOT:
        raise ValueError(f"slot {slot} is not between 0 and {LARGEST_SLOT}")
    return f"{slot:02d}"
