"""What one contract shows at one instant, and the settings that shape it."""

from dataclasses import dataclass

from ibsim.market.splits import Split


@dataclass(frozen=True, slots=True)
class MarketSettings:
    """Shape of the market.

    Fractions are shares of all options (0 to 1), drawn once per contract and session. ``rate`` and ``dividend_yield``
    are per year, continuously compounded; with both 0 the European model is right for American options too.
    ``splits`` are whole-number splits of stocks and funds.
    """

    rate: float = 0.0
    dividend_yield: float = 0.0
    no_bid_fraction: float = 0.02
    greeks_late_fraction: float = 0.02
    greeks_late_s: float = 2.0
    greeks_never_fraction: float = 0.01
    oi_late_fraction: float = 0.02
    oi_late_s: float = 2.0
    oi_never_fraction: float = 0.02
    missing_pair_fraction: float = 0.04
    synthetic_prefix: str = "SYN"
    synthetic_count: int = 600
    splits: tuple[Split, ...] = ()


@dataclass(frozen=True, slots=True)
class Computation:
    """One set of model values (message 21); None is "not computed"."""

    iv: float | None = None
    delta: float | None = None
    price: float | None = None
    pv_dividend: float | None = None
    gamma: float | None = None
    vega: float | None = None
    theta: float | None = None
    und_price: float | None = None


@dataclass(frozen=True, slots=True)
class Quote:
    """Everything the market knows of a contract at an instant; None is "there is none".

    Prices in USD per share, sizes and volumes in contracts (shares for stocks), times in seconds since 1970.
    ``open_interest`` belongs to the last session whose figure is out (06:30 New York on the next session).
    """

    conid: int
    instant_s: float
    bid: float | None = None
    bid_size: int = 0
    ask: float | None = None
    ask_size: int = 0
    last: float | None = None
    last_size: int = 0
    last_time_s: int | None = None
    volume: int = 0
    vwap: float | None = None
    day_open: float | None = None
    day_high: float | None = None
    day_low: float | None = None
    prev_close: float | None = None
    mark: float | None = None
    halted: int = 0
    bid_exchange: str = ""
    ask_exchange: str = ""
    last_exchange: str = ""
    open_interest: int | None = None
    hist_volatility: float | None = None
    underlying_iv: float | None = None
    bid_model: Computation | None = None
    ask_model: Computation | None = None
    last_model: Computation | None = None
    model: Computation | None = None


@dataclass(frozen=True, slots=True)
class Trade:
    """One execution: ``second`` after the open, USD, contracts."""

    second: int
    price: float
    size: int
