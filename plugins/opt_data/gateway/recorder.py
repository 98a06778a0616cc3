"""From IB's tick numbers to the values of a quote, one recorder per request."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from opt_data.core.clock import Clock
from opt_data.core.quotes import (
    MarketDataType,
    Quote,
    finite,
    greek_or_none,
    model_price_or_none,
    price_or_none,
    size_or_none,
    volatility_or_none,
)

# tick number -> field of Quote; the second of each pair is the delayed feed's number
_PRICES = {
    1: "bid", 66: "bid", 2: "ask", 67: "ask", 4: "last", 68: "last", 6: "day_high", 72: "day_high",
    7: "day_low", 73: "day_low", 9: "prev_close", 75: "prev_close", 14: "day_open", 76: "day_open", 37: "mark_price",
}  # fmt: skip
_SIZES = {0: "bid_size", 69: "bid_size", 3: "ask_size", 70: "ask_size", 5: "last_size", 71: "last_size",
          8: "volume", 74: "volume"}  # fmt: skip
_PRICE_SIZES = {1: "bid_size", 66: "bid_size", 2: "ask_size", 67: "ask_size", 4: "last_size", 68: "last_size"}
_MODEL, _BID_MODEL, _ASK_MODEL = {13, 83}, {10, 80}, {11, 81}
_LAST_TIME = {45, 88}
_RT_VOLUME = {48, 77}
_HALTED = {49, 90}
_HIST_VOLATILITY = 23
_OPEN_INTEREST = {27: "C", 28: "P"}
_DELAYED = frozenset({66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 80, 81, 82, 83, 88, 90})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class TickRecorder:
    """Folds the ticks of one request into a ``Quote`` and tells a listener after each.

    Parameters
    ----------
    clock
        Stamps the arrival of ticks.
    on_tick
        Called after every tick that concerned a stored value.
    right
        ``C`` or ``P`` for an option, empty for an underlying. Open interest comes on two ticks, one per right; the
        other right's says 0, or nothing at all.

    ``is_heard`` says that the gateway has said anything at all about the request: it has received it.
    """

    def __init__(self, clock: Clock, on_tick: Callable[[], None], right: str = "") -> None:
        self.quote = Quote()
        self.is_heard = False
        self._right = right
        self._clock = clock
        self._on_tick = on_tick

    def price(self, tick: int, price: float, size: float) -> None:
        name = _PRICES.get(tick)
        if name is None:
            return
        value = price_or_none(price)
        setattr(self.quote, name, value)
        if (size_name := _PRICE_SIZES.get(tick)) is not None:
            setattr(self.quote, size_name, size_or_none(size) if value is not None else None)
        self._arrived(tick)

    def size(self, tick: int, size: float) -> None:
        if tick in _OPEN_INTEREST:
            if _OPEN_INTEREST[tick] == self._right and (contracts := size_or_none(size)) is not None:
                self.quote.open_interest = int(contracts)
                self._arrived(tick)
            return
        name = _SIZES.get(tick)
        if name is None:
            return
        setattr(self.quote, name, size_or_none(size) if self._side_exists(name) else None)
        self._arrived(tick)

    def generic(self, tick: int, value: float) -> None:
        if tick in _HALTED:
            # -1 means that the halt status is not known
            self.quote.halted = int(value) if finite(value) is not None and value >= 0 else None
        elif tick == _HIST_VOLATILITY:
            self.quote.hist_volatility = volatility_or_none(value)
        else:
            return
        self._arrived(tick)

    def string(self, tick: int, value: str) -> None:
        if tick in _LAST_TIME:
            self._traded_at(_from_epoch(value, 1.0))
        elif tick in _RT_VOLUME:
            self._rt_volume(value)
        else:
            return
        self._arrived(tick)

    def computation(self, tick: int, *values: float) -> None:
        iv, delta, opt_price, pv_dividend, gamma, vega, theta, und_price = values
        quote = self.quote
        if tick in _MODEL:
            quote.iv = volatility_or_none(iv)
            quote.delta = greek_or_none(delta)
            quote.gamma = greek_or_none(gamma)
            quote.vega = greek_or_none(vega)
            quote.theta = greek_or_none(theta)
            quote.opt_price = model_price_or_none(opt_price)
            quote.pv_dividend = model_price_or_none(pv_dividend)
            quote.und_price_model = price_or_none(und_price)
        elif tick in _BID_MODEL:
            quote.bid_iv = volatility_or_none(iv)
        elif tick in _ASK_MODEL:
            quote.ask_iv = volatility_or_none(iv)
        else:
            return
        self._arrived(tick)

    def heard(self) -> None:
        """Something arrived that holds no value."""
        self.is_heard = True

    def market_data_type(self, served: int) -> None:
        self.heard()
        try:
            self.quote.market_data_type = MarketDataType(served)
        except ValueError:
            self.quote.market_data_type = None

    def _side_exists(self, size_name: str) -> bool:
        """IB repeats sizes in a message of their own, also the size 0 of a side that has no price."""
        quote = self.quote
        if size_name == "bid_size":
            return quote.bid is not None
        if size_name == "ask_size":
            return quote.ask is not None
        return True

    def _rt_volume(self, text: str) -> None:
        """RTVolume: last price; size; time in ms; volume; VWAP; single trade. Parts may be empty."""
        parts = text.split(";")
        if len(parts) != 6:
            return
        vwap = _number(parts[4])
        if vwap is not None:
            self.quote.vwap = price_or_none(vwap)
        self._traded_at(_from_epoch(parts[2], 1000.0))

    def _traded_at(self, at: datetime | None) -> None:
        """Two ticks tell the last trade's time, one to the second and one to the millisecond: keep the later."""
        known = self.quote.last_trade_time
        if at is not None and (known is None or at > known):
            self.quote.last_trade_time = at

    def _arrived(self, tick: int) -> None:
        self.heard()
        now = self._clock.now()
        if self.quote.first_tick_at is None:
            self.quote.first_tick_at = now
        self.quote.last_tick_at = now
        if tick in _DELAYED:
            self.quote.has_delayed_ticks = True
        self._on_tick()


def _number(text: str) -> float | None:
    try:
        return finite(float(text))
    except ValueError:
        return None


def _from_epoch(text: str, per_second: float) -> datetime | None:
    value = _number(text)
    return _EPOCH + timedelta(seconds=value / per_second) if value else None
