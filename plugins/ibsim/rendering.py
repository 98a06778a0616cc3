"""From a quote to the ticks that show it, in the order in which a gateway sends them."""

from ibsim.market.quotes import Computation, Quote
from ibsim.messages.ticks import (
    DELAYED,
    AnyTick,
    TickComputation,
    TickGeneric,
    TickPrice,
    TickSize,
    TickString,
)
from ibsim.serving import Serving

NO_PRICE = -1.0
_NO_GREEK = -2.0
_NONE = Computation()


def parse_generic_ticks(generic_ticks: str) -> frozenset[str]:
    """The tokens of a generic tick list."""
    return frozenset(token.strip().split(":")[0] for token in generic_ticks.split(",") if token.strip())


class TickRenderer:
    """Renders the quotes of one request.

    Parameters
    ----------
    req_id
        Which request.
    option_right
        ``C`` or ``P``; empty for underlyings.
    generics
        Generic ticks asked for.
    serving
        Live or delayed ids; hidden quotes show as price -1 and size 0.
    """

    def __init__(self, req_id: int, option_right: str, generics: frozenset[str], serving: Serving) -> None:
        self._req_id = req_id
        self._right = option_right
        self._generics = generics
        self._serving = serving

    def _id(self, tick_type: int) -> int:
        return DELAYED.get(tick_type, tick_type) if self._serving.is_delayed else tick_type

    def _price(self, tick_type: int, price: float | None, size: int = 0) -> TickPrice:
        if price is None:
            return TickPrice(self._req_id, self._id(tick_type), NO_PRICE, 0)
        return TickPrice(self._req_id, self._id(tick_type), price, size)

    def _size(self, tick_type: int, size: int) -> TickSize:
        return TickSize(self._req_id, self._id(tick_type), size)

    def quotes(self, quote: Quote) -> list[AnyTick]:
        """Bid, ask, last and the day's figures."""
        hidden = self._serving.hides_quotes
        bid, ask = (None, None) if hidden else (quote.bid, quote.ask)
        bid_size, ask_size = 0 if bid is None else quote.bid_size, 0 if ask is None else quote.ask_size
        ticks: list[AnyTick] = [
            self._price(1, bid, bid_size),
            self._size(0, bid_size),
            self._price(2, ask, ask_size),
            self._size(3, ask_size),
        ]
        if not self._serving.is_delayed:
            if bid is not None:
                ticks.append(TickString(self._req_id, 32, quote.bid_exchange))
            if ask is not None:
                ticks.append(TickString(self._req_id, 33, quote.ask_exchange))
        if quote.last is not None:
            ticks += [self._price(4, quote.last, quote.last_size), self._size(5, quote.last_size)]
            if quote.last_exchange and not self._serving.is_delayed:
                ticks.append(TickString(self._req_id, 84, quote.last_exchange))
        if quote.last_time_s is not None:
            ticks.append(TickString(self._req_id, self._id(45), str(quote.last_time_s)))
        ticks.append(self._size(8, quote.volume))
        for tick_type, price in (
            (6, quote.day_high),
            (7, quote.day_low),
            (9, quote.prev_close),
            (14, quote.day_open),
        ):
            if price is not None:
                ticks.append(self._price(tick_type, price))
        ticks.append(TickGeneric(self._req_id, self._id(49), float(quote.halted)))
        return ticks + self._generic_ticks(quote)

    def _generic_ticks(self, quote: Quote) -> list[AnyTick]:
        if self._serving.is_delayed:
            return []
        ticks: list[AnyTick] = []
        wanted = self._generics
        if self._right and "100" in wanted:
            ticks.append(TickSize(self._req_id, 29 if self._right == "C" else 30, quote.volume))
        if "104" in wanted and quote.hist_volatility is not None:
            ticks.append(TickGeneric(self._req_id, 23, quote.hist_volatility))
        if "106" in wanted and quote.underlying_iv is not None:
            ticks.append(TickGeneric(self._req_id, 24, quote.underlying_iv))
        if {"221", "232"} & wanted and quote.mark is not None:
            ticks.append(TickPrice(self._req_id, 37, quote.mark, 0, 0))
        if "233" in wanted and quote.last is not None and quote.last_time_s is not None:
            milliseconds = quote.last_time_s * 1000
            vwap = "" if quote.vwap is None else f"{quote.vwap:.8f}"
            text = f"{quote.last};{quote.last_size};{milliseconds};{quote.volume};{vwap};true"
            ticks.append(TickString(self._req_id, 48, text))
        return ticks

    def open_interest(self, quote: Quote) -> list[AnyTick]:
        """Tick 27 for a call, 28 for a put; the other side is sent as 0."""
        if quote.open_interest is None or not self._right or "101" not in self._generics:
            return []
        call, put = (quote.open_interest, 0) if self._right == "C" else (0, quote.open_interest)
        return [TickSize(self._req_id, 27, call), TickSize(self._req_id, 28, put)]

    def models(self, quote: Quote) -> list[AnyTick]:
        """Bid, ask, last and model computations, as far as there are any."""
        if not self._right:
            return []
        hidden = self._serving.hides_quotes
        sets = (
            (10, None if hidden else quote.bid_model),
            (11, None if hidden else quote.ask_model),
            (12, None if hidden else quote.last_model),
            (13, None if hidden else quote.model),
        )
        return [self._computation(tick_type, values) for tick_type, values in sets if values is not None]

    def _computation(self, tick_type: int, values: Computation) -> TickComputation:
        und_price = None if self._serving.hides_underlying_price else values.und_price
        return TickComputation(
            self._req_id,
            self._id(tick_type),
            iv=_or(values.iv, NO_PRICE),
            delta=_or(values.delta, _NO_GREEK),
            price=_or(values.price, NO_PRICE),
            pv_dividend=_or(values.pv_dividend, NO_PRICE),
            gamma=_or(values.gamma, _NO_GREEK),
            vega=_or(values.vega, _NO_GREEK),
            theta=_or(values.theta, _NO_GREEK),
            und_price=_or(und_price, NO_PRICE),
        )


def _or(value: float | None, sentinel: float) -> float:
    return sentinel if value is None else value
