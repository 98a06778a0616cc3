"""The simulated market: sessions, contracts, quotes, trades, open interest and bars that agree with each other."""

from datetime import UTC, date, datetime, timedelta

import pytest

from ibsim.market.bars import BarCutter
from ibsim.market.hours import NEW_YORK, MarketHours, new_york_date
from ibsim.market.model import Market
from ibsim.market.paths import weekday_index, weekday_of_index
from ibsim.market.pricing import YEAR_S, option_price
from ibsim.market.quotes import MarketSettings

DAY = date(2025, 11, 24)


def at(text: str) -> float:
    """New York wall time as seconds since 1970."""
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).timestamp()


@pytest.fixture(scope="module")
def market() -> Market:
    return Market(5, MarketHours(), MarketSettings())


def options_of(market: Market, symbol: str, **terms):
    return list(market.chains.find(market.universe.by_symbol(symbol), DAY, **terms))


# ---- sessions: NYSE "Holidays & Trading Hours" -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("2025-11-24", ("14:30", "21:00")),  # winter time: UTC-5
        ("2025-11-28", ("14:30", "18:00")),  # the day after Thanksgiving closes at 13:00
        ("2025-07-03", ("13:30", "17:00")),  # summer time, closes at 13:00
        ("2025-03-10", ("13:30", "20:00")),  # first session of summer time
        ("2025-11-27", None),
        ("2025-04-18", None),  # Good Friday
        ("2025-01-09", None),  # National Day of Mourning
        ("2026-07-03", None),  # Independence Day observed
        ("2025-11-22", None),
    ],
)
def test_sessions_are_those_of_the_exchange(day, expected):
    session = MarketHours().trading_day(date.fromisoformat(day))
    if expected is None:
        assert session is None
        return
    assert tuple(f"{datetime.fromtimestamp(s, UTC):%H:%M}" for s in (session.open_s, session.close_s)) == expected


def test_the_scenario_can_close_and_open_days():
    hours = MarketHours(closed=[DAY], early_closes=[date(2025, 11, 25)], open_days=[date(2025, 11, 27)])
    assert hours.trading_day(DAY) is None
    assert hours.trading_day(date(2025, 11, 25)).minutes == 210
    assert hours.trading_day(date(2025, 11, 27)).minutes == 390


def test_open_is_open_and_close_is_not():
    hours = MarketHours()
    assert not hours.is_open(at("2025-11-24T09:29:59"))
    assert hours.is_open(at("2025-11-24T09:30:00"))
    assert hours.is_open(at("2025-11-24T15:59:59"))
    assert not hours.is_open(at("2025-11-24T16:00:00"))
    assert hours.latest_begun(at("2025-11-25T09:00:00")).day == DAY


def test_weekday_index_counts_weekdays():
    days = [date(2025, 11, 21) + timedelta(days=i) for i in range(10)]
    working = [day for day in days if day.weekday() < 5]
    indices = [weekday_index(day) for day in working]
    assert indices == list(range(indices[0], indices[0] + len(working)))
    assert [weekday_of_index(i) for i in indices] == working


# ---- contracts ---------------------------------------------------------------------------------------------------


def test_known_symbols_have_ibs_conids(market):
    found = {
        s: market.universe.by_symbol(s).conid for s in ("AAPL", "MSFT", "SPY", "NVDA", "SPX", "NDX", "VIX", "TSLA")
    }
    assert found == {
        "AAPL": 265598, "MSFT": 272093, "SPY": 756733, "NVDA": 4815747, "SPX": 416904, "NDX": 416843, "VIX": 13455763,
        "TSLA": 76792991,
    }  # fmt: skip


def test_synthetic_symbols_exist_up_to_their_number():
    market = Market(5, MarketHours(), MarketSettings(synthetic_prefix="ZZ", synthetic_count=3))
    assert market.universe.by_symbol("ZZ003") is not None
    assert market.universe.by_symbol("ZZ004") is None
    assert market.universe.by_symbol("SYN001") is None


def test_every_conid_is_unique_positive_and_read_back(market):
    seen: dict[int, object] = {instrument.conid: instrument for instrument in market.universe}
    for symbol in ("AAPL", "SPY", "SPX", "NDX", "VIX", "F", "SYN001", "SYN600"):
        for option in options_of(market, symbol):
            assert 0 < option.conid < 2**31
            assert seen.setdefault(option.conid, option) is option
            assert market.chains.by_conid(option.conid, DAY) == option
    assert len(seen) > 20_000


def test_conids_do_not_depend_on_the_seed_of_another_process_or_day(market):
    again = Market(5, MarketHours(), MarketSettings())
    option = options_of(market, "AAPL", last_trade="20251219", right="C")[10]
    assert again.chains.by_conid(option.conid, date(2025, 12, 10)) == option


def test_expiries_follow_the_listing_rules(market):
    aapl, spx = market.universe.by_symbol("AAPL"), market.universe.by_symbol("SPX")
    (weekly,) = aapl.classes
    expiries = market.chains.expiries(aapl, weekly, DAY)
    # Fridays; 2025-11-28 is the short Friday, 2025-12-19 the third Friday of a quarter's last month
    assert [e.expiration for e in expiries[:4]] == [
        date(2025, 11, 28),
        date(2025, 12, 5),
        date(2025, 12, 12),
        date(2025, 12, 19),
    ]
    assert {e.expiration: e.kind for e in expiries}[date(2025, 12, 19)] == "quarterly"
    assert {e.expiration: e.kind for e in expiries}[date(2026, 1, 16)] == "monthly"
    # Cboe: SPX stops trading the day before its third Friday, SPXW on the day itself
    monthly, daily = spx.classes
    december = next(e for e in market.chains.expiries(spx, monthly, DAY) if e.expiration == date(2025, 12, 19))
    assert december.last_trade == date(2025, 12, 18)
    assert date(2025, 11, 26) in {e.last_trade for e in market.chains.expiries(spx, daily, DAY)}


def test_good_friday_moves_the_monthly_expiry_to_thursday(market):
    aapl = market.universe.by_symbol("AAPL")
    found = {e.expiration for e in market.chains.expiries(aapl, aapl.classes[0], date(2025, 4, 1))}
    assert date(2025, 4, 17) in found
    assert date(2025, 4, 18) not in found


def test_vix_expires_on_the_wednesday_thirty_days_before_the_next_third_friday(market):
    vix = market.universe.by_symbol("VIX")
    found = [e.expiration for e in market.chains.expiries(vix, vix.classes[0], DAY)]
    assert found[:2] == [date(2025, 12, 17), date(2026, 1, 21)]  # Cboe's calendar


def test_the_grid_is_a_union_of_which_not_every_pair_exists(market):
    (grid,) = market.chains.parameters(market.universe.by_symbol("AAPL"), DAY)
    listed = {(o.expiry.last_trade, o.strike) for o in options_of(market, "AAPL", right="C")}
    pairs = {(e, s) for e in grid.expirations for s in grid.strikes}
    assert listed < pairs
    assert {e for e, _ in listed} == set(grid.expirations)
    assert {s for _, s in listed} == set(grid.strikes)


def test_osi_names(market):
    option = next(o for o in options_of(market, "AAPL", last_trade="20251219", right="P") if o.strike == 250.0)
    assert option.local_symbol == "AAPL  251219P00250000"


# ---- quotes ------------------------------------------------------------------------------------------------------


def test_quotes_depend_on_seed_contract_and_second_alone():
    instants = [at("2025-11-24T10:00:00"), at("2025-11-24T15:59:59"), at("2025-11-21T12:00:00")]
    one, two = (Market(5, MarketHours(), MarketSettings()) for _ in range(2))
    conids = [o.conid for o in options_of(one, "AAPL", last_trade="20251219")][::7]
    forward = [one.quote(one.by_conid(c, i), i) for i in instants for c in conids]
    backward = [two.quote(two.by_conid(c, i), i) for i in reversed(instants) for c in reversed(conids)]
    assert forward == backward[::-1]
    other = Market(6, MarketHours(), MarketSettings())
    apple = other.universe.by_symbol("AAPL")
    assert other.quote(apple, instants[0]) != one.quote(apple, instants[0])


def test_quotes_are_quantised_to_seconds(market):
    apple, instant = market.universe.by_symbol("AAPL"), at("2025-11-24T10:00:00")
    assert market.quote(apple, instant + 0.999).bid == market.quote(apple, instant).bid


def test_option_quotes_are_coherent(market):
    instant = at("2025-11-24T11:07:31")
    for option in [*options_of(market, "AAPL")[::15], *options_of(market, "SPX")[::101]]:
        quote = market.quote(option, instant)
        model = quote.model
        years = (option.expires_s - instant) / YEAR_S
        expected = option_price(option.is_call, model.und_price, option.strike, years, model.iv, 0.0, 0.0)
        assert model.price == pytest.approx(expected, abs=1e-8)
        assert (0.0 if quote.bid is None else quote.bid) <= model.price < quote.ask
        assert (quote.bid is None) == (quote.bid_size == 0)
        for side, values in ((quote.bid, quote.bid_model), (quote.ask, quote.ask_model)):
            if values is not None and values.iv is not None:
                again = option_price(option.is_call, values.und_price, option.strike, years, values.iv, 0.0, 0.0)
                assert again == pytest.approx(side, abs=1e-6)
        if quote.volume:
            assert quote.day_low <= quote.last <= quote.day_high
            assert quote.day_low <= quote.vwap <= quote.day_high
            assert quote.last_time_s <= instant
        else:
            assert (quote.last, quote.day_open, quote.last_time_s) == (None, None, None)


def test_volume_only_grows_within_a_session(market):
    options = [o for o in options_of(market, "SPY", last_trade="20251128") if market.day_volume(o, DAY) > 50][:5]
    assert len(options) == 5
    for contract in [market.universe.by_symbol("SPY"), *options]:
        volumes = [market.quote(contract, at("2025-11-24T09:30:00") + 600 * i).volume for i in range(40)]
        assert volumes == sorted(volumes)
        assert volumes[-1] > volumes[0]


def test_after_the_close_the_last_values_stay(market):
    option = options_of(market, "AAPL", last_trade="20251219", right="C")[20]
    closing = market.quote(option, at("2025-11-24T16:00:00"))
    evening = market.quote(option, at("2025-11-24T20:00:00"))
    morning = market.quote(option, at("2025-11-25T09:29:59"))
    for column in ("bid", "ask", "last", "volume", "bid_size", "model", "prev_close"):
        assert getattr(closing, column) == getattr(evening, column) == getattr(morning, column)


def test_some_options_have_no_bid():
    market = Market(5, MarketHours(), MarketSettings(no_bid_fraction=0.25))
    quotes = [market.quote(o, at("2025-11-24T11:00:00")) for o in options_of(market, "SPX", last_trade="20251218")[::4]]
    near = [q for q in quotes if q.model.price > 5]
    share = sum(q.bid is None for q in near) / len(near)
    assert 0.12 < share < 0.40


# ---- open interest -----------------------------------------------------------------------------------------------


def test_open_interest_rolls_at_half_past_six(market):
    before = market.open_interest_session(at("2025-11-25T06:29:59"))
    after = market.open_interest_session(at("2025-11-25T06:30:00"))
    assert (before.day, after.day) == (date(2025, 11, 21), DAY)
    # Friday's figure is shown from Monday morning; on Thanksgiving still Tuesday's close
    assert market.open_interest_session(at("2025-11-24T07:00:00")).day == date(2025, 11, 21)
    assert market.open_interest_session(at("2025-11-27T12:00:00")).day == date(2025, 11, 25)


def test_open_interest_moves_by_at_most_the_days_volume(market):
    traded = changed = 0
    for option in options_of(market, "SPY", last_trade="20251219"):
        before, after = (market.open_interest_after(option, day) for day in (date(2025, 11, 21), DAY))
        volume = market.day_volume(option, DAY)
        assert abs(after - before) <= volume
        traded += volume > 0
        changed += volume > 0 and after != before
    assert traded > 20
    assert changed / traded > 0.5


def test_open_interest_does_not_depend_on_what_was_asked_before(market):
    option = options_of(market, "SPY", last_trade="20251219")[50]
    late, early = (market.open_interest_after(option, day) for day in (DAY, date(2025, 11, 18)))
    fresh = Market(5, MarketHours(), MarketSettings())
    assert (fresh.open_interest_after(option, date(2025, 11, 18)), fresh.open_interest_after(option, DAY)) == (
        early,
        late,
    )


# ---- bars --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["BID", "ASK"])
def test_minute_bars_bound_and_meet_the_quotes(market, what):
    cutter = BarCutter(market)
    session = market.hours.trading_day(DAY)
    column = what.lower()
    options = options_of(market, "AAPL", last_trade="20251219")[30:60:6]
    for contract in [market.universe.by_symbol("MSFT"), *options]:
        bars = {b.start_s: b for b in cutter.intraday(contract, [session], 1, what, session.close_s, DAY)}
        for minute in range(0, 390, 13):
            start = session.open_s + minute * 60
            values = [getattr(market.quote(contract, start + s), column) for s in range(61)]
            bar = bars.get(start)
            if None in values:
                continue
            assert (bar.open, bar.close) == (values[0], values[-1])
            assert (bar.high, bar.low) == (max(values), min(values))


def test_trades_bars_add_up_to_the_volume_shown(market):
    cutter, session = BarCutter(market), market.hours.trading_day(DAY)
    option = max(options_of(market, "SPY", last_trade="20251128"), key=lambda o: market.day_volume(o, DAY))
    for text in ("10:00:00", "12:34:00", "16:00:00"):
        instant = at(f"2025-11-24T{text}")
        quote = market.quote(option, instant)
        bars = cutter.intraday(option, [session], 1, "TRADES", instant, DAY)
        assert sum(bar.volume for bar in bars) == quote.volume
        assert bars[-1].close == quote.last
        assert (max(b.high for b in bars), min(b.low for b in bars)) == (quote.day_high, quote.day_low)


def test_the_daily_bar_is_the_day_as_quoted(market):
    apple, session = market.universe.by_symbol("AAPL"), market.hours.trading_day(DAY)
    (bar,) = BarCutter(market).daily(apple, [session], "TRADES", session.close_s, DAY)
    closing = market.quote(apple, session.close_s)
    assert (bar.open, bar.high, bar.low, bar.close) == (
        closing.day_open,
        closing.day_high,
        closing.day_low,
        closing.last,
    )
    assert bar.volume == closing.volume
    assert market.quote(apple, at("2025-11-25T10:00:00")).prev_close == bar.close


def test_eight_hour_bars_are_one_a_session(market):
    sessions = [market.hours.trading_day(date(2025, 11, d)) for d in (24, 25, 28)]
    apple, end = market.universe.by_symbol("AAPL"), sessions[-1].close_s
    bars = BarCutter(market).intraday(apple, sessions, 480, "TRADES", end, DAY)
    assert [new_york_date(bar.start_s) for bar in bars] == [session.day for session in sessions]


def test_an_unfinished_bar_ends_at_the_instant_asked_for(market):
    apple, session = market.universe.by_symbol("AAPL"), market.hours.trading_day(DAY)
    end = at("2025-11-24T10:10:00")
    bars = BarCutter(market).intraday(apple, [session], 30, "TRADES", end, DAY)
    assert len(bars) == 2
    assert bars[-1].close == market.quote(apple, end).last
