"""Tick numbers, as IBKR's table of available tick types lists them, land in the right fields."""

from datetime import UTC, datetime

import pytest

from opt_data.core.clock import RunningClock
from opt_data.core.quotes import MarketDataType
from opt_data.gateway.recorder import TickRecorder


@pytest.fixture
def recorder():
    return TickRecorder(RunningClock(datetime(2025, 11, 24, 15, tzinfo=UTC)), lambda: None)


@pytest.mark.parametrize(
    ("tick", "field"),
    [
        (1, "bid"), (2, "ask"), (4, "last"), (6, "day_high"), (7, "day_low"), (9, "prev_close"), (14, "day_open"),
        (37, "mark_price"), (66, "bid"), (67, "ask"), (68, "last"), (72, "day_high"), (73, "day_low"),
        (75, "prev_close"), (76, "day_open"),
    ],
)  # fmt: skip
def test_prices(recorder, tick, field):
    recorder.price(tick, 3.25, 7)

    assert getattr(recorder.quote, field) == 3.25


@pytest.mark.parametrize(
    ("tick", "field"),
    [(0, "bid_size"), (3, "ask_size"), (5, "last_size"), (8, "volume"), (69, "bid_size"), (74, "volume")],
)
def test_sizes(recorder, tick, field):
    recorder.price(1, 1.0, 1)
    recorder.price(2, 1.1, 1)

    recorder.size(tick, 42)

    assert getattr(recorder.quote, field) == 42


def test_a_side_without_price_has_no_size(recorder):
    recorder.price(1, -1.0, 0)
    recorder.size(0, 0)

    assert recorder.quote.bid is None
    assert recorder.quote.bid_size is None


def test_a_side_that_disappears_takes_its_size_along(recorder):
    recorder.price(1, 2.0, 10)
    recorder.price(1, -1.0, 0)

    assert (recorder.quote.bid, recorder.quote.bid_size) == (None, None)


def test_model_computation_with_sentinels(recorder):
    recorder.computation(13, 0.25, -2.0, -1.0, 0.0, -2.0, -2.0, -2.0, 1.7976931348623157e308)

    quote = recorder.quote
    assert quote.iv == 0.25
    assert [quote.delta, quote.gamma, quote.vega, quote.theta, quote.opt_price, quote.und_price_model] == [None] * 6
    assert quote.pv_dividend == 0.0


@pytest.mark.parametrize(("tick", "field"), [(10, "bid_iv"), (11, "ask_iv"), (80, "bid_iv"), (81, "ask_iv")])
def test_side_volatilities_leave_the_model_alone(recorder, tick, field):
    recorder.computation(tick, 0.3, 0.5, 1.0, 0.0, 0.1, 0.1, -0.1, 100.0)

    assert getattr(recorder.quote, field) == 0.3
    assert recorder.quote.iv is None


def test_last_trade_time_keeps_the_finer_of_two_ticks(recorder):
    recorder.string(48, "5.10;2;1763996401250;120;5.05;true")
    recorder.string(45, "1763996401")

    assert recorder.quote.last_trade_time == datetime(2025, 11, 24, 15, 0, 1, 250000, tzinfo=UTC)
    assert recorder.quote.vwap == 5.05


def test_rt_volume_without_a_trade_changes_nothing(recorder):
    recorder.string(48, ";;;0;;false")

    assert recorder.quote.vwap is None
    assert recorder.quote.last_trade_time is None


@pytest.mark.parametrize(("value", "expected"), [(0.0, 0), (1.0, 1), (2.0, 2), (-1.0, None)])
def test_halted(recorder, value, expected):
    recorder.generic(49, value)

    assert recorder.quote.halted == expected


def test_market_data_type_is_unknown_until_told(recorder):
    recorder.price(1, 2.0, 1)
    assert recorder.quote.market_data_type is None

    recorder.market_data_type(3)
    assert recorder.quote.market_data_type is MarketDataType.DELAYED


def test_delayed_ticks_prove_themselves(recorder):
    recorder.price(66, 2.0, 1)

    assert recorder.quote.served_type is MarketDataType.DELAYED


def test_unknown_ticks_are_not_arrivals(recorder):
    recorder.price(15, 2.0, 1)
    recorder.generic(54, 3.0)
    recorder.string(32, "AB")

    assert recorder.quote.is_silent


@pytest.mark.parametrize(
    ("right", "ticks", "expected"),
    [
        pytest.param("C", [(27, 120.0), (28, 0.0)], 120, id="a call reads 27"),
        pytest.param("P", [(27, 0.0), (28, 75.0)], 75, id="a put reads 28"),
        pytest.param("C", [(28, 0.0)], None, id="the other side's zero is no answer"),
        pytest.param("P", [(28, 0.0)], 0, id="nobody holds it"),
        pytest.param("C", [(27, -1.0)], None, id="unset"),
        pytest.param("", [(27, 9000.0), (28, 8000.0)], None, id="an underlying's totals are not a contract's"),
    ],
)
def test_open_interest_is_read_by_the_contracts_right(right, ticks, expected):
    recorder = TickRecorder(RunningClock(datetime(2025, 11, 24, 15, tzinfo=UTC)), lambda: None, right)

    for tick, size in ticks:
        recorder.size(tick, size)

    assert recorder.quote.open_interest == expected
    assert recorder.quote.is_silent is (expected is None)
