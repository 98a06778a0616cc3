"""Reading chains back; never writes."""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

from opt_data.core.contracts import OptionContract
from opt_data.storage.layout import ChainView, ChainWeek, slot_of_key, symbol_prefix
from opt_data.storage.packed_files import read_packed
from opt_data.storage.parquet import decode
from opt_data.storage.port import ObjectStore
from opt_data.storage.swaps import Located, WeekSwaps
from opt_data.tables.arrow import empty_table
from opt_data.tables.datasets import CLEAN_CHAIN_INTRADAY, RAW_CHAIN_INTRADAY, Dataset
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
        import pyarrow as pa
        import pyarrow.compute as pc

        layer, dataset = "clean", CLEAN_CHAIN_INTRADAY
        if as_of is not None:
            if as_of.tzinfo is None:
                raise ValueError(f"as_of {as_of!r} has no time zone")
            layer, dataset = "raw", RAW_CHAIN_INTRADAY
        week = ChainWeek.of_day(day, view)
        prefix = symbol_prefix(layer, day, symbol, view)

        def load(located: Callable[[str], list[Located]]) -> tuple[list[pa.Table], list[int | None], pa.Table]:
            tables, slots = self._slot_files(located(prefix), dataset, slot)
            parts = located(week.packed_prefix) if layer == "clean" else []
            return tables, slots, read_packed(self._port, parts, dataset, symbol, day, slot)

        tables, slots, packed = WeekSwaps(self._port, week).consistent(load)
        if as_of is not None:
            tables = [table.filter(pc.field("known_at") <= as_of) for table in tables]
        if slot is not None:
            tables = [table.filter(pc.field("slot_30m") == slot) for table in tables]
        if packed.num_rows:
            if not tables and len(packed.column("exchange").unique()) == 1:
                return packed.combine_chunks()  # sorted and unique, as it was before it was compacted
            return best_rows([*tables, packed])
        if not tables:
            return empty_table(CLEAN_CHAIN_INTRADAY)
        if layer == "clean" and None not in slots and len(set(slots)) == len(slots):
            # one file a slot, each unique and sorted, listed in the slots' order: nothing is left to choose
            return pa.concat_tables(tables).combine_chunks()
        return best_rows(tables)

    def _slot_files(
        self, files: Sequence[Located], dataset: Dataset, slot: int | None
    ) -> "tuple[list[pa.Table], list[int | None]]":
        """The tables of files of one slot or all, and which slot each is of."""
        tables, slots = [], []
        for file in files:
            file_slot = slot_of_key(file.key)
            if not file.key.endswith(".parquet") or (slot is not None and file_slot not in (slot, None)):
                continue
            stored = self._port.read(file.stored_at)
            if stored is not None:
                tables.append(decode(stored.data, dataset, origin=file.key))
                slots.append(file_slot)
        return tables, slots

    def stored_contracts(
        self, day: date, symbol: str, *, view: ChainView = ChainView.INTRADAY
    ) -> tuple[OptionContract, ...]:
        """The contracts of which rows are stored, by conid: from these a lost contract set of a past day is rebuilt."""
        names = ["conid", "symbol", "underlying", "und_conid", "expiry", "right", "strike", "multiplier", "exchange",
                 "trading_class", "currency", "first_seen_slot"]  # fmt: skip
        rows = self.read_chain(day, symbol, view=view).select(names).to_pylist()
        contracts = {row["conid"]: OptionContract(**row) for row in rows}
        return tuple(contracts[conid] for conid in sorted(contracts))
