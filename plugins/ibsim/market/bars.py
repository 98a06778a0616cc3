"""Historical bars, cut from the same paths as the quotes.

A bar covers the seconds from its start to its end, both included: its close is the quote at the instant it ends and
the next bar's open. Volumes count the trades after its start up to its end.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from ibsim.market.chains import ListedOption
from ibsim.market.hours import NEW_YORK, TradingDay
from ibsim.market.model import Contract, Market
from ibsim.market.quotes import Trade
from ibsim.market.universe import Instrument

#: Minutes of each intraday bar size.
BAR_MINUTES = {
    "1 min": 1, "2 mins": 2, "3 mins": 3, "5 mins": 5, "10 mins": 10, "15 mins": 15, "20 mins": 20, "30 mins": 30,
    "1 hour": 60, "2 hours": 120, "3 hours": 180, "4 hours": 240, "8 hours": 480,
}  # fmt: skip
QUOTE_KINDS = ("BID", "ASK", "MIDPOINT", "BID_ASK")


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar; ``start_s`` in seconds since 1970. Volume, average and count are -1 for quotes."""

    start_s: int
    open: float
    high: float
    low: float
    close: float
    volume: int = -1
    average: float = -1.0
    count: int = -1


class BarCutter:
    """Cuts bars of any contract."""

    def __init__(self, market: Market) -> None:
        self._market = market

    def intraday(
        self,
        contract: Contract,
        sessions: Sequence[TradingDay],
        minutes: int,
        what: str,
        end_s: float,
        terms_of: date,
    ) -> list[Bar]:
        """Bars of ``minutes`` that have begun before ``end_s``; bars without any value are left out.

        A stock's are in the terms of the day ``terms_of``; an option has none from before the split that made it.
        """
        bars = []
        if isinstance(contract, ListedOption):
            sessions = [session for session in sessions if contract.exists_on(session.day)]
        for session in sessions:
            for start, end in _windows(session, minutes):
                if start >= end_s:
                    break
                bar = self._bar(contract, session, start, int(min(end, end_s)), what, terms_of)
                if bar is not None:
                    bars.append(bar)
        return bars

    def daily(
        self, instrument: Instrument, sessions: Sequence[TradingDay], what: str, end_s: float, terms_of: date
    ) -> list[Bar]:
        """One bar a session, of stocks and indices only."""
        bars = []
        for session in sessions:
            if session.open_s < end_s:
                end = int(min(session.close_s, end_s))
                bar = self._bar(instrument, session, session.open_s, end, what, terms_of)
                if bar is not None:
                    bars.append(bar)
        return bars

    def _bar(
        self, contract: Contract, session: TradingDay, start_s: int, end_s: int, what: str, terms_of: date
    ) -> Bar | None:
        if what == "TRADES":
            if isinstance(contract, ListedOption):
                return self._option_trades(contract, session, start_s, end_s)
            return self._underlying_trades(contract, session, start_s, end_s, terms_of)
        instants = list(self._instants(contract, session, start_s, end_s))
        pairs = [self._bid_ask(contract, session, instant, terms_of) for instant in instants]
        if what == "BID_ASK":
            both = [(bid, ask) for bid, ask in pairs if bid is not None and ask is not None]
            if not both:
                return None
            average_bid = round(sum(bid for bid, _ in both) / len(both), 4)
            average_ask = round(sum(ask for _, ask in both) / len(both), 4)
            return Bar(start_s, average_bid, max(a for _, a in both), min(b for b, _ in both), average_ask)
        values = [value for pair in pairs if (value := _pick(pair, what)) is not None]
        if len(values) < len(pairs):
            return None
        return Bar(start_s, values[0], max(values), min(values), values[-1])

    def _instants(self, contract: Contract, session: TradingDay, start_s: int, end_s: int) -> Iterator[int]:
        """Both ends, every minute between, and the seconds at which the underlying turns."""
        underlying = contract if isinstance(contract, Instrument) else contract.underlying
        day = self._market.paths.day(underlying, session)
        at = start_s
        while at < end_s:
            yield at
            minute = (at - session.open_s) // 60
            for second in day.turning_seconds(minute):
                instant = session.open_s + second
                if at < instant < end_s:
                    yield instant
            at = session.open_s + (minute + 1) * 60
        yield end_s

    def _bid_ask(
        self, contract: Contract, session: TradingDay, instant_s: int, terms_of: date
    ) -> tuple[float | None, float | None]:
        market = self._market
        if isinstance(contract, ListedOption):
            return market.bid_ask(contract, session, market.option_mid(contract, session, instant_s))
        quote = market.quote_in_session(contract, session, instant_s, terms_of)
        return quote.bid, quote.ask

    def _underlying_trades(
        self, instrument: Instrument, session: TradingDay, start_s: int, end_s: int, terms_of: date
    ) -> Bar | None:
        market = self._market
        factor = market.factor_on(instrument, terms_of)
        instants = self._instants(instrument, session, start_s, end_s)
        prices = [round(market.spot(instrument, session, at, factor), 2) for at in instants]
        first = market.quote_in_session(instrument, session, start_s, terms_of)
        last = market.quote_in_session(instrument, session, end_s, terms_of)
        volume = last.volume - (first.volume if start_s > session.open_s else 0)
        count = volume // 120
        return Bar(
            start_s, prices[0], max(prices), min(prices), prices[-1], volume,
            round(sum(prices) / len(prices), 4), count,
        )  # fmt: skip

    def _option_trades(self, option: ListedOption, session: TradingDay, start_s: int, end_s: int) -> Bar | None:
        first, last = start_s - session.open_s, end_s - session.open_s
        done: list[Trade] = [t for t in self._market.trades(option, session) if first < t.second <= last]
        if not done:
            return None
        prices = [trade.price for trade in done]
        volume = sum(trade.size for trade in done)
        average = round(sum(trade.price * trade.size for trade in done) / volume, 6)
        return Bar(start_s, prices[0], max(prices), min(prices), prices[-1], volume, average, len(done))


def _pick(pair: tuple[float | None, float | None], what: str) -> float | None:
    bid, ask = pair
    if what == "BID":
        return bid
    if what == "ASK":
        return ask
    return None if bid is None or ask is None else round((bid + ask) / 2, 4)


def _windows(session: TradingDay, minutes: int) -> Iterator[tuple[int, int]]:
    """Starts and ends of a session's bars; hours and more are cut at round wall times, so the first may be short."""
    start = session.open_s
    midnight = int(datetime.fromtimestamp(start, NEW_YORK).replace(hour=0, minute=0).timestamp())
    length = minutes * 60
    while start < session.close_s:
        end = midnight + ((start - midnight) // length + 1) * length
        yield start, min(end, session.close_s)
        start = end
