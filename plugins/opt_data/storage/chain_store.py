"""Commits of option chains: every attempt appended to raw, clean derived from all of them."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from opt_data.core.clock import Clock
from opt_data.core.slots import Slot
from opt_data.errors import CommitConflict, FileUnreadable
from opt_data.storage.chain_rows import IngestRun, attempt_table
from opt_data.storage.layout import ChainPartition, ChainView, ChainWeek, partition_of_key, slot_of_key, symbol_prefix
from opt_data.storage.packed_files import read_packed
from opt_data.storage.parquet import decode, encode
from opt_data.storage.port import MUST_NOT_EXIST, ObjectStore
from opt_data.storage.quarantine import keep_copy
from opt_data.storage.swaps import Located, WeekSwaps
from opt_data.storage.unpacking import unpack_symbol
from opt_data.tables.arrow import empty_table
from opt_data.tables.arrow_rows import rows_from_table
from opt_data.tables.datasets import CLEAN_CHAIN_INTRADAY, RAW_CHAIN_INTRADAY
from opt_data.transforms.clean import best_rows

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

COMMIT_TRIES = 100
"""Each conflict means that another writer got through, so that many in a row mean something is wrong."""


@dataclass(frozen=True, slots=True)
class CleanSlot:
    """The clean rows of one symbol at one slot, and what they rest on.

    ``rows`` is a table of the clean data set; ``attempts`` how many raw files were read; ``set_aside`` the quarantine
    keys of files found unreadable; ``is_changed`` whether the clean file had to be written.
    """

    key: str
    rows: "pa.Table"
    attempts: int
    set_aside: tuple[str, ...] = ()
    is_changed: bool = False


@dataclass(frozen=True, slots=True)
class CommitResult:
    """What a commit did.

    ``written`` counts the attempt's rows, ``won`` those of them that are now the clean ones; for the others an earlier
    answer was better. ``quotes_won`` are those of ``won`` that have a quote.
    """

    raw_key: str
    written: int
    won: int
    quotes_won: int
    clean: CleanSlot


class ChainStore:
    """The store of one view's chains.

    Parameters
    ----------
    port
        Where objects are kept.
    clock
        Says when an attempt was committed.
    view
        ``INTRADAY``, or ``CLOSE`` for the closing snapshot, which has the last slot's number and only frozen quotes.
    """

    def __init__(self, port: ObjectStore, clock: Clock, view: ChainView = ChainView.INTRADAY) -> None:
        self._port = port
        self._clock = clock
        self.view = view

    def commit_attempt(
        self, slot: Slot, symbol: str, exchange: str, rows: Sequence[Mapping[str, object]], run: IngestRun
    ) -> CommitResult:
        """Store one attempt at one slot of one symbol: append it to raw, then bring the slot's clean file up to date.

        A row per contract asked for, with or without a quote; contracts left out stay as they are. It never makes clean
        worse (``Answer.rank``), never loses another writer's rows, and a kill at any moment leaves raw complete for the
        next commit or ``refresh``.

        Parameters
        ----------
        slot
            The slot the rows belong to.
        symbol
            IB's symbol of the underlying.
        exchange
            The contract set's route, also when a fallback exchange answered: that goes to ``quote_exchange``.
        rows
            Values by column name, columns left out are null. Always required: ``und_conid conid symbol expiry right
            strike multiplier trading_class currency first_seen_slot snapshot_error``. With a quote
            (``snapshot_error`` False) also ``asof_ts``, ``capture_mode`` and one of ``bid ask last``. Without one
            ``error_type``, and quote and model columns null except ``halted``, ``prev_close``, ``quote_exchange``.
            Stamped here, and equal if given at all: ``trade_date underlying exchange sample_time sample_time_et
            slot_30m lag_s attempt source ingest_id ingest_run_type dag_run_id known_at schema_version``. Flags that
            follow from other columns (``late_capture rebuilt_from_bars frozen snapshot_error``) are added.
        run
            Who writes; its ``ingest_id`` must not have been used before.

        Raises
        ------
        SchemaMismatch
            A row breaks a rule; nothing was written.
        ValueError
            Symbol, exchange or ingest id cannot be part of a key; nothing was written.
        StorageUnavailable
            The store cannot be written. The attempt may be in raw already; what was there before is intact.
        CommitConflict
            The ``ingest_id`` was used before.
        """
        partition = ChainPartition(slot.session.day, symbol, exchange, self.view)
        raw_key = partition.raw_key(slot.index, run.attempt, run.ingest_id)
        attempt = attempt_table(slot, partition, rows, run, self._clock.now())
        with WeekSwaps(self._port, _week(partition)).writing():
            self._port.put(raw_key, encode(attempt, RAW_CHAIN_INTRADAY), expected=MUST_NOT_EXIST)
        clean = self.refresh(partition, slot.index)
        judged = rows_from_table(clean.rows, ("ingest_id", "snapshot_error"))
        is_error = [row["snapshot_error"] for row in judged if row["ingest_id"] == run.ingest_id]
        won = len(is_error)
        log.info("%s: %d rows written, %d of them now clean", raw_key, attempt.num_rows, won)
        return CommitResult(raw_key, attempt.num_rows, won, won - sum(is_error), clean)

    def refresh(self, partition: ChainPartition, slot: int) -> CleanSlot:
        """Bring one slot's clean file up to date with raw, e.g. after a writer was killed between the two.

        Clean rows whose raw attempt is gone are kept. Nothing is written if nothing changes; without any rows at all
        there is no file, and the result's table is empty.
        """
        return self._derive(partition, slot, keeps_existing=True)

    def rebuild_clean(self, day: date, symbol: str) -> tuple[CleanSlot, ...]:
        """Derive one symbol-day's clean files again, from raw alone; slots without any raw file are left as they are.

        Gives the same rows as the commits did, in slot order.
        """
        found = {
            (partition_of_key(key), slot)
            for key in self._port.list(symbol_prefix("raw", day, symbol, self.view))
            if (slot := slot_of_key(key)) is not None
        }
        ordered = sorted(found, key=lambda item: (item[0].exchange, item[1]))
        return tuple(self._derive(partition, slot, keeps_existing=False) for partition, slot in ordered)

    def attempts(self, partition: ChainPartition, slot: int, aside: dict[str, None]) -> "Iterator[pa.Table]":
        """The readable raw attempts of one slot; unreadable ones are set aside under the keys put into ``aside``."""
        for key in self._port.list(partition.raw_slot_prefix(slot)):
            stored = self._port.read(key)
            if stored is None:
                continue
            try:
                table = decode(stored.data, RAW_CHAIN_INTRADAY, origin=key)
            except FileUnreadable as error:
                aside[keep_copy(self._port, key, stored, str(error))] = None
                self._port.delete(key, expected=stored.version)
                continue
            yield table

    def _derive(self, partition: ChainPartition, slot: int, *, keeps_existing: bool) -> CleanSlot:
        """Read clean's version first, raw second, then write if the version still holds: whoever writes last has seen
        every attempt that was in raw before the other's write.

        Rows that are in the week's compacted files already stay there if nothing changes; else the symbol is taken out
        of them first.
        """
        week = _week(partition)
        swaps = WeekSwaps(self._port, week)
        aside: dict[str, None] = {}
        for _ in range(COMMIT_TRIES):
            try:
                with swaps.writing():
                    derived = self._derive_once(partition, slot, aside, keeps_existing=keeps_existing)
                if derived is not None:
                    return derived
                unpack_symbol(self._port, week, partition.symbol)
            except CommitConflict:
                log.debug("%s changed while it was derived: again", partition.clean_key(slot))
        raise CommitConflict(f"{partition.clean_key(slot)} changed {COMMIT_TRIES} times while it was derived")

    def _derive_once(
        self, partition: ChainPartition, slot: int, aside: dict[str, None], *, keeps_existing: bool
    ) -> CleanSlot | None:
        """Derive and write; None if rows in compacted files would have to change."""
        key = partition.clean_key(slot)
        existing = self._port.read(key)
        attempts = list(self.attempts(partition, slot, aside))
        packed = self._packed(partition, slot)
        tables = list(attempts)
        if packed.num_rows and (keeps_existing or not attempts):
            tables.append(packed)
        is_damaged = False
        if existing is not None:
            try:
                clean = decode(existing.data, CLEAN_CHAIN_INTRADAY, origin=key)
                if keeps_existing or not attempts:
                    tables.append(clean)
            except FileUnreadable as error:
                is_damaged = True
                aside[keep_copy(self._port, key, existing, str(error))] = None
        if not tables:
            if existing is not None and is_damaged:
                self._port.delete(key, expected=existing.version)
            return CleanSlot(key, empty_table(CLEAN_CHAIN_INTRADAY), 0, tuple(aside), is_damaged)
        best = best_rows(tables)
        if packed.num_rows:
            is_unchanged = existing is None and best.equals(packed)
            return CleanSlot(key, best, len(attempts), tuple(aside), False) if is_unchanged else None
        data = encode(best, CLEAN_CHAIN_INTRADAY)
        if existing is None or data != existing.data:
            self._port.put(key, data, expected=existing.version if existing else MUST_NOT_EXIST)
            return CleanSlot(key, best, len(attempts), tuple(aside), True)
        return CleanSlot(key, best, len(attempts), tuple(aside), False)

    def _packed(self, partition: ChainPartition, slot: int) -> "pa.Table":
        """The slot's rows in the week's compacted files."""
        import pyarrow.compute as pc

        parts = [Located(key, key) for key in self._port.list(_week(partition).packed_prefix)]
        rows = read_packed(self._port, parts, CLEAN_CHAIN_INTRADAY, partition.symbol, partition.day, slot)
        return rows.filter(pc.field("exchange") == partition.exchange) if rows.num_rows else rows


def _week(partition: ChainPartition) -> ChainWeek:
    return ChainWeek.of_day(partition.day, partition.view)
