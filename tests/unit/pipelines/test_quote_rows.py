"""Samples become rows that say what was captured, when and how; what is no quote of the slot keeps no price."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from opt_data.core.contracts import ContractSet, OptionContract, Underlying
from opt_data.core.quotes import MarketDataType, Quote
from opt_data.core.sessions import TradingSession
from opt_data.core.slots import slot_grid
from opt_data.gateway.market_data import Sample
from opt_data.pipelines.quote_rows import CaptureContext, quote_rows
from opt_data.storage.chain_rows import IngestRun, attempt_table
from opt_data.storage.layout import ChainPartition

DAY = date(2025, 11, 24)
SESSION = TradingSession(DAY, datetime(2025, 11, 24, 14, 30, tzinfo=UTC), datetime(2025, 11, 24, 21, tzinfo=UTC))
SLOTS = slot_grid(SESSION)
AAPL = Underlying("AAPL", 265598)
CALL = OptionContract(
    700001, "AAPL  251219C00275000", "AAPL", 265598, date(2025, 12, 19), "C", 275.0, 100, "SMART", "AAPL"
)
LIVE = Quote(
    bid=5.0, ask=5.2, last=5.1, bid_size=10, ask_size=12, last_size=1, volume=1234.0, prev_close=4.9, halted=0,
    iv=0.24, delta=0.51, gamma=0.02, theta=-0.11, vega=0.3, opt_price=5.1, und_price_model=275.3,
    market_data_type=MarketDataType.LIVE,
)  # fmt: skip
UNDERLYING = Quote(bid=275.2, ask=275.4, last=275.3)


def context(slot=SLOTS[1], *, stale=False, reference_price=271.49):
    contract_set = ContractSet(
        AAPL, DAY, reference_price, "close of 2025-11-21", (CALL,), SESSION.open_utc, DAY, "f", stale=stale
    )
    return CaptureContext(slot, contract_set, "SMART", timedelta(seconds=120), MarketDataType.DELAYED)


def row_of(sample, **changes):
    (row,) = quote_rows([sample], context(**changes))
    return row


def sampled(seconds=8.0, quote=LIVE, slot=SLOTS[1], exchange="SMART", **fields):
    asof = slot.instant_utc + timedelta(seconds=seconds)
    return Sample(CALL, exchange, asof, quote, replace(UNDERLYING, last_tick_at=asof - timedelta(seconds=1)), **fields)


def test_a_kept_quote_carries_every_value():
    ticked_at = SLOTS[1].instant_utc + timedelta(seconds=7)

    row = row_of(sampled(seconds=8.0))

    expected = {
        "conid": 700001, "bid": 5.0, "ask": 5.2, "mid": 5.1, "last": 5.1, "volume": 1234, "iv": 0.24, "delta": 0.51,
        "greeks_source": "ib_model", "und_bid": 275.2, "und_last": 275.3, "und_asof_ts": ticked_at,
        "reference_price": 271.49, "capture_mode": "on_time", "market_data_type": 1, "market_data_type_requested": 3,
        "snapshot_error": False, "error_type": None, "quote_exchange": "SMART", "data_quality_flag": [],
    }  # fmt: skip
    assert row["mid"] == pytest.approx(expected.pop("mid"))
    assert {name: row[name] for name in expected} == expected


def test_a_late_quote_says_so():
    row = row_of(sampled(seconds=121))

    assert row["capture_mode"] == "late"
    assert row["data_quality_flag"] == ["late_capture"]


@pytest.mark.parametrize(
    ("sample", "changes", "error_type"),
    [
        pytest.param(sampled(seconds=1800), {}, "out_of_time", id="slot-over"),
        pytest.param(
            sampled(quote=Quote(bid=1.0, market_data_type=MarketDataType.FROZEN)), {}, "no_quote", id="frozen"
        ),
        pytest.param(
            sampled(error_type="no_permission", message="IB 354: not subscribed", ib_error_code=354), {},
            "no_permission", id="refused",
        ),
    ],
)  # fmt: skip
def test_what_is_no_quote_of_the_slot_keeps_no_price(sample, changes, error_type):
    row = row_of(sample, **changes)

    assert row["snapshot_error"] is True
    assert row["error_type"] == error_type
    assert row["error_message"]
    assert row["capture_mode"] is None
    assert not {"bid", "ask", "last", "mid", "iv", "delta", "volume"} & set(row)


def test_frozen_values_are_the_close():
    close = SLOTS[-1]
    frozen = Quote(bid=5.0, ask=5.2, iv=0.2, delta=0.5, market_data_type=MarketDataType.FROZEN)

    row = row_of(sampled(seconds=600, quote=frozen, slot=close), slot=close)

    assert row["capture_mode"] == "frozen"
    assert "frozen" in row["data_quality_flag"]


def test_circumstances_of_the_capture_are_flagged():
    row = row_of(sampled(exchange="CBOE"), stale=True)

    assert row["quote_exchange"] == "CBOE"
    assert row["data_quality_flag"] == ["fallback_exchange", "discovery_stale"]


def test_a_delayed_quote_states_its_nominal_age():
    delayed = Quote(bid=5.0, ask=5.2, iv=0.2, delta=0.5, market_data_type=MarketDataType.DELAYED)

    row = row_of(sampled(quote=delayed))

    # IBKR: delayed data are 15 to 20 minutes old
    assert row["delayed_quote_age_s"] == 900.0
    assert "delayed_fallback" in row["data_quality_flag"]


def test_an_unknown_reference_price_is_null():
    assert row_of(sampled(), reference_price=0.0)["reference_price"] is None


@pytest.mark.parametrize(
    "sample",
    [
        sampled(), sampled(seconds=300), sampled(exchange="CBOE"), sampled(seconds=1800),
        sampled(error_type="timed_out", message="nothing", quote=Quote()),
        sampled(quote=Quote(ask=0.05, market_data_type=None)),
    ],
)  # fmt: skip
def test_the_store_accepts_every_kind_of_row(sample):
    rows = quote_rows([sample], context())

    table = attempt_table(
        SLOTS[1], ChainPartition(DAY, "AAPL", "SMART"), rows, IngestRun("abc", 1), sample.asof + timedelta(seconds=1)
    )

    assert table.num_rows == 1
