"""Where every underlying stands at every second: a random bridge over the years, and one inside each session.

The price is a pure function of (seed, symbol, second): no state, no dependence on what was asked before. Between two
minutes it follows an arc, so that the highest and lowest price of a minute are known without walking its seconds.
"""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from math import exp, log, sqrt

from ibsim.market.hours import MarketHours, TradingDay
from ibsim.market.noise import normal, number_stream
from ibsim.market.universe import Instrument

#: On this day every instrument closes at its base price.
REFERENCE_DAY = date(2025, 11, 21)
_EPOCH = date(2001, 1, 1)  # a Monday
_SPAN = 4096  # weekdays (15.7 years) on each side of the reference day
_YEAR_SESSIONS = 252.0
_OVERNIGHT_SHARE = 0.3  # of a day's variance


def weekday_index(day: date) -> int:
    """Weekdays since Monday 2001-01-01; a weekend counts as the Friday before."""
    weeks, rest = divmod((day - _EPOCH).days, 7)
    return weeks * 5 + min(rest, 4)


def weekday_of_index(index: int) -> date:
    """The day of a weekday index."""
    weeks, rest = divmod(index, 5)
    return _EPOCH + timedelta(days=weeks * 7 + rest)


_REFERENCE_INDEX = weekday_index(REFERENCE_DAY)


@dataclass(frozen=True, slots=True)
class UnderlyingDay:
    """One session's path in logarithms: ``nodes`` at each minute, ``bends`` the arc's height inside each minute."""

    session: TradingDay
    nodes: tuple[float, ...]
    bends: tuple[float, ...]
    running_high: tuple[float, ...]
    running_low: tuple[float, ...]
    volume_share: tuple[float, ...]

    def log_price(self, second: int) -> float:
        """At ``second`` seconds after the open, between the open and the close."""
        minute, rest = divmod(second, 60)
        if not rest:
            return self.nodes[minute]
        x = rest / 60.0
        start = self.nodes[minute]
        return start + (self.nodes[minute + 1] - start) * x + 4.0 * self.bends[minute] * x * (1.0 - x)

    def turning_seconds(self, minute: int) -> tuple[int, ...]:
        """The seconds inside a minute between which the arc turns; empty where it only rises or only falls."""
        bend = self.bends[minute]
        if bend == 0.0:
            return ()
        turn = 60.0 * (self.nodes[minute + 1] - self.nodes[minute] + 4.0 * bend) / (8.0 * bend)
        if not 0.0 < turn < 60.0:
            return ()
        first = minute * 60 + int(turn)
        return (first, first + 1)


class PricePaths:
    """Prices of all underlyings under one seed."""

    def __init__(self, seed: int, hours: MarketHours) -> None:
        self._seed = seed
        self._hours = hours
        self._bridge: dict[tuple[str, int], float] = {}
        self._days = lru_cache(maxsize=4096)(self._make_day)

    def close(self, instrument: Instrument, day: date) -> float:
        """Closing price (USD, two decimals) of the session on ``day`` or the last one before."""
        session = self._hours.session_on_or_before(day)
        return round(exp(self._log_close(instrument, session.day)), 2)

    def day(self, instrument: Instrument, session: TradingDay) -> UnderlyingDay:
        """The path of one session."""
        return self._days(instrument, session)

    def spot(self, instrument: Instrument, session: TradingDay, instant_s: float) -> float:
        """The price at an instant, held at the session's open before it and at its close after it."""
        second = int(min(max(instant_s, session.open_s), session.close_s)) - session.open_s
        return round(exp(self.day(instrument, session).log_price(second)), 4)

    def _log_close(self, instrument: Instrument, day: date) -> float:
        offset = weekday_index(day) - _REFERENCE_INDEX
        base = log(instrument.base_price)
        if offset == 0:
            return base
        side = 1 if offset > 0 else -1
        distance = min(abs(offset), _SPAN)
        return base + self._bridged(instrument, side, distance)

    def _bridged(self, instrument: Instrument, side: int, at: int) -> float:
        """Brownian bridge from 0 at 0 to 0 at the span's end, by midpoint displacement."""
        low, high, low_value, high_value = 0, _SPAN, 0.0, 0.0
        while True:
            if at == low:
                return low_value
            if at == high:
                return high_value
            middle = (low + high) // 2
            key = (f"{instrument.symbol}{side}", middle)
            value = self._bridge.get(key)
            if value is None:
                spread = instrument.volatility * sqrt((high - low) / 4.0 / _YEAR_SESSIONS)
                value = (low_value + high_value) / 2.0 + spread * normal(self._seed, "bridge", *key)
                self._bridge[key] = value
            if at <= middle:
                high, high_value = middle, value
            else:
                low, low_value = middle, value

    def _make_day(self, instrument: Instrument, session: TradingDay) -> UnderlyingDay:
        numbers = number_stream(self._seed, "day", instrument.symbol, session.day)
        day_sigma = instrument.volatility / sqrt(_YEAR_SESSIONS)
        close = log(self.close(instrument, session.day))
        before = log(self.close(instrument, session.day - timedelta(days=1)))
        gap = _OVERNIGHT_SHARE * (close - before) + 0.2 * day_sigma * numbers.gauss(0.0, 1.0)
        start = before + gap
        minutes = session.minutes
        step_sigma = day_sigma * sqrt((1.0 - _OVERNIGHT_SHARE) / minutes)
        walk = [0.0]
        for _ in range(minutes):
            walk.append(walk[-1] + numbers.gauss(0.0, step_sigma))
        slope = (close - start - walk[-1]) / minutes
        nodes = tuple(start + value + slope * i for i, value in enumerate(walk))
        nodes = (*nodes[:-1], close)
        bends = tuple(numbers.gauss(0.0, 0.5 * step_sigma) for _ in range(minutes))
        weights = [0.6 + 1.6 * ((2.0 * i / minutes - 1.0) ** 2) + 0.3 * numbers.random() for i in range(minutes)]
        return _with_extremes(session, nodes, bends, weights)


def _with_extremes(
    session: TradingDay, nodes: tuple[float, ...], bends: tuple[float, ...], weights: list[float]
) -> UnderlyingDay:
    draft = UnderlyingDay(session, nodes, bends, (), (), ())
    high = low = nodes[0]
    highs, lows, shares = [high], [low], [0.0]
    total = sum(weights)
    for minute, weight in enumerate(weights):
        inside = [draft.log_price(second) for second in draft.turning_seconds(minute)]
        high = max(high, nodes[minute + 1], *inside)
        low = min(low, nodes[minute + 1], *inside)
        highs.append(high)
        lows.append(low)
        shares.append(shares[-1] + weight / total)
    return UnderlyingDay(session, nodes, bends, tuple(highs), tuple(lows), tuple(shares))


def last_index_at_or_before(times: tuple[int, ...], second: int) -> int:
    """Index of the last of the ascending ``times`` that is not after ``second``; -1 before the first."""
    return bisect_right(times, second) - 1
