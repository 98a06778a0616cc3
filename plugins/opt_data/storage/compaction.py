"""Merging a week's many clean files into few large ones, with the memory of a few row groups and one file."""

import logging
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING
from uuid import uuid4

from opt_data.errors import CommitConflict, FileUnreadable
from opt_data.storage.chain_store import ChainStore
from opt_data.storage.layout import ChainWeek, day_prefix, partition_of_key, slot_of_key
from opt_data.storage.packed_files import PackedFile
from opt_data.storage.parquet import decode
from opt_data.storage.part_writer import PackRules, PartWriter, StagedPart
from opt_data.storage.port import ObjectMark, ObjectStore
from opt_data.storage.salvage import salvage_part
from opt_data.storage.swaps import WeekSwaps
from opt_data.tables.datasets import CLEAN_CHAIN_INTRADAY
from opt_data.transforms.clean import best_rows

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PackedWeek:
    """What a compaction did: files read and written with their sizes (bytes), rows, quarantine keys of damaged ones."""

    inputs: tuple[tuple[str, int], ...]
    outputs: tuple[tuple[str, int], ...]
    rows: int
    set_aside: tuple[str, ...]


class WeekPacker:
    """Compacts weeks of clean chains.

    Parameters
    ----------
    port
        Where objects are kept.
    chains
        Derives a damaged file again from raw.
    rules
        Sizes, row groups, codec.
    """

    def __init__(self, port: ObjectStore, chains: ChainStore, rules: PackRules) -> None:
        self._port = port
        self._chains = chains
        self._rules = rules

    def pack(self, week: ChainWeek) -> PackedWeek:
        """Merge all clean files of a week, compacted ones included, into new compacted files.

        Reading and merging disturb nobody. Only for the moves at the end are writers of the week held up; whatever was
        written in between makes this a conflict, and nothing has changed. A damaged file is set aside and derived from
        raw; the rest is compacted.

        Raises
        ------
        CommitConflict
            A file of the week changed meanwhile: try again.
        StorageUnavailable
            No room; everything is as it was.
        """
        aside: dict[str, None] = {}
        swaps = WeekSwaps(self._port, week)
        with swaps.swapping():
            swaps.clear(week.incoming_prefix)
        swap = uuid4().hex
        folder = f"{week.incoming_prefix}{swap}/"
        try:
            while True:
                try:
                    return self._pack(week, swaps, swap, folder, aside)
                except FileUnreadable as error:
                    if not error.path.startswith(week.packed_prefix):
                        raise
                    found = salvage_part(self._port, self._chains, week, error.path, str(error))
                    aside.update(dict.fromkeys(found))
                    self._port.delete_all(folder)
        finally:
            swaps.clear(folder)
            swaps.clear(week.retired_prefix(swap))

    def _pack(self, week: ChainWeek, swaps: WeekSwaps, swap: str, folder: str, aside: dict[str, None]) -> PackedWeek:
        marks = {mark.key: mark for mark in self._marks(week)}
        writer = PartWriter(self._port, CLEAN_CHAIN_INTRADAY, folder=folder, rules=self._rules)
        read = 0
        for rows, share in self._merged(week, marks, aside):
            writer.write(rows, share_done=share)
            read += rows.num_rows
        parts = writer.finish()
        with swaps.swapping():
            # in here: whoever cleared the staged files before would find the old ones moved away for nothing
            self._check_staged(parts, read)
            if {key: mark.tag for key, mark in marks.items()} != {mark.key: mark.tag for mark in self._marks(week)}:
                raise CommitConflict(f"{week.name}: a file changed while the week was compacted")
            keys = _final_keys(week, marks, len(parts))
            incoming = [(part.staged_key, key) for part, key in zip(parts, keys, strict=True)]
            swaps.swap([*incoming, *_outgoing(week, marks, keys, week.retired_prefix(swap))])
        inputs = tuple((key, mark.size) for key, mark in sorted(marks.items()) if _is_input(key, week))
        return PackedWeek(
            inputs, tuple((key, part.size) for key, part in zip(keys, parts, strict=True)), read, tuple(aside)
        )

    def _marks(self, week: ChainWeek) -> Iterator[ObjectMark]:
        for day in week.days:
            yield from self._port.marks(day_prefix("clean", day, week.view))
        yield from self._port.marks(week.packed_prefix)

    def _merged(
        self, week: ChainWeek, marks: dict[str, ObjectMark], aside: dict[str, None]
    ) -> "Iterator[tuple[pa.Table, float]]":
        """Rows by underlying and day, each in the data set's order, with the share of the input's bytes so far."""
        loose: dict[tuple[str, date], list[str]] = {}
        for key in sorted(marks):
            if slot_of_key(key) is not None:
                partition = partition_of_key(key)
                loose.setdefault((partition.symbol, partition.day), []).append(key)
        with ExitStack() as open_files:
            packed = [
                open_files.enter_context(PackedFile(file, CLEAN_CHAIN_INTRADAY, origin=key))
                for key in sorted(marks)
                if key.startswith(week.packed_prefix) and (file := self._port.open(key)) is not None
            ]
            groups = sorted(set(loose).union(*(file.symbol_days() for file in packed)))
            for number, (symbol, day) in enumerate(groups, start=1):
                tables = [
                    table for key in loose.get((symbol, day), ()) if (table := self._loose(key, marks, aside)).num_rows
                ]
                held = [table for file in packed if (table := file.read(symbol, day)).num_rows]
                if tables or held:
                    yield _in_order(tables, held), number / len(groups)

    def _loose(self, key: str, marks: dict[str, ObjectMark], aside: dict[str, None]) -> "pa.Table":
        """A slot's clean file; a damaged one is set aside and derived from raw first, as far as raw has it."""
        stored = self._port.read(key)
        if stored is None:
            raise CommitConflict(f"{key} is gone: another process was faster")
        try:
            return decode(stored.data, CLEAN_CHAIN_INTRADAY, origin=key)
        except FileUnreadable:
            slot = slot_of_key(key)
            assert slot is not None
            derived = self._chains.refresh(partition_of_key(key), slot)
            aside.update(dict.fromkeys(derived.set_aside))
            marks.pop(key)
            marks.update({mark.key: mark for mark in self._port.marks(key) if mark.key == key})
            return derived.rows

    def _check_staged(self, parts: list[StagedPart], rows: int) -> None:
        """The staged files hold as many rows as were read; they are looked at, not believed."""
        staged = 0
        for part in parts:
            file = self._port.open(part.staged_key)
            if file is not None:
                with PackedFile(file, CLEAN_CHAIN_INTRADAY, origin=part.staged_key) as packed:
                    staged += packed.rows
        if staged != rows:
            raise CommitConflict(f"{rows} rows were read, but {staged} written: the staged files were disturbed")


def _in_order(loose: "list[pa.Table]", held: "list[pa.Table]") -> "pa.Table":
    """One symbol-day in the data set's order; rows that are in both places once."""
    import pyarrow as pa

    if loose and held:
        return best_rows([*loose, *held])
    rows = pa.concat_tables(loose or held)
    if len(rows.column("exchange").unique()) > 1:
        return rows.sort_by([(name, "ascending") for name in CLEAN_CHAIN_INTRADAY.sort_order])
    return rows  # files of one exchange come in the order of their slots and are sorted in themselves


def _final_keys(week: ChainWeek, marks: Iterable[str], count: int) -> list[str]:
    """What the new files are called. One file replaces one file in a single move: then no reader ever sees rows twice.
    Otherwise new names are taken: a file replaced by one with other rows would hide rows for a moment."""
    old = sorted(key for key in marks if key.startswith(week.packed_prefix))
    if not old or len(old) == count == 1:
        return old or [week.part_key(number) for number in range(count)]
    first = int(old[-1].removeprefix(week.packed_prefix).removeprefix("part_").removesuffix(".parquet")) + 1
    return [week.part_key(first + number) for number in range(count)]


def _outgoing(week: ChainWeek, marks: Collection[str], kept: Collection[str], retired: str) -> list[tuple[str, str]]:
    """The old files away, after the new ones came, so that nothing is ever missing; a day's folder in one move."""
    moves: list[tuple[str, str]] = []
    for day in week.days:
        folder = day_prefix("clean", day, week.view)
        keys = [key for key in marks if key.startswith(folder)]
        if keys and all(_is_input(key, week) for key in keys):
            moves.append((folder, f"{retired}{day.isoformat()}/"))
        else:
            moves += [(key, f"{retired}{key}") for key in keys if _is_input(key, week)]
    moves += [(key, f"{retired}{key}") for key in marks if key.startswith(week.packed_prefix) and key not in kept]
    return moves


def _is_input(key: str, week: ChainWeek) -> bool:
    return slot_of_key(key) is not None or key.startswith(week.packed_prefix)
