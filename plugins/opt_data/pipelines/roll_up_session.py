"""Roll one symbol's session up into its day: the best quote of each contract, and what its slots had."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

from opt_data.core.contracts import ContractSet, Underlying
from opt_data.core.rollup import Strategy
from opt_data.core.sessions import TradingSession
from opt_data.core.slots import slot_grid
from opt_data.errors import CloseMissing, FileUnreadable, NothingToRollUp, SlotNotBegun, SlotsRetired
from opt_data.pipelines.merge_open_interest import take_in_open_interest
from opt_data.pipelines.stores import Stores
from opt_data.storage.daily_store import DailyStore
from opt_data.storage.layout import ChainView
from opt_data.transforms.rollup import roll_up
from opt_data.transforms.rollup_columns import RollupRules

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class RollupOutcome:
    """What a rollup did: ``strategies`` and ``flags`` count the day's rows; ``is_changed`` whether the file was
    written."""

    symbol: str
    day: date
    key: str
    rows: int
    is_changed: bool
    strategies: Mapping[str, int]
    flags: Mapping[str, int]

    @property
    def quotes(self) -> int:
        """Rows with a quote."""
        return self.rows - self.strategies.get(Strategy.NONE, 0)

    def summary(self) -> dict[str, object]:
        """Plain values for the run log and an XCom."""
        return {
            "trade_date": self.day.isoformat(),
            "symbol": self.symbol,
            "rows": self.rows,
            "quotes": self.quotes,
            "strategies": dict(self.strategies),
            "flags": dict(self.flags),
            "is_changed": self.is_changed,
            "key": self.key,
        }


def roll_up_session(
    session: TradingSession, underlying: Underlying, exchange: str, *, is_intraday: bool, stores: Stores
) -> RollupOutcome:
    """Derive one symbol's day from its closing snapshot, its slots and what is on file of its open interest, and commit
    it to ``view=daily_clean``.

    Running again gives the same rows and writes nothing unless one of these changed. A day without one good
    quote is stored too, all nulls, before the error is raised.

    Parameters
    ----------
    session
        The session; it must be over.
    underlying
        The symbol.
    exchange
        The route whose partition is rolled up.
    is_intraday
        Whether the symbol is captured at the slots.
    stores
        Where sets, rows and days are.

    Raises
    ------
    SlotNotBegun
        The session has not closed yet.
    CloseMissing
        There is no closing quote, and ``[rollup] allow_intraday_fallback`` is false; the stored day stays as it was.
    SlotsRetired
        Fewer slots are stored than the stored day was made of; it stayed as it was.
    NothingToRollUp
        Nothing is stored of the symbol on that day, or not one good quote.
    SchemaMismatch
        A stored file lacks a column or has one that nobody knows; the stored day stays as it was.
    FileUnreadable
        A stored file is damaged.
    """
    symbol, day = underlying.symbol, session.day
    if stores.clock.now() < session.close_utc:
        raise SlotNotBegun(f"the session of {day} has not closed yet: there is no day to roll up")

    def derive() -> "pa.Table":
        close = stores.reader.open_chain(day, symbol, view=ChainView.CLOSE)
        intraday = stores.reader.open_chain(day, symbol)
        if not close.num_rows + intraday.num_rows:
            raise NothingToRollUp(
                f"{symbol} has no stored row on {day}, neither of the close nor of a slot: clear its close_snapshot "
                "while IB still serves the close, or rebuild its slots with a backfill of opt_data_intraday",
                symbol=symbol,
            )
        is_slotted = is_intraday or intraday.num_rows > 0
        rules = RollupRules(slot_grid(session), is_slotted, stores.settings.rollup.allow_intraday_fallback)
        rows = roll_up(close, intraday, contract_set_for_rollup(underlying, session, stores), exchange, rules)
        if not rules.allows_fallback and Strategy.CLOSE not in rows.column("rollup_strategy").to_pylist():
            raise CloseMissing(
                f"{symbol} has no closing quote on {day}, and [rollup] allow_intraday_fallback is false: clear its "
                "close_snapshot with downstream in opt_data_eod while IB still serves the close, or allow the fallback",
                symbol=symbol,
            )
        _check_nothing_is_lost(rows, stores.daily, day, symbol)
        return take_in_open_interest(stores, rows, day, symbol)

    commit = stores.daily.derive(day, symbol, exchange, derive)
    strategies = Counter(commit.rows.column("rollup_strategy").to_pylist())
    flags = Counter(name for names in commit.rows.column("data_quality_flag").to_pylist() for name in names)
    outcome = RollupOutcome(
        symbol, day, commit.key, commit.rows.num_rows, commit.is_changed,
        dict(sorted(strategies.items())), dict(sorted(flags.items())),
    )  # fmt: skip
    stores.run_log.append("rollup", day, outcome.summary())
    if not outcome.quotes:
        raise NothingToRollUp(
            f"{symbol} has not one good quote on {day}: its {outcome.rows} rows are stored without prices and say why. "
            "Clear its close_snapshot while IB still serves the close, or rebuild its slots with a backfill of "
            "opt_data_intraday",
            symbol=symbol,
        )
    return outcome


def _check_nothing_is_lost(rows: "pa.Table", daily: DailyStore, day: date, symbol: str) -> None:
    """Refuse to replace a day by one that rests on fewer slots: they were retired, and the day outlives them."""
    try:
        before = _slots_with_quotes(daily.read(day, symbol))
    except FileUnreadable:
        return
    after = _slots_with_quotes(rows) if before else 0
    if after < before:
        raise SlotsRetired(
            f"{symbol} on {day} was rolled up from {before} quotes at slots, and {after} are stored now: they were "
            "retired, so the day stays as it is. If it must be made of what is left, move its day.parquet away first",
            symbol=symbol,
        )


def _slots_with_quotes(rows: "pa.Table") -> int:
    import pyarrow.compute as pc

    names = ("slots_on_time", "slots_late", "slots_rebuilt")
    return sum(pc.sum(rows.column(name)).as_py() or 0 for name in names)


def contract_set_for_rollup(underlying: Underlying, session: TradingSession, stores: Stores) -> ContractSet:
    """The day's frozen set; where its file is lost, a set made of the contracts that have stored rows."""
    held = stores.cache.load(underlying.symbol, session.day).contract_set
    if held is not None:
        return held
    contracts = {
        contract.conid: contract
        for view in (ChainView.INTRADAY, ChainView.CLOSE)
        for contract in stores.reader.stored_contracts(session.day, underlying.symbol, view=view)
    }
    return ContractSet(
        underlying=replace(underlying, conid=next(iter(contracts.values())).und_conid),
        trade_date=session.day,
        reference_price=0.0,
        reference_source="stored_rows",
        contracts=tuple(contracts[conid] for conid in sorted(contracts)),
        created_at=session.open_utc,
        verified_on=session.day,
        und_fingerprint="",
        source="stored_rows",
    )
