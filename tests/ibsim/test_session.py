"""The protocol as a client sees it, byte by byte: connecting, asking, cancelling, and IB's refusals.

Over 400 lines because the state machine it tests is one, and every request of it has its answers here.
"""

import asyncio

import pytest

from tests.ibsim.golden import frame_bytes, opening_bytes

AAPL = 265598


async def test_nothing_is_sent_before_start_api_but_the_handshake(bench):
    server = await bench.gateway(at="2025-11-24T09:25:00-05:00")
    client = await bench.unstarted_client(server)
    client.send_bytes(opening_bytes())
    await client.until(lambda: bool(client.frames))
    client.send_bytes(frame_bytes("start api"))
    await client.until(lambda: bool(client.of(9)))
    version, when = client.frames[0]
    assert (version, when[:14], when[-4:]) == ("176", "20251124 09:25", " EST")
    assert client.raw[1:4] == [frame_bytes(n) for n in ("managed accounts", "next valid id", "farm notice")]


async def test_a_handshake_in_pieces(bench):
    client = await bench.unstarted_client(await bench.gateway())
    for byte in opening_bytes():
        client.send_bytes(bytes([byte]))
        await asyncio.sleep(0)
    await client.until(lambda: bool(client.frames))
    assert client.frames[0][0] == "176"


async def test_the_lower_of_two_versions_is_spoken_and_too_old_clients_are_closed(bench):
    server = await bench.gateway()
    older, ancient = await bench.unstarted_client(server), await bench.unstarted_client(server)
    older.send_bytes(b"API\0\0\0\0\x09v100..157")
    ancient.send_bytes(b"API\0\0\0\0\x07v50..90")
    await older.until(lambda: bool(older.frames))
    await ancient.until(lambda: ancient.is_closed)
    assert older.frames[0][0] == "157"
    assert ancient.frames == []


async def test_other_protocols_are_closed(bench):
    client = await bench.unstarted_client(await bench.gateway())
    client.send_bytes(b"GET / HTTP/1.1\r\n\r\n")
    await client.until(lambda: client.is_closed)


async def test_a_client_id_in_use_gets_326_and_is_closed(bench):
    server = await bench.gateway()
    await bench.client(server)
    second = await bench.client(server)
    await second.until(lambda: second.is_closed)
    assert second.raw[-1] == frame_bytes("client id in use")


async def test_a_closed_client_frees_its_id_and_its_lines(bench, option_conids):
    server = await bench.gateway()
    first = await bench.client(server)
    first.market_data(1, option_conids(server)[20])
    await first.until(lambda: "13" in first.ticks(1))
    assert server.gateway.lines.open == 1
    first._writer.close()
    await first.until(lambda: not server.gateway.clients)
    assert server.gateway.lines.open == 0
    again = await bench.client(server)
    assert again.of(9)


async def test_no_more_than_32_clients(bench):
    server = await bench.gateway()
    for client_id in range(32):
        await bench.client(server, client_id)
    refused = await bench.unstarted_client(server)
    await refused.start(99)
    await refused.until(lambda: refused.is_closed)
    assert len(server.gateway.clients) == 32


async def test_current_time_is_the_markets(bench):
    server = await bench.gateway(at="2025-11-24T11:00:00-05:00")
    client = await bench.client(server)
    client.send_bytes(frame_bytes("current time request"))
    await client.until(lambda: bool(client.of(49)))
    assert 0 <= int(client.of(49)[0][2]) - 1764000000 < 60


async def test_the_answers_that_connecting_clients_wait_for(bench):
    client = await bench.client(await bench.gateway())
    client.send(61, 1)
    client.send(5, 1)
    client.send(99, 0)
    client.send(6, 2, 1, "DU1234567")
    client.send(76, 1, 21, "DU1234567", "", 0)
    client.send(7, 3, 22, 0, "", "", "", "", "", "")
    client.send(62, 1, 23, "All", "NetLiquidation")
    await client.until(lambda: bool(client.of(64)))
    assert client.of(62) == [["62", "1"]]
    assert client.of(53) == [["53", "1"]]
    assert client.of(102) == [["102"]]
    assert client.of(54) == [["54", "1", "DU1234567"]]
    assert client.of(74) == [["74", "1", "21"]]
    assert client.of(55) == [["55", "1", "22"]]
    assert client.of(64) == [["64", "1", "23"]]


# ---- contracts ---------------------------------------------------------------------------------------------------


async def ask_details(client, req_id, **terms):
    client.send(9, 8, req_id, *client.contract(**terms), 0, "", "", "")
    await client.until(lambda: bool(client.of(52, req_id) or client.errors(req_id)))
    return client.of(10, req_id)


async def test_contract_details_of_a_stock(bench):
    client = await bench.client(await bench.gateway())
    (row,) = await ask_details(client, 5, symbol="AAPL", sec_type="STK", exchange="SMART", currency="USD")
    # message 10 at version 176: field order of ib_insync's decoder
    assert row[2:16] == [
        "AAPL",
        "STK",
        "",
        "0",
        "",
        "SMART",
        "USD",
        "AAPL",
        "NMS",
        "NMS",
        "265598",
        "0.01",
        "",
        row[15],
    ]
    assert row[18] == "0"
    assert row[20] == "NASDAQ"
    assert client.raw[-1] == frame_bytes("contract details end")


async def test_contract_details_of_options_and_their_wildcards(bench, option_conids):
    server = await bench.gateway()
    client = await bench.client(server)
    calls = option_conids(server)
    one = {"symbol": "AAPL", "sec_type": "OPT", "last_trade": "20251219", "exchange": "SMART"}
    assert [int(r[12]) for r in await ask_details(client, 1, **one, right="CALL")] == calls
    assert len(await ask_details(client, 2, **one)) == 2 * len(calls)
    month = await ask_details(client, 3, **{**one, "last_trade": "202512"}, right="C")
    assert {r[4].split(" ")[0] for r in month} == {"20251205", "20251212", "20251219", "20251226"}
    (row,) = await ask_details(client, 4, conid=calls[0], exchange="CBOEOPT")
    assert (row[7], row[4]) == ("CBOEOPT", "20251219 16:00:00 US/Eastern")
    (named,) = await ask_details(client, 5, sec_type="OPT", local_symbol=row[9], exchange="SMART")
    assert named[12] == row[12]


async def test_am_settled_classes_are_named_by_their_last_day_of_trading(bench):
    client = await bench.client(await bench.gateway())
    rows = await ask_details(
        client, 1, symbol="SPX", sec_type="OPT", trading_class="SPX", last_trade="20251218", right="P", exchange="CBOE"
    )
    assert rows
    assert {(r[4][:8], r[11], r[-5]) for r in rows} == {("20251218", "SPX", "20251219")}


@pytest.mark.parametrize(
    "terms",
    [
        {"symbol": "NOSUCH", "sec_type": "STK", "exchange": "SMART"},
        {"symbol": "AAPL", "sec_type": "IND", "exchange": "CBOE"},
        {"symbol": "AAPL", "sec_type": "STK", "exchange": "SMART", "currency": "EUR"},
        {"symbol": "AAPL", "sec_type": "STK", "exchange": "NOWHERE"},
        {"symbol": "SPX", "sec_type": "IND", "exchange": "SMART"},
        {"symbol": "AAPL", "sec_type": "OPT", "last_trade": "20251219", "strike": 271.37, "right": "C"},
        {"symbol": "AAPL", "sec_type": "OPT", "last_trade": "20251217", "exchange": "SMART"},
        {"conid": 4711},
    ],
)
async def test_what_does_not_exist_is_error_200_without_an_end(bench, terms):
    client = await bench.client(await bench.gateway())
    assert await ask_details(client, 5, **terms) == []
    assert client.raw[-1] == frame_bytes("no definition")
    assert client.of(52) == []


async def test_expired_options_are_found_for_one_more_session_if_asked_for(bench, option_conids):
    server = await bench.gateway()
    conid = option_conids(server)[10]
    client = await bench.client(server)
    for day, expected in (("2025-12-19", (1, 1)), ("2025-12-22", (0, 1)), ("2025-12-23", (0, 0))):
        server.gateway.set_clock(server.gateway.market.hours.trading_day(_date(day)).open_s + 60)
        found = []
        for include in (0, 1):
            req_id = 100 * int(day[-2:]) + include
            client.send(9, 8, req_id, *client.contract(conid=conid), include, "", "", "")
            await client.until(lambda req_id=req_id: bool(client.of(52, req_id) or client.errors(req_id)))
            found.append(len(client.of(10, req_id)))
        assert tuple(found) == expected


def _date(text):
    from datetime import date

    return date.fromisoformat(text)


async def test_option_parameters_list_exchanges_and_classes(bench):
    client = await bench.client(await bench.gateway())
    client.send(78, 6, "SPX", "", "IND", 416904)
    await client.until(lambda: bool(client.of(76)))
    rows = client.of(75, 6)
    assert {(r[2], r[4]) for r in rows} >= {("SMART", "SPX"), ("SMART", "SPXW"), ("CBOE", "SPX"), ("CBOE", "SPXW")}
    assert client.raw[-1] == frame_bytes("option parameters end")
    count = int(rows[0][6])
    assert rows[0][7 : 7 + count] == sorted(rows[0][7 : 7 + count])
    assert len(rows[0]) == 8 + count + int(rows[0][7 + count])


async def test_option_parameters_of_an_unknown_symbol(bench):
    client = await bench.client(await bench.gateway())
    client.send(78, 6, "NOSUCH", "", "STK", 0)
    assert (await client.error(6))[0] == 321


# ---- market data -------------------------------------------------------------------------------------------------


async def test_an_option_streams_all_its_ticks(bench, option_conids):
    server = await bench.gateway()
    client = await bench.client(server)
    conid = option_conids(server)[25]
    client.market_data(8, conid, generic="100,101,104,106,221,233")
    await client.until(lambda: "13" in client.ticks(8))
    kinds = [f[0] for f in client.frames if f[0] in {"81", "58", "1"}]
    assert kinds[:2] == ["81", "58"]
    assert client.raw[[f[0] for f in client.frames].index("58")] == frame_bytes("market data type")
    ticks = client.ticks(8)
    assert {"1", "2", "9", "10", "11", "13", "32", "33", "37", "49", "size 0", "size 3", "size 8"} <= set(ticks)
    assert {"size 27", "size 28", "size 29"} <= set(ticks)
    quote = server.gateway.market.quote(server.gateway.market.by_conid(conid, server.gateway.clock.now_s()),
                                        server.gateway.journal.records(conid, 8, 7)[0].ticks[0][0])  # fmt: skip
    assert (float(ticks["1"][0]), float(ticks["2"][0])) == (quote.bid, quote.ask)
    assert [float(x) for x in ticks["13"][1:3]] == [quote.model.iv, quote.model.delta]
    assert (int(ticks["size 27"][0]), int(ticks["size 28"][0])) == (quote.open_interest, 0)


async def test_open_interest_only_comes_if_asked_for(bench, option_conids):
    server = await bench.gateway()
    client = await bench.client(server)
    client.market_data(8, option_conids(server)[25], generic="100,233")
    await client.until(lambda: "13" in client.ticks(8))
    assert not {"size 27", "size 28", "37"} & set(client.ticks(8))


async def test_a_burst_is_one_write(bench, option_conids):
    """All ticks of one readiness arrive in one piece: nothing else could come between them."""
    server = await bench.gateway()
    client = await bench.client(server)
    client.market_data(8, option_conids(server)[25], generic="101")
    await client.until(lambda: bool(client.of(1)))
    assert "13" in client.ticks(8)


async def test_subscriptions_follow_the_market_until_cancelled(bench):
    server = await bench.gateway({"feed": {"update_s": 0.02}})
    client = await bench.client(server)
    client.market_data(8, AAPL)
    await client.until(lambda: "4" in client.ticks(8))
    before = client.ticks(8)["4"][0]
    server.gateway.clock.set(server.gateway.clock.now_s() + 3600)
    await client.until(lambda: client.ticks(8)["4"][0] != before)
    client.cancel(8)
    client.send(49, 1)
    await client.until(lambda: bool(client.of(49)))
    ended = len(client.frames)
    server.gateway.set_clock(server.gateway.clock.now_s() + 3600)
    client.send(49, 1)
    await client.until(lambda: len(client.of(49)) == 2)
    assert len(client.frames) == ended + 1
    assert server.gateway.lines.open == 0


async def test_only_what_changed_is_sent_again(bench, option_conids):
    server = await bench.gateway()
    client = await bench.client(server)
    conid = option_conids(server)[25]
    client.market_data(8, conid)
    await client.until(lambda: "13" in client.ticks(8))
    held = {"bid": 5.0, "bid_size": 10}
    server.gateway.set_quote(conid, held)
    await client.until(lambda: client.ticks(8)["1"][0] == "5")
    asks = len([f for f in client.of(1, 8) if f[3] == "2"])
    server.gateway.set_quote(conid, {**held, "bid": 5.5})
    await client.until(lambda: client.ticks(8)["1"][0] == "5.5")
    changed = [f for f in client.of(1, 8) if f[3] == "1"]
    assert [f[4] for f in changed[-2:]] == ["5", "5.5"]
    assert asks <= len([f for f in client.of(1, 8) if f[3] == "2"]) <= asks + 1  # the second may have turned


async def test_illegal_generic_tick_fails_the_whole_request(bench, option_conids):
    server = await bench.gateway()
    client = await bench.client(server)
    client.market_data(8, option_conids(server)[0], generic="100,999")
    code, text = await client.error(8)
    assert code == 321
    assert text.startswith(
        "Error validating request.-'bQ' : cause - Incorrect generic tick list of 100,999.  Legal ones for (OPT) are: "
        "100(Option Volume),101(Option Open Interest),"
    )
    assert server.gateway.lines.open == 0


async def test_a_duplicate_ticker_id_is_refused(bench):
    client = await bench.client(await bench.gateway())
    client.market_data(8, AAPL)
    client.market_data(8, AAPL)
    assert (await client.error(8))[0] == 322


async def test_cancelling_an_unknown_id(bench):
    client = await bench.client(await bench.gateway())
    client.cancel(8)
    await client.error(8)
    assert client.raw[-1] == frame_bytes("cannot find the ticker")


async def test_an_ambiguous_contract_is_error_200(bench):
    client = await bench.client(await bench.gateway())
    contract = client.contract(symbol="AAPL", sec_type="OPT", last_trade="20251219", exchange="SMART")
    client.send(1, 11, 8, *contract, 0, "", 0, 0, "")
    code, text = await client.error(8)
    assert (code, "ambiguous" in text) == (200, True)


# ---- snapshots ---------------------------------------------------------------------------------------------------


async def test_a_snapshot_ends_when_everything_was_sent(bench, option_conids):
    server = await bench.gateway()
    client = await bench.client(server)
    market, now = server.gateway.market, server.gateway.clock.now_s()
    traded = next(c for c in option_conids(server) if market.quote(market.by_conid(c, now), now).last_model)
    client.market_data(8, traded, snapshot=True)
    await client.until(lambda: bool(client.of(57)))
    assert client.raw[-1] == frame_bytes("snapshot end")
    assert server.gateway.lines.open == 0


async def test_a_snapshot_without_a_last_trade_ends_at_its_time_limit(bench, option_conids):
    server = await bench.gateway({"feed": {"snapshot_timeout_s": 0.2}})
    client = await bench.client(server)
    market, now = server.gateway.market, server.gateway.clock.now_s()
    untraded = next(c for c in option_conids(server) if market.quote(market.by_conid(c, now), now).last is None)
    client.market_data(8, untraded, snapshot=True)
    await client.until(lambda: "13" in client.ticks(8))
    assert not client.of(57)
    await client.until(lambda: bool(client.of(57)))


async def test_a_snapshot_takes_no_generic_ticks(bench):
    client = await bench.client(await bench.gateway())
    client.market_data(8, AAPL, generic="101", snapshot=True)
    code, text = await client.error(8)
    assert code == 321
    assert text.endswith("Snapshot market data subscription is not applicable to generic ticks")


async def test_too_many_snapshots_in_a_second(bench):
    limits = {"snapshots_per_s": 3, "max_messages_per_s": 1000, "snapshots_use_lines": False}
    client = await bench.client(await bench.gateway({"limits": limits}))
    for req_id in range(5):
        client.market_data(req_id, AAPL, snapshot=True)
    await client.until(lambda: len(client.of(57)) == 3)
    assert "Snapshot requests limitation exceeded:3 per 1 second(s)" in (await client.error(3))[1]


# ---- history -----------------------------------------------------------------------------------------------------


def ask_bars(client, req_id, conid, what="TRADES", size="1 day", duration="5 D", end="", form=1):
    contract = client.contract(conid=conid, exchange="SMART")
    client.send(20, req_id, *contract, 0, end, size, duration, 1, what, form, 0, "")


async def bars_of(client, req_id):
    await client.until(lambda: bool(client.of(17, req_id) or client.errors(req_id)))
    (frame,) = client.of(17, req_id)
    rows = frame[5:]
    assert len(rows) == 8 * int(frame[4])
    return [rows[i : i + 8] for i in range(0, len(rows), 8)]


async def test_daily_bars(bench):
    client = await bench.client(await bench.gateway())
    ask_bars(client, 9, AAPL, end="20251123-23:00:00")
    rows = await bars_of(client, 9)
    assert [r[0] for r in rows] == ["20251117", "20251118", "20251119", "20251120", "20251121"]
    assert rows[-1][4] == "272"  # closes at its base price on the reference day


async def test_minute_bars_in_both_date_formats(bench, option_conids):
    server = await bench.gateway()
    client = await bench.client(server)
    conid = option_conids(server)[25]
    ask_bars(client, 9, conid, "BID", "1 min", "120 S", "20251124-15:00:00", form=2)
    ask_bars(client, 10, conid, "BID", "1 min", "120 S", "20251124 10:00:00 US/Eastern", form=1)
    by_seconds, by_text = await bars_of(client, 9), await bars_of(client, 10)
    assert [r[0] for r in by_seconds] == ["1763996280", "1763996340"]  # 09:58 and 09:59 in New York
    assert [r[0] for r in by_text] == ["20251124 09:58:00 US/Eastern", "20251124 09:59:00 US/Eastern"]
    assert [r[1:] for r in by_seconds] == [r[1:] for r in by_text]
    assert {tuple(r[5:]) for r in by_seconds} == {("-1", "-1", "-1")}


async def test_bid_ask_bars_hold_greatest_ask_and_least_bid(bench, option_conids):
    server = await bench.gateway()
    client = await bench.client(server)
    conid = option_conids(server)[25]
    for req_id, what in ((9, "BID_ASK"), (10, "BID"), (11, "ASK")):
        ask_bars(client, req_id, conid, what, "30 mins", "1 D", form=2)
    both, bids, asks = [await bars_of(client, req_id) for req_id in (9, 10, 11)]
    assert [r[2] for r in both] == [r[2] for r in asks]
    assert [r[3] for r in both] == [r[3] for r in bids]


async def test_options_have_no_daily_bars(bench, option_conids):
    server = await bench.gateway()
    client = await bench.client(server)
    ask_bars(client, 9, option_conids(server)[25], duration="1 D")
    await client.error(9)
    assert client.raw[-1] == frame_bytes("end of day bars of options")


async def test_bars_in_the_future_end_now(bench):
    client = await bench.client(await bench.gateway())
    ask_bars(client, 9, AAPL, size="30 mins", duration="1 D", end="20251124-23:00:00", form=2)
    rows = await bars_of(client, 9)
    # 09:30, 10:00, 10:30 and the bar that has just begun at 11:00
    assert [int(r[0]) for r in rows] == [1763994600, 1763996400, 1763998200, 1764000000]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"size": "7 mins"}, 321),
        ({"duration": "5 X"}, 321),
        ({"what": "NEWS"}, 321),
        ({"end": "yesterday"}, 10314),
        ({"end": "20251124 10:00:00 Nowhere/Atall"}, 10314),
        ({"size": "1 min", "duration": "60 S", "what": "BID_ASK", "conid": 416904}, 200),
    ],
)
async def test_bad_history_requests_are_refused(bench, changes, code):
    client = await bench.client(await bench.gateway())
    ask_bars(client, 9, **{"conid": AAPL, **changes})
    assert (await client.error(9))[0] == code


async def test_no_data_is_162(bench, option_conids):
    server = await bench.gateway()
    client = await bench.client(server)
    market, now = server.gateway.market, server.gateway.clock.now_s()
    untraded = next(c for c in option_conids(server) if market.quote(market.by_conid(c, now), now).last is None)
    ask_bars(client, 9, untraded, size="1 min", duration="1 D")
    code, text = await client.error(9)
    assert code == 162
    assert "HMDS query returned no data" in text


async def test_history_can_be_cancelled_and_counts_as_open_until_then(bench):
    server = await bench.gateway({"feed": {"history_delay_s": 60.0}, "limits": {"max_messages_per_s": 1000}})
    client = await bench.client(server)
    for req_id in range(51):
        ask_bars(client, req_id, AAPL)
    code, text = await client.error(50)
    assert (code, "Only 50 simultaneous API historical data requests allowed." in text) == (322, True)
    client.send(25, 1, 0)
    assert (await client.error(0))[1].endswith("API historical data query cancelled: 0")
    client.send(25, 1, 0)
    await client.until(lambda: len(client.errors(0)) == 2)
    assert client.errors(0)[1][0] == 366
    ask_bars(client, 60, AAPL)
    client.send(49, 1)
    await client.until(lambda: bool(client.of(49)))
    assert client.errors(60) == []


async def test_schedule_of_sessions(bench):
    client = await bench.client(await bench.gateway(at="2025-11-28T14:00:00-05:00"))
    ask_bars(client, 9, AAPL, "SCHEDULE", duration="3 D")
    await client.until(lambda: bool(client.of(106)))
    assert client.of(106)[0][5:] == [
        "3",
        "20251125-09:30:00", "20251125-16:00:00", "20251125",
        "20251126-09:30:00", "20251126-16:00:00", "20251126",
        "20251128-09:30:00", "20251128-13:00:00", "20251128",
    ]  # fmt: skip


async def test_head_timestamps_and_their_cancel(bench):
    client = await bench.client(await bench.gateway())
    for req_id, form in ((10, 2), (11, 1)):
        client.send(87, req_id, *client.contract(conid=AAPL, exchange="SMART"), 0, 1, "TRADES", form)
        await client.until(lambda req_id=req_id: bool(client.of(88, req_id)))
    seconds, text = client.of(88, 10)[0][2], client.of(88, 11)[0][2]
    assert int(seconds) < 1764000000
    assert text[8:] == "-14:30:00"
    client.send(90, 10)


async def test_messages_nobody_serves_are_answered_with_an_error(bench):
    client = await bench.client(await bench.gateway())
    client.send(83, 12, "9c0001")
    assert (await client.error(12))[0] == 321
