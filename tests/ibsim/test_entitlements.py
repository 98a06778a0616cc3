"""Which data a login gets: entitlement × market data type asked for × market open or closed (notes §3)."""

import pytest

from ibsim.serving import contract_text

OPEN, CLOSED = "2025-11-24T11:00:00-05:00", "2025-11-24T17:30:00-05:00"


async def asked(bench, option_conids, entitlement, data_type, at=OPEN, generic=""):
    server = await bench.gateway({"entitlements": {"options": entitlement}}, at=at)
    client = await bench.client(server)
    conid = option_conids(server)[25]
    client.send(59, 1, data_type)
    client.market_data(8, conid, generic=generic)
    client.send(49, 1)
    await client.until(lambda: bool(client.of(49)))
    if not [c for c, _ in client.errors(8) if c in {354, 10168}] and client.of(58):
        await client.until(lambda: bool(client.of(1, 8)))
    return server, client, conid


def served(client):
    return [int(f[3]) for f in client.of(58)]


@pytest.mark.parametrize(
    ("entitlement", "data_type", "at", "codes", "types"),
    [
        ("live", 1, OPEN, [], [1]),
        ("live", 2, OPEN, [], [1]),
        ("live", 3, OPEN, [], [1]),  # live wins where there is a subscription
        ("live", 1, CLOSED, [], [1]),
        ("live", 2, CLOSED, [], [2]),
        ("live", 4, CLOSED, [], [2]),
        ("delayed", 1, OPEN, [354], []),
        ("delayed", 2, OPEN, [354], []),
        ("delayed", 3, OPEN, [10167], [3]),
        ("delayed", 4, OPEN, [10167], [3]),
        ("delayed", 3, CLOSED, [10167], [3]),
        ("delayed", 4, CLOSED, [10167], [4]),
        ("api_delayed", 1, OPEN, [10089], []),
        ("api_delayed", 3, OPEN, [10089], [3]),
        ("delayed_off", 1, OPEN, [10168], []),
        ("none", 3, OPEN, [354], []),
        ("part", 1, OPEN, [10090], [1]),
        ("part_api", 1, OPEN, [10091], [1]),
    ],
)
async def test_codes_and_types(bench, option_conids, entitlement, data_type, at, codes, types):
    server, client, _ = await asked(bench, option_conids, entitlement, data_type, at)
    assert [code for code, _ in client.errors(8)] == codes
    assert served(client) == types
    assert server.gateway.lines.open == (1 if types else 0)
    assert bool(client.ticks(8)) == bool(types)


async def test_a_closed_market_shows_no_quotes_under_type_1(bench, option_conids):
    _, client, _ = await asked(bench, option_conids, "live", 1, CLOSED)
    ticks = client.ticks(8)
    assert ticks["1"] == ticks["2"] == ["-1", "0", "1"]
    assert float(ticks["9"][0]) > 0
    assert not {"10", "11", "12", "13"} & set(ticks)


async def test_a_closed_market_shows_the_closing_quote_under_type_2(bench, option_conids):
    server, client, conid = await asked(bench, option_conids, "live", 2, CLOSED)
    ticks, market = client.ticks(8), server.gateway.market
    session = market.hours.latest_begun(server.gateway.clock.now_s())
    closing = market.quote(market.by_conid(conid, session.close_s), session.close_s)
    assert (float(ticks["1"][0]), float(ticks["2"][0])) == (closing.bid, closing.ask)
    assert float(ticks["13"][1]) == closing.model.iv


async def test_delayed_ticks_have_their_own_ids_and_are_fifteen_minutes_old(bench, option_conids):
    server, client, conid = await asked(bench, option_conids, "delayed", 3, generic="100,101,233")
    ticks, market = client.ticks(8), server.gateway.market
    assert {"66", "67", "75", "80", "81", "83", "90", "size 69", "size 70", "size 74"} <= set(ticks)
    assert not {"1", "2", "13", "32", "48", "size 27", "size 29"} & set(ticks)
    at = server.gateway.journal.records(conid, 8, None)[0].ticks[0][0]
    then = market.quote(market.by_conid(conid, at), at - 900)
    assert float(ticks["66"][0]) == then.bid


async def test_open_interest_can_come_with_delayed_data(bench, option_conids):
    server = await bench.gateway({"entitlements": {"options": "delayed"}, "feed": {"oi_on_delayed": True}})
    client = await bench.client(server)
    client.send(59, 1, 3)
    client.market_data(8, option_conids(server)[25], generic="101")
    await client.until(lambda: "size 27" in client.ticks(8))


async def test_partly_entitled_options_lack_the_underlyings_price(bench, option_conids):
    _, client, _ = await asked(bench, option_conids, "part", 1)
    assert client.ticks(8)["13"][-1] == "-1"
    assert float(client.ticks(8)["13"][1]) > 0


async def test_texts_name_the_contract_and_whether_delayed_data_are_there(bench, option_conids):
    server, client, conid = await asked(bench, option_conids, "delayed", 1)
    text = client.errors(8)[0][1]
    assert text.startswith("Requested market data is not subscribed. Check API status by selecting the Account menu")
    assert "Delayed market data is available.AAPL DEC 19 '25" in text
    option = server.gateway.market.by_conid(conid, server.gateway.clock.now_s())
    assert contract_text(option) == f"AAPL DEC 19 '25 {option.strike:g} Call"
    _, client, _ = await asked(bench, option_conids, "none", 1)
    assert "Delayed market data is not available." in client.errors(8)[0][1]


async def test_symbols_stand_before_kinds(bench):
    entitlements = {"underlyings": "delayed", "symbols": {"AAPL": "live"}}
    server = await bench.gateway({"entitlements": entitlements})
    client = await bench.client(server)
    client.market_data(1, 265598)
    client.market_data(2, 272093)
    assert (await client.error(2))[0] == 354
    assert client.errors(1) == []


async def test_the_type_changes_with_the_close(bench, option_conids):
    server = await bench.gateway()
    client = await bench.client(server)
    client.send(59, 1, 2)
    client.market_data(8, option_conids(server)[25])
    await client.until(lambda: bool(client.of(1, 8)))
    session = server.gateway.market.hours.latest_begun(server.gateway.clock.now_s())
    server.gateway.set_clock(session.close_s)
    await client.until(lambda: served(client) == [1, 2])


async def test_history_needs_the_subscription(bench):
    server = await bench.gateway({"entitlements": {"underlyings": "delayed"}})
    client = await bench.client(server)
    contract = client.contract(conid=265598, exchange="SMART")
    client.send(20, 9, *contract, 0, "", "1 day", "5 D", 1, "TRADES", 1, 0, "")
    code, text = await client.error(9)
    assert (code, "No market data permissions for SMART STK" in text) == (162, True)
