"""What an attempt's rows must hold before a byte of them is written."""

from datetime import UTC, datetime, timedelta

import pytest

from opt_data.errors import SchemaMismatch
from opt_data.storage.chain_store import ChainStore
from opt_data.storage.port import ObjectStore
from tests.fakes.chain import LAST_SLOT, SESSION, SLOT, Row, error_row, ingest, late_row, quote_row

CLOSE = SESSION.close_utc


def commit(chains: ChainStore, row: Row, slot: object = SLOT) -> Row:
    (stored,) = chains.commit_attempt(slot, "AAPL", "SMART", [row], ingest("a")).clean.rows.to_pylist()
    return stored


def refused(chains: ChainStore, port: ObjectStore, row: Row, why: str, slot: object = SLOT) -> None:
    """The whole attempt is refused, with row, contract and column, and nothing is stored."""
    with pytest.raises(SchemaMismatch, match=rf"row 1 \(conid 712\), column {why}"):
        chains.commit_attempt(slot, "AAPL", "SMART", [quote_row(711, slot), row], ingest("a"))
    assert list(port.list("")) == []


def test_what_the_slot_the_symbol_and_the_run_say_is_stamped(chains: ChainStore) -> None:
    stored = commit(chains, quote_row(711))
    assert {name: stored[name] for name in ("trade_date", "underlying", "exchange", "slot_30m", "source")} == {
        "trade_date": SESSION.day,
        "underlying": "AAPL",
        "exchange": "SMART",
        "slot_30m": 3,
        "source": "IBKR",
    }
    assert stored["sample_time"] == datetime(2025, 11, 24, 16, 0, tzinfo=UTC)
    assert stored["sample_time_et"] == "2025-11-24T11:00:00-05:00"
    assert stored["lag_s"] == 5.0
    assert (stored["ingest_id"], stored["attempt"], stored["ingest_run_type"]) == ("a", 1, "intraday")
    assert stored["known_at"] == datetime(2025, 11, 24, 16, 0, 10, tzinfo=UTC)
    assert (stored["dag_run_id"], stored["schema_version"]) == ("manual__1", 2)


def test_flags_that_follow_from_the_row_are_added_and_all_are_ordered(chains: ChainStore) -> None:
    assert commit(chains, quote_row(1))["data_quality_flag"] == []


def test_the_callers_flags_are_kept_once_each(chains: ChainStore) -> None:
    late = commit(chains, late_row(2, data_quality_flag=["wide", "no_bid", "wide"]))
    assert late["data_quality_flag"] == ["late_capture", "no_bid", "wide"]


def test_a_row_without_a_quote_is_flagged_and_says_why(chains: ChainStore) -> None:
    stored = commit(
        chains,
        error_row(
            711, "ib_error", ib_error_code=322, error_message="too many", prev_close=1.0, halted=1, und_last=230.0
        ),
    )
    assert stored["data_quality_flag"] == ["snapshot_error"]
    assert stored["capture_mode"] is None
    assert stored["bid"] is None
    assert (stored["ib_error_code"], stored["prev_close"], stored["halted"]) == (322, 1.0, 1)


def test_a_frozen_row_belongs_to_the_close(chains: ChainStore) -> None:
    stored = commit(chains, quote_row(711, LAST_SLOT, 90.0, capture_mode="frozen"), LAST_SLOT)
    assert stored["data_quality_flag"] == ["frozen"]


def test_a_rebuilt_row_may_be_as_old_as_its_slot(chains: ChainStore) -> None:
    stored = commit(chains, quote_row(711, lag_s=0.0, capture_mode="rebuilt"))
    assert stored["data_quality_flag"] == ["rebuilt_from_bars"]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("slot_30m", 4),
        ("sample_time", SLOT.instant_utc + timedelta(minutes=30)),
        ("underlying", "MSFT"),
        ("exchange", "CBOE"),
        ("ingest_id", "b"),
        ("lag_s", 7.0),
    ],
)
def test_a_row_of_another_slot_symbol_or_run_is_refused(
    chains: ChainStore, port: ObjectStore, column: str, value: object
) -> None:
    refused(chains, port, {**quote_row(712), column: value}, f"'{column}'")


@pytest.mark.parametrize(
    ("mode", "lag_s"), [("on_time", -0.001), ("on_time", 1800.0), ("late", 1800.0), ("late", 86400)]
)
def test_a_live_quote_is_never_stored_under_a_slot_that_is_over_or_to_come(
    chains: ChainStore, port: ObjectStore, mode: str, lag_s: float
) -> None:
    refused(chains, port, quote_row(712, lag_s=lag_s, capture_mode=mode), "'asof_ts'.*its own slot only")


def test_frozen_is_refused_before_the_bell_and_anywhere_but_at_the_close(chains: ChainStore, port: ObjectStore) -> None:
    refused(chains, port, quote_row(712, capture_mode="frozen"), "'capture_mode'.*after the bell")
    early = quote_row(712, LAST_SLOT, capture_mode="frozen", asof_ts=CLOSE - timedelta(seconds=1))
    refused(chains, port, early, "'capture_mode'.*after the bell", LAST_SLOT)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (quote_row(712, asof_ts=datetime(2025, 11, 24, 11, 0, 5)), "'asof_ts'.*no time zone"),
        (quote_row(712, last_trade_time=datetime(2025, 11, 24, 11, 0, 5)), "'last_trade_time'.*no time zone"),
        (quote_row(712, bid=-1.0), "'bid'.*store null"),
        (quote_row(712, theta=-2.0), "'theta'.*store null"),
        (quote_row(712, vega=float("nan")), "'vega'.*store null"),
        (quote_row(712, und_bid=1.7976931348623157e308), "'und_bid'.*store null"),
        (quote_row(712, data_quality_flag=["windy"]), "'data_quality_flag'.*no flag 'windy'"),
        (quote_row(712, data_quality_flag=["late_capture"]), "'data_quality_flag'.*contradicts capture_mode 'on_time'"),
        (quote_row(712, data_quality_flag=["snapshot_error"]), "'data_quality_flag'.*row with a quote"),
        (quote_row(712, bid=None, ask=None, last=None), "'bid'.*none of them"),
        (quote_row(712, capture_mode=None), "'capture_mode'.*may not be null"),
        (quote_row(712, asof_ts=None), "'asof_ts'.*may not be null"),
        (quote_row(712, error_type="no_quote"), "'error_type'.*row with a quote"),
        (quote_row(712, colour="red"), "'colour'.*no such column"),
        (error_row(712, bid=1.0), "'bid'.*store null"),
        (error_row(712, iv=0.2), "'iv'.*store null"),
        (error_row(712, volume=3), "'volume'.*store null"),
        (error_row(712, capture_mode="late"), "'capture_mode'.*without a quote"),
        (error_row(712, error_type=None), "'error_type'.*must say why"),
        (error_row(712, error_type="bad_luck"), "'error_type'.*not one of"),
    ],
)
def test_a_row_that_would_lie_is_refused(chains: ChainStore, port: ObjectStore, row: Row, why: str) -> None:
    refused(chains, port, row, why)


def test_a_contract_given_twice_is_refused(chains: ChainStore, port: ObjectStore) -> None:
    with pytest.raises(SchemaMismatch, match="row 2 has the key of row 0"):
        chains.commit_attempt(SLOT, "AAPL", "SMART", [quote_row(1), quote_row(2), error_row(1)], ingest("a"))
    assert list(port.list("")) == []


def test_an_attempt_without_rows_is_refused(chains: ChainStore) -> None:
    with pytest.raises(SchemaMismatch, match="no rows"):
        chains.commit_attempt(SLOT, "AAPL", "SMART", [], ingest("a"))


def test_a_symbol_with_path_characters_is_refused(chains: ChainStore, port: ObjectStore) -> None:
    with pytest.raises(ValueError, match="is not a symbol"):
        chains.commit_attempt(SLOT, "../AAPL", "SMART", [quote_row(1)], ingest("a"))
    assert list(port.list("")) == []
