"""The pricing model against the worked examples of a textbook."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibsim.market.pricing import implied_volatility, option_price, value_option

# John C. Hull, "Options, Futures, and Other Derivatives", 9th edition.


def test_prices_of_example_15_6():
    assert option_price(True, 42, 40, 0.5, 0.2, 0.10, 0.0) == pytest.approx(4.76, abs=0.005)
    assert option_price(False, 42, 40, 0.5, 0.2, 0.10, 0.0) == pytest.approx(0.81, abs=0.005)


def test_price_with_dividend_yield_of_example_17_1():
    # index 930, strike 900, 8 % rate, 3 % yield, 20 %, two months: 51.83
    assert option_price(True, 930, 900, 2 / 12, 0.2, 0.08, 0.03) == pytest.approx(51.83, abs=0.005)


def test_greeks_of_chapter_19():
    value = value_option(True, 49, 50, 0.3846, 0.2, 0.05, 0.0)
    assert value.delta == pytest.approx(0.522, abs=0.0005)
    assert value.gamma == pytest.approx(0.066, abs=0.0005)
    assert value.vega * 100 == pytest.approx(12.1, abs=0.05)
    assert value.theta * 365 == pytest.approx(-4.31, abs=0.005)


def test_implied_volatility_of_section_15_11():
    assert implied_volatility(1.875, True, 21, 20, 0.25, 0.10, 0.0, guess=0.2) == pytest.approx(0.235, abs=0.0005)


@pytest.mark.parametrize("price", [0.0, 0.99, 21.0])
def test_no_volatility_gives_a_price_outside_the_bounds(price):
    assert implied_volatility(price, True, 21, 20, 0.25, 0.0, 0.0, guess=0.2) is None


@given(
    st.booleans(),
    st.floats(50, 150),
    st.floats(0.05, 2.0),
    st.floats(0.1, 1.0),
    st.floats(0.0, 0.08),
    st.floats(0.0, 0.05),
)
def test_greeks_are_the_slopes_of_the_price(is_call, strike, years, iv, rate, dividends):
    value = value_option(is_call, 100.0, strike, years, iv, rate, dividends)

    def price(spot=100.0, t=years, v=iv):
        return option_price(is_call, spot, strike, t, v, rate, dividends)

    assert value.delta == pytest.approx((price(100.01) - price(99.99)) / 0.02, abs=1e-5)
    assert value.gamma == pytest.approx((price(100.1) - 2 * price() + price(99.9)) / 0.01, abs=1e-4)
    assert value.vega == pytest.approx((price(v=iv + 1e-4) - price(v=iv - 1e-4)) / 2e-4 / 100, abs=1e-4)
    assert value.theta == pytest.approx(-(price(t=years + 1e-5) - price(t=years - 1e-5)) / 2e-5 / 365, abs=1e-4)
