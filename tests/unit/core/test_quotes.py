"""Sentinels become absence, and completeness asks for what it says."""

import math

import pytest

from opt_data.core import quotes
from opt_data.core.quotes import MarketDataType, Quote, Wanted, is_complete, is_usable

DBL_MAX = 1.7976931348623157e308  # C++'s largest double: IB's "unset"


@pytest.mark.parametrize("unset", [math.nan, math.inf, -math.inf, DBL_MAX, -DBL_MAX])
@pytest.mark.parametrize(
    "clean",
    [
        quotes.price_or_none, quotes.size_or_none, quotes.volatility_or_none, quotes.model_price_or_none,
        quotes.greek_or_none,
    ],
)  # fmt: skip
def test_unset_doubles_are_absent_everywhere(clean, unset):
    assert clean(unset) is None


@pytest.mark.parametrize(
    ("clean", "value", "expected"),
    [
        # IB's documented sentinels: -1 "no quote / not computed", -2 "not computed" for greeks
        pytest.param(quotes.price_or_none, -1.0, None, id="price--1"),
        pytest.param(quotes.price_or_none, 0.0, None, id="nobody-bids"),
        pytest.param(quotes.price_or_none, 0.01, 0.01, id="penny"),
        pytest.param(quotes.size_or_none, 0.0, 0.0, id="size-0-is-a-size"),
        pytest.param(quotes.size_or_none, -1.0, None, id="size--1"),
        pytest.param(quotes.volatility_or_none, -1.0, None, id="iv--1"),
        pytest.param(quotes.volatility_or_none, 0.0, None, id="iv-0"),
        pytest.param(quotes.greek_or_none, -2.0, None, id="greek--2"),
        pytest.param(quotes.greek_or_none, -1.0, -1.0, id="delta--1-is-a-delta"),
        pytest.param(quotes.model_price_or_none, 0.0, 0.0, id="no-dividends"),
        pytest.param(quotes.model_price_or_none, -1.0, None, id="model-price--1"),
    ],
)
def test_ib_sentinels(clean, value, expected):
    assert clean(value) == expected


@pytest.mark.parametrize(
    ("quote", "require_greeks", "expected"),
    [
        pytest.param(Quote(), False, False, id="nothing"),
        pytest.param(Quote(prev_close=3.0), False, False, id="yesterday-is-no-quote"),
        pytest.param(Quote(ask=3.0), False, True, id="one-side-is-enough"),
        pytest.param(Quote(ask=3.0), True, False, id="greeks-wanted"),
        pytest.param(Quote(ask=3.0, iv=0.2), True, False, id="iv-alone-is-not-the-model"),
        pytest.param(Quote(ask=3.0, iv=0.2, delta=0.5), True, True, id="price-and-model"),
        pytest.param(Quote(iv=0.2, delta=0.5), True, False, id="model-without-price"),
    ],
)
def test_completeness(quote, require_greeks, expected):
    assert is_complete(quote, require_greeks=require_greeks) is expected


@pytest.mark.parametrize(
    ("bid", "ask", "expected"),
    [(1.0, 1.5, 1.25), (1.5, 1.5, 1.5), (2.0, 1.0, None), (None, 1.0, None), (1.0, None, None)],
)
def test_mid_needs_an_orderly_spread(bid, ask, expected):
    assert Quote(bid=bid, ask=ask).mid() == expected


def test_served_type_is_unknown_until_said_or_proven():
    assert Quote(bid=1.0).served_type is None
    assert Quote(bid=1.0, has_delayed_ticks=True).served_type is MarketDataType.DELAYED
    assert Quote(market_data_type=MarketDataType.LIVE).served_type is MarketDataType.LIVE


@pytest.mark.parametrize(
    ("quote", "expected"),
    [
        pytest.param(Quote(open_interest=0), True, id="nobody holds it"),
        pytest.param(Quote(bid=1.0, iv=0.2, delta=0.5), False, id="a whole quote without it"),
        pytest.param(Quote(), False, id="nothing"),
    ],
)
def test_open_interest_is_complete_by_itself(quote, expected):
    assert is_complete(quote, require_greeks=True, wanted=Wanted.OPEN_INTEREST) is expected
    assert is_usable(quote, Wanted.OPEN_INTEREST) is expected


def test_a_quote_that_ran_out_of_time_needs_a_price():
    assert is_usable(Quote(last=1.0), Wanted.QUOTE)
    assert not is_usable(Quote(open_interest=5), Wanted.QUOTE)
