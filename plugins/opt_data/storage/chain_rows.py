"""From what a capture has to say about its contracts to the rows of one attempt, checked before anything is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from opt_data.core.sessions import NEW_YORK
from opt_data.core.slots import CaptureMode, Slot
from opt_data.errors import SchemaMismatch
from opt_data.storage.layout import ChainPartition, ChainView
from opt_data.tables.arrow_rows import table_from_rows
from opt_data.tables.chain_columns import PRICES, QUOTE_VALUES
from opt_data.tables.datasets import RAW_CHAIN_INTRADAY
from opt_data.tables.flags import IMPLIED_BY_CAPTURE_MODE, ordered_flags, unknown_flags
from opt_data.tables.row_check import checked_rows, place_of

if TYPE_CHECKING:
    import pyarrow as pa

SOURCE = "IBKR"


@dataclass(frozen=True, slots=True)
class IngestRun:
    """Who writes an attempt.

    ``ingest_id`` must be new for every attempt (``uuid4().hex``). ``attempt`` counts from 1, e.g. Airflow's try number.
    """

    ingest_id: str
    attempt: int
    run_type: str = "intraday"
    dag_run_id: str | None = None


def attempt_table(
    slot: Slot, partition: ChainPartition, rows: Sequence[Mapping[str, object]], run: IngestRun, known_at: datetime
) -> "pa.Table":
    """The rows of one attempt as a table of the raw data set; ``ChainStore.commit_attempt`` says what rows must hold.

    Raises
    ------
    SchemaMismatch
        A row breaks a rule; the message names row and column.
    """
    if not rows:
        raise SchemaMismatch("an attempt has no rows: every contract asked for needs one, also those without a quote")
    stamp = _stamp(slot, partition, run, known_at)
    stamped = [_stamped(index, row, stamp) for index, row in enumerate(rows)]
    checked = checked_rows(RAW_CHAIN_INTRADAY, stamped)
    for index, row in enumerate(checked):
        _check_answer(place_of(index, row), row, slot, partition.view)
    return table_from_rows(checked, RAW_CHAIN_INTRADAY)


def _stamp(slot: Slot, partition: ChainPartition, run: IngestRun, known_at: datetime) -> dict[str, object]:
    """What is the same in every row of the attempt."""
    return {
        "trade_date": slot.session.day,
        "underlying": partition.symbol,
        "exchange": partition.exchange,
        "sample_time": slot.instant_utc.astimezone(UTC),
        "sample_time_et": slot.instant_utc.astimezone(NEW_YORK).isoformat(),
        "slot_30m": slot.index,
        "attempt": run.attempt,
        "source": SOURCE,
        "ingest_id": run.ingest_id,
        "ingest_run_type": run.run_type,
        "dag_run_id": run.dag_run_id,
        "known_at": known_at,
        "schema_version": RAW_CHAIN_INTRADAY.schema_version,
    }


def _stamped(index: int, row: Mapping[str, object], stamp: Mapping[str, object]) -> dict[str, object]:
    place = place_of(index, row)
    for name, value in stamp.items():
        given = row.get(name)
        if given is not None and given != value:
            raise SchemaMismatch(f"{place}, column {name!r}: {given!r}, but the attempt is of {value!r}")
    whole = {**row, **stamp}
    whole["lag_s"] = _lag_s(place, whole)
    whole["data_quality_flag"] = _flags(place, whole)
    return whole


def _lag_s(place: str, row: Mapping[str, object]) -> float | None:
    """Derived here, because the row check wants it; a caller's own value must agree to the millisecond."""
    asof, slot_instant, given = row.get("asof_ts"), row["sample_time"], row.get("lag_s")
    lag: float | None = None
    if isinstance(asof, datetime) and isinstance(slot_instant, datetime):
        if asof.tzinfo is None:
            raise SchemaMismatch(f"{place}, column 'asof_ts': {asof!r} has no time zone")
        lag = (asof - slot_instant).total_seconds()
    if given is not None and (lag is None or not isinstance(given, float | int) or abs(given - lag) > 0.001):
        raise SchemaMismatch(f"{place}, column 'lag_s': {given!r}, but asof_ts - sample_time is {lag}")
    return lag


def _flags(place: str, row: Mapping[str, object]) -> object:
    """The row's flags in the catalogue's order, with those that follow from its other columns added."""
    given = row.get("data_quality_flag")
    if given is None:
        given = []
    if isinstance(given, str) or not isinstance(given, Sequence) or unknown_flags(list(given)):
        return given  # the row check says what is wrong
    flags = set(given)
    mode = row.get("capture_mode")
    implied = IMPLIED_BY_CAPTURE_MODE.get(str(mode))
    for flag in IMPLIED_BY_CAPTURE_MODE.values():
        if flag in flags and flag != implied:
            raise SchemaMismatch(f"{place}, column 'data_quality_flag': {flag!r} contradicts capture_mode {mode!r}")
    if implied:
        flags.add(implied)
    if row.get("snapshot_error") is True:
        flags.add("snapshot_error")
    elif "snapshot_error" in flags:
        raise SchemaMismatch(f"{place}, column 'data_quality_flag': 'snapshot_error' in a row with a quote")
    return ordered_flags(flags)


def _check_answer(place: str, row: Mapping[str, object], slot: Slot, view: ChainView) -> None:
    if row["snapshot_error"]:
        _check_no_quote(place, row)
    else:
        _check_quote(place, row, slot, view)


def _check_no_quote(place: str, row: Mapping[str, object]) -> None:
    if row["error_type"] is None:
        raise SchemaMismatch(f"{place}, column 'error_type': a row without a quote must say why")
    for name in ("capture_mode", *QUOTE_VALUES):
        if row[name] is not None:
            raise SchemaMismatch(f"{place}, column {name!r}: {row[name]!r} in a row without a quote; store null")


def _check_quote(place: str, row: Mapping[str, object], slot: Slot, view: ChainView) -> None:
    if row["error_type"] is not None:
        raise SchemaMismatch(f"{place}, column 'error_type': {row['error_type']!r} in a row with a quote")
    for name in ("capture_mode", "asof_ts"):
        if row[name] is None:
            raise SchemaMismatch(f"{place}, column {name!r}: may not be null in a row with a quote")
    if all(row[name] is None for name in PRICES):
        raise SchemaMismatch(f"{place}, column 'bid': a quote has a bid, an ask or a last; this row has none of them")
    asof, mode = row["asof_ts"], CaptureMode(str(row["capture_mode"]))
    assert isinstance(asof, datetime)
    if mode in (CaptureMode.ON_TIME, CaptureMode.LATE) and not slot.instant_utc <= asof < slot.ends_utc:
        raise SchemaMismatch(
            f"{place}, column 'asof_ts': {asof.isoformat()} is not within the slot {slot.instant_utc.isoformat()} … "
            f"{slot.ends_utc.isoformat()}; a live quote is stored under its own slot only"
        )
    if view is ChainView.CLOSE and mode is not CaptureMode.FROZEN:
        raise SchemaMismatch(f"{place}, column 'capture_mode': {mode.value!r} in the closing snapshot; only frozen is")
    if mode is CaptureMode.FROZEN and (not slot.is_last or asof < slot.session.close_utc):
        raise SchemaMismatch(f"{place}, column 'capture_mode': only the slot at the close, after the bell, is frozen")
