"""A capture against the simulated gateway: what a user has afterwards, in rows and ledger.

Over 400 lines because each fault of the gateway is told once, with the rows and the ledger it leaves.
"""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from opt_data.core.contracts import OptionContract
from opt_data.errors import (
    CaptureUnfinished,
    CompetingSession,
    ContractSetMissing,
    GatewayUnavailable,
    NothingCaptured,
    SlotExpired,
    SlotNotBegun,
)
from tests.pipelines.conftest import DAY, TEN

TEN_ET = "2025-11-24T10:00:00-05:00"

# What ibsim calls a tick -> our column, and what IB's sentinels mean
PRICE_TICKS = {
    "bid": "bid", "ask": "ask", "last": "last", "day_high": "day_high", "day_low": "day_low",
    "prev_close": "prev_close", "day_open": "day_open", "mark": "mark_price",
}  # fmt: skip
MODEL_VALUES = {
    "iv": "iv", "delta": "delta", "gamma": "gamma", "vega": "vega", "theta": "theta", "price": "opt_price",
    "pv_dividend": "pv_dividend", "und_price": "und_price_model",
}  # fmt: skip
GREEKS = {"delta", "gamma", "vega", "theta"}


def read_tick(tick):
    """One tick of the gateway's journal, as our columns; None for what IB's sentinels say is not there."""
    name = tick["name"]
    if name in PRICE_TICKS:
        return {PRICE_TICKS[name]: tick["price"] if tick["price"] > 0 else None}
    if name in ("bid_size", "ask_size", "last_size", "volume"):
        return {name: tick["size"]}
    if name in ("halted", "hist_volatility"):
        return {name: tick["value"]}
    if name == "model":
        unset = {theirs: -2.0 if theirs in GREEKS else -1.0 for theirs in MODEL_VALUES}
        return {ours: None if tick[theirs] == unset[theirs] else tick[theirs] for theirs, ours in MODEL_VALUES.items()}
    if name in ("bid_model", "ask_model"):
        return {name.replace("model", "iv"): tick["iv"] if tick["iv"] > 0 else None}
    if name == "rt_volume":
        _, _, at_ms, _, vwap, _ = tick["value"].split(";")
        return {"vwap": float(vwap), "last_trade_time": int(at_ms) / 1000}
    return {"last_trade_time": float(tick["value"])} if name == "last_timestamp" else {}


def told(ticks):
    """What a reader of the gateway's own journal knows after these ticks, by column."""
    known: dict[str, object] = {}
    traded_at = 0.0
    for tick in ticks:
        values = read_tick(tick)
        traded_at = max(traded_at, values.pop("last_trade_time", 0.0))
        known |= values
    known["last_trade_time"] = datetime.fromtimestamp(traded_at, UTC) if traded_at else None
    for side in ("bid", "ask"):
        if known.get(side) is None:
            known[f"{side}_size"] = None
    return known


@pytest.mark.parametrize("symbol", ["AAPL", "SPX"])
async def test_every_stored_value_is_what_the_gateway_sent(desk, symbol):
    desk = desk()
    await desk.discover(symbol)
    desk.gateway.control.set_clock(TEN_ET)

    outcome = await desk.capture(symbol)

    rows = desk.rows(symbol)
    assert len(rows) == outcome.account.expected == outcome.account.on_time > 20
    compared = set(PRICE_TICKS.values()) | set(MODEL_VALUES.values()) | {
        "bid_size", "ask_size", "last_size", "volume", "halted", "hist_volatility", "vwap", "last_trade_time",
        "bid_iv", "ask_iv",
    }  # fmt: skip
    for row in rows:
        (request,) = desk.gateway.control.sent(conid=row["conid"])
        expected = told(request["ticks"])
        assert {name: row[name] for name in compared} == {name: expected.get(name) for name in compared}
        assert row["market_data_type"] == request["served_types"][-1]["type"]
        assert row["market_data_type_requested"] == request["requested_type"]
        assert row["quote_exchange"] == request["exchange"]
        assert row["asof_ts"] >= datetime.fromisoformat(request["ticks"][-1]["at"]) - timedelta(seconds=1.1)


async def test_every_identity_is_what_another_client_reads(desk):
    from ib_insync import IB, Contract

    desk = desk()
    await desk.discover("SPX")
    desk.gateway.control.set_clock(TEN_ET)
    await desk.capture("SPX")
    ib = IB()
    await ib.connectAsync(desk.gateway.host, desk.gateway.port, clientId=99, timeout=5)

    rows = desk.rows("SPX")
    details = {}
    for row in rows:
        (found,) = await ib.reqContractDetailsAsync(Contract(conId=row["conid"]))
        details[row["conid"]] = found
    ib.disconnect()

    assert {row["trading_class"] for row in rows} == {"SPX", "SPXW"}
    for row in rows:
        contract = details[row["conid"]].contract
        assert row["symbol"] == contract.localSymbol
        assert len(row["symbol"]) == 21
        assert row["expiry"].strftime("%Y%m%d") == contract.lastTradeDateOrContractMonth
        assert (row["strike"], row["right"]) == (contract.strike, contract.right)
        assert (str(row["multiplier"]), row["trading_class"]) == (contract.multiplier, contract.tradingClass)
        assert row["und_conid"] == details[row["conid"]].underConId


async def test_the_underlying_is_sampled_in_the_same_pass(desk):
    desk = desk({"feed": {"update_s": 0.2}})
    await desk.discover()
    desk.gateway.control.set_clock(TEN_ET)

    await desk.capture()

    (request,) = desk.gateway.control.sent(conid=265598)
    bids = [tick["price"] for tick in request["ticks"] if tick["name"] == "bid"]
    rows = desk.rows()
    assert {row["und_bid"] for row in rows} <= set(bids)
    assert all(abs((row["asof_ts"] - row["und_asof_ts"]).total_seconds()) < 5 for row in rows)


async def test_every_subscription_is_cancelled_and_the_allowance_kept(desk):
    desk = desk()
    await desk.discover()
    desk.gateway.control.set_clock(TEN_ET)

    await desk.capture()

    seen = desk.gateway.control.stats()
    assert seen["requests"]["reqMktData"] == seen["requests"]["cancelMktData"] == 25
    assert (seen["lines_open"], seen["strikes"], seen["rejected"]) == (0, 0, 0)
    assert seen["lines_peak"] <= 400
    assert seen["greatest_rate"] <= 200


async def test_a_second_capture_asks_for_nothing_and_changes_nothing(desk):
    desk = desk()
    await desk.discover()
    desk.gateway.control.set_clock(TEN_ET)
    await desk.capture()
    before = desk.rows()
    desk.gateway.control.reset_counters()

    outcome = await desk.capture(attempt=2)

    assert outcome.asked == 0
    assert "reqMktData" not in desk.gateway.control.stats()["requests"]
    assert desk.rows() == before


async def test_a_late_capture_joins_what_was_on_time_and_never_replaces_it(desk):
    desk = desk()
    contracts = (await desk.discover()).contract_set.contracts
    silent = contracts[0].conid
    desk.gateway.control.set_clock(TEN_ET)
    desk.gateway.control.faults(silent_conids=[silent])
    await desk.capture()
    desk.gateway.control.faults(silent_conids=[])
    desk.gateway.control.set_clock("2025-11-24T10:10:00-05:00")

    await desk.capture(attempt=2)

    modes = {row["conid"]: row["capture_mode"] for row in desk.rows()}
    assert modes.pop(silent) == "late"
    assert set(modes.values()) == {"on_time"}
    account = desk.ledger()["AAPL"]
    assert (account["on_time"], account["late"], account["missing"]) == (23, 1, 0)


@pytest.mark.parametrize("clock", ["2025-11-24T10:30:00-05:00", "2025-11-25T10:00:00-05:00"])
async def test_a_slot_that_is_over_is_not_captured(desk, clock):
    desk = desk()
    await desk.discover()
    desk.gateway.control.set_clock(clock)

    with pytest.raises(SlotExpired, match=r"slot 10:00 of 2025-11-24 ended at 10:30 New York.*Recovery"):
        await desk.capture()

    assert desk.rows() == []
    assert "reqMktData" not in desk.gateway.control.stats()["requests"]


async def test_a_slot_of_the_future_is_not_captured(desk):
    desk = desk()
    await desk.discover()

    with pytest.raises(SlotNotBegun, match="begins in"):
        await desk.capture()


async def test_a_reused_contract_never_leaks_the_last_slots_quote(desk):
    desk = desk({"faults": {"late_tick_after_cancel_s": 0.2}})
    contracts = (await desk.discover()).contract_set.contracts
    desk.gateway.control.set_clock(TEN_ET)
    await desk.capture()
    desk.gateway.control.set_clock("2025-11-24T10:30:00-05:00")
    silent = contracts[0].conid
    desk.gateway.control.faults(silent_conids=[silent])

    await desk.capture(slot=desk.slot(TEN + timedelta(minutes=30)))

    (row,) = [row for row in desk.rows(slot=2) if row["conid"] == silent]
    assert (row["snapshot_error"], row["error_type"]) == (True, "timed_out")
    assert [row[name] for name in ("bid", "ask", "last", "iv", "market_data_type")] == [None] * 5


async def test_one_contracts_failure_never_fails_the_symbol(desk):
    desk = desk()
    contracts = (await desk.discover()).contract_set.contracts
    refused, rejected = contracts[0].conid, contracts[1].conid
    desk.gateway.control.set_clock(TEN_ET)
    desk.gateway.control.faults(
        errors=[
            {"code": 200, "text": "No security definition has been found for the request", "conid": refused},
            {"code": 321, "text": "Error validating request", "conid": rejected},
        ]
    )

    outcome = await desk.capture()

    errors = {row["conid"]: (row["error_type"], row["ib_error_code"]) for row in desk.rows() if row["snapshot_error"]}
    assert errors == {refused: ("unknown_contract", 200), rejected: ("rejected", 321)}
    assert (outcome.account.on_time, outcome.account.error) == (22, 2)
    assert desk.ledger()["AAPL"]["reasons"] == [("rejected", 1), ("unknown_contract", 1)]


async def test_a_symbol_with_nothing_fails_after_its_absence_was_counted(desk):
    desk = desk(CAPTURE__READY_TIMEOUT_S="0.4")
    await desk.discover()
    desk.gateway.control.set_clock(TEN_ET)
    desk.gateway.control.faults(silent_symbols=["AAPL"])

    with pytest.raises(NothingCaptured, match="of 24 contracts: 24 timed_out"):
        await desk.capture()

    account = desk.ledger()["AAPL"]
    assert (account["expected"], account["missing"], account["coverage"]) == (24, 24, 0.0)


async def test_a_silent_exchange_is_replaced_by_the_next(desk):
    desk = desk(CAPTURE__READY_TIMEOUT_S="0.5")
    await desk.discover()
    desk.gateway.control.set_clock(TEN_ET)
    desk.gateway.control.faults(silent_exchanges=["SMART"])

    outcome = await desk.capture()

    rows = desk.rows()
    assert outcome.account.on_time == 24
    assert {(row["exchange"], row["quote_exchange"]) for row in rows} == {("SMART", "CBOE")}
    assert all("fallback_exchange" in row["data_quality_flag"] for row in rows)


async def test_delayed_data_are_used_contract_by_contract_and_say_so(desk):
    desk = desk()
    await desk.discover()
    desk.gateway.control.set_clock(TEN_ET)
    desk.gateway.control.patch(entitlements={"options": "delayed"})

    await desk.capture()

    rows = desk.rows()
    assert {row["market_data_type"] for row in rows} == {3}
    assert all("delayed_fallback" in row["data_quality_flag"] for row in rows)
    assert {row["und_last"] is not None for row in rows} == {True}


async def test_without_permission_for_delayed_data_nothing_is_made_up(desk):
    desk = desk(GATEWAY__ALLOW_DELAYED="false")
    await desk.discover()
    desk.gateway.control.set_clock(TEN_ET)
    desk.gateway.control.patch(entitlements={"options": "delayed"})

    with pytest.raises(NothingCaptured, match="24 no_permission"):
        await desk.capture()

    assert {row["error_type"] for row in desk.rows()} == {"no_permission"}


async def test_contracts_without_bid_or_greeks_are_kept_and_flagged(desk):
    desk = desk(
        {"market": {"no_bid_fraction": 0.5, "greeks_never_fraction": 0.5, "greeks_late_fraction": 0.0}},
        CAPTURE__READY_TIMEOUT_S="0.6",
    )
    await desk.discover()
    desk.gateway.control.set_clock(TEN_ET)

    await desk.capture()

    rows = [row for row in desk.rows() if not row["snapshot_error"]]
    no_bid = [row for row in rows if row["bid"] is None]
    no_greeks = [row for row in rows if row["iv"] is None]
    assert no_bid
    assert no_greeks
    assert all(("no_bid" in row["data_quality_flag"]) == (row in no_bid) for row in rows)
    assert all(("missing_greeks" in row["data_quality_flag"]) == (row in no_greeks) for row in rows)
    assert all(row["mid"] is None and row["bid_size"] is None for row in no_bid)


async def test_fewer_lines_than_expected_shrink_the_window(desk):
    desk = desk({"limits": {"lines": 10, "max_messages_per_s": 200}, "dwell": {"kind": "fixed", "low_s": 0.5}})
    await desk.discover()
    desk.gateway.control.set_clock(TEN_ET)

    outcome = await desk.capture()

    seen = desk.gateway.control.stats()
    assert outcome.account.on_time == 24
    assert (seen["lines_open"], seen["lines_peak"]) == (0, 10)
    assert seen["errors_sent"]["101"] >= 1


async def test_tasks_side_by_side_share_lines_and_messages_of_one_login(desk):
    """Four symbols at once on a login of 12 lines, which counts every message whatever connection it comes from."""
    desk = desk(
        {
            "limits": {"lines": 12, "max_messages_per_s": 50, "rate_scope": "all"},
            "dwell": {"kind": "uniform", "low_s": 0.3, "high_s": 1.0},
        },
        GATEWAY__MARKET_DATA_LINES="80",
        GATEWAY__CONCURRENT_SNAPSHOTS_MAX="12",
    )
    symbols = ("AAPL", "MSFT", "SPY", "NVDA")
    for symbol in symbols:
        await desk.discover(symbol)
    desk.gateway.control.set_clock(TEN_ET)
    desk.gateway.control.reset_counters()

    outcomes = await asyncio.gather(*(desk.capture(symbol) for symbol in symbols))

    seen = desk.gateway.control.stats()
    assert [outcome.account.on_time for outcome in outcomes] == [24] * 4
    assert (seen["strikes"], seen["lines_open"], seen["errors_sent"].get("101", 0)) == (0, 0, 0)
    assert seen["lines_peak"] == 12
    assert seen["greatest_rate"] <= 50


async def test_a_ceiling_on_captures_slows_them_and_nothing_else(desk):
    desk = desk(GATEWAY__SNAPSHOTS_PER_MIN_MAX="600")
    await desk.discover()
    desk.gateway.control.set_clock(TEN_ET)
    desk.gateway.control.reset_counters()

    outcome = await desk.capture()

    assert outcome.account.on_time == 24
    # 600 contracts a minute are 20 messages a second
    assert desk.gateway.control.stats()["greatest_rate"] <= 21


async def test_a_connection_lost_on_the_way_keeps_what_was_sampled_and_the_rerun_goes_on(desk):
    desk = desk({"dwell": {"kind": "uniform", "low_s": 0.1, "high_s": 1.0}})
    await desk.discover()
    desk.gateway.control.set_clock(TEN_ET)

    capture = asyncio.ensure_future(desk.capture())
    while desk.gateway.control.stats()["requests"].get("cancelMktData", 0) < 5:
        await asyncio.sleep(0.02)
    desk.gateway.control.call("drop")
    with pytest.raises(GatewayUnavailable):
        await capture

    account = desk.ledger()["AAPL"]
    assert 5 <= account["on_time"] < 24
    assert account["on_time"] + account["error"] == 24
    assert dict(account["reasons"]) == {"gateway_lost": account["error"]}
    outcome = await desk.capture(attempt=2)
    assert outcome.asked == account["error"]
    assert outcome.account.on_time == 24
    assert len({row["conid"] for row in desk.rows()}) == len(desk.rows()) == 24


async def test_quotes_frozen_by_an_outage_are_dropped_and_asked_for_again(desk):
    desk = desk({"dwell": {"kind": "fixed", "low_s": 0.4}})
    await desk.discover()
    desk.gateway.control.set_clock(TEN_ET)

    capture = asyncio.ensure_future(desk.capture())
    while desk.gateway.control.stats()["requests"].get("reqMktData", 0) < 10:
        await asyncio.sleep(0.02)
    desk.gateway.control.call("begin_outage", code=1100)
    restored_after = desk.gateway.control.clock()
    desk.gateway.control.call("end_outage", data_lost=False)
    outcome = await capture

    assert outcome.account.on_time == 24
    asked = [request for row in desk.rows() for request in desk.gateway.control.sent(conid=row["conid"])]
    assert len(asked) > 24
    for row in desk.rows():
        newest = desk.gateway.control.sent(conid=row["conid"])[-1]
        assert datetime.fromisoformat(newest["ticks"][0]["at"]) >= restored_after - timedelta(seconds=1)


async def test_a_competing_login_stops_the_slot_and_marks_nothing_missing(desk):
    desk = desk()
    await desk.discover()
    desk.gateway.control.set_clock(TEN_ET)
    desk.gateway.control.faults(competing_session=True)

    with pytest.raises(CompetingSession):
        await desk.capture()

    account = desk.ledger()["AAPL"]
    assert (account["missing"], account["error"]) == (0, 24)


async def test_a_capture_whose_time_is_up_stores_what_it_has_and_the_rerun_asks_for_the_rest(desk):
    desk = desk({"dwell": {"kind": "fixed", "low_s": 0.3}}, GATEWAY__CONCURRENT_SNAPSHOTS_MAX="5")
    await desk.discover()
    desk.gateway.control.set_clock(TEN_ET)

    with pytest.raises(CaptureUnfinished, match="the retry asks for the rest"):
        await desk.capture(finish_within_s=1.0)

    account = desk.ledger()["AAPL"]
    assert 0 < account["on_time"] < 24
    assert dict(account["reasons"]) == {"out_of_time": 24 - account["on_time"]}
    outcome = await desk.capture(attempt=2)
    assert outcome.asked == 24 - account["on_time"]
    assert outcome.account.on_time == 24


async def test_fewer_strikes_leave_the_other_contracts_as_they_are(desk):
    desk = desk()
    await desk.discover()
    desk.gateway.control.set_clock(TEN_ET)

    outcome = await desk.capture(strikes=1)

    account = desk.ledger()["AAPL"]
    assert outcome.asked == account["on_time"] == 12
    assert dict(account["reasons"]) == {"no_row": 12}


async def test_a_lost_contracts_cache_is_rebuilt_on_the_way(desk):
    desk = desk()
    await desk.discover()
    path = desk.stores.cache.path("AAPL", DAY)
    path.write_text('{"schema_version": 1, "contr')
    desk.gateway.control.set_clock(TEN_ET)

    outcome = await desk.capture()

    assert outcome.account.on_time == 24
    assert desk.stores.cache.load("AAPL", DAY).contract_set is not None
    assert list(path.parent.glob("*.corrupt-*"))


async def test_strict_mode_refuses_a_lost_contracts_cache(desk):
    desk = desk(CAPTURE__FAIL_ON_MISSING_CACHE="true", clock=TEN_ET)

    with pytest.raises(ContractSetMissing, match="run opt_data_discovery"):
        await desk.capture()


async def test_yesterdays_set_serves_while_the_gateway_fails_and_every_row_says_so(desk):
    from dataclasses import replace

    desk = desk()
    fresh = (await desk.discover()).contract_set
    cache = desk.stores.cache
    cache.path("AAPL", DAY).unlink()
    cache.save(replace(fresh, trade_date=DAY - timedelta(days=3), verified_on=DAY - timedelta(days=3)))
    desk.gateway.control.faults(silent_requests=["reqSecDefOptParams"])
    desk.gateway.control.set_clock(TEN_ET)

    outcome = await desk.capture()

    assert outcome.stale
    assert desk.ledger()["AAPL"]["contract_set"] == "stale"
    assert all("discovery_stale" in row["data_quality_flag"] for row in desk.rows())


async def test_the_close_takes_frozen_values_after_the_bell(desk):
    desk = desk()
    await desk.discover()
    desk.gateway.control.set_clock("2025-11-24T16:05:00-05:00")

    await desk.capture(slot=desk.slot(datetime(2025, 11, 24, 21, 0, tzinfo=UTC)))

    rows = desk.rows(slot=13)
    assert {row["capture_mode"] for row in rows} == {"frozen"}
    assert {row["market_data_type"] for row in rows} <= {2, 4}
    account = desk.ledger()["AAPL"]
    assert (account["on_time"], account["frozen"]) == (24, 24)


def test_stored_contracts_are_the_set(desk):
    desk = desk()

    async def run():
        found = (await desk.discover()).contract_set
        desk.gateway.control.set_clock(TEN_ET)
        await desk.capture()
        return found

    found = asyncio.run(run())
    stored: tuple[OptionContract, ...] = desk.stores.reader.stored_contracts(DAY, "AAPL")

    assert set(stored) == set(found.contracts)
