"""Faults on command: what is broken, when, and for whom."""

import asyncio
import socket

import pytest

from ibsim.clock import parse_instant

AAPL = 265598


def can_connect(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_a_refusing_port_refuses_until_it_is_mended(bench):
    server = await bench.gateway({"faults": {"refuse": True}})
    assert not can_connect(server.port)
    server.gateway.patch({"faults": {"refuse": False}})
    client = await bench.client(server)
    assert client.of(9)


async def test_a_silent_port_accepts_and_says_nothing(bench):
    server = await bench.gateway({"faults": {"accept_silent": True}})
    client = await bench.unstarted_client(server)
    client.send_bytes(b"API\0\0\0\0\x09v157..176")
    assert can_connect(server.port)
    for _ in range(50):
        await asyncio.sleep(0.001)
    assert (client.frames, client.is_closed) == ([], False)


async def test_dropping_after_so_many_messages(bench):
    server = await bench.gateway({"faults": {"drop_after_messages": 3}})
    client = await bench.client(server)
    client.send(49, 1)
    client.send(49, 1)
    await client.until(lambda: client.is_closed)


async def test_client_ids_taken_by_somebody_else(bench):
    server = await bench.gateway({"faults": {"client_ids_in_use": [7]}})
    taken, free = await bench.client(server, 7), await bench.client(server, 8)
    assert taken.errors(-1)[-1][0] == 326
    assert free.of(9)


@pytest.mark.parametrize(
    "faults",
    [
        {"silent_conids": [AAPL]},
        {"silent_symbols": ["AAPL"]},
        {"silent_exchanges": ["SMART"]},
    ],
)
async def test_silence(bench, faults):
    server = await bench.gateway({"faults": faults})
    client = await bench.client(server)
    client.market_data(8, AAPL)
    client.market_data(9, 272093, "NASDAQ")  # asked later, so by its answer the first one's turn has passed
    await client.until(lambda: "1" in client.ticks(9))
    assert client.of(81, 8) + client.of(58, 8) + client.of(1, 8) == []


async def test_silence_of_one_kind_of_request(bench):
    client = await bench.client(await bench.gateway({"faults": {"silent_requests": ["reqMktData"]}}))
    client.market_data(8, AAPL)
    for asked in (1, 2):
        client.send(49, 1)
        await client.until(lambda asked=asked: len(client.of(49)) == asked)
    assert client.of(81) == []


async def test_silence_of_one_exchange_leaves_the_others(bench, option_conids):
    server = await bench.gateway({"faults": {"silent_exchanges": ["SMART"]}})
    client = await bench.client(server)
    for req_id, exchange in ((1, "SMART"), (2, "CBOE"), (3, "CBOEOPT")):
        client.market_data(req_id, option_conids(server)[25], exchange)
    await client.until(lambda: "13" in client.ticks(2) and "13" in client.ticks(3))
    assert client.ticks(1) == {}


async def test_error_rules_hit_what_they_name_as_often_as_they_say(bench, option_conids):
    rule = {"code": 162, "text": "pacing violation", "request": "reqHistoricalData", "symbol": "AAPL", "times": 1}
    server = await bench.gateway({"faults": {"errors": [rule, {"code": 322, "text": "busy", "conid": 272093}]}})
    client = await bench.client(server)
    for req_id in (1, 2):
        contract = client.contract(conid=AAPL, exchange="SMART")
        client.send(20, req_id, *contract, 0, "", "1 day", "5 D", 1, "TRADES", 1, 0, "")
        await client.until(lambda req_id=req_id: bool(client.errors(req_id) or client.of(17, req_id)))
    client.market_data(3, 272093)
    client.market_data(4, AAPL)
    assert await client.error(1) == (162, "pacing violation")
    assert len(client.of(17, 2)) == 1
    assert await client.error(3) == (322, "busy")
    await client.until(lambda: bool(client.of(1, 4)))
    assert server.gateway.lines.open == 1


async def test_a_competing_session_stops_all_market_data(bench):
    server = await bench.gateway({"faults": {"competing_session": True}})
    client = await bench.client(server)
    client.market_data(8, AAPL)
    assert await client.error(8) == (10197, "No market data during competing live session")


async def test_quotes_freeze_in_an_outage_and_move_again_after_1102(bench):
    server = await bench.gateway({"feed": {"update_s": 0.01}})
    client = await bench.client(server)
    client.market_data(8, AAPL)
    await client.until(lambda: "1" in client.ticks(8))
    server.gateway.begin_outage()
    held = server.gateway.outage_since_s
    await client.until(lambda: any(code == 1100 for code, _ in client.errors(-1)))
    server.gateway.clock.set(held + 1800)
    await asyncio.sleep(0.05)
    frozen = len(client.of(1, 8))
    # a request made meanwhile looks live, and shows the quote of before
    client.market_data(9, AAPL)
    await client.until(lambda: "1" in client.ticks(9))
    market = server.gateway.market
    assert float(client.ticks(9)["1"][0]) == market.quote(market.by_conid(AAPL, held), held).bid
    assert client.of(58)[-1] == ["58", "1", "9", "1"]
    assert len(client.of(1, 8)) == frozen
    server.gateway.end_outage(data_lost=False)
    await client.until(lambda: len(client.of(1, 8)) > frozen)
    assert client.errors(-1)[-1][0] == 1102


async def test_1101_loses_every_subscription(bench):
    server = await bench.gateway({"feed": {"update_s": 0.01}})
    client = await bench.client(server)
    client.market_data(8, AAPL)
    await client.until(lambda: "1" in client.ticks(8))
    server.gateway.begin_outage(2110)
    server.gateway.end_outage(data_lost=True)
    await client.until(lambda: any(code == 1101 for code, _ in client.errors(-1)))
    assert {code for code, _ in client.errors(-1)} >= {2110, 1101}
    assert server.gateway.lines.open == 0
    client.market_data(8, AAPL)  # the id is free again
    await client.until(lambda: len(client.of(81)) == 2)


async def test_a_broken_option_farm_freezes_options_only(bench, option_conids):
    server = await bench.gateway()
    client = await bench.client(server)
    conid = option_conids(server)[25]
    client.market_data(1, conid)
    client.market_data(2, AAPL)
    await client.until(lambda: "13" in client.ticks(1) and "1" in client.ticks(2))
    server.gateway.break_farm("usopt")
    before = {req_id: len(client.of(1, req_id)) for req_id in (1, 2)}
    server.gateway.set_clock(server.gateway.clock.now_s() + 1800)
    await client.until(lambda: len(client.of(1, 2)) > before[2])
    assert len(client.of(1, 1)) == before[1]
    server.gateway.mend_farm("usopt")
    await client.until(lambda: len(client.of(1, 1)) > before[1])
    assert client.errors(-1)[-2:] == [
        (2103, "Market data farm connection is broken:usopt"),
        (2104, "Market data farm connection is OK:usopt"),
    ]


async def test_a_broken_history_farm_leaves_history_unanswered(bench):
    server = await bench.gateway()
    client = await bench.client(server)
    server.gateway.break_farm("ushmds")
    contract = client.contract(conid=AAPL, exchange="SMART")
    client.send(20, 9, *contract, 0, "", "1 day", "5 D", 1, "TRADES", 1, 0, "")
    client.market_data(8, AAPL)
    await client.until(lambda: bool(client.of(1, 8)))
    assert client.of(17) == []
    assert (2105, "HMDS data farm connection is broken:ushmds") in client.errors(-1)


async def test_dropping_one_client_or_all(bench):
    server = await bench.gateway()
    one, two = await bench.client(server, 1), await bench.client(server, 2)
    assert server.gateway.drop(1) == 1
    await one.until(lambda: one.is_closed)
    assert not two.is_closed
    assert server.gateway.drop() == 1
    await two.until(lambda: two.is_closed)


async def test_the_daily_restart_closes_refuses_and_comes_back(bench):
    server = await bench.gateway()
    client = await bench.client(server)
    server.gateway.restart(refuse_s=0.3)
    await client.until(lambda: client.is_closed)
    assert not can_connect(server.port)
    await client.until(lambda: server.gateway.is_listening)
    assert (await bench.client(server)).of(9)


async def test_a_late_tick_after_the_cancel(bench, option_conids):
    server = await bench.gateway({"faults": {"late_tick_after_cancel_s": 0.02}})
    client = await bench.client(server)
    client.market_data(8, option_conids(server)[25])
    await client.until(lambda: "13" in client.ticks(8))
    bids = [f for f in client.of(1, 8) if f[3] == "1"]
    client.cancel(8)
    await client.until(lambda: len([f for f in client.of(1, 8) if f[3] == "1"]) > len(bids))
    assert server.gateway.lines.open == 0


# ---- values that come late, never, or as sentinels ---------------------------------------------------------------


async def test_greeks_and_open_interest_can_be_late(bench, option_conids):
    market = {"greeks_late_fraction": 1.0, "greeks_late_s": 0.05, "oi_late_fraction": 1.0, "oi_late_s": 0.1}
    server = await bench.gateway({"market": market})
    client = await bench.client(server)
    client.market_data(8, option_conids(server)[25], generic="101")
    await client.until(lambda: "2" in client.ticks(8))
    assert not {"13", "size 27"} & set(client.ticks(8))
    await client.until(lambda: "13" in client.ticks(8))
    await client.until(lambda: "size 27" in client.ticks(8))


async def test_greeks_and_open_interest_can_stay_away(bench, option_conids):
    server = await bench.gateway({"market": {"greeks_never_fraction": 1.0, "oi_never_fraction": 1.0}})
    client = await bench.client(server)
    client.market_data(8, option_conids(server)[25], generic="101")
    await client.until(lambda: "2" in client.ticks(8))
    server.gateway.set_clock(server.gateway.clock.now_s() + 600)
    client.send(49, 1)
    await client.until(lambda: bool(client.of(49)))
    assert not {"13", "size 27"} & set(client.ticks(8))


async def test_quotes_can_be_set_to_anything(bench, option_conids):
    server = await bench.gateway()
    client = await bench.client(server)
    conid = option_conids(server)[25]
    greatest = 1.7976931348623157e308
    server.gateway.set_quote(
        conid, {"bid": None, "ask": 2.5, "last": greatest, "model": {"vega": None, "iv": greatest}}
    )
    client.market_data(8, conid)
    await client.until(lambda: "13" in client.ticks(8))
    ticks = client.ticks(8)
    assert ticks["1"] == ["-1", "0", "1"]
    assert ticks["2"][0] == "2.5"
    assert ticks["4"][0] == "1.7976931348623157E308"
    assert (ticks["13"][1], ticks["13"][6]) == ("1.7976931348623157E308", "-2")
    server.gateway.set_quote(conid, None)
    await client.until(lambda: client.ticks(8)["1"][0] != "-1")


# ---- events ------------------------------------------------------------------------------------------------------


async def test_events_happen_at_their_instants_also_when_the_clock_jumps(bench):
    events = [
        {"at": "2025-11-24T12:00:00-05:00", "op": "begin_outage"},
        {"at": "2025-11-24T12:10:00-05:00", "op": "end_outage", "args": {"data_lost": False}},
        {"at": "2025-11-24T13:00:00-05:00", "op": "notice", "args": {"code": 1300, "text": "not yet"}},
    ]
    server = await bench.gateway({"events": events})
    client = await bench.client(server)
    server.gateway.set_clock(parse_instant("2025-11-24T12:30:00-05:00"))
    await client.until(lambda: any(code == 1102 for code, _ in client.errors(-1)))
    assert [code for code, _ in client.errors(-1) if code in {1100, 1102, 1300}] == [1100, 1102]


async def test_messages_that_are_one_too_many_on_command(bench):
    server = await bench.gateway({"faults": {"excess": [{"request": "reqCurrentTime", "after": 1, "times": 1}]}})
    client = await bench.client(server)

    for _ in range(3):
        client.send(49, 1)
    await client.until(lambda: len(client.of(49)) == 2)

    assert [code for code, _ in client.errors(-1) if code == 100] == [100]
    stats = server.gateway.stats()
    assert (stats["strikes"], stats["rejected"]) == (1, 1)
