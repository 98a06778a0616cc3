"""Implied volatility and greeks of one option from its price, by QuantLib; American exercise included.

QuantLib counts time in whole days. An option's last hours matter here, so every valuation is of a contract that runs
for exactly one year, with volatility and rate scaled by the true time: the price of a geometric Brownian motion depends
on them only through σ√T and rT, early exercise included.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

MODEL_EUROPEAN = "black_scholes_european"
MODEL_AMERICAN = "black_scholes_american"

IV_MIN, IV_MAX = 0.001, 10.0
"""Implied volatilities outside are not looked for: the price is then no price of this model."""

_IV_ACCURACY = 1e-9
_SPOT_STEP = 1e-4
_VOLATILITY_STEP = 1e-4
_RATE_STEP = 1e-5
_EXERCISED = 1e-7
DAYS_PER_YEAR = 365.0


@dataclass(frozen=True, slots=True)
class OptionTerms:
    """What is priced: ``right`` C or P, strike in USD per share, time to expiry in years of 365 days (> 0)."""

    right: str
    strike: float
    years: float
    is_american: bool

    @property
    def model(self) -> str:
        return MODEL_AMERICAN if self.is_american else MODEL_EUROPEAN


@dataclass(frozen=True, slots=True)
class Greeks:
    """In the units of the stored columns.

    ``iv`` a fraction per year; ``delta`` USD per USD; ``gamma`` 1 per USD; ``vega`` USD per percentage point of
    volatility; ``theta`` USD per calendar day; ``rho`` USD per percentage point of the rate.
    """

    iv: float
    delta: float
    gamma: float
    vega: float
    theta: float
    rho: float


def greeks_of_price(price: float, spot: float, terms: OptionTerms, rate: float) -> Greeks | None:
    """The implied volatility of a price, and the greeks at it; no dividends.

    Parameters
    ----------
    price
        USD per share, e.g. the mid.
    spot
        The underlying at the same instant, USD per share.
    terms
        The option.
    rate
        Risk-free, a fraction per year, continuously compounded.

    Returns
    -------
    Greeks or None
        None where no volatility between ``IV_MIN`` and ``IV_MAX`` gives the price: it is below what exercising gives,
        or above what the option can be worth; and where time or spot leave nothing to price.
    """
    if not (price > 0 and spot > 0 and terms.years > 0):
        return None
    value = _pricer(terms, rate)
    iv = _implied_volatility(price, lambda sigma: value(spot, sigma, rate))
    if iv is None:
        return None
    h = spot * _SPOT_STEP
    middle = value(spot, iv, rate)
    up, down = value(spot + h, iv, rate), value(spot - h, iv, rate)
    delta = (up - down) / (2 * h)
    gamma = (up - 2 * middle + down) / (h * h)
    vega = (value(spot, iv + _VOLATILITY_STEP, rate) - value(spot, iv - _VOLATILITY_STEP, rate)) / (
        2 * _VOLATILITY_STEP
    )
    rho = (value(spot, iv, rate + _RATE_STEP) - value(spot, iv, rate - _RATE_STEP)) / (2 * _RATE_STEP)
    theta = _theta(middle, spot, terms, rate, iv, delta, gamma)
    return Greeks(iv, delta, max(0.0, gamma), vega / 100, theta / DAYS_PER_YEAR, rho / 100)


def _theta(price: float, spot: float, terms: OptionTerms, rate: float, iv: float, delta: float, gamma: float) -> float:
    """Change per year as time passes: what the pricing equation leaves for it; nothing once exercising is best."""
    gain = spot - terms.strike if terms.right == "C" else terms.strike - spot
    if terms.is_american and price <= gain + _EXERCISED:
        return 0.0
    return rate * price - rate * spot * delta - 0.5 * iv * iv * spot * spot * gamma


def _implied_volatility(price: float, value_at: Callable[[float], float]) -> float | None:
    import QuantLib

    low, high = IV_MIN * 2, IV_MAX
    if not value_at(low) < price < value_at(high):
        return None
    solver = QuantLib.Brent()
    solver.setMaxEvaluations(200)
    return float(solver.solve(lambda sigma: value_at(sigma) - price, _IV_ACCURACY, 0.3, low, high))


def _pricer(terms: OptionTerms, rate: float) -> Callable[[float, float, float], float]:
    """The option's value as a function of spot, volatility and rate.

    Without dividends a call is never worth exercising early unless the rate is negative, nor a put unless it is
    positive: those have the European value, which is cheaper to compute.
    """
    may_be_exercised = rate > 0 if terms.right == "P" else rate < 0
    parts = _unit_year(terms.is_american and may_be_exercised)
    option = parts.option(terms.right, terms.strike)
    root = math.sqrt(terms.years)

    def value(spot: float, sigma: float, at_rate: float) -> float:
        parts.spot.setValue(spot)
        parts.volatility.setValue(sigma * root)
        parts.rate.setValue(at_rate * terms.years)
        return float(option.NPV())

    return value


class _UnitYear:
    """A QuantLib market in which every option runs for one year of 365 days."""

    def __init__(self, *, is_american: bool) -> None:
        import QuantLib

        self._library = QuantLib
        today = QuantLib.Date(1, 1, 2001)
        QuantLib.Settings.instance().evaluationDate = today
        end = today + 365
        self.spot, self.rate, self.volatility = (
            QuantLib.SimpleQuote(1.0),
            QuantLib.SimpleQuote(0.0),
            QuantLib.SimpleQuote(0.2),
        )
        calendar, day_count = QuantLib.NullCalendar(), QuantLib.Actual365Fixed()
        curve = QuantLib.YieldTermStructureHandle(
            QuantLib.FlatForward(today, QuantLib.QuoteHandle(self.rate), day_count)
        )
        nothing = QuantLib.YieldTermStructureHandle(QuantLib.FlatForward(today, 0.0, day_count))
        surface = QuantLib.BlackVolTermStructureHandle(
            QuantLib.BlackConstantVol(today, calendar, QuantLib.QuoteHandle(self.volatility), day_count)
        )
        process = QuantLib.BlackScholesMertonProcess(QuantLib.QuoteHandle(self.spot), nothing, curve, surface)
        if is_american:
            self._exercise: Any = QuantLib.AmericanExercise(today, end)
            self._engine: Any = QuantLib.QdFpAmericanEngine(process, QuantLib.QdFpAmericanEngine.accurateScheme())
        else:
            self._exercise = QuantLib.EuropeanExercise(end)
            self._engine = QuantLib.AnalyticEuropeanEngine(process)

    def option(self, right: str, strike: float) -> Any:
        """A QuantLib option with the engine of this market."""
        library = self._library
        payoff = library.PlainVanillaPayoff(library.Option.Call if right == "C" else library.Option.Put, strike)
        option = library.VanillaOption(payoff, self._exercise)
        option.setPricingEngine(self._engine)
        return option


@lru_cache(maxsize=2)
def _unit_year(is_american: bool) -> _UnitYear:
    return _UnitYear(is_american=is_american)
