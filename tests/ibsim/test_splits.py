"""Whole-number splits in the simulated market: what happens to shares, options, open interest and bars."""

import hashlib
from dataclasses import asdict
from datetime import date, datetime
from math import log

import pytest

from ibsim.control import ControlError
from ibsim.launch import running_gateway
from ibsim.market.bars import BarCutter
from ibsim.market.hours import NEW_YORK, MarketHours
from ibsim.market.model import Market
from ibsim.market.quotes import MarketSettings
from ibsim.market.splits import Split, Splits
from ibsim.scenario import ScenarioError, scenario_of

EX_DATE = date(2025, 12, 3)  # a Wednesday
EVE = date(2025, 12, 2)
CALM = {"no_bid_fraction": 0.0, "oi_never_fraction": 0.0, "oi_late_fraction": 0.0, "greeks_never_fraction": 0.0}


def at(day: date, text: str) -> float:
    """New York wall time as seconds since 1970."""
    return datetime.fromisoformat(f"{day}T{text}").replace(tzinfo=NEW_YORK).timestamp()


def market_with(*splits: Split, **settings: float) -> Market:
    return Market(5, MarketHours(), MarketSettings(splits=splits, **settings))


@pytest.fixture(scope="module")
def market() -> Market:
    return market_with(Split("NVDA", EX_DATE, 4))


@pytest.fixture(scope="module")
def unsplit() -> Market:
    return market_with()


def options_of(market: Market, symbol: str, day: date, **terms: object):
    return list(market.chains.find(market.universe.by_symbol(symbol), day, last_trade="20251219", **terms))


def test_without_splits_the_market_is_what_it_was_before_it_knew_of_them(unsplit):
    digest = hashlib.sha256()
    for day, text in ((date(2025, 11, 20), "09:25"), (date(2025, 11, 24), "11:07:31"), (date(2025, 12, 5), "16:30")):
        for symbol in ("NVDA", "SPY", "SPX", "F"):
            instrument = unsplit.universe.by_symbol(symbol)
            options = list(unsplit.chains.find(instrument, day))
            digest.update(repr([(o.conid, o.strike, o.local_symbol) for o in options]).encode())
            for contract in [instrument, *options[:: max(1, len(options) // 40)]]:
                digest.update(repr(asdict(unsplit.quote(contract, at(day, text)))).encode())
    # taken from the market before splits were built
    assert digest.hexdigest() == "30cec21e3718fd07daf0d500ed1261b6b02eed9d038c803dffe814009a15ea9b"


def test_the_share_is_in_new_terms_from_the_ex_date_on(market, unsplit):
    nvidia = market.universe.by_symbol("NVDA")
    assert market.quote(nvidia, at(EVE, "15:00")) == unsplit.quote(nvidia, at(EVE, "15:00"))
    new, old = (m.quote(nvidia, at(EX_DATE, "11:00")) for m in (market, unsplit))
    for name in ("last", "mark", "day_open", "day_high", "day_low", "prev_close"):
        assert getattr(new, name) == pytest.approx(getattr(old, name) / 4, abs=0.0051)
    assert new.bid < new.last < new.ask
    assert new.volume == pytest.approx(4 * old.volume, abs=400)
    apple = market.universe.by_symbol("AAPL")
    assert market.quote(apple, at(EX_DATE, "11:00")) == unsplit.quote(apple, at(EX_DATE, "11:00"))


def test_before_the_open_of_the_ex_date_the_last_close_is_in_new_terms_too(market):
    nvidia = market.universe.by_symbol("NVDA")
    evening, morning = market.quote(nvidia, at(EVE, "17:30")), market.quote(nvidia, at(EX_DATE, "09:25"))
    assert morning.last == pytest.approx(evening.last / 4, abs=0.0051)


def test_options_are_replaced_by_ones_with_divided_strikes(market):
    before, after = options_of(market, "NVDA", EVE), options_of(market, "NVDA", EX_DATE)
    assert len(before) == len(after) > 50
    assert [o.strike for o in after] == pytest.approx([o.strike / 4 for o in before], abs=0.0051)
    assert not {o.conid for o in before} & {o.conid for o in after}
    assert {(o.multiplier, o.option_class.name) for o in after} == {(100, "NVDA")}
    for old, new in zip(before, after, strict=True):
        assert market.chains.by_conid(new.conid, EX_DATE) == new
        assert market.chains.by_conid(old.conid, EX_DATE) is None
        assert market.chains.by_conid(new.conid, EVE) is None
        assert market.chains.before_split(new) == old


def test_apples_and_amazons_published_strikes():
    """tests/data/corporate_actions: 600 became 85.71 with 7:1 (AAPL, 2014) and one contract seven; 1200, 10:1, 120."""
    market = market_with(Split("META", EX_DATE, 7), Split("LLY", EX_DATE, 10))
    for symbol, strike, becomes in (("META", 600.0, 85.71), ("LLY", 1200.0, 120.0)):
        strikes = dict(
            zip(*([o.strike for o in options_of(market, symbol, d)] for d in (EVE, EX_DATE)), strict=True)
        )  # fmt: skip
        assert strikes[strike] == becomes


def test_open_interest_is_multiplied_once_and_goes_on_from_there(market):
    pairs = list(zip(options_of(market, "NVDA", EVE), options_of(market, "NVDA", EX_DATE), strict=True))
    evening, morning = at(EVE, "23:00"), at(EX_DATE, "07:30")
    assert market.open_interest_session(morning).day == EVE
    for old, new in pairs:
        assert market.open_interest(new, morning) == 4 * market.open_interest_after(old, EVE)
        assert market.open_interest(old, evening) == market.open_interest_after(old, date(2025, 12, 1))
        moved = market.open_interest_after(new, EX_DATE) - market.open_interest_after(new, EVE)
        assert abs(moved) <= market.day_volume(new, EX_DATE)
    assert sum(market.day_volume(new, EX_DATE) for _, new in pairs) > 0


def test_open_interest_does_not_depend_on_what_was_asked_before(market):
    (option,) = options_of(market, "NVDA", EX_DATE, strike=45.0, right="C")
    later = market.open_interest_after(option, date(2025, 12, 10))
    fresh = market_with(Split("NVDA", EX_DATE, 4))
    days = (date(2025, 12, 10), EVE, date(2025, 12, 4), date(2025, 12, 10))
    assert [fresh.open_interest_after(option, day) for day in days][::3] == [later, later]


def test_an_option_on_new_terms_is_worth_a_part_of_the_old_one(market):
    """One old contract is four new ones of the same shape: the same volatility and delta, a quarter of the price."""
    session = market.hours.trading_day(EVE)
    for old, new in zip(options_of(market, "NVDA", EVE), options_of(market, "NVDA", EX_DATE), strict=True):
        if abs(log(old.strike / 181)) > 0.1 or new.strike * 4 != old.strike:
            continue
        models = [market.quote_in_session(o, session, session.close_s, EVE).model for o in (old, new)]
        assert models[1].price == pytest.approx(models[0].price / 4, abs=0.01)
        assert models[1].delta == pytest.approx(models[0].delta, abs=0.002)


def test_a_new_option_has_not_traded_before_the_split(market):
    (option,) = options_of(market, "NVDA", EX_DATE, strike=45.0, right="C")
    assert market.trades(option, market.hours.trading_day(EVE)) == ()
    assert market.trades(option, market.hours.trading_day(EX_DATE))
    quote = market.quote(option, at(EX_DATE, "09:25"))
    assert (quote.last, quote.volume) == (None, 0)


def test_bars_of_a_share_are_adjusted_and_options_have_none_from_before(market, unsplit):
    nvidia = market.universe.by_symbol("NVDA")
    sessions = [market.hours.trading_day(day) for day in (EVE, EX_DATE)]
    end = sessions[-1].close_s
    as_then, as_now = (BarCutter(market).daily(nvidia, sessions[:1], "TRADES", end, day)[0] for day in (EVE, EX_DATE))
    assert as_then == BarCutter(unsplit).daily(nvidia, sessions[:1], "TRADES", end, EX_DATE)[0]
    assert as_now.close == pytest.approx(as_then.close / 4, abs=0.0051)
    assert as_now.volume == pytest.approx(as_then.volume * 4, abs=400)
    (option,) = options_of(market, "NVDA", EX_DATE, strike=45.0, right="C")
    bars = BarCutter(market).intraday(option, sessions, 30, "ASK", end, EX_DATE)
    assert len(bars) == 13
    assert min(bar.start_s for bar in bars) == sessions[1].open_s


def test_two_splits_multiply(unsplit):
    market = market_with(Split("NVDA", EX_DATE, 4), Split("NVDA", date(2025, 12, 8), 3))
    nvidia, day = market.universe.by_symbol("NVDA"), date(2025, 12, 9)
    last = [m.quote(nvidia, at(day, "12:00")).last for m in (market, unsplit)]
    assert last[0] == pytest.approx(last[1] / 12, abs=0.0051)
    (option, *_) = options_of(market, "NVDA", day)
    assert (option.generation, option.factor) == (2, 12)
    first = market.chains.before_split(market.chains.before_split(option))
    ratio = market.open_interest_after(option, EVE) / market.open_interest_after(first, EVE)
    assert (first.generation, ratio) == (0, 12)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"ratio": 1.5}, r"market.splits\[0\].ratio must be int, not 1.5"),
        ({"ratio": 1}, "must have a whole ratio of 2 or more, not 1"),
        ({"ratio": 0}, "must have a whole ratio of 2 or more, not 0"),
        ({"ratio": -4}, "must have a whole ratio of 2 or more"),
        ({"ex_date": "soon"}, r"market.splits\[0\].ex_date"),
        ({"ratios": 4}, "unknown key market.splits.*did you mean ratio"),
    ],
)
def test_mistakes_are_named(split, message):
    with pytest.raises(ScenarioError, match=message):
        scenario_of({"market": {"splits": [{"symbol": "NVDA", "ex_date": "2025-12-03", "ratio": 4} | split]}})


@pytest.mark.parametrize(("symbol", "message"), [("NONE", "no stock or fund"), ("SPX", "no stock or fund")])
def test_only_stocks_and_funds_of_the_market_split(symbol, message):
    with pytest.raises(ValueError, match=message):
        market_with(Split(symbol, EX_DATE, 4))


def test_a_symbol_splits_once_a_day():
    with pytest.raises(ValueError, match="NVDA has two splits on 2025-12-03"):
        Splits([Split("NVDA", EX_DATE, 4), Split("NVDA", EX_DATE, 2)])


async def test_a_real_client_across_the_ex_date(tmp_path):
    """ib_insync before and after: the chain, an old and a new contract, the previous close, adjusted bars."""
    from ib_insync import IB, Option, Stock

    scenario = {
        "dwell": {"kind": "fixed", "low_s": 0.01},
        "market": CALM | {"splits": [{"symbol": "NVDA", "ex_date": "2025-12-03", "ratio": 4}]},
    }
    with running_gateway(scenario, clock="2025-12-02T11:00:00-05:00", log_path=tmp_path / "log") as gateway:
        ib = IB()
        await ib.connectAsync(gateway.host, gateway.port, 11, readonly=True)
        nvidia = Stock("NVDA", "SMART", "USD")
        (nvidia,) = await ib.qualifyContractsAsync(nvidia)
        (old,) = await ib.qualifyContractsAsync(Option("NVDA", "20251219", 180, "C", "SMART"))
        before = await closes(ib, nvidia)
        grid_before = {s for p in await ib.reqSecDefOptParamsAsync("NVDA", "", "STK", nvidia.conId) for s in p.strikes}

        gateway.control.set_clock("2025-12-03T09:31:00-05:00")
        grid = {s for p in await ib.reqSecDefOptParamsAsync("NVDA", "", "STK", nvidia.conId) for s in p.strikes}
        assert sorted(grid) == pytest.approx(sorted(s / 4 for s in grid_before), abs=0.0051)
        assert await ib.qualifyContractsAsync(Option("NVDA", "20251219", 180, "C", "SMART")) == []
        (new,) = await ib.qualifyContractsAsync(Option("NVDA", "20251219", 45, "C", "SMART"))
        assert (new.conId != old.conId, new.localSymbol, new.multiplier) == (True, "NVDA  251219C00045000", "100")

        errors: list[int] = []
        ib.errorEvent += lambda req_id, code, text, contract: errors.append(code)
        assert await ib.reqContractDetailsAsync(Option(conId=old.conId)) == []
        assert errors == [200]
        after = await closes(ib, nvidia)
        shared = sorted(set(before) & set(after))
        assert [after[day] for day in shared] == pytest.approx([before[day] / 4 for day in shared], abs=0.0051)
        assert len(shared) == 3

        with pytest.raises(ControlError, match="no contract"):
            gateway.control.truth(old.conId)
        ib.disconnect()


async def closes(ib, stock) -> dict[date, float]:
    bars = await ib.reqHistoricalDataAsync(stock, "20251201 23:00:00 US/Eastern", "3 D", "1 day", "TRADES", True)
    return {bar.date: bar.close for bar in bars}
