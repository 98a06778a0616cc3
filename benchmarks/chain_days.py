"""Symbol-days of clean chains as captures leave them, made in bulk and seeded: what several benchmarks read.

Values compress about as badly as quotes do. Some rows are errors, some quotes are crossed or late, some contracts have
no good quote all day, and every tenth symbol's set has one contract more, without any row: every way to a quote is
taken.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from opt_data.core.contracts import ContractSet
    from opt_data.core.sessions import TradingSession

SLOTS = 14
EXCHANGE = "SMART"
ERRORS, CROSSED, LATE, NEVER_GOOD, ERRORS_AT_CLOSE = 0.04, 0.01, 0.06, 0.02, 0.10
STRIKES_FROM, STRIKE_STEP, EXPIRY = 50, 5, date(2025, 12, 19)


@dataclass(frozen=True)
class SymbolDay:
    """One symbol on one day: so many contracts with rows; every tenth symbol has one more without."""

    number: int
    day: date
    contracts: int

    @property
    def symbol(self) -> str:
        return f"S{self.number:04d}"

    @property
    def session(self) -> "TradingSession":
        from opt_data.core.sessions import TradingSession

        opens = datetime(self.day.year, self.day.month, self.day.day, 14, 30, tzinfo=UTC)
        return TradingSession(self.day, opens, opens + timedelta(hours=6.5))

    @property
    def conids(self) -> range:
        first = (self.number + 1) * 100_000
        return range(first, first + self.contracts + (self.number % 10 == 0))

    def name_of(self, place: int) -> str:
        return f"{self.symbol:6}251219C{(STRIKES_FROM + STRIKE_STEP * place) * 1000:08d}"

    def contract_set(self) -> "ContractSet":
        from opt_data.core.contracts import ContractSet, OptionContract, Underlying

        contracts = tuple(
            OptionContract(
                conid=conid, symbol=self.name_of(place), underlying=self.symbol, und_conid=self.number + 1,
                expiry=EXPIRY, right="C", strike=float(STRIKES_FROM + STRIKE_STEP * place), multiplier=100,
                exchange=EXCHANGE, trading_class=self.symbol,
            )
            for place, conid in enumerate(self.conids)
        )  # fmt: skip
        return ContractSet(
            underlying=Underlying(self.symbol, conid=self.number + 1), trade_date=self.day, reference_price=170.0,
            reference_source="previous_close", contracts=contracts,
            created_at=self.session.open_utc - timedelta(minutes=5), verified_on=self.day, und_fingerprint="x",
        )  # fmt: skip


def write_slots(root: Path, one: SymbolDay) -> None:
    """The symbol-day's clean files, one a slot, as our store leaves them."""
    from opt_data.storage.layout import ChainView

    for slot, table in enumerate(_tables(one, with_close=False)):
        _write(root, one, ChainView.INTRADAY, slot, table)


def write_slots_and_close(root: Path, one: SymbolDay) -> None:
    """The same with the closing snapshot."""
    from opt_data.storage.layout import ChainView

    for number, table in enumerate(_tables(one, with_close=True)):
        view = ChainView.INTRADAY if number < SLOTS else ChainView.CLOSE
        _write(root, one, view, min(number, SLOTS - 1), table)


def _write(root: Path, one: SymbolDay, view: Any, slot: int, table: "pa.Table") -> None:
    from opt_data.storage.layout import ChainPartition
    from opt_data.storage.parquet import encode
    from opt_data.tables.datasets import CLEAN_CHAIN_INTRADAY

    path = root / ChainPartition(one.day, one.symbol, EXCHANGE, view).clean_key(slot)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(table, CLEAN_CHAIN_INTRADAY))


def _tables(one: SymbolDay, *, with_close: bool) -> "Iterator[pa.Table]":
    """A table a slot, then the close; all columns are made for the whole day at once."""
    import numpy as np
    import pyarrow as pa

    from opt_data.tables.arrow import arrow_schema
    from opt_data.tables.datasets import CLEAN_CHAIN_INTRADAY

    dice = np.random.default_rng([one.number, one.day.toordinal()])
    passes, kept = SLOTS + with_close, one.contracts
    columns = _columns(one, dice, np.repeat(np.arange(passes), kept), np.tile(np.arange(kept), passes))
    schema = arrow_schema(CLEAN_CHAIN_INTRADAY)
    arrays = [
        columns[field.name].cast(field.type) if field.name in columns else pa.nulls(passes * kept, field.type)
        for field in schema
    ]
    table = pa.Table.from_arrays(arrays, schema=schema)
    for number in range(passes):
        yield table.slice(number * kept, kept)


def _columns(
    one: SymbolDay, dice: "np.random.Generator", passes: "np.ndarray", places: "np.ndarray"
) -> "dict[str, pa.Array]":
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from opt_data.core.sessions import NEW_YORK
    from opt_data.tables.chain_columns import CALCULATED, CHAIN_COLUMNS, QUOTE_VALUES
    from opt_data.tables.column import ColumnType

    count, slots, is_close = len(passes), np.minimum(passes, SLOTS - 1), passes >= SLOTS
    rolled = dice.random(count)
    never_good = dice.random(one.contracts) < NEVER_GOOD
    is_error = (rolled < np.where(is_close, ERRORS_AT_CLOSE, ERRORS)) | never_good[places]
    is_late = ~is_close & (dice.random(count) < LATE)
    opens = one.session.open_utc
    instants = [opens + slot * timedelta(minutes=30) for slot in range(SLOTS)]
    texts = [instant.astimezone(NEW_YORK).isoformat() for instant in instants]
    lags = np.round(np.where(is_close, 5400.0, np.where(is_late, 600.0, 0.0)) + dice.random(count) * 100, 3)
    samples = pa.array(np.array([int(instant.timestamp() * 1e6) for instant in instants])[slots]).cast("timestamp[us]")

    def repeated(value: Any, kind: Any = None) -> pa.Array:
        return pa.repeat(pa.scalar(value, kind), count)

    def cents(low: int, high: int) -> pa.Array:
        return pa.array(np.round(dice.integers(low, high, count) / 100, 2))

    columns: dict[str, pa.Array] = {
        column.name: pa.array(np.round(dice.random(count) * 100, 6))
        if column.type is ColumnType.FLOAT64
        else pa.array(dice.integers(1, 100, count))
        for column in CHAIN_COLUMNS
        if column.type in (ColumnType.FLOAT64, ColumnType.INT64, ColumnType.INT32, ColumnType.INT8)
        and column not in CALCULATED
    }
    bid = cents(100, 9000)
    is_crossed = pa.array(dice.random(count) < CROSSED)
    columns |= {
        "trade_date": repeated(one.day, pa.date32()),
        "underlying": repeated(one.symbol),
        "und_conid": repeated(one.number + 1),
        "conid": pa.array(np.asarray(one.conids)[places]),
        "symbol": pa.array([one.name_of(place) for place in places.tolist()]),
        "expiry": repeated(EXPIRY, pa.date32()),
        "right": repeated("C"),
        "strike": pa.array(STRIKES_FROM + STRIKE_STEP * places.astype(float)),
        "multiplier": repeated(100),
        "exchange": repeated(EXCHANGE),
        "trading_class": repeated(one.symbol),
        "currency": repeated("USD"),
        "quote_exchange": repeated(EXCHANGE),
        "bid": bid,
        "ask": pc.if_else(is_crossed, pc.subtract(bid, 0.5), pc.add(bid, 0.25)),
        "halted": repeated(0),
        "greeks_source": repeated("ib_model"),
        "und_last": cents(16_990, 17_010),
        "und_bid": cents(16_980, 16_990),
        "und_ask": cents(17_010, 17_020),
        "reference_price": repeated(170.0),
        "sample_time": samples.cast(pa.timestamp("us", tz="UTC")),
        "sample_time_et": pa.array([texts[slot] for slot in slots.tolist()]),
        "slot_30m": pa.array(slots),
        "first_seen_slot": repeated(0),
        "lag_s": pa.array(lags),
        "attempt": repeated(1),
        "market_data_type": pa.array(np.where(is_close, 2, 1)),
        "market_data_type_requested": pa.array(np.where(is_close, 2, 1)),
        "source": repeated("IBKR"),
        "ingest_id": pa.array([f"{one.number:08x}{number:024x}" for number in passes.tolist()]),
        "ingest_run_type": pa.array(np.where(is_close, "close", "intraday")),
        "dag_run_id": pa.array([f"scheduled__{texts[slot]}" for slot in slots.tolist()]),
        "schema_version": repeated(2),
    }
    errors = pa.array(is_error)
    nothing = repeated(None, pa.string())
    later = pa.array((lags * 1e6).astype("int64")).cast(pa.duration("us"))
    asof = pc.add(columns["sample_time"], later)
    modes = pa.array(np.where(is_close, "frozen", np.where(is_late, "late", "on_time")))
    flags = [["snapshot_error"], ["frozen"], ["late_capture"], []]
    kinds = np.where(is_error, 0, np.where(is_close, 1, np.where(is_late, 2, 3)))
    columns |= {
        "asof_ts": asof,
        "und_asof_ts": asof,
        "known_at": pc.add(asof, pa.scalar(timedelta(seconds=30))),
        "last_trade_time": columns["sample_time"],
        "capture_mode": pc.if_else(errors, nothing, modes),
        "snapshot_error": errors,
        "error_type": pc.if_else(errors, repeated("timed_out"), nothing),
        "error_message": pc.if_else(errors, repeated("nothing arrived before the contract's deadline"), nothing),
        "data_quality_flag": pa.array([flags[kind] for kind in kinds.tolist()]),
        "ib_error_code": repeated(None, pa.int32()),
        "delayed_quote_age_s": repeated(None, pa.float64()),
    }
    for name in QUOTE_VALUES:
        if name in columns:
            columns[name] = pc.if_else(errors, pa.scalar(None, columns[name].type), columns[name])
    return columns
