"""Ticks: what streams to a market-data request. Each knows its bytes and its plain name."""

from dataclasses import asdict, dataclass
from typing import Any

from ibsim.wire import encode_frame

#: IB's tick types by number, in plain words (delayed ones carry the same word; see ``DELAYED``).
TICK_NAMES = {
    0: "bid_size", 1: "bid", 2: "ask", 3: "ask_size", 4: "last", 5: "last_size", 6: "day_high", 7: "day_low",
    8: "volume", 9: "prev_close", 10: "bid_model", 11: "ask_model", 12: "last_model", 13: "model", 14: "day_open",
    23: "hist_volatility", 24: "underlying_iv", 27: "call_open_interest", 28: "put_open_interest",
    29: "call_volume", 30: "put_volume", 32: "bid_exchange", 33: "ask_exchange", 37: "mark", 45: "last_time",
    48: "rt_volume", 49: "halted", 54: "trade_count", 77: "rt_trade_volume", 84: "last_exchange", 87: "average_volume",
}  # fmt: skip
DELAYED = {
    1: 66, 2: 67, 4: 68, 0: 69, 3: 70, 5: 71, 6: 72, 7: 73, 8: 74, 9: 75, 14: 76, 10: 80, 11: 81, 12: 82, 13: 83,
    45: 88, 49: 90,
}  # fmt: skip
_LIVE_OF_DELAYED = {delayed: live for live, delayed in DELAYED.items()}


def tick_name(tick_type: int) -> str:
    """The plain name; a delayed tick has its live counterpart's."""
    return TICK_NAMES.get(_LIVE_OF_DELAYED.get(tick_type, tick_type), f"tick_{tick_type}")


@dataclass(frozen=True, slots=True)
class Tick:
    """Base of all ticks of one request."""

    req_id: int
    tick_type: int

    @property
    def slot(self) -> tuple[str, int]:
        """What a later tick of the same slot replaces."""
        return type(self).__name__, self.tick_type

    def describe(self) -> dict[str, Any]:
        """The tick as plain values, for the journal."""
        values = asdict(self)
        del values["req_id"]
        return {"name": tick_name(self.tick_type), **values}


@dataclass(frozen=True, slots=True)
class TickPrice(Tick):
    price: float
    size: int
    attributes: int = 1

    def encode(self) -> bytes:
        return encode_frame((1, 6, self.req_id, self.tick_type, self.price, self.size, self.attributes))


@dataclass(frozen=True, slots=True)
class TickSize(Tick):
    size: int

    def encode(self) -> bytes:
        return encode_frame((2, 6, self.req_id, self.tick_type, self.size))


@dataclass(frozen=True, slots=True)
class TickGeneric(Tick):
    value: float

    def encode(self) -> bytes:
        return encode_frame((45, 6, self.req_id, self.tick_type, self.value))


@dataclass(frozen=True, slots=True)
class TickString(Tick):
    value: str

    def encode(self) -> bytes:
        return encode_frame((46, 6, self.req_id, self.tick_type, self.value))


@dataclass(frozen=True, slots=True)
class TickComputation(Tick):
    """Model values; -1 (iv, price, pv_dividend, und_price) and -2 (the greeks) say "not computed"."""

    iv: float
    delta: float
    price: float
    pv_dividend: float
    gamma: float
    vega: float
    theta: float
    und_price: float
    price_based: int = 1

    def encode(self) -> bytes:
        return encode_frame((
            21, self.req_id, self.tick_type, self.price_based, self.iv, self.delta, self.price, self.pv_dividend,
            self.gamma, self.vega, self.theta, self.und_price,
        ))  # fmt: skip


AnyTick = TickPrice | TickSize | TickGeneric | TickString | TickComputation
