"""Bars of IB's history: every pass appended to raw, and what is already known of a day's contracts."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from opt_data.core.bars import Bar, BarAnswer, BarKind, BarSeries
from opt_data.core.clock import Clock
from opt_data.core.sessions import TradingSession
from opt_data.errors import FileUnreadable
from opt_data.storage.chain_rows import SOURCE, IngestRun
from opt_data.storage.layout import bars_key, bars_prefix
from opt_data.storage.parquet import decode, encode
from opt_data.storage.port import MUST_NOT_EXIST, ObjectStore
from opt_data.storage.quarantine import keep_copy
from opt_data.tables.arrow_rows import rows_from_table, table_from_rows
from opt_data.tables.datasets import RAW_BARS_1MIN
from opt_data.tables.row_check import checked_row

if TYPE_CHECKING:
    import pyarrow as pa

BarKey = tuple[int, BarKind]
"""Contract and kind: what one request asks for."""


class BarStore:
    """Keeps the answers of IB's history.

    Parameters
    ----------
    port
        Where objects are kept.
    clock
        Says when a pass was committed.
    """

    def __init__(self, port: ObjectStore, clock: Clock) -> None:
        self._port = port
        self._clock = clock

    def keep(self, session: TradingSession, symbol: str, series: Sequence[BarSeries], run: IngestRun) -> str:
        """Append what a pass brought; returns the new file's key.

        Raises
        ------
        SchemaMismatch
            A value cannot be stored; nothing was written.
        StorageUnavailable
            The store cannot be written.
        """
        now = self._clock.now()
        rows: list[dict[str, object]] = []
        for one in series:
            stamp = self._stamp(session, symbol, one, run, now)
            rows += [{**stamp, **_values(bar)} for bar in one.bars] or [stamp]
        key = bars_key(session.day, symbol, now.astimezone(UTC), run.ingest_id)
        self._port.put(key, encode(table_from_rows(rows, RAW_BARS_1MIN), RAW_BARS_1MIN), expected=MUST_NOT_EXIST)
        return key

    def load(self, day: date, symbol: str) -> dict[BarKey, BarSeries]:
        """What is known of a symbol's contracts on a day: of each contract and kind the answer that reaches furthest.

        Of two that reach equally far the later one counts. Unreadable files are set aside: their contracts are asked
        for again.
        """
        known: dict[BarKey, BarSeries] = {}
        for table in self._tables(day, symbol):
            for one in _series_of(table):
                held = known.get((one.conid, one.kind))
                if held is None or (one.until, one.asked_at) >= (held.until, held.asked_at):
                    known[one.conid, one.kind] = one
        return known

    def _tables(self, day: date, symbol: str) -> "Iterator[pa.Table]":
        for key in self._port.list(bars_prefix(day, symbol)):
            stored = self._port.read(key) if key.endswith(".parquet") else None
            if stored is None:
                continue
            try:
                yield decode(stored.data, RAW_BARS_1MIN, origin=key)
            except FileUnreadable as error:
                keep_copy(self._port, key, stored, str(error))
                self._port.delete(key, expected=stored.version)

    def _stamp(
        self, session: TradingSession, symbol: str, one: BarSeries, run: IngestRun, now: datetime
    ) -> dict[str, object]:
        """What all rows of one answer share, and the whole row of an answer without bars; checked once for all."""
        stamp: dict[str, object] = {
            "trade_date": session.day,
            "underlying": symbol,
            "conid": one.conid,
            "kind": str(one.kind),
            "bar_start": session.open_utc,
            "answer": str(one.answer),
            "asked_at": one.asked_at,
            "until": one.until,
            "error_message": one.message or None,
            "ib_error_code": one.ib_error_code,
            "source": SOURCE,
            "ingest_id": run.ingest_id,
            "dag_run_id": run.dag_run_id,
            "known_at": now,
            "schema_version": RAW_BARS_1MIN.schema_version,
        }
        return checked_row(RAW_BARS_1MIN, stamp, f"{one.kind} bars of conid {one.conid}")


def _values(bar: Bar) -> dict[str, object]:
    return {
        "bar_start": bar.start,
        "open": bar.open,
        "high": bar.high,
        "low": bar.low,
        "close": bar.close,
        "volume": bar.volume,
        "average": bar.average,
        "trades": bar.trades,
    }


def _series_of(table: "pa.Table") -> list[BarSeries]:
    """One file's answers. Constant columns are read once per answer: a file holds a bar a minute."""
    bars: dict[BarKey, list[Bar]] = {}
    first: dict[BarKey, dict[str, object]] = {}
    names = ("bar_start", "open", "high", "low", "close", "volume", "average", "trades")
    shared = ("conid", "kind", "answer", "asked_at", "until", "error_message", "ib_error_code")
    for row in rows_from_table(table, (*shared, *names)):
        key = (row["conid"], BarKind(row["kind"]))
        first.setdefault(key, row)
        if row["answer"] == BarAnswer.BARS:
            start, *values = (row[name] for name in names)
            bars.setdefault(key, []).append(Bar(start, *values))
    return [
        BarSeries(
            conid=key[0],
            kind=key[1],
            answer=BarAnswer(str(row["answer"])),
            asked_at=row["asked_at"],  # type: ignore[arg-type]
            until=row["until"],  # type: ignore[arg-type]
            bars=tuple(bars.get(key, ())),
            message=str(row["error_message"] or ""),
            ib_error_code=row["ib_error_code"],  # type: ignore[arg-type]
        )
        for key, row in first.items()
    ]
