"""Flags of a row, one circumstance each."""

from datetime import date

import pytest

from opt_data.core.contracts import OptionContract
from opt_data.core.quality import RowContext, intrinsic, row_flags
from opt_data.core.quotes import MarketDataType, Quote
from opt_data.core.slots import CaptureMode
from opt_data.tables.flags import unknown_flags

CALL = OptionContract(1, "AAPL  251219C00200000", "AAPL", 265598, date(2025, 12, 19), "C", 200.0, 100, "SMART", "AAPL")
PUT = OptionContract(2, "AAPL  251219P00200000", "AAPL", 265598, date(2025, 12, 19), "P", 200.0, 100, "SMART", "AAPL")
ADJUSTED = OptionContract(3, "AMD1  251219C00200000", "AMD", 4391, date(2025, 12, 19), "C", 200.0, 100, "SMART", "AMD1")
ODD = OptionContract(4, "AMD   251219C00200000", "AMD", 4391, date(2025, 12, 19), "C", 200.0, 150, "SMART", "AMD")
WEEKLY_INDEX = OptionContract(5, "SPXW  251219C06000000", "SPX", 416904, date(2025, 12, 19), "C", 6000.0, 100,
                              "SMART", "SPXW")  # fmt: skip


def good(**changes):
    values = dict(bid=4.9, ask=5.1, iv=0.25, delta=0.5, market_data_type=MarketDataType.LIVE)
    return Quote(**(values | changes))


def flags_of(quote, contract=CALL, **context):
    context = dict(capture_mode=CaptureMode.ON_TIME, und_price=200.0) | context
    return row_flags(quote, RowContext(contract, **context))


@pytest.mark.parametrize("flag", ["farm_outage", "clock_skew"])
@pytest.mark.parametrize("is_error", [False, True])
def test_what_was_wrong_with_the_way_is_said_of_quotes_and_of_rows_without_one(flag, is_error):
    assert flag in flags_of(good(), snapshot_error=is_error, **{flag: True})


def test_a_good_row_has_no_flags():
    assert flags_of(good()) == []


@pytest.mark.parametrize(
    ("quote", "expected"),
    [
        pytest.param(good(bid=None), ["no_bid"], id="no-bid"),
        pytest.param(good(bid=5.2), ["crossed"], id="crossed"),
        pytest.param(good(bid=5.1), ["locked"], id="locked"),
        # ask > 10 x bid with a mid above $1: the published blown-spread rule
        pytest.param(good(bid=0.2, ask=2.5), ["wide"], id="wide"),
        pytest.param(good(bid=0.01, ask=0.2), [], id="cheap-is-not-wide"),
        pytest.param(good(iv=None), ["missing_greeks"], id="no-iv"),
        pytest.param(good(delta=None), ["missing_greeks"], id="no-delta"),
        pytest.param(good(iv=6.0), ["iv_out_of_range"], id="iv-600-percent"),
        pytest.param(good(iv=0.005), ["iv_out_of_range"], id="iv-half-a-percent"),
        pytest.param(good(delta=-0.4), ["delta_out_of_range"], id="call-with-negative-delta"),
        pytest.param(good(market_data_type=None), ["md_type_unconfirmed"], id="unconfirmed"),
        pytest.param(good(market_data_type=MarketDataType.DELAYED), ["delayed_fallback"], id="delayed"),
    ],
)
def test_flags_of_the_quote(quote, expected):
    assert flags_of(quote) == expected


@pytest.mark.parametrize(
    ("contract", "und_price", "ask", "expected"),
    [
        pytest.param(CALL, 210.0, 9.9, ["below_intrinsic"], id="call"),
        pytest.param(PUT, 190.0, 9.9, ["below_intrinsic"], id="put"),
        pytest.param(CALL, None, 9.9, [], id="unknown-underlying"),
        pytest.param(CALL, 210.0, 10.0, [], id="at-intrinsic"),
    ],
)
def test_below_intrinsic_is_judged_by_the_offer(contract, und_price, ask, expected):
    delta = 0.5 if contract.right == "C" else -0.5
    quote = good(bid=ask - 0.5, ask=ask, delta=delta)

    assert flags_of(quote, contract, und_price=und_price) == expected


@pytest.mark.parametrize(
    ("und_age_s", "und_price_model", "expected"),
    [
        pytest.param(59.0, 200.5, [], id="together"),
        pytest.param(61.0, 200.5, ["und_async"], id="old"),
        # more than half a percent apart
        pytest.param(1.0, 201.1, ["und_async"], id="model-used-another-price"),
        pytest.param(None, None, [], id="nothing-known"),
    ],
)
def test_underlying_from_another_moment(und_age_s, und_price_model, expected):
    assert flags_of(good(und_price_model=und_price_model), und_age_s=und_age_s) == expected


def test_circumstances_are_flagged_also_without_a_quote():
    flags = flags_of(Quote(), snapshot_error=True, capture_mode=None, discovery_stale=True, used_fallback_exchange=True)

    assert flags == ["snapshot_error", "fallback_exchange", "discovery_stale"]


@pytest.mark.parametrize(("contract", "expected"), [(ADJUSTED, True), (ODD, True), (WEEKLY_INDEX, False)])
def test_adjusted_contracts(contract, expected):
    assert ("adjusted_contract" in flags_of(good(), contract, und_price=None)) is expected


def test_the_close_is_flagged_frozen():
    assert flags_of(good(market_data_type=MarketDataType.FROZEN), capture_mode=CaptureMode.FROZEN) == ["frozen"]


def test_every_flag_is_a_known_one():
    everything = flags_of(
        good(bid=5.2, iv=9.0, delta=-1.5, market_data_type=MarketDataType.DELAYED_FROZEN),
        ADJUSTED, capture_mode=CaptureMode.LATE, used_fallback_exchange=True, discovery_stale=True,
    )  # fmt: skip

    assert not unknown_flags(everything)


def test_intrinsic_is_never_negative():
    assert intrinsic(CALL, 150.0) == 0.0
    assert intrinsic(PUT, 150.0) == 50.0
