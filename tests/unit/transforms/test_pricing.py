"""Volatility and greeks against textbook values.

Hull: *Options, Futures, and Other Derivatives*: the Black-Scholes-Merton example (stock 42, strike 40), the implied
volatility example (call at 1.875), the chapter on the greek letters (stock 49, strike 50, 20 weeks), and DerivaGem's
value of the American put of the chapter on trees. Longstaff and Schwartz (2001), *Valuing American Options by
Simulation*, table 1: finite-difference values of American puts, exercisable 50 times a year.
"""

import pytest

from opt_data.transforms.pricing import MODEL_AMERICAN, MODEL_EUROPEAN, OptionTerms, greeks_of_price


def european(right: str, strike: float, years: float) -> OptionTerms:
    return OptionTerms(right, strike, years, is_american=False)


def american(right: str, strike: float, years: float) -> OptionTerms:
    return OptionTerms(right, strike, years, is_american=True)


@pytest.mark.parametrize(
    ("price", "spot", "terms", "rate", "iv"),
    [
        (4.76, 42.0, european("C", 40.0, 0.5), 0.10, 0.20),
        (0.81, 42.0, european("P", 40.0, 0.5), 0.10, 0.20),
        (1.875, 21.0, european("C", 20.0, 0.25), 0.10, 0.235),
        (2.40, 49.0, european("C", 50.0, 0.3846), 0.05, 0.20),
    ],
)
def test_volatility_behind_hulls_prices(price: float, spot: float, terms: OptionTerms, rate: float, iv: float) -> None:
    greeks = greeks_of_price(price, spot, terms, rate)

    assert greeks is not None
    assert greeks.iv == pytest.approx(iv, abs=0.001)


def test_greeks_of_hulls_example() -> None:
    greeks = greeks_of_price(2.40, 49.0, european("C", 50.0, 0.3846), 0.05)

    assert greeks is not None
    assert greeks.delta == pytest.approx(0.522, abs=0.001)
    assert greeks.gamma == pytest.approx(0.066, abs=0.001)
    assert greeks.vega * 100 == pytest.approx(12.1, abs=0.05)
    assert greeks.theta * 365 == pytest.approx(-4.31, abs=0.01)
    assert greeks.rho * 100 == pytest.approx(8.91, abs=0.02)


@pytest.mark.parametrize(
    ("price", "spot", "years", "iv"),
    [
        (4.478, 36.0, 1.0, 0.20),
        (4.840, 36.0, 2.0, 0.20),
        (7.101, 36.0, 1.0, 0.40),
        (8.508, 36.0, 2.0, 0.40),
        (3.250, 38.0, 1.0, 0.20),
        (2.314, 40.0, 1.0, 0.20),
        (1.110, 44.0, 1.0, 0.20),
    ],
)
def test_volatility_behind_published_american_puts(price: float, spot: float, years: float, iv: float) -> None:
    greeks = greeks_of_price(price, spot, american("P", 40.0, years), 0.06)

    assert greeks is not None
    assert greeks.iv == pytest.approx(iv, abs=0.001)


def test_hulls_american_put_is_worth_more_than_the_european_one() -> None:
    early = greeks_of_price(4.283, 50.0, american("P", 50.0, 5 / 12), 0.10)
    late = greeks_of_price(4.283, 50.0, european("P", 50.0, 5 / 12), 0.10)

    assert early is not None
    assert late is not None
    assert early.iv == pytest.approx(0.40, abs=0.001)
    assert late.iv > early.iv + 0.01


def test_without_dividends_an_american_call_is_a_european_one() -> None:
    assert greeks_of_price(4.76, 42.0, american("C", 40.0, 0.5), 0.10) == greeks_of_price(
        4.76, 42.0, european("C", 40.0, 0.5), 0.10
    )


@pytest.mark.parametrize("years", [1.0, 30 / (365 * 24 * 60)])
def test_half_an_hour_is_not_rounded_to_days(years: float) -> None:
    """An at-the-money option is worth about 0.4 × spot × volatility × √time, without a rate (Brenner, Subrahmanyam)."""
    greeks = greeks_of_price(0.398942 * 100 * 0.2 * years**0.5, 100.0, european("C", 100.0, years), 0.0)

    assert greeks is not None
    assert greeks.iv == pytest.approx(0.2, rel=0.01)


@pytest.mark.parametrize(
    ("price", "spot", "terms"),
    [
        pytest.param(1.9, 42.0, european("C", 40.0, 0.5), id="below intrinsic"),
        pytest.param(43.0, 42.0, european("C", 40.0, 0.5), id="dearer than the share"),
        pytest.param(0.0, 42.0, european("C", 40.0, 0.5), id="no price"),
        pytest.param(2.5, 42.0, european("C", 40.0, 0.0), id="expired"),
        pytest.param(2.5, 0.0, european("C", 40.0, 0.5), id="no underlying"),
        pytest.param(10.0, 30.0, american("P", 40.0, 1.0), id="worth exercising now: any low volatility gives it"),
    ],
)
def test_a_price_without_a_volatility_gives_nothing(price: float, spot: float, terms: OptionTerms) -> None:
    assert greeks_of_price(price, spot, terms, 0.05) is None


def test_the_model_is_named() -> None:
    assert european("C", 1.0, 1.0).model == MODEL_EUROPEAN == "black_scholes_european"
    assert american("C", 1.0, 1.0).model == MODEL_AMERICAN == "black_scholes_american"
