"""What textbooks say an option on a share without dividends is worth, and how that changes.

Calls: the formulas of Black and Scholes (1973); Merton (1973) shows that exercising one early is never best. Puts: the
same, and what the right to exercise early adds, by the binomial tree of Cox, Ross and Rubinstein (1979): the tree's
American value less its European one, in which most of the tree's error cancels (Hull's control variate), and greeks
read off its first nodes as Hull does. Years of 365 days.
"""

from dataclasses import dataclass, replace
from math import erf, exp, log, pi, sqrt

import numpy as np

STEPS = 400
LOWEST, HIGHEST = 0.002, 10.0
"""Between these volatilities the one behind a price is looked for."""
FORMULA_ERROR, TREE_ERROR, TREE_ERROR_OF_RHO = 1e-5, 1e-3, 4e-3
"""How far numbers may be from these, of a call and of a put: the formulas are exact, of a tree ten times as fine the
errors are a tenth."""


@dataclass(frozen=True)
class Option:
    """Rates and volatilities are fractions per year, the rate continuously compounded."""

    right: str
    strike: float
    years: float
    spot: float
    rate: float
    volatility: float = LOWEST

    def at(self, **changes: float) -> "Option":
        return replace(self, **changes)


def relative_error(option: Option, name: str) -> float:
    """How exact a number of the option is."""
    if option.right == "C":
        return FORMULA_ERROR
    return TREE_ERROR_OF_RHO if name == "rho" else TREE_ERROR


def value(option: Option) -> float:
    european = _black_scholes(option)[0]
    return european if option.right == "C" else european + _early_exercise(option)[0]


def volatility_behind(price: float, option: Option) -> float | None:
    """The volatility at which an option has a price; None where there is none. By bisection."""
    low, high = LOWEST, HIGHEST
    if not value(option.at(volatility=low)) < price < value(option.at(volatility=high)):
        return None
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if value(option.at(volatility=middle)) < price else (low, middle)
    return (low + high) / 2


def greeks(option: Option) -> dict[str, float]:
    """Per dollar of the share; vega and rho per percentage point, theta per calendar day."""
    numbers = _black_scholes(option)[1:]
    if option.right == "P":
        early = (*_early_exercise(option)[1:], _slope(option, "volatility", 0.01), _slope(option, "rate", 0.002))
        numbers = tuple(one + other for one, other in zip(numbers, early, strict=True))
    delta, gamma, theta, vega, rho = numbers
    return {"delta": delta, "gamma": gamma, "theta": theta / 365, "vega": vega / 100, "rho": rho / 100}


def _black_scholes(option: Option) -> tuple[float, ...]:
    """Value, delta, gamma, theta a year, vega, rho."""
    spot, root, sign = option.spot, sqrt(option.years), 1 if option.right == "C" else -1
    width = option.volatility * root
    d1 = (log(spot / option.strike) + option.rate * option.years) / width + width / 2
    owned, paid = _normal(sign * d1), _normal(sign * (d1 - width))
    density = exp(-d1 * d1 / 2) / sqrt(2 * pi)
    discounted = option.strike * exp(-option.rate * option.years)
    return (
        sign * (spot * owned - discounted * paid),
        sign * owned,
        density / (spot * width),
        -spot * density * option.volatility / (2 * root) - sign * option.rate * discounted * paid,
        spot * density * root,
        sign * discounted * option.years * paid,
    )


def _normal(x: float) -> float:
    return (1 + erf(x / sqrt(2))) / 2


def _early_exercise(option: Option) -> tuple[float, float, float, float]:
    """What a put's right to be exercised early adds to value, delta, gamma and theta a year; node i: i moves down."""
    step = option.years / STEPS
    up = exp(option.volatility * sqrt(step))
    probability = (exp(option.rate * step) - 1 / up) / (up - 1 / up)
    stay, move = (weight * exp(-option.rate * step) for weight in (probability, 1 - probability))
    spots = option.spot * up ** np.arange(STEPS, -STEPS - 1, -2.0)
    american = european = np.maximum(option.strike - spots, 0)
    firsts = {}
    for level in reversed(range(STEPS)):
        spots = spots[:-1] / up
        american = np.maximum(stay * american[:-1] + move * american[1:], option.strike - spots)
        european = stay * european[:-1] + move * european[1:]
        firsts[level] = spots, american - european
    (_, (now,)), (spots_1, added_1), (spots_2, added_2) = firsts[0], firsts[1], firsts[2]
    slopes = np.diff(added_2) / np.diff(spots_2)
    gamma = (slopes[0] - slopes[1]) / ((spots_2[0] - spots_2[2]) / 2)
    delta = np.diff(added_1)[0] / np.diff(spots_1)[0]
    return float(now), float(delta), float(gamma), float((added_2[1] - now) / (2 * step))


def _slope(option: Option, name: str, step: float) -> float:
    """Change of what early exercise adds, for a change of one of the option's numbers."""
    at = getattr(option, name)
    up, down = (_early_exercise(option.at(**{name: at + move}))[0] for move in (step, -step))
    return (up - down) / (2 * step)
