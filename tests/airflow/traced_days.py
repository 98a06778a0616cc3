"""What every column of the daily files has to say, by the market and by what the test itself did; nothing of ours.

Numbers are the simulated gateway's (``truth``, ``find``), or arithmetic on them as ``docs/DATASETS.md`` states it; what
a contract was sent and when is its journal's; who wrote a row is known from the tries that the test ran.
"""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from ibsim.control import ControlError
from tests.airflow.listed_contracts import Listed, previous_close
from tests.airflow.market_witness import Request, Within
from tests.airflow.textbook_options import Option, greeks, relative_error, volatility_behind
from tests.airflow.three_weeks import AFTERWARDS, NEW_YORK, SESSIONS, Try, close_of, new_york, slots_of
from tests.airflow.three_weeks_story import CLOSE_LOST, CONIDS, EVE, EX_DATE, RATE_PCT, RATIO, UNREAD, Story

SCHEMA_VERSION = 1
"""Of both daily data sets; another one means other columns, and those need tracing."""

QUOTED = {
    "bid": "bid", "ask": "ask", "last": "last", "volume": "volume", "vwap": "vwap", "prev_close": "prev_close",
    "day_open": "day_open", "day_high": "day_high", "day_low": "day_low", "mark_price": "mark", "halted": "halted",
    "bid_size": "bid_size", "ask_size": "ask_size", "last_size": "last_size",
}  # fmt: skip
MODELLED = {
    "iv": "iv", "delta": "delta", "gamma": "gamma", "theta": "theta", "vega": "vega", "opt_price": "price",
    "pv_dividend": "pv_dividend", "und_price_model": "und_price",
}  # fmt: skip
IN_BARS = ("bid", "ask", "last", "volume")
CALCULATED = ("calc_iv", "calc_delta", "calc_gamma", "calc_vega", "calc_theta", "calc_rho", "calc_rate", "calc_model")
DIVIDED = ("strike", "bid", "ask", "mid", "last", "underlying_close", "vega", "theta")
MULTIPLIED = ("volume", "open_interest", "gamma")


def expected_day(story: Story, contract: Listed, day: date, row: dict[str, Any]) -> dict[str, Any]:
    """All columns of ``daily_clean``. Of the row only ``asof_ts`` is looked at, for what is measured from it."""
    close, symbol = close_of(day), contract.underlying
    truth, und = story.control.truth(contract.conid, close), story.control.truth(CONIDS[symbol], close)
    is_rebuilt = (symbol, day) == ("NVDA", CLOSE_LOST)
    slots = len(slots_of(day)) if symbol == "NVDA" else 0
    open_interest = _open_interest(story, contract, day)
    sampled = _rebuilt(story, contract, day) if is_rebuilt else _sampled(story, contract, day, row["asof_ts"])
    has_model = sampled.pop("has_model")
    flags = {
        "rebuilt_from_bars": is_rebuilt,
        "frozen": not is_rebuilt,
        "missing_greeks": not is_rebuilt and not has_model,
        "no_bid": truth["bid"] is None,
        "missing_oi": open_interest["open_interest"] is None,
        "fallback_intraday": is_rebuilt,
    }
    return {
        "trade_date": day,
        "underlying": symbol,
        "und_conid": CONIDS[symbol],
        "conid": contract.conid,
        "symbol": contract.symbol,
        "expiry": contract.expiry,
        "right": contract.right,
        "strike": contract.strike,
        "multiplier": 100,
        "exchange": "SMART",
        "trading_class": symbol,
        "currency": "USD",
        **_quote(truth, is_rebuilt=is_rebuilt),
        **_model(truth, has_model=has_model),
        "und_bid": None if is_rebuilt else und["bid"],
        "und_ask": None if is_rebuilt else und["ask"],
        "und_last": und["last"],
        "reference_price": previous_close(story, symbol, day),
        "sample_time": close,
        "sample_time_et": close.astimezone(NEW_YORK).isoformat(),
        "slot_30m": len(slots_of(day)) - 1,
        "first_seen_slot": 0,
        "capture_mode": "rebuilt" if is_rebuilt else "frozen",
        "delayed_quote_age_s": None,
        "snapshot_error": False,
        "error_type": None,
        "error_message": None,
        "ib_error_code": None,
        "data_quality_flag": [name for name, holds in flags.items() if holds],
        "source": "IBKR",
        "ingest_run_type": "eod_rollup",
        "schema_version": SCHEMA_VERSION,
        **sampled,
        **(_calculation(contract, truth, und["last"], day) if is_rebuilt else dict.fromkeys(CALCULATED)),
        **open_interest,
        "rollup_source_time": close,
        "rollup_source_slot": len(slots_of(day)) - 1,
        "rollup_strategy": "slot_1600" if is_rebuilt else "close",
        "underlying_close": und["last"],
        "moneyness_pct": (contract.strike / und["last"] - 1) * 100,
        "strike_per_100": contract.strike / und["last"] * 100,
        "slots_expected": slots,
        "slots_on_time": 0,
        "slots_late": 0,
        "slots_rebuilt": slots,
        "slots_missing": 0,
    }


def _quote(truth: dict[str, Any], *, is_rebuilt: bool) -> dict[str, Any]:
    bid, ask, traded = truth["bid"], truth["ask"], truth["last_time_s"]
    quote = {name: truth[key] if not is_rebuilt or name in IN_BARS else None for name, key in QUOTED.items()}
    if bid is None:
        quote["bid_size"] = None
    if truth["mark"] == 0:  # IB's word for none
        quote["mark_price"] = None
    return quote | {
        "mid": None if bid is None else (bid + ask) / 2,
        "last_trade_time": None if is_rebuilt or traded is None else datetime.fromtimestamp(traded, UTC),
    }


def _model(truth: dict[str, Any], *, has_model: bool) -> dict[str, Any]:
    if not has_model:
        return dict.fromkeys((*MODELLED, "bid_iv", "ask_iv", "hist_volatility", "greeks_source"))
    return {name: truth["model"][key] for name, key in MODELLED.items()} | {
        "bid_iv": truth["bid_model"]["iv"] if truth["bid_model"] else None,
        "ask_iv": truth["ask_model"]["iv"],
        "hist_volatility": None,
        "greeks_source": "ib_model",
    }


def _sampled(story: Story, contract: Listed, day: date, asof: datetime) -> dict[str, Any]:
    """Of a row of the closing snapshot: it comes from the last try that asked for the contract.

    Its values had been sent when it was sampled, and the underlying was given up only afterwards: that cancel ends a
    snapshot. The underlying's values, all sent at once, had come before the first option was given up, because options
    wait for them. Committed was the row when all had been sampled, and before the task ended.
    """
    witness = story.witness
    tries = story.tries("close_snapshot", new_york(day, "09:30"), contract.underlying)
    one = [one for one in tries if witness.asked(one, contract.conid)][-1]
    (request,) = witness.asked(one, contract.conid)
    (underlying,) = witness.asked(one, CONIDS[contract.underlying])
    until = witness.cancelled(one, underlying) or one.ended
    committed = witness.by_the_tasks_clock(one, witness.last_sent(one), one.ended)
    return {
        "has_model": request.sent_first("model") is not None,
        "quote_exchange": request.exchange,
        "market_data_type": request.served_type,
        "market_data_type_requested": request.requested_type,
        "asof_ts": witness.by_the_tasks_clock(one, _first_values(request), until),
        "lag_s": (asof - close_of(day)).total_seconds(),
        "und_asof_ts": witness.by_the_tasks_clock(one, _first_values(underlying), witness.first_cancel(one)),
        "known_at": Within(max(asof, committed.earliest), committed.latest),
        **_ingest(story, one, "close", contract.underlying, day),
    }


def _rebuilt(story: Story, contract: Listed, day: date) -> dict[str, Any]:
    """Of a row of the slot at the close: its bars end at that instant, and it comes from the try that left a file."""
    close = close_of(day)
    (one,) = [one for one in story.tries("capture", close, contract.underlying) if one.files]
    return {
        "has_model": False,
        "quote_exchange": "SMART",
        "market_data_type": None,
        "market_data_type_requested": None,
        "asof_ts": close,
        "lag_s": 0.0,
        "und_asof_ts": close,
        "known_at": story.witness.by_the_tasks_clock(one, one.begun, one.ended),
        **_ingest(story, one, "intraday", contract.underlying, day),
    }


def _first_values(request: Request) -> datetime:
    at = request.sent_first()
    assert at is not None
    return at


def _ingest(story: Story, one: Try, view: str, symbol: str, day: date) -> dict[str, Any]:
    """Who wrote a row: the raw file that appeared during the try bears the attempt's number and id in its name."""
    (path,) = one.files
    folder = f"raw/ib/chain/view={view}/date={day}/underlying={symbol}/exchange=SMART"
    assert path.parent == story.root / "data" / folder
    name = re.fullmatch(rf"slot_{len(slots_of(day)) - 1:02d}_a{one.number:02d}_([0-9a-f]{{32}})\.parquet", path.name)
    assert name is not None
    return {"attempt": one.number, "ingest_id": name[1], "dag_run_id": one.run_id}


def _open_interest(story: Story, contract: Listed, day: date) -> dict[str, Any]:
    """What the market published the next morning, if it was sent twice; nothing where the scenario says why."""
    nothing = dict.fromkeys(("open_interest", "oi_asof_date", "oi_observed_at"))
    morning = new_york((*SESSIONS, AFTERWARDS)[SESSIONS.index(day) + 1], "07:30")
    if day == UNREAD or contract.expiry == day:
        return nothing
    try:
        published = story.control.truth(contract.conid, morning)
    except ControlError:
        assert (contract.underlying, day) == ("NVDA", EVE)
        return nothing
    assert published["open_interest_of"] == day.isoformat()
    shown = list(_times_shown(story, contract, day))
    if not shown:
        return nothing
    _, believed = shown
    return {"open_interest": published["open_interest"], "oi_asof_date": day, "oi_observed_at": believed}


def _times_shown(story: Story, contract: Listed, day: date) -> Iterator[Within]:
    """When each read that was sent the contract's open interest can have observed it."""
    tick = "call_open_interest" if contract.right == "C" else "put_open_interest"
    asked = 0
    for one in story.tries("read", new_york(day, "09:30"), contract.underlying):
        for request in story.witness.asked(one, contract.conid):
            asked += 1
            if (at := request.sent_first(tick)) is not None:
                yield story.witness.by_the_tasks_clock(one, at, one.ended)
    assert asked


def _calculation(contract: Listed, truth: dict[str, Any], spot: float, day: date) -> dict[str, Any]:
    """By textbook from the market's own bid, ask and underlying; nothing where these have no volatility."""
    years = (new_york(contract.expiry, "16:00") - close_of(day)) / timedelta(days=365)
    option = Option(contract.right, contract.strike, years, spot, RATE_PCT / 100)
    volatility = None if truth["bid"] is None else volatility_behind((truth["bid"] + truth["ask"]) / 2, option)
    if volatility is None:
        return dict.fromkeys(CALCULATED)
    numbers = {"iv": volatility} | greeks(option.at(volatility=volatility))
    calculated: dict[str, Any] = {
        f"calc_{name}": pytest.approx(number, rel=relative_error(option, name)) for name, number in numbers.items()
    }
    return calculated | {"calc_rate": RATE_PCT / 100, "calc_model": "black_scholes_american"}


def expected_adjusted(of_the_day: dict[str, Any], symbol: str, day: date) -> dict[str, Any]:
    """All columns of ``daily_adjusted``, from the day's row: NVDA before its split on the terms of after it.

    That could be known when the ex-date began in New York, the split itself having been known before.
    """
    is_before = symbol == "NVDA" and day < EX_DATE
    ratio = RATIO if is_before else 1
    known_at = of_the_day["known_at"]
    return of_the_day | {
        "known_at": max(known_at, new_york(EX_DATE, "00:00")) if is_before else known_at,
        **{f"{name}_adj": _times(of_the_day[name], 1 / ratio) for name in DIVIDED},
        **{f"{name}_adj": _times(of_the_day[name], ratio) for name in MULTIPLIED},
        "moneyness_pct_adj": of_the_day["moneyness_pct"],
        "split_factor": ratio,
        "adj_method": "integral_split" if is_before else "none",
        "factor_asof": EX_DATE if is_before else day,
        "corporate_actions": "2025-12-03 split 4:1 [OCC 1]" if is_before else None,
    }


def _times(value: float | None, factor: float) -> float | None:
    """A quarter is exact in binary, so that no tolerance is needed."""
    return None if value is None else value * factor
