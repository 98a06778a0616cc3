"""Reading chains back; never writes."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

from opt_data.core.contracts import OptionContract
from opt_data.storage.chain_files import ChainFiles
from opt_data.storage.layout import ChainView, ChainWeek, slot_of_key, symbol_prefix
from opt_data.storage.packed_files import read_packed
from opt_data.storage.parquet import StoredTable, read_together
from opt_data.storage.port import ObjectStore
from opt_data.storage.swaps import Located, WeekSwaps
from opt_data.tables.arrow import empty_table
from opt_data.tables.datasets import CLEAN_CHAIN_INTRADAY, RAW_CHAIN_INTRADAY, Dataset
from opt_data.tables.stored_rows import HeldRows, StoredRows
from opt_data.transforms.clean import best_rows

if TYPE_CHECKING:
    import pyarrow as pa


class ChainReader:
    """Reads what ``ChainStore`` wrote.

    Parameters
    ----------
    port
        Where objects are kept.
    """

    def __init__(self, port: ObjectStore) -> None:
        self._port = port

    def read_chain(
        self,
        day: date,
        symbol: str,
        slot: int | None = None,
        *,
        view: ChainView = ChainView.INTRADAY,
        as_of: datetime | None = None,
    ) -> "pa.Table":
        """The clean rows of one symbol on one day, all slots or one.

        Rows with ``snapshot_error`` are among them: leave them out before using prices.

        Parameters
        ----------
        day
            The session.
        symbol
            IB's symbol of the underlying.
        slot
            Index of one slot; None for all.
        view
            Which table of chains.
        as_of
            Only what was known at this instant, derived from the attempts committed until then: what a reader would
            have got at that moment.

        Returns
        -------
        pyarrow.Table
            Of the clean data set, unique on its key, sorted by (underlying, trade_date, sample_time, conid). Empty if
            nothing is stored.

        Raises
        ------
        FileUnreadable
            A file is damaged: the next commit to its slot, or ``ChainStore.refresh``, sets it aside and derives it
            again.
        ValueError
            ``as_of`` is naive, or the symbol is not one.
        """
        if as_of is not None:
            return self._known_at(as_of, day, symbol, slot, view)
        rows = self._open(day, symbol, slot, view)
        return rows.read() if isinstance(rows, ChainFiles) else rows.table

    def open_chain(self, day: date, symbol: str, *, view: ChainView = ChainView.INTRADAY) -> StoredRows:
        """The same rows of all slots, for callers that look at some columns of them, or at some rows.

        They are of one moment, whenever they are looked at.

        Raises
        ------
        FileUnreadable
            A file is damaged; damage in a column's values may show only when it is looked at.
        SchemaMismatch
            A file lacks a column or has one that nobody knows.
        ValueError
            The symbol is not one.
        """
        return self._open(day, symbol, None, view)

    def _open(self, day: date, symbol: str, slot: int | None, view: ChainView) -> ChainFiles | HeldRows:
        week = ChainWeek.of_day(day, view)
        prefix = symbol_prefix("clean", day, symbol, view)

        def load(located: Callable[[str], list[Located]]) -> "tuple[dict[str, StoredTable], pa.Table]":
            files = self._slot_files(located(prefix), CLEAN_CHAIN_INTRADAY, slot)
            packed = read_packed(self._port, located(week.packed_prefix), CLEAN_CHAIN_INTRADAY, symbol, day, slot)
            return files, packed

        files, packed = WeekSwaps(self._port, week).consistent(load)
        slots = [slot_of_key(key) for key in files]
        if not packed.num_rows and None not in slots and len(set(slots)) == len(slots):
            # one file a slot, each unique and sorted, listed in the slots' order: nothing is left to choose
            return ChainFiles(list(files.values()), CLEAN_CHAIN_INTRADAY)
        if not files and len(packed.column("exchange").unique()) == 1:
            return HeldRows(packed.combine_chunks())  # sorted and unique, as it was before it was compacted
        return HeldRows(best_rows([*_tables(files, CLEAN_CHAIN_INTRADAY, slot), packed]))

    def _known_at(self, at: datetime, day: date, symbol: str, slot: int | None, view: ChainView) -> "pa.Table":
        """What the attempts committed until an instant give."""
        import pyarrow.compute as pc

        if at.tzinfo is None:
            raise ValueError(f"as_of {at!r} has no time zone")
        prefix = symbol_prefix("raw", day, symbol, view)
        files = WeekSwaps(self._port, ChainWeek.of_day(day, view)).consistent(
            lambda located: self._slot_files(located(prefix), RAW_CHAIN_INTRADAY, slot)
        )
        tables = [table.filter(pc.field("known_at") <= at) for table in _tables(files, RAW_CHAIN_INTRADAY, slot)]
        return best_rows(tables) if tables else empty_table(CLEAN_CHAIN_INTRADAY)

    def _slot_files(self, located: Sequence[Located], dataset: Dataset, slot: int | None) -> dict[str, StoredTable]:
        """The files of one slot or all, by key; those that may be of any slot are among them."""
        files = {}
        for one in located:
            if not one.key.endswith(".parquet") or (slot is not None and slot_of_key(one.key) not in (slot, None)):
                continue
            stored = self._port.read(one.stored_at)
            if stored is not None:
                files[one.key] = StoredTable(stored.data, dataset, origin=one.key)
        return files

    def stored_contracts(
        self, day: date, symbol: str, *, view: ChainView = ChainView.INTRADAY
    ) -> tuple[OptionContract, ...]:
        """The contracts of which rows are stored, by conid: from these a lost contract set of a past day is rebuilt."""
        names = ["conid", "symbol", "underlying", "und_conid", "expiry", "right", "strike", "multiplier", "exchange",
                 "trading_class", "currency", "first_seen_slot"]  # fmt: skip
        rows = self.read_chain(day, symbol, view=view).select(names).to_pylist()
        contracts = {row["conid"]: OptionContract(**row) for row in rows}
        return tuple(contracts[conid] for conid in sorted(contracts))


def _tables(files: Mapping[str, StoredTable], dataset: Dataset, slot: int | None) -> "list[pa.Table]":
    """Each file's rows, of one slot or all."""
    import pyarrow.compute as pc

    tables = [read_together([file], dataset) for file in files.values()]
    return tables if slot is None else [table.filter(pc.field("slot_30m") == slot) for table in tables]
