"""Open-interest observations: one file per read of a symbol, appended and never edited."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

from opt_data.core.clock import Clock
from opt_data.errors import FileUnreadable, SchemaMismatch
from opt_data.storage.chain_rows import SOURCE, IngestRun
from opt_data.storage.layout import ChainPartition, ChainView, symbol_prefix
from opt_data.storage.parquet import decode, encode
from opt_data.storage.port import MUST_NOT_EXIST, ObjectStore
from opt_data.storage.quarantine import keep_copy
from opt_data.tables.arrow import empty_table
from opt_data.tables.arrow_rows import table_from_rows
from opt_data.tables.datasets import OPEN_INTEREST_READS
from opt_data.tables.row_check import checked_rows

if TYPE_CHECKING:
    import pyarrow as pa


class OpenInterestStore:
    """The store of the view ``enrichment``.

    Parameters
    ----------
    port
        Where objects are kept.
    clock
        Says when a read was committed.
    """

    def __init__(self, port: ObjectStore, clock: Clock) -> None:
        self._port = port
        self._clock = clock

    def commit_read(
        self, day: date, symbol: str, exchange: str, number: int, rows: Sequence[Mapping[str, object]], run: IngestRun
    ) -> str:
        """Append one read of a symbol's open interest; returns its key.

        Parameters
        ----------
        day
            The session whose open interest was asked for.
        symbol, exchange
            The partition.
        number
            Which read of the session it is, from 1.
        rows
            A row per contract asked for, by column name. Stamped here: ``trade_date underlying exchange read_number
            source ingest_id dag_run_id known_at schema_version``.
        run
            Who writes; its ``ingest_id`` must not have been used before.

        Raises
        ------
        SchemaMismatch
            There are no rows, or one breaks a rule; nothing was written.
        CommitConflict
            The ``ingest_id`` was used before.
        StorageUnavailable
            The store cannot be written.
        """
        if not rows:
            raise SchemaMismatch("a read has no rows: every contract asked for needs one, also those without a value")
        partition = ChainPartition(day, symbol, exchange, ChainView.ENRICHMENT)
        stamp = {
            "trade_date": day,
            "underlying": symbol,
            "exchange": exchange,
            "read_number": number,
            "source": SOURCE,
            "ingest_id": run.ingest_id,
            "dag_run_id": run.dag_run_id,
            "known_at": self._clock.now(),
            "schema_version": OPEN_INTEREST_READS.schema_version,
        }
        checked = checked_rows(OPEN_INTEREST_READS, [{**row, **stamp} for row in rows])
        key = partition.read_key(number, run.ingest_id)
        data = encode(table_from_rows(checked, OPEN_INTEREST_READS), OPEN_INTEREST_READS)
        self._port.put(key, data, expected=MUST_NOT_EXIST)
        return key

    def reads(self, day: date, symbol: str) -> "pa.Table":
        """All observations of one symbol for one session; an empty table if there are none.

        A damaged file is set aside, and its read counts as not made.
        """
        import pyarrow as pa

        tables = list(self._readable(symbol_prefix("clean", day, symbol, ChainView.ENRICHMENT)))
        return pa.concat_tables(tables) if tables else empty_table(OPEN_INTEREST_READS)

    def _readable(self, prefix: str) -> "Iterator[pa.Table]":
        for key in self._port.list(prefix):
            stored = self._port.read(key) if key.endswith(".parquet") else None
            if stored is None:
                continue
            try:
                yield decode(stored.data, OPEN_INTEREST_READS, origin=key)
            except FileUnreadable as error:
                keep_copy(self._port, key, stored, str(error))
                self._port.delete(key, expected=stored.version)
