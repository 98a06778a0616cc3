"""Weeks of intraday chains as upkeep handles them: look, compact, retire, clean up; one process at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from uuid import uuid4

from opt_data.core.upkeep_plan import DAMAGED, StoredWeek, SymbolDay, is_expired
from opt_data.errors import CommitConflict, FileUnreadable
from opt_data.storage.chain_store import ChainStore
from opt_data.storage.compaction import PackedWeek, WeekPacker
from opt_data.storage.layout import (
    RETIRED,
    ChainView,
    ChainWeek,
    day_prefix,
    partition_of_key,
    slot_of_key,
    symbol_prefix,
    view_prefix,
    week_of_name,
    week_of_packed_key,
)
from opt_data.storage.packed_files import PackedFile
from opt_data.storage.part_writer import PackRules
from opt_data.storage.port import MUST_NOT_EXIST, ObjectMark, ObjectStore
from opt_data.storage.swaps import WeekSwaps
from opt_data.tables.datasets import CLEAN_CHAIN_INTRADAY, DAILY_CLEAN

UPKEEP_LOCK = "maintenance"


@dataclass(frozen=True, slots=True)
class RetiredWeek:
    """What was taken away, with sizes in bytes; ``outputs`` are the keys on the cold path, none if it was deleted."""

    inputs: tuple[tuple[str, int], ...]
    outputs: tuple[tuple[str, int], ...]


class WeekStore:
    """The intraday chains by weeks.

    Parameters
    ----------
    port
        Where they are.
    chains
        The store of the slots.
    cold
        Where retired weeks are moved; None deletes them.
    """

    def __init__(self, port: ObjectStore, chains: ChainStore, cold: ObjectStore | None) -> None:
        self._port = port
        self._chains = chains
        self._cold = cold

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While in the context no other upkeep runs.

        Raises
        ------
        AlreadyRunning
            One runs already.
        """
        with self._port.lock(UPKEEP_LOCK, wait=False):
            yield

    def clean_up(self) -> None:
        """Finish swaps that were cut off, and remove what was left staged or retired."""
        begun = [key.removeprefix("_swaps/") for key in self._port.list("_swaps/") if key.endswith(".json")]
        for name in begun:
            with WeekSwaps(self._port, week_of_name(name.removesuffix(".json"))).swapping():
                pass  # entering it finishes what was begun
        incoming = {key.split("/")[1] for key in self._port.list("_incoming/")}
        retired = {key.split("/")[1] for key in self._port.list(RETIRED)}
        for name in sorted(incoming | {folder.rpartition("-")[0] for folder in retired}):
            week = week_of_name(name)
            swaps = WeekSwaps(self._port, week)
            with swaps.swapping():
                swaps.clear(week.incoming_prefix)
                for folder in retired:
                    if folder.startswith(f"{name}-"):
                        swaps.clear(f"{RETIRED}{folder}/")

    def stored_weeks(self, today: date, keep_days: int) -> tuple[StoredWeek, ...]:
        """Every week of which anything is stored, oldest first; a damaged compacted file counts as one to redo."""
        last_days: dict[date, date] = {}
        loose: dict[date, int] = {}
        for layer in ("clean", "raw"):
            for key in self._port.list(f"{view_prefix(layer, ChainView.INTRADAY)}date="):
                if slot_of_key(key) is None:
                    continue
                day = partition_of_key(key).day
                monday = ChainWeek.of_day(day).monday
                last_days[monday] = max(day, last_days.get(monday, day))
                loose[monday] = loose.get(monday, 0) + (layer == "clean")
        packed: dict[date, set[str]] = {}
        held: dict[date, set[SymbolDay]] = {}
        for key in self._port.list(f"{view_prefix('clean', ChainView.INTRADAY)}week="):
            monday = week_of_packed_key(key).monday
            packed.setdefault(monday, set())
            codecs, symbol_days = self._look_into(key)
            packed[monday] |= codecs
            held.setdefault(monday, set()).update(symbol_days)
            last = max((day for _, day in symbol_days), default=ChainWeek(monday).days[4])
            last_days[monday] = max(last, last_days.get(monday, last))
        return tuple(
            StoredWeek(
                monday,
                last_days[monday],
                loose.get(monday, 0),
                frozenset(packed.get(monday, ())),
                self._not_rolled_up(monday, held.get(monday, set()))
                if is_expired(last_days[monday], today, keep_days)
                else (),
            )
            for monday in sorted(last_days)
        )

    def pack(self, monday: date, rules: PackRules) -> PackedWeek:
        """Compact one week; ``WeekPacker.pack`` says what may go wrong."""
        return WeekPacker(self._port, self._chains, rules).pack(ChainWeek(monday))

    def retire(self, monday: date) -> RetiredWeek:
        """Take one week's intraday chains away, raw and clean: to the cold path, copied and compared before anything is
        removed, or for good.

        Raises
        ------
        CommitConflict
            A file of the week changed meanwhile; nothing was removed.
        StorageUnavailable
            No room on the cold path; nothing was removed.
        """
        week = ChainWeek(monday)
        swaps = WeekSwaps(self._port, week)
        marks = self._marks(week)
        if self._cold is not None:
            for mark in marks:
                self._copy(mark.key, self._cold)
        retired = week.retired_prefix(uuid4().hex)
        try:
            with swaps.swapping():
                if self._marks(week) != marks:
                    raise CommitConflict(f"{week.name}: a file changed while the week was retired")
                layers = (layer for layer in ("clean", "raw"))
                folders = [day_prefix(layer, day) for layer in layers for day in week.days]
                folders = [folder for folder in folders if any(mark.key.startswith(folder) for mark in marks)]
                if any(mark.key.startswith(week.packed_prefix) for mark in marks):
                    folders.append(week.packed_prefix)
                swaps.swap([(folder, f"{retired}{number}/") for number, folder in enumerate(folders)])
        finally:
            swaps.clear(retired)
        files = tuple((mark.key, mark.size) for mark in marks)
        return RetiredWeek(files, files if self._cold is not None else ())

    def _marks(self, week: ChainWeek) -> list[ObjectMark]:
        prefixes = [day_prefix(layer, day) for layer in ("clean", "raw") for day in week.days]
        return [mark for prefix in (*prefixes, week.packed_prefix) for mark in self._port.marks(prefix)]

    def _copy(self, key: str, cold: ObjectStore) -> None:
        stored = self._port.read(key)
        if stored is None:
            raise CommitConflict(f"{key} is gone: another process was faster")
        existing = cold.read(key)
        if existing is None or existing.data != stored.data:
            cold.put(key, stored.data, expected=existing.version if existing else MUST_NOT_EXIST)

    def _look_into(self, key: str) -> tuple[frozenset[str], tuple[SymbolDay, ...]]:
        file = self._port.open(key)
        if file is None:
            return frozenset(), ()
        try:
            with PackedFile(file, CLEAN_CHAIN_INTRADAY, origin=key) as packed:
                return packed.codecs, packed.symbol_days()
        except FileUnreadable:
            return frozenset({DAMAGED}), ()

    def _not_rolled_up(self, monday: date, packed: set[SymbolDay]) -> tuple[SymbolDay, ...]:
        found = set(packed)
        for layer in ("clean", "raw"):
            for day in ChainWeek(monday).days:
                partitions = (partition_of_key(key) for key in self._port.list(day_prefix(layer, day)))
                found.update((partition.symbol, partition.day) for partition in partitions)
        return tuple(sorted(pair for pair in found if not self._is_rolled_up(*pair)))

    def _is_rolled_up(self, symbol: str, day: date) -> bool:
        """Whether the day's table of the symbol can be read and has rows."""
        for key in self._port.list(symbol_prefix("clean", day, symbol, ChainView.DAILY_CLEAN)):
            file = self._port.open(key)
            if file is not None:
                try:
                    with PackedFile(file, DAILY_CLEAN, origin=key) as daily:
                        if daily.rows:
                            return True
                except FileUnreadable:
                    continue
        return False
