"""Taking a symbol out of a week's compacted files, back into one file a slot, so that its rows can change again."""

import logging
from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING
from uuid import uuid4

from opt_data.core.file_sizes import SizeLimits
from opt_data.storage.layout import ChainPartition, ChainWeek
from opt_data.storage.packed_files import PackedFile
from opt_data.storage.parquet import decode, encode
from opt_data.storage.part_writer import PackRules, PartWriter
from opt_data.storage.port import MUST_NOT_EXIST, ObjectStore
from opt_data.storage.swaps import WeekSwaps
from opt_data.tables.datasets import CLEAN_CHAIN_INTRADAY
from opt_data.transforms.clean import best_rows

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

_NEVER_CUT = SizeLimits(2**60, 2**61)
_ROW_GROUP_ROWS = 32_768


def unpack_symbol(port: ObjectStore, week: ChainWeek, symbol: str) -> None:
    """Move all rows of a symbol out of the week's compacted files into clean files per slot; the next compaction takes
    them in again.

    The files that held them are written anew without them, in the same codec: seconds for a full one, so that whoever
    changes many slots of a symbol pays once. Nothing happens if the week holds no row of the symbol.

    Raises
    ------
    FileUnreadable
        A compacted file is damaged: weekly upkeep sets it aside and rebuilds it from raw.
    StorageUnavailable
        No room; everything is as it was.
    """
    import pyarrow as pa

    swaps = WeekSwaps(port, week)
    with swaps.swapping():
        swap = uuid4().hex
        folder = f"{week.incoming_prefix}{swap}/"
        moves: list[tuple[str, str]] = []
        tables = []
        try:
            for number, key in enumerate(list(port.list(week.packed_prefix))):
                file = port.open(key)
                assert file is not None
                with PackedFile(file, CLEAN_CHAIN_INTRADAY, origin=key) as packed:
                    rows = packed.read(symbol)
                    if rows.num_rows:
                        tables.append(rows)
                        moves.append(_rewritten(port, week, packed, key, symbol, f"{folder}{number}/", swap))
            if not tables:
                return
            slots = [
                (_staged_slot(port, partition, slot, rows, folder), partition.clean_key(slot))
                for partition, slot, rows in _by_slot(symbol, week, pa.concat_tables(tables))
            ]
            swaps.swap([*slots, *moves])
            log.info("%s: took %s out of %d compacted files", week.name, symbol, len(moves))
        finally:
            swaps.clear(folder)
            swaps.clear(week.retired_prefix(swap))


def _rewritten(
    port: ObjectStore, week: ChainWeek, packed: PackedFile, key: str, symbol: str, folder: str, swap: str
) -> tuple[str, str]:
    """Stage the file without the symbol; the move that replaces it, or takes it away if nothing is left."""
    (codec,) = packed.codecs
    rules = PackRules(_NEVER_CUT, _ROW_GROUP_ROWS, codec)
    writer = PartWriter(port, CLEAN_CHAIN_INTRADAY, folder=folder, rules=rules)
    for rows, share in packed.without(symbol):
        writer.write(rows, share_done=share)
    parts = writer.finish()
    if not parts:
        return key, week.retired_prefix(swap) + key.rsplit("/", 1)[-1]
    return parts[0].staged_key, key


def _by_slot(symbol: str, week: ChainWeek, rows: "pa.Table") -> "Iterator[tuple[ChainPartition, int, pa.Table]]":
    import pyarrow as pa
    import pyarrow.compute as pc

    names = ["trade_date", "exchange", "slot_30m"]
    groups = rows.select(names).group_by(names).aggregate([])
    for day, exchange, slot in zip(*(groups.column(name).to_pylist() for name in names), strict=True):
        assert isinstance(day, date)
        wanted = (
            (pc.field("trade_date") == pa.scalar(day)) & (pc.field("exchange") == exchange)
            & (pc.field("slot_30m") == slot)
        )  # fmt: skip
        yield ChainPartition(day, symbol, exchange, week.view), slot, rows.filter(wanted)


def _staged_slot(port: ObjectStore, partition: ChainPartition, slot: int, rows: "pa.Table", folder: str) -> str:
    """Stage a slot's clean file; rows that lie in one already are merged with it."""
    key = partition.clean_key(slot)
    existing = port.read(key)
    if existing is not None:
        rows = best_rows([rows, decode(existing.data, CLEAN_CHAIN_INTRADAY, origin=key)])
    staged = folder + key
    port.put(staged, encode(rows, CLEAN_CHAIN_INTRADAY), expected=MUST_NOT_EXIST)
    return staged
