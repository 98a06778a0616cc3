"""A connection over a real socket: ids, deadlines, and errors that say whose move it is."""

import asyncio
import socket
from datetime import UTC, datetime

import pytest

from opt_data.errors import ClientIdInUse, CompetingSession, ContractUnknown, GatewayUnavailable, RequestTimedOut
from opt_data.gateway.session import GatewayAddress, GatewayLimits, open_session

QUICK = GatewayLimits(connect_timeout_s=0.5, request_timeout_s=0.5)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until(condition, timeout_s=5.0):
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)


async def test_connecting_asks_for_nothing_about_the_account(start, connect):
    gateway = start()

    async with connect(gateway) as session:
        assert session.is_connected

    assert set(gateway.control.stats()["requests"]) == {"startApi", "reqCurrentTime"}


async def test_the_session_clock_is_the_markets(start, connect):
    async with connect(start()) as session:
        now = session.clock.now()

    # started at 10:00 New York on that day; the protocol tells whole seconds
    assert datetime(2025, 11, 24, 14, 59, 59, tzinfo=UTC) <= now < datetime(2025, 11, 24, 15, 1, tzinfo=UTC)


async def test_nothing_listens():
    with pytest.raises(GatewayUnavailable, match=r"nothing listens at 127\.0\.0\.1"):
        async with open_session(GatewayAddress(port=free_port()), QUICK):
            pass


async def test_port_answers_but_the_api_is_dead(start):
    gateway = start({"faults": {"accept_silent": True}})

    with pytest.raises(GatewayUnavailable, match="the IB API behind it is dead"):
        async with open_session(GatewayAddress(port=gateway.port), QUICK):
            pass


async def test_a_client_id_in_use_is_passed_over_at_once(start, connect):
    gateway = start()

    async with connect(gateway) as first, connect(gateway) as second:
        assert (first.client_id, second.client_id) == (0, 1)


async def test_all_client_ids_in_use(start, connect):
    gateway = start()

    async with connect(gateway, count=2), connect(gateway, count=2):
        with pytest.raises(ClientIdInUse, match="every client id from 0 to 1 is in use") as caught:
            async with connect(gateway, count=2):
                pass

    assert caught.value.client_ids == (0, 1)


async def test_a_session_that_ends_frees_its_client_id(start, connect):
    gateway = start()

    for _ in range(3):
        async with connect(gateway, count=1) as session:
            assert session.client_id == 0
        await until(lambda: gateway.control.stats()["clients"] == [])


async def test_a_silent_gateway_runs_into_the_deadline(start, connect):
    gateway = start({"faults": {"silent_requests": ["reqSecDefOptParams"]}})

    async with connect(gateway, request_timeout_s=0.3) as session:
        with pytest.raises(RequestTimedOut, match="option parameters"):
            await session.ask("option parameters", session.ib.reqSecDefOptParamsAsync("AAPL", "", "STK", 265598))


async def test_an_error_of_ib_becomes_ours(start, connect):
    from ib_insync import Stock

    async with connect(start()) as session:
        with pytest.raises(ContractUnknown, match=r"IB 200: .*NOSUCH"):
            await session.ask("contract of NOSUCH", session.ib.reqContractDetailsAsync(Stock("NOSUCH", "SMART", "USD")))


async def test_a_dropped_connection_is_noticed_at_once_by_whoever_waits(start, connect):
    gateway = start({"faults": {"silent_requests": ["reqSecDefOptParams"]}})

    async with connect(gateway, request_timeout_s=60.0) as session:
        asking = asyncio.ensure_future(
            session.ask("option parameters", session.ib.reqSecDefOptParamsAsync("AAPL", "", "STK", 265598))
        )
        await until(lambda: "reqSecDefOptParams" in gateway.control.stats()["requests"])
        gateway.control.call("drop")

        with pytest.raises(GatewayUnavailable):
            async with asyncio.timeout(5):
                await asking
        assert not session.is_connected


async def test_a_competing_login_stops_everything(start, connect):
    from ib_insync import Option

    gateway = start({"faults": {"competing_session": True}})

    async with connect(gateway) as session:
        (chain, *_) = await session.ib.reqSecDefOptParamsAsync("AAPL", "", "STK", 265598)
        option = Option("AAPL", chain.expirations[0], chain.strikes[len(chain.strikes) // 2], "C", "SMART")
        session.ib.client.reqMktData(session.ib.client.getReqId(), option, "", False, False, [])

        async with asyncio.timeout(5):
            assert isinstance(await session.lost, CompetingSession)


async def test_orders_cannot_be_sent(start, connect):
    async with connect(start()) as session:
        with pytest.raises(PermissionError, match="only read market data"):
            session.ib.client.reqPositions()
        with pytest.raises(PermissionError, match="only read market data"):
            session.ib.client.cancelOrder(1, "")


async def test_messages_are_paced_whatever_sends_them(start, connect):
    gateway = start({"limits": {"max_messages_per_s": 30}})

    async with connect(gateway, messages_per_s_max=30) as session:
        await asyncio.gather(*(session.ib.reqContractDetailsAsync(_stock("AAPL")) for _ in range(60)))

    seen = gateway.control.stats()
    assert seen["strikes"] == 0
    assert seen["greatest_rate"] <= 30
    assert seen["requests"]["reqContractDetails"] == 60


def _stock(symbol):
    from ib_insync import Stock

    return Stock(symbol, "SMART", "USD")


async def test_the_state_of_the_farms_at_connect_is_heard(start, connect):
    gateway = start()
    gateway.control.call("break_farm", farm="usopt")

    async with connect(gateway) as session:
        assert session.connectivity.is_down
        assert not session.restored.is_set()
        gateway.control.call("mend_farm", farm="usopt")
        await until(session.restored.is_set)

    assert [(notice.code, notice.text.rpartition(":")[2]) for notice in session.notices] == [
        (2104, "usfarm"), (2103, "usopt"), (2106, "ushmds"), (2158, "secdefnj"), (2104, "usopt"),
    ]  # fmt: skip


async def test_everything_that_happens_on_a_connection_is_told_in_order(start):
    gateway, told = start(), []
    address = GatewayAddress(port=gateway.port)

    async with open_session(address, QUICK, clock_source="gateway", observer=told.append) as session:
        gateway.control.call("notice", code=1100, text="Connectivity has been lost.")
        await until(lambda: not session.restored.is_set())
        gateway.control.call("drop")
        await until(session.lost.done)
    gateway.control.faults(refuse=True)
    with pytest.raises(GatewayUnavailable):
        async with open_session(address, QUICK, observer=told.append):
            pass

    farms = [("notice", 2104), ("notice", 2104), ("notice", 2106), ("notice", 2158)]
    expected = [("connected", None), *farms, ("notice", 1100), ("lost", None), ("refused", None)]
    assert [(event.kind, event.code) for event in told] == expected
    assert all(event.at.year == 2025 for event in told[:-1])  # the market's clock, from the first one on


async def test_a_session_that_was_left_says_so(start):
    told = []
    async with open_session(GatewayAddress(port=start().port), QUICK, observer=told.append):
        pass

    assert told[-1].kind == "closed"


@pytest.mark.parametrize(("ahead_s", "is_skewed"), [(0.0, False), (5.0, True), (-5.0, True)])
async def test_the_gateways_clock_is_compared_with_ours_in_one_message(start, ahead_s, is_skewed):
    gateway, told = start({"faults": {"clock_ahead_s": ahead_s}}, "system"), []

    async with open_session(GatewayAddress(port=gateway.port), QUICK, observer=told.append) as session:
        await until(lambda: session.clock_reading is not None)
        assert session.is_clock_skewed is is_skewed

    (event,) = [event for event in told if event.kind == "clock"]
    assert abs(event.skew_s - ahead_s) <= event.uncertainty_s
    assert gateway.control.stats()["requests"] == {"startApi": 1, "reqCurrentTime": 1}
