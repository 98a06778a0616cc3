"""The daily views: one file per symbol-day, derived from other stored rows and derivable again."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from opt_data.errors import CommitConflict, FileUnreadable
from opt_data.storage.chain_store import COMMIT_TRIES
from opt_data.storage.layout import ChainPartition, ChainView, partition_of_key, symbol_prefix, view_prefix
from opt_data.storage.parquet import decode, encode
from opt_data.storage.port import MUST_NOT_EXIST, ObjectStore
from opt_data.storage.quarantine import keep_copy
from opt_data.tables.arrow import empty_table
from opt_data.tables.datasets import Dataset

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DailyCommit:
    """What deriving a symbol-day did; ``is_changed`` says whether the file had to be written."""

    key: str
    rows: "pa.Table"
    is_changed: bool


class DailyStore:
    """The store of one daily view.

    Parameters
    ----------
    port
        Where objects are kept.
    view
        Which view, e.g. ``DAILY_CLEAN``.
    dataset
        The data set of that view.
    """

    def __init__(self, port: ObjectStore, view: ChainView, dataset: Dataset) -> None:
        self._port = port
        self._view = view
        self._dataset = dataset

    def derive(self, day: date, symbol: str, exchange: str, rows: "Callable[[], pa.Table]") -> DailyCommit:
        """Replace one symbol-day by what ``rows`` makes of the other stored rows; equal rows write nothing.

        ``rows`` is called after the file's version was read, and again whenever another writer was faster: whoever
        writes last has seen everything that was stored before the other's write. What it raises goes through, and the
        file stays as it was.

        Parameters
        ----------
        day, symbol, exchange
            The partition.
        rows
            Makes a table with the data set's columns; it must depend on stored rows only.
        """
        key = self._partition(day, symbol, exchange).day_key
        for _ in range(COMMIT_TRIES):
            existing = self._port.read(key)
            table = rows()
            data = encode(table, self._dataset)
            if existing is not None and data == existing.data:
                return DailyCommit(key, table, False)
            if existing is not None:
                try:
                    decode(existing.data, self._dataset, origin=key)
                except FileUnreadable as error:
                    keep_copy(self._port, key, existing, str(error))
            try:
                self._port.put(key, data, expected=existing.version if existing else MUST_NOT_EXIST)
            except CommitConflict:
                log.debug("%s changed while it was derived: again", key)
                continue
            return DailyCommit(key, table, True)
        raise CommitConflict(f"{key} changed {COMMIT_TRIES} times while it was derived")

    def read(self, day: date, symbol: str) -> "pa.Table":
        """The rows of one symbol on one day, by conid; an empty table if nothing is stored.

        Raises
        ------
        FileUnreadable
            The file is damaged; deriving the day again sets it aside and replaces it.
        """
        import pyarrow as pa

        tables = [
            decode(stored.data, self._dataset, origin=key)
            for key in self._port.list(symbol_prefix("clean", day, symbol, self._view))
            if key.endswith(".parquet") and (stored := self._port.read(key)) is not None
        ]
        return pa.concat_tables(tables) if tables else empty_table(self._dataset)

    def days(self, symbol: str) -> tuple[date, ...]:
        """The days of which rows of a symbol are stored, in order; looks through all keys of the view."""
        found = {
            partition.day
            for key in self._port.list(view_prefix("clean", self._view))
            if key.endswith(".parquet") and (partition := partition_of_key(key)).symbol == symbol
        }
        return tuple(sorted(found))

    def _partition(self, day: date, symbol: str, exchange: str) -> ChainPartition:
        return ChainPartition(day, symbol, exchange, self._view)
