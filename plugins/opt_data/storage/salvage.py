"""A damaged compacted file gives way, in one swap, to slot files derived from raw."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date
from typing import TYPE_CHECKING
from uuid import uuid4

from opt_data.errors import FileUnreadable
from opt_data.storage.chain_store import ChainStore
from opt_data.storage.layout import ChainPartition, ChainWeek, day_prefix, partition_of_key, slot_of_key
from opt_data.storage.packed_files import PackedFile
from opt_data.storage.parquet import encode
from opt_data.storage.port import MUST_NOT_EXIST, ObjectStore
from opt_data.storage.quarantine import keep_copy
from opt_data.storage.swaps import WeekSwaps
from opt_data.tables.datasets import CLEAN_CHAIN_INTRADAY
from opt_data.transforms.clean import best_rows

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

Slots = dict[tuple[str, date], list[tuple[ChainPartition, int]]]


def salvage_part(port: ObjectStore, chains: ChainStore, week: ChainWeek, key: str, why: str) -> tuple[str, ...]:
    """Set a damaged compacted file aside and put in its place what raw has of the slots that lie nowhere else.

    Until the swap the damaged file stays, and readers say so; after it all of its rows are there again. Nobody ever
    finds the file gone and its rows not yet back, wherever the work is cut off. Writers of the week wait meanwhile.

    Returns
    -------
    tuple of str
        The quarantine keys: the file's own, and those of raw files that cannot be read either.

    Raises
    ------
    StorageUnavailable
        No room; the damaged file is still there, for the next upkeep.
    """
    swaps = WeekSwaps(port, week)
    with swaps.swapping():
        damaged = port.read(key)
        if damaged is None:
            return ()
        aside = {keep_copy(port, key, damaged, why): None}
        swap = uuid4().hex
        folder, retired = f"{week.incoming_prefix}{swap}/", week.retired_prefix(swap)
        try:
            moves = []
            for partition, slot in _lost_slots(port, week):
                attempts = list(chains.attempts(partition, slot, aside))
                if attempts:
                    target = partition.clean_key(slot)
                    rows = encode(best_rows(attempts), CLEAN_CHAIN_INTRADAY)
                    port.put(folder + target, rows, expected=MUST_NOT_EXIST)
                    moves.append((folder + target, target))
            swaps.swap([*moves, (key, retired + key.rsplit("/", 1)[-1])])
            log.warning("%s: %d slots derived from raw in place of %s", week.name, len(moves), key)
        finally:
            swaps.clear(folder)
            swaps.clear(retired)
    return tuple(aside)


def _lost_slots(port: ObjectStore, week: ChainWeek) -> Iterator[tuple[ChainPartition, int]]:
    """The slots that have attempts in raw and are in no file of their own and in no compacted file that can be read."""
    slots: Slots = {}
    for day in week.days:
        loose = set(port.list(day_prefix("clean", day, week.view)))
        for key in port.list(day_prefix("raw", day, week.view)):
            slot = slot_of_key(key)
            if slot is not None and (partition := partition_of_key(key)).clean_key(slot) not in loose:
                found = slots.setdefault((partition.symbol, day), [])
                if (partition, slot) not in found:
                    found.append((partition, slot))
    with ExitStack() as open_files:
        sound = [open_files.enter_context(packed) for packed in _sound_parts(port, week)]
        for (symbol, day), wanted in sorted(slots.items()):
            held = {place for packed in sound for place in _places(packed, symbol, day)}
            yield from ((partition, slot) for partition, slot in wanted if (partition.exchange, slot) not in held)


def _sound_parts(port: ObjectStore, week: ChainWeek) -> Iterator[PackedFile]:
    for key in port.list(week.packed_prefix):
        file = port.open(key)
        if file is not None:
            try:
                yield PackedFile(file, CLEAN_CHAIN_INTRADAY, origin=key)
            except FileUnreadable:
                log.debug("%s cannot be read", key)


def _places(packed: PackedFile, symbol: str, day: date) -> set[tuple[str, int]]:
    """Exchange and slot of what a compacted file has of a symbol-day; nothing if it cannot be read."""
    try:
        rows: pa.Table = packed.read(symbol, day)
    except FileUnreadable:
        return set()
    return set(zip(rows.column("exchange").to_pylist(), rows.column("slot_30m").to_pylist(), strict=True))
