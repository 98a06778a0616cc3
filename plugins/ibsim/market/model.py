"""The market itself: quotes, trades and open interest of every contract at any instant."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from math import exp, log, sqrt

from ibsim.market.chains import ListedOption, OptionChains
from ibsim.market.hours import NEW_YORK, MarketHours, TradingDay, new_york_date
from ibsim.market.noise import hashed_bits, normal, number_stream, uniform
from ibsim.market.paths import PricePaths, weekday_index, weekday_of_index
from ibsim.market.pricing import YEAR_S, implied_volatility, option_price, value_option
from ibsim.market.quotes import Computation, MarketSettings, Quote, Trade
from ibsim.market.splits import Splits
from ibsim.market.universe import Instrument, Universe

Contract = Instrument | ListedOption
OPEN_INTEREST_OUT = time(6, 30)
_OPTION_EXCHANGES = ("CBOE", "AMEX", "PHLX", "ISE", "BOX", "PSE", "BATS", "NASDAQOM", "MIAX")
_STOCK_EXCHANGES = ("NASDAQ", "ARCA", "NYSE", "BATS", "IEX")
_MAX_TRADES = 40
_OI_WEEKDAYS = 90


class Market:
    """Every value as a pure function of (seed, contract, instant); quantised to whole seconds.

    Parameters
    ----------
    seed
        Another seed is another market with the same instruments.
    hours
        The sessions.
    settings
        Rates, how often things are absent, splits.

    Raises
    ------
    ValueError
        If a split cannot be.
    """

    def __init__(self, seed: int, hours: MarketHours, settings: MarketSettings) -> None:
        self.seed = seed
        self.hours = hours
        self.settings = settings
        self.universe = Universe(settings.synthetic_prefix, settings.synthetic_count)
        self.paths = PricePaths(seed, hours)
        self.splits = Splits(settings.splits)
        self.chains = OptionChains(seed, self.universe, hours, self.paths, settings.missing_pair_fraction, self.splits)
        self._trades = lru_cache(maxsize=8192)(self._make_trades)
        self._quotes = lru_cache(maxsize=8192)(self._make_quote)
        self._day_volumes = lru_cache(maxsize=65536)(self._make_day_volume)
        self._oi: dict[int, tuple[int, int]] = {}

    # ---- contracts ------------------------------------------------------------------------------------------------

    def by_conid(self, conid: int, instant_s: float) -> Contract | None:
        """Any contract by its conid."""
        return self.universe.by_conid(conid) or self.chains.by_conid(conid, new_york_date(instant_s))

    # ---- quotes ---------------------------------------------------------------------------------------------------

    def quote(self, contract: Contract, instant_s: float) -> Quote:
        """What the contract shows at the instant if the session it belongs to were for ever served as it stood.

        Outside a session these are the values at the last close: what IB serves as frozen.
        """
        session = self.hours.latest_begun(instant_s)
        second = int(min(instant_s, session.close_s))
        quote = self.quote_in_session(contract, session, second, new_york_date(instant_s))
        if isinstance(contract, Instrument):
            return replace(quote, instant_s=instant_s)
        return replace(quote, instant_s=instant_s, open_interest=self.open_interest(contract, instant_s))

    def quote_in_session(self, contract: Contract, session: TradingDay, instant_s: int, terms_of: date) -> Quote:
        """As ``quote`` for an instant of a known session, without open interest.

        A stock's prices and volumes are in the terms of a day, an option's always in its own.
        """
        return self._quotes(contract, session, instant_s, self.factor_on(contract, terms_of))

    def factor_on(self, contract: Contract, day: date) -> int:
        """Shares that one share before all splits has become by a day; of an option, by its listing."""
        if isinstance(contract, ListedOption):
            return contract.factor
        return self.splits.factor_on(contract.symbol, day)

    def _make_quote(self, contract: Contract, session: TradingDay, instant_s: int, factor: int) -> Quote:
        if isinstance(contract, Instrument):
            return self._underlying_quote(contract, session, instant_s, factor)
        return self._option_quote(contract, session, instant_s)

    def spot(self, contract: Contract, session: TradingDay, instant_s: float, factor: int) -> float:
        """The (underlying's) price (USD, four decimals) at an instant of a session, ``factor`` shares for one."""
        instrument = contract if isinstance(contract, Instrument) else contract.underlying
        return round(self.paths.spot(instrument, session, instant_s) / factor, 4)

    def _close_before(self, contract: Contract, day: date, factor: int) -> float:
        """The (underlying's) close of the session before a day (USD, cents), ``factor`` shares for one."""
        instrument = contract if isinstance(contract, Instrument) else contract.underlying
        return round(self.paths.close(instrument, day - timedelta(days=1)) / factor, 2)

    def _underlying_quote(self, instrument: Instrument, session: TradingDay, instant_s: int, factor: int) -> Quote:
        day = self.paths.day(instrument, session)
        second = instant_s - session.open_s
        minute = second // 60
        spot = self.spot(instrument, session, instant_s, factor)
        high = max(exp(day.running_high[minute]) / factor, spot)
        low = min(exp(day.running_low[minute]) / factor, spot)
        share = day.volume_share[minute]
        if minute < session.minutes:
            share += (day.volume_share[minute + 1] - share) * (second % 60) / 60
        common = Quote(
            conid=instrument.conid,
            instant_s=instant_s,
            last=round(spot, 2),
            last_time_s=instant_s,
            day_open=round(exp(day.nodes[0]) / factor, 2),
            day_high=round(high, 2),
            day_low=round(low, 2),
            prev_close=self._close_before(instrument, session.day, factor),
            mark=round(spot, 2),
            hist_volatility=round(instrument.volatility * 0.97, 6),
            underlying_iv=round(self._level_iv(instrument, session), 6),
        )
        if instrument.is_index:
            return common
        half = max(0.01, round(spot * 0.00004, 2))
        bits = hashed_bits(self.seed, "size", instrument.symbol, instant_s)
        volume = int(self._share_volume(instrument, session) * factor * share) // 100 * 100
        return replace(
            common,
            bid=round(spot - half, 2),
            bid_size=100 * (1 + bits % 40),
            ask=round(spot + half, 2),
            ask_size=100 * (1 + (bits >> 8) % 40),
            last_size=100 * (1 + (bits >> 16) % 5),
            volume=volume,
            vwap=round((high + low + spot) / 3, 4),
            bid_exchange=_STOCK_EXCHANGES[(bits >> 24) % len(_STOCK_EXCHANGES)],
            ask_exchange=_STOCK_EXCHANGES[(bits >> 32) % len(_STOCK_EXCHANGES)],
            last_exchange=_STOCK_EXCHANGES[(bits >> 40) % len(_STOCK_EXCHANGES)],
        )

    def _share_volume(self, instrument: Instrument, session: TradingDay) -> float:
        return instrument.day_volume * exp(0.3 * normal(self.seed, "volume", instrument.symbol, session.day))

    def _option_quote(self, option: ListedOption, session: TradingDay, instant_s: int) -> Quote:
        spot = self.spot(option, session, instant_s, option.factor)
        years = max(option.expires_s - instant_s, 60) / YEAR_S
        iv = self.volatility(option, session)
        model = self._computation(option, spot, years, iv)
        mid = self.option_mid(option, session, instant_s)
        bid, ask = self.bid_ask(option, session, mid)
        trades = self.trades(option, session)
        done = [trade for trade in trades if trade.second <= instant_s - session.open_s]
        bits = hashed_bits(self.seed, "size", option.conid, instant_s)
        volume = sum(trade.size for trade in done)
        names = _OPTION_EXCHANGES
        last = done[-1].price if done else None
        return Quote(
            conid=option.conid,
            instant_s=instant_s,
            bid=bid,
            bid_size=0 if bid is None else 1 + bits % 200,
            ask=ask,
            ask_size=1 + (bits >> 8) % 200,
            last=last,
            last_size=done[-1].size if done else 0,
            last_time_s=session.open_s + done[-1].second if done else None,
            volume=volume,
            vwap=round(sum(t.price * t.size for t in done) / volume, 6) if volume else None,
            day_open=done[0].price if done else None,
            day_high=max(t.price for t in done) if done else None,
            day_low=min(t.price for t in done) if done else None,
            prev_close=self.closing_price(option, self.hours.session_before(session.day)),
            mark=round(mid, 4),
            bid_exchange="" if bid is None else names[(bits >> 16) % len(names)],
            ask_exchange=names[(bits >> 24) % len(names)],
            last_exchange=names[(bits >> 32) % len(names)] if done else "",
            model=model,
            bid_model=self._computation_from_price(option, spot, years, bid, iv),
            ask_model=self._computation_from_price(option, spot, years, ask, iv),
            last_model=self._computation_from_price(option, spot, years, last, iv),
        )

    def closing_price(self, option: ListedOption, session: TradingDay) -> float:
        """IB's "close" of an option: the middle of the closing quote, at least one cent."""
        return max(0.01, round(self.option_mid(option, session, session.close_s), 2))

    # ---- model ----------------------------------------------------------------------------------------------------

    def _level_iv(self, instrument: Instrument, session: TradingDay) -> float:
        """At-the-money volatility of the session: constant within it, so that a minute's bars bound its quotes."""
        return instrument.volatility * exp(0.06 * normal(self.seed, "iv", instrument.symbol, session.day))

    def volatility(self, option: ListedOption, session: TradingDay) -> float:
        """Implied volatility: level, term structure, and a smile in standardised log-moneyness."""
        years = max(option.expires_s - session.open_s, 3600) / YEAR_S
        before = self._close_before(option, session.day, option.factor)
        x = log(option.strike / before) / sqrt(years + 0.03)
        term = 1.0 + 0.12 * exp(-8.0 * years) - 0.03 * min(years, 2.0)
        smile = 1.0 - 0.16 * x + 0.14 * x * x
        return round(min(max(self._level_iv(option.underlying, session) * term * smile, 0.05), 3.0), 6)

    def option_mid(self, option: ListedOption, session: TradingDay, instant_s: int) -> float:
        """Model price (USD per share) at an instant of the session, not rounded to a tick."""
        spot = self.spot(option, session, instant_s, option.factor)
        years = max(option.expires_s - instant_s, 60) / YEAR_S
        iv, settings = self.volatility(option, session), self.settings
        return option_price(option.is_call, spot, option.strike, years, iv, settings.rate, settings.dividend_yield)

    def bid_ask(self, option: ListedOption, session: TradingDay, mid: float) -> tuple[float | None, float]:
        """Bid (None where nobody bids) and ask for a model price."""
        tick = min_tick(option.underlying, mid)
        width = 0.8 + 0.6 * uniform(self.seed, "spread", option.conid, session.day)
        half = max(tick, (0.015 + 0.012 * mid) * width)
        bid = int((mid - half) / tick) * tick
        ask = (int((mid + half) / tick) + 1) * tick
        absent = uniform(self.seed, "no bid", option.conid, session.day) < self.settings.no_bid_fraction
        return (None if absent or bid <= 0 else round(bid, 2)), round(max(ask, tick), 2)

    def _computation(self, option: ListedOption, spot: float, years: float, iv: float) -> Computation:
        settings = self.settings
        value = value_option(option.is_call, spot, option.strike, years, iv, settings.rate, settings.dividend_yield)
        dividends = spot * (1.0 - exp(-settings.dividend_yield * years))
        return Computation(
            iv=round(iv, 10),
            delta=round(value.delta, 10),
            price=round(value.price, 10),
            pv_dividend=round(dividends, 10),
            gamma=round(value.gamma, 10),
            vega=round(value.vega, 10),
            theta=round(value.theta, 10),
            und_price=spot,
        )

    def _computation_from_price(
        self, option: ListedOption, spot: float, years: float, price: float | None, guess: float
    ) -> Computation | None:
        if price is None:
            return None
        settings = self.settings
        iv = implied_volatility(
            price, option.is_call, spot, option.strike, years, settings.rate, settings.dividend_yield, guess
        )
        if iv is None:
            return Computation(price=price, und_price=spot)
        return replace(self._computation(option, spot, years, iv), price=price)

    # ---- trades and open interest ---------------------------------------------------------------------------------

    def day_volume(self, option: ListedOption, day: date) -> int:
        """Contracts traded in the whole session of that day."""
        return self._day_volumes(option, day)

    def _make_day_volume(self, option: ListedOption, day: date) -> int:
        before = self._close_before(option, day, option.factor)
        years = max((option.expiry.expiration - day).days, 0.5) / 365.0
        x = log(option.strike / before) / (option.underlying.volatility * sqrt(years + 0.02))
        interest = 2500.0 * exp(-0.9 * x * x) / (1.0 + 12.0 * years)
        return int(interest * option.factor * exp(0.8 * normal(self.seed, "option volume", option.conid, day)))

    def trades(self, option: ListedOption, session: TradingDay) -> tuple[Trade, ...]:
        """All executions of the session in order of time; none before the split that made the option."""
        return self._trades(option, session)

    def _make_trades(self, option: ListedOption, session: TradingDay) -> tuple[Trade, ...]:
        volume = self.day_volume(option, session.day) if option.exists_on(session.day) else 0
        if not volume:
            return ()
        numbers = number_stream(self.seed, "trades", option.conid, session.day)
        count = min(_MAX_TRADES, 1 + volume // 8, volume)
        length = session.close_s - session.open_s
        seconds = sorted(numbers.randrange(1, length) for _ in range(count))
        cuts = [0, *sorted(numbers.sample(range(1, volume), count - 1)), volume]
        trades = []
        for i, second in enumerate(seconds):
            mid = self.option_mid(option, session, session.open_s + second)
            bid, ask = self.bid_ask(option, session, mid)
            tick = min_tick(option.underlying, mid)
            price = (bid or tick) + (ask - (bid or tick)) * numbers.random()
            trades.append(Trade(second, max(round(round(price / tick) * tick, 2), tick), cuts[i + 1] - cuts[i]))
        return tuple(trades)

    def open_interest_session(self, instant_s: float) -> TradingDay:
        """The session whose close the open interest shown at the instant describes."""
        now = datetime.fromtimestamp(instant_s, NEW_YORK)
        session = self.hours.session_on_or_before(now.date())
        if session.day == now.date() and now.time() < OPEN_INTEREST_OUT:
            session = self.hours.session_before(session.day)
        return self.hours.session_before(session.day)

    def open_interest(self, option: ListedOption, instant_s: float) -> int:
        """Contracts open, as shown at the instant."""
        return self.open_interest_after(option, self.open_interest_session(instant_s).day)

    def open_interest_after(self, option: ListedOption, day: date) -> int:
        """Contracts open after the session of ``day``: yesterday's plus or minus at most the day's volume.

        A split multiplies those of the day before it.
        """
        if not option.exists_on(day):
            return self._before_split(option, day)
        target = weekday_index(day)
        known = self._oi.get(option.conid)
        if known is None or known[0] > target:
            known = self._first_open_interest(option, target)
        at, value = known
        for index in range(at + 1, target + 1):
            on = weekday_of_index(index)
            if self.hours.trading_day(on) is None:
                continue
            swing = 1.3 * uniform(self.seed, "oi day", option.conid, on) - 0.6
            value = max(0, value + int(swing * self.day_volume(option, on)))
        self._oi[option.conid] = (target, value)
        return value

    def _first_open_interest(self, option: ListedOption, target: int) -> tuple[int, int]:
        """A weekday's index at or before the target and the contracts open after it."""
        if option.made_by is not None:
            last = option.made_by.ex_date - timedelta(days=1)
            return weekday_index(last), self._before_split(option, last)
        start = weekday_index(option.expiry.expiration) - _OI_WEEKDAYS
        return min(start, target), int(1500 * uniform(self.seed, "oi", option.conid) ** 3)

    def _before_split(self, option: ListedOption, day: date) -> int:
        """Contracts open on a day before the split that made the option, in its terms."""
        ratio = option.made_by.ratio if option.made_by is not None else 1
        return ratio * self.open_interest_after(self.chains.before_split(option), day)

    # ---- what is absent -------------------------------------------------------------------------------------------

    def is_chosen(self, what: str, fraction: float, conid: int, day: date) -> bool:
        """Whether a contract belongs on that day to the share of contracts to which ``what`` happens."""
        return fraction > 0.0 and uniform(self.seed, what, conid, day) < fraction

    def instruments(self) -> Iterator[Instrument]:
        return iter(self.universe)


def min_tick(instrument: Instrument, price: float) -> float:
    """USD: a cent below three dollars, else five cents for indices and stocks alike except in penny classes."""
    if not instrument.is_index:
        return 0.01
    return 0.05 if price < 3.0 else 0.10
