"""Messages that a strike (error 100) lost: what the rows and the gateway's lines look like afterwards."""

import pytest

TEN_ET = "2025-11-24T10:00:00-05:00"


def requests_held(gateway):
    """Request ids that the gateway received, and those whose cancel it received."""

    def accepted(kind):
        return {one["req_id"] for one in gateway.control.call("requests_seen", kind=kind) if one["accepted"]}

    return accepted("reqMktData"), accepted("cancelMktData")


@pytest.mark.parametrize(
    ("kind", "after"),
    [
        pytest.param("reqMktData", 0, id="the underlying"),
        pytest.param("cancelMktData", 3, id="a cancel"),
    ],
)
async def test_what_a_strike_lost_is_said_again(desk, kind, after):
    desk = desk(CAPTURE__READY_TIMEOUT_S="6")
    await desk.discover()
    desk.gateway.control.set_clock(TEN_ET)
    desk.gateway.control.reset_counters()
    desk.gateway.control.faults(excess=[{"request": kind, "after": after, "times": 2}])

    outcome = await desk.capture()

    seen = desk.gateway.control.stats()
    assert (seen["rejected"], seen["strikes"]) == (2, 1)
    assert outcome.account.on_time == 24
    assert {row["quote_exchange"] for row in desk.rows()} == {"SMART"}
    assert {row["und_last"] is not None for row in desk.rows()} >= {True}
    received, cancelled = requests_held(desk.gateway)
    assert received <= cancelled


async def test_a_gateway_that_allows_less_than_we_think(desk):
    desk = desk(GATEWAY__MARKET_DATA_LINES="60")
    await desk.discover()
    desk.gateway.control.set_clock(TEN_ET)
    desk.gateway.control.reset_counters()
    desk.gateway.control.patch(limits={"max_messages_per_s": 18})

    outcome = await desk.capture()

    seen = desk.gateway.control.stats()
    assert seen["rejected"] >= 1
    assert seen["strikes"] < 3
    assert outcome.account.on_time == 24
    received, cancelled = requests_held(desk.gateway)
    assert received <= cancelled
