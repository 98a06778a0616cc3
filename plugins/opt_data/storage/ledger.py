"""The slot ledger: one row per (session, slot, symbol) that accounts for every expected contract."""

import logging
from collections.abc import Sequence
from datetime import UTC, date
from typing import TYPE_CHECKING

from opt_data.core.clock import Clock
from opt_data.core.sessions import NEW_YORK
from opt_data.core.slot_account import Expectation, SlotAccount, StoredAnswer, account_slot
from opt_data.core.slots import CaptureMode, Slot
from opt_data.errors import CommitConflict, FileUnreadable
from opt_data.storage.chain_store import COMMIT_TRIES, ChainStore
from opt_data.storage.layout import ChainPartition, ledger_key, ledger_prefix
from opt_data.storage.parquet import decode, encode
from opt_data.storage.port import MUST_NOT_EXIST, ObjectStore, StoredObject
from opt_data.storage.quarantine import keep_copy
from opt_data.tables.arrow import empty_table
from opt_data.tables.arrow_rows import rows_from_table, table_from_rows
from opt_data.tables.datasets import SLOT_LEDGER
from opt_data.tables.row_check import checked_rows

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

_Row = dict[str, object]
_NOT_COMPARED = ("updated_at", "dag_run_id")


class SlotLedger:
    """Derives the ledger from clean rows and expectations, and keeps it in one file per slot.

    Parameters
    ----------
    port
        Where the ledger is kept.
    clock
        Says when a row changed.
    chains
        The store whose rows are accounted for.
    """

    def __init__(self, port: ObjectStore, clock: Clock, chains: ChainStore) -> None:
        self._port = port
        self._clock = clock
        self._chains = chains

    def update(
        self, slot: Slot, expectations: Sequence[Expectation], dag_run_id: str | None = None
    ) -> tuple[SlotAccount, ...]:
        """Account for some symbols at one slot and merge them into the slot's file; other symbols stay as they are.

        Rows are counted from clean, after bringing it up to date with raw, and counted anew whenever another writer
        was faster: the file never shows less than what was stored before its last writer began. A row that does not
        change keeps its ``updated_at`` and ``dag_run_id``.

        Parameters
        ----------
        slot
            The slot.
        expectations
            One per symbol; a symbol with no rows at all gets its row too, everything missing.
        dag_run_id
            Who asks.

        Returns
        -------
        tuple of SlotAccount
            In the order of the expectations.

        Raises
        ------
        LedgerUnbalanced
            If the counts do not add up; nothing is written.
        ValueError
            If a symbol is given twice.
        """
        symbols = [expectation.symbol for expectation in expectations]
        if len(set(symbols)) != len(symbols):
            raise ValueError("a symbol is given twice")
        key = ledger_key(slot.session.day, slot.index)
        for _ in range(COMMIT_TRIES):
            stored = self._port.read(key)
            rows = self._rows_by_symbol(key, stored)
            accounts = []
            for expectation in expectations:
                account, row = self._account(slot, expectation, dag_run_id)
                accounts.append(account)
                rows[expectation.symbol] = _unless_equal(rows.get(expectation.symbol), row)
            data = encode(table_from_rows(checked_rows(SLOT_LEDGER, list(rows.values())), SLOT_LEDGER), SLOT_LEDGER)
            if stored is not None and data == stored.data:
                return tuple(accounts)
            try:
                self._port.put(key, data, expected=stored.version if stored else MUST_NOT_EXIST)
            except CommitConflict:
                log.debug("%s changed while it was updated: again", key)
                continue
            return tuple(accounts)
        raise CommitConflict(f"{key} changed {COMMIT_TRIES} times while it was updated")

    def read(self, day: date, slot: int | None = None) -> "pa.Table":
        """The ledger of a session, or of one of its slots; an empty table if there is none.

        Raises
        ------
        FileUnreadable
            A file is damaged; ``update`` would set it aside.
        """
        import pyarrow as pa

        keys = [ledger_key(day, slot)] if slot is not None else list(self._port.list(ledger_prefix(day)))
        tables = [
            decode(stored.data, SLOT_LEDGER, origin=key)
            for key in keys
            if key.endswith(".parquet") and (stored := self._port.read(key)) is not None
        ]
        if not tables:
            return empty_table(SLOT_LEDGER)
        return pa.concat_tables(tables).sort_by([("sample_time", "ascending"), ("underlying", "ascending")])

    def _account(self, slot: Slot, expectation: Expectation, dag_run_id: str | None) -> tuple[SlotAccount, _Row]:
        partition = ChainPartition(slot.session.day, expectation.symbol, expectation.exchange)
        clean = self._chains.refresh(partition, slot.index)
        account = account_slot(expectation, stored_answers(clean.rows))
        row: _Row = {
            "trade_date": slot.session.day,
            "sample_time": slot.instant_utc.astimezone(UTC),
            "sample_time_et": slot.instant_utc.astimezone(NEW_YORK).isoformat(),
            "slot_30m": slot.index,
            "underlying": expectation.symbol,
            "exchange": expectation.exchange,
            "expected": account.expected,
            "on_time": account.on_time,
            "late": account.late,
            "rebuilt": account.rebuilt,
            "missing": account.missing,
            "error": account.error,
            "frozen": account.frozen,
            "unexpected": account.unexpected,
            "reasons": dict(account.reasons),
            "lag_p50_s": account.lag_p50_s,
            "lag_max_s": account.lag_max_s,
            "coverage": account.coverage,
            "contract_set": str(expectation.contract_set),
            "attempts": clean.attempts,
            "updated_at": self._clock.now(),
            "dag_run_id": dag_run_id,
            "schema_version": SLOT_LEDGER.schema_version,
        }
        return account, row

    def _rows_by_symbol(self, key: str, stored: StoredObject | None) -> dict[str, _Row]:
        if stored is None:
            return {}
        try:
            table = decode(stored.data, SLOT_LEDGER, origin=key)
        except FileUnreadable as error:
            keep_copy(self._port, key, stored, str(error))
            return {}
        return {row["underlying"]: row for row in rows_from_table(table)}


def stored_answers(rows: "pa.Table") -> list[StoredAnswer]:
    """Clean rows, as far as an account needs them."""
    wanted = rows.select(["conid", "capture_mode", "error_type", "lag_s"]).to_pylist()
    return [
        StoredAnswer(
            row["conid"],
            CaptureMode(row["capture_mode"]) if row["capture_mode"] is not None else None,
            row["error_type"],
            row["lag_s"],
        )
        for row in wanted
    ]


def _unless_equal(old: _Row | None, new: _Row) -> _Row:
    """The old row if the new one says nothing else."""
    if old is not None and all(old[name] == new[name] for name in new if name not in _NOT_COMPARED):
        return old
    return new
