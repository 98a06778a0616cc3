"""What was wrong with the way to IB is said of every row it concerns."""

import asyncio
import re
from datetime import timedelta

from opt_data.bootstrap import gateway_limits, sampling_rules
from opt_data.core.quotes import MarketDataType
from opt_data.core.sessions import NEW_YORK
from opt_data.gateway.market_data import Sampler
from opt_data.gateway.session import open_session
from opt_data.pipelines.gateway_log import GatewayLog
from opt_data.pipelines.quote_rows import CaptureContext, quote_rows

LIVE = MarketDataType.LIVE
TEN_ET = "2025-11-24T10:00:00-05:00"


async def captured(desk, asked=10):
    """A capture that has asked for so many contracts."""
    capture = asyncio.ensure_future(desk.capture())
    while desk.gateway.control.stats()["requests"].get("reqMktData", 0) < asked:
        await asyncio.sleep(0.02)
    return capture


async def test_rows_are_kept_and_flagged_while_only_the_underlyings_farm_is_down(desk):
    desk = desk({"dwell": {"kind": "fixed", "low_s": 0.3}})
    await desk.discover()
    desk.gateway.control.set_clock(TEN_ET)
    desk.gateway.control.call("break_farm", farm="usfarm")

    outcome = await desk.capture()

    assert outcome.account.on_time == 24
    for row in desk.rows():
        assert row["data_quality_flag"] == ["farm_outage"]
        assert row["bid"] is not None
        # the gateway shows the underlying as it stood before the outage: that is not its price at this slot
        assert (row["und_bid"], row["und_last"], row["und_asof_ts"]) == (None, None, None)


async def test_only_rows_sampled_during_the_outage_are_flagged(desk):
    desk = desk({"dwell": {"kind": "fixed", "low_s": 0.6}}, GATEWAY__CONCURRENT_SNAPSHOTS_MAX="9")
    await desk.discover()
    desk.gateway.control.set_clock(TEN_ET)

    capture = await captured(desk, asked=9)
    desk.gateway.control.call("break_farm", farm="usfarm")
    desk.gateway.control.call("mend_farm", farm="usfarm")
    outcome = await capture

    assert outcome.account.on_time == 24
    asked = sorted(desk.rows(), key=lambda row: desk.gateway.control.sent(conid=row["conid"])[0]["requested_at"])
    marks = "".join("x" if "farm_outage" in row["data_quality_flag"] else "." for row in asked)
    assert re.fullmatch(r"\.*x+\.+", marks)  # those under way at that moment, in the order in which they were asked
    assert asked[-1]["und_bid"] is not None


async def test_what_an_outage_of_the_options_spoilt_is_asked_again_and_not_flagged(desk):
    desk = desk({"dwell": {"kind": "fixed", "low_s": 0.3}})
    await desk.discover()
    desk.gateway.control.set_clock(TEN_ET)

    capture = await captured(desk)
    desk.gateway.control.call("break_farm", farm="usopt")
    desk.gateway.control.call("mend_farm", farm="usopt")
    outcome = await capture

    assert outcome.account.on_time == 24
    assert outcome.flags.get("farm_outage", 0) == 0


async def test_every_row_of_an_attempt_says_that_the_clocks_differ_and_the_log_by_how_much(desk):
    desk = desk()
    await desk.discover()
    control = desk.gateway.control
    control.set_clock(TEN_ET)
    stores, slot = desk.stores, desk.slot()
    contract_set = stores.cache.load("AAPL", desk.day).contract_set
    log = GatewayLog(stores.run_log, desk.address, {"dag_run_id": "test"})

    # this machine's clock shows another year than the market's; the rows' own times are the market's all the same
    async with open_session(desk.address, gateway_limits(desk.settings), share=desk.share(), observer=log) as session:
        while session.clock_reading is None:
            await asyncio.sleep(0.01)
        told_on = session.clock.now().astimezone(NEW_YORK).date()
        session.take_the_gateways_clock(control.clock())
        sampler = Sampler(session, sampling_rules(desk.settings), slot.ends_utc)
        async with sampler:
            samples = await sampler.sample(contract_set.contracts, "SMART")
    rows = quote_rows(samples, CaptureContext(slot, contract_set, "SMART", timedelta(seconds=120), LIVE))

    assert [row["data_quality_flag"] for row in rows] == [["clock_skew"]] * 24
    clocks = [line for line in stores.run_log.read("gateway", told_on) if line["event"] == "clock"]
    assert [(line["dag_run_id"], line["skew_s"] < -1.0) for line in clocks] == [("test", True)]
