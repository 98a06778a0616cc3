"""What one market-data request has told us so far, and when that is enough."""

import math
from dataclasses import dataclass, fields
from datetime import datetime
from enum import IntEnum, StrEnum


class MarketDataType(IntEnum):
    """IB's four kinds of market data, as asked for and as delivered."""

    LIVE = 1
    FROZEN = 2
    DELAYED = 3
    DELAYED_FROZEN = 4

    @property
    def is_delayed(self) -> bool:
        return self in (MarketDataType.DELAYED, MarketDataType.DELAYED_FROZEN)

    @property
    def is_frozen(self) -> bool:
        return self in (MarketDataType.FROZEN, MarketDataType.DELAYED_FROZEN)


class Wanted(StrEnum):
    """What a pass subscribes for: the quote, or the open interest of the session before."""

    QUOTE = "quote"
    OPEN_INTEREST = "open interest"


@dataclass(slots=True)
class Quote:
    """The values received on one request, since that request; None is "not received" or "the gateway said: none".

    Prices are USD per share, sizes contracts (shares for an underlying), ``iv`` a fraction per year, greeks as IB
    states them. ``open_interest`` is the contract's own, in contracts, at the close of an earlier session.
    ``market_data_type`` stays None until the gateway has said what it serves. ``has_delayed_ticks`` is set by ticks
    that exist only in the delayed feed, whatever the gateway said.
    """

    bid: float | None = None
    ask: float | None = None
    last: float | None = None
    bid_size: float | None = None
    ask_size: float | None = None
    last_size: float | None = None
    volume: float | None = None
    vwap: float | None = None
    prev_close: float | None = None
    day_open: float | None = None
    day_high: float | None = None
    day_low: float | None = None
    mark_price: float | None = None
    last_trade_time: datetime | None = None
    halted: int | None = None
    open_interest: int | None = None
    hist_volatility: float | None = None
    iv: float | None = None
    delta: float | None = None
    gamma: float | None = None
    theta: float | None = None
    vega: float | None = None
    opt_price: float | None = None
    pv_dividend: float | None = None
    und_price_model: float | None = None
    bid_iv: float | None = None
    ask_iv: float | None = None
    market_data_type: MarketDataType | None = None
    has_delayed_ticks: bool = False
    first_tick_at: datetime | None = None
    last_tick_at: datetime | None = None

    @property
    def is_silent(self) -> bool:
        """Nothing at all has arrived on this request."""
        return self.first_tick_at is None

    @property
    def has_price(self) -> bool:
        """A bid, an ask or a last trade: what makes a row a quote. Yesterday's close does not."""
        return self.bid is not None or self.ask is not None or self.last is not None

    @property
    def has_model(self) -> bool:
        """The model's implied volatility and delta."""
        return self.iv is not None and self.delta is not None

    @property
    def served_type(self) -> MarketDataType | None:
        """What was delivered: delayed ticks prove themselves, otherwise only the gateway's word counts."""
        if self.market_data_type is not None:
            return self.market_data_type
        return MarketDataType.DELAYED if self.has_delayed_ticks else None

    def mid(self) -> float | None:
        """Middle of the spread, only if 0 < bid <= ask."""
        if self.bid is None or self.ask is None or not 0 < self.bid <= self.ask:
            return None
        return (self.bid + self.ask) / 2

    def as_dict(self) -> dict[str, object]:
        return {f.name: getattr(self, f.name) for f in fields(self)}


def is_complete(quote: Quote, *, require_greeks: bool, wanted: Wanted = Wanted.QUOTE) -> bool:
    """Whether a subscription has given what it was opened for.

    A quote is complete with a price and, if required, the model's IV and delta. Open interest is complete by itself.
    """
    if wanted is Wanted.OPEN_INTEREST:
        return quote.open_interest is not None
    return quote.has_price and (quote.has_model or not require_greeks)


def is_usable(quote: Quote, wanted: Wanted) -> bool:
    """Whether a subscription that ran out of time has given enough to be kept."""
    return quote.open_interest is not None if wanted is Wanted.OPEN_INTEREST else quote.has_price


def finite(value: float) -> float | None:
    """None for NaN, infinities and C++'s largest double, which IB sends for "unset"."""
    return value if math.isfinite(value) and abs(value) < 1e300 else None


def price_or_none(value: float) -> float | None:
    """A price IB sent: -1 means "no such quote", 0 on a side means "nobody there"."""
    cleaned = finite(value)
    return cleaned if cleaned is not None and cleaned > 0 else None


def size_or_none(value: float) -> float | None:
    """A size or count; negative means unset."""
    cleaned = finite(value)
    return cleaned if cleaned is not None and cleaned >= 0 else None


def volatility_or_none(value: float) -> float | None:
    """An implied volatility; IB sends -1 for "not computed", and 0 where the solver gave up."""
    cleaned = finite(value)
    return cleaned if cleaned is not None and cleaned > 0 else None


def model_price_or_none(value: float) -> float | None:
    """Option price, dividends or underlying price of the model: -1 means "not computed", 0 is a value."""
    cleaned = finite(value)
    return cleaned if cleaned is not None and cleaned >= 0 else None


def greek_or_none(value: float) -> float | None:
    """Delta, gamma, theta or vega: exactly -2 means "not computed"."""
    cleaned = finite(value)
    return cleaned if cleaned is not None and cleaned != -2.0 else None
