"""A capture against the simulated gateway: what a user has afterwards, in rows and ledger.

What the gateway can do to it is told in ``tests/faults``.
"""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

import pytest

from opt_data.core.contracts import OptionContract
from opt_data.errors import (
    CaptureUnfinished,
    GatewayUnavailable,
    SlotExpired,
    SlotNotBegun,
)
from tests.pipelines.conftest import DAY
from tests.pipelines.gateway_told import MODEL_VALUES, PRICE_TICKS, told

TEN_ET = "2025-11-24T10:00:00-05:00"


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


async def test_what_was_complete_when_the_connection_was_lost_keeps_its_underlying(desk):
    desk = desk({"dwell": {"kind": "fixed", "low_s": 0.1}}, CAPTURE__LINGER_S="3")
    await desk.discover()
    desk.gateway.control.set_clock(TEN_ET)
    capture = asyncio.create_task(desk.capture())
    while len([one for one in desk.gateway.control.sent() if one["ticks"]]) < 25:
        await asyncio.sleep(0.05)
    while not [line for line in desk.gateway.control.sent(conid=265598)[0]["ticks"] if line["name"] == "last"]:
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)  # until what was sent has arrived; lingering goes on for long after

    desk.gateway.control.call("drop")
    with contextlib.suppress(GatewayUnavailable):  # if one was not complete yet
        await capture

    kept = [row for row in desk.rows() if not row["snapshot_error"]]
    (request,) = desk.gateway.control.sent(conid=265598)
    sent = {tick["name"]: tick["price"] for tick in request["ticks"] if "price" in tick}
    assert len(kept) > 0
    assert {(row["und_bid"], row["und_ask"], row["und_last"]) for row in kept} == {
        (sent["bid"], sent["ask"], sent["last"])
    }


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


async def test_what_a_first_pass_did_not_get_to_is_asked_for_in_the_second(desk):
    desk = desk({"dwell": {"kind": "fixed", "low_s": 0.3}}, GATEWAY__CONCURRENT_SNAPSHOTS_MAX="3")
    await desk.discover()
    desk.gateway.control.set_clock(TEN_ET)

    first = await desk.capture(nearest=15, finish_within_s=1.0)  # raises nothing: the second pass will

    account = desk.ledger()["AAPL"]
    assert (first.asked, first.put_off) == (15, 9)
    assert 0 < account["on_time"] < 15
    assert dict(account["reasons"]) == {"out_of_time": 15 - account["on_time"], "no_row": 9}
    second = await desk.capture(answered_before=first.answered_conids)
    assert second.asked == 24 - account["on_time"]
    assert second.account.on_time == 24


async def test_fewer_strikes_leave_the_other_contracts_as_they_are(desk):
    desk = desk()
    await desk.discover()
    desk.gateway.control.set_clock(TEN_ET)

    outcome = await desk.capture(strikes=1)

    account = desk.ledger()["AAPL"]
    assert outcome.asked == account["on_time"] == 12
    assert dict(account["reasons"]) == {"no_row": 12}


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
