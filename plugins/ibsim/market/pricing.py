"""Black, Scholes and Merton: price and greeks of a European option.

With no rate and no dividend yield (the default market) early exercise is worth nothing, so the same numbers are right
for American options. Units as IB shows them: vega per volatility point (0.01), theta per calendar day.
"""

from dataclasses import dataclass
from math import erf, exp, log, pi, sqrt

_ROOT_2 = sqrt(2.0)
_ROOT_2PI = sqrt(2.0 * pi)
YEAR_S = 365.0 * 86400.0
_MIN_YEARS = 60.0 / YEAR_S


@dataclass(frozen=True, slots=True)
class Valuation:
    """Price (USD per share) and greeks of one option."""

    price: float
    delta: float
    gamma: float
    vega: float
    theta: float


def normal_cdf(x: float) -> float:
    return 0.5 * (1.0 + erf(x / _ROOT_2))


def option_price(
    is_call: bool, spot: float, strike: float, years: float, iv: float, rate: float, dividend_yield: float
) -> float:
    """Price in USD per share; ``years`` below a minute count as a minute."""
    years = max(years, _MIN_YEARS)
    width = iv * sqrt(years)
    d1 = (log(spot / strike) + (rate - dividend_yield) * years) / width + 0.5 * width
    sign = 1.0 if is_call else -1.0
    return sign * (
        spot * exp(-dividend_yield * years) * normal_cdf(sign * d1)
        - strike * exp(-rate * years) * normal_cdf(sign * (d1 - width))
    )


def value_option(
    is_call: bool, spot: float, strike: float, years: float, iv: float, rate: float, dividend_yield: float
) -> Valuation:
    """Price and greeks."""
    years = max(years, _MIN_YEARS)
    root = sqrt(years)
    width = iv * root
    d1 = (log(spot / strike) + (rate - dividend_yield) * years) / width + 0.5 * width
    d2 = d1 - width
    sign = 1.0 if is_call else -1.0
    carry, discount = exp(-dividend_yield * years), exp(-rate * years)
    n1, n2 = normal_cdf(sign * d1), normal_cdf(sign * d2)
    density = exp(-0.5 * d1 * d1) / _ROOT_2PI
    theta_year = (
        -spot * carry * density * iv / (2.0 * root)
        - sign * rate * strike * discount * n2
        + sign * dividend_yield * spot * carry * n1
    )
    return Valuation(
        price=sign * (spot * carry * n1 - strike * discount * n2),
        delta=sign * carry * n1,
        gamma=carry * density / (spot * width),
        vega=spot * carry * density * root / 100.0,
        theta=theta_year / 365.0,
    )


def implied_volatility(
    price: float,
    is_call: bool,
    spot: float,
    strike: float,
    years: float,
    rate: float,
    dividend_yield: float,
    guess: float,
) -> float | None:
    """The volatility at which the model gives ``price``; None where no volatility between 0.01 and 5 does."""
    low, high = 0.01, 5.0
    if not (
        option_price(is_call, spot, strike, years, low, rate, dividend_yield)
        < price
        < option_price(is_call, spot, strike, years, high, rate, dividend_yield)
    ):
        return None
    iv = min(max(guess, low), high)
    for _ in range(60):
        value = value_option(is_call, spot, strike, years, iv, rate, dividend_yield)
        gap = value.price - price
        if abs(gap) < 1e-9:
            return iv
        low, high = (low, iv) if gap > 0 else (iv, high)
        slope = value.vega * 100.0
        step = iv - gap / slope if slope > 1e-12 else 0.0
        iv = step if low < step < high else 0.5 * (low + high)
        if high - low < 1e-9:
            return iv
    return iv
