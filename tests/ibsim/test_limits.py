"""IB's allowance as a client meets it: rate, strikes, lines, and honest counts of both."""

import asyncio
import itertools
import os
import signal
import threading
import time

from ibsim.launch import running_gateway
from tests.ibsim.raw_client import RawClient

AAPL = 265598


async def test_a_warning_at_45_and_error_100_above_50(bench):
    server = await bench.gateway()
    client = await bench.client(server)
    for _ in range(55):
        client.send(49, 1)
    await client.until(lambda: len(client.errors(-1)) >= 6 and server.gateway.journal.kinds["reqCurrentTime"] == 55)
    texts = [text for code, text in client.errors(-1) if code in {0, 100}]
    assert texts == [
        "Warning: Approaching max rate of 50 messages per second (45)",
        "Max rate of messages per second has been exceeded:max=50 rec=51 (1)",
    ]
    stats = server.gateway.stats()
    assert (stats["strikes"], stats["warnings"]) == (1, 1)
    assert stats["greatest_rate"] in {55, 56}  # with startApi, if that was in the same second
    assert stats["rejected"] == stats["greatest_rate"] - 50
    await client.until(lambda: len(client.of(49)) == 55 - stats["rejected"])


async def test_the_third_strike_closes_the_socket(bench):
    server = await bench.gateway({"limits": {"max_messages_per_s": 5, "strikes": 1}})
    client = await bench.client(server)
    for _ in range(20):
        client.send(49, 1)
    await client.until(lambda: client.is_closed)
    assert client.errors(-1)[-1] == (100, "Max rate of messages per second has been exceeded:max=5 rec=6 (1)")
    assert server.gateway.clients == {}


async def test_each_connection_has_its_own_rate_unless_set_otherwise(bench):
    for scope, strikes in (("connection", 0), ("all", 1)):
        server = await bench.gateway({"limits": {"max_messages_per_s": 30, "rate_scope": scope}})
        clients = [await bench.client(server, client_id) for client_id in (1, 2)]
        for client in clients:
            for _ in range(20):
                client.send(49, 1)
        await clients[0].until(lambda server=server: server.gateway.journal.kinds["reqCurrentTime"] == 40)
        assert server.gateway.stats()["strikes"] == strikes


async def test_messages_are_dated_when_they_arrive_although_the_gateway_is_not_running():
    with running_gateway() as gateway:
        async with RawClient(gateway.host, gateway.port) as one, RawClient(gateway.host, gateway.port) as other:
            await one.start(1)
            await other.start(2)
            os.kill(gateway.pid, signal.SIGSTOP)
            before = time.monotonic()
            one.send(49, 1)
            await asyncio.sleep(0.3)
            between = time.monotonic()
            other.send(49, 1)
            await asyncio.sleep(0.3)
            os.kill(gateway.pid, signal.SIGCONT)
            await other.until(lambda: bool(one.of(49) and other.of(49)))
        first, second = gateway.control.requests_seen("reqCurrentTime")
    about = 0.001  # the two clocks of this machine that are compared are read one after the other
    assert before - about <= first["monotonic_s"] < between - about < second["monotonic_s"] < between + 0.3


async def test_messages_that_the_kernel_merged_are_not_dated_as_a_burst():
    with running_gateway() as gateway:
        async with RawClient(gateway.host, gateway.port) as client:
            await client.start()
            os.kill(gateway.pid, signal.SIGSTOP)
            for _ in range(6):
                client.send(49, 1)
                await asyncio.sleep(0.1)
            os.kill(gateway.pid, signal.SIGCONT)
            await client.until(lambda: len(client.of(49)) == 6)
        dates = [arrival["monotonic_s"] for arrival in gateway.control.requests_seen("reqCurrentTime")]
    apart = [later - earlier for earlier, later in itertools.pairwise(dates)]
    assert min(apart) > 0.05  # without that all six would have come at the last one's moment
    assert max(apart) < 2 * min(apart)


async def test_a_burst_that_is_read_at_once_stays_one(bench):
    server = await bench.gateway({"limits": {"max_messages_per_s": 30}})
    client = await bench.client(server)
    await asyncio.sleep(0.5)  # the reader has looked meanwhile, so that they are not spread over this
    for _ in range(40):
        client.send(49, 1)
    await client.until(lambda: server.gateway.journal.kinds["reqCurrentTime"] == 40)
    dates = [a.monotonic_s for a in server.gateway.journal.arrivals if a.kind == "reqCurrentTime"]
    assert dates == sorted(dates)
    assert server.gateway.stats()["strikes"] == 1


async def test_messages_are_read_and_dated_while_the_event_loop_is_busy(bench, monkeypatch):
    server = await bench.gateway()
    client = await bench.client(server)
    read = threading.Event()
    hand_over = server._reader.hand_over

    def noting(*args: object) -> None:
        read.set()
        hand_over(*args)

    monkeypatch.setattr(server._reader, "hand_over", noting)
    with client._writer.get_extra_info("socket").dup() as sock:
        sock.setblocking(True)
        sock.sendall(b"\0\0\0\x05" + b"49\x001\0")
    assert read.wait(10)  # nothing else of this loop has run meanwhile
    dated_before = time.monotonic()
    await client.until(lambda: bool(client.of(49)))
    (arrival,) = [a for a in server.gateway.journal.arrivals if a.kind == "reqCurrentTime"]
    assert arrival.monotonic_s <= dated_before


async def test_lines_count_over_all_connections_and_101_holds_none(bench, option_conids):
    server = await bench.gateway({"limits": {"lines": 3, "max_messages_per_s": 100}})
    conids = option_conids(server)
    one, two = [await bench.client(server, client_id) for client_id in (1, 2)]
    one.market_data(1, conids[0])
    one.market_data(2, conids[1])
    await one.until(lambda: "2" in one.ticks(2))
    two.market_data(1, conids[2])
    two.market_data(2, conids[3])
    assert await two.error(2) == (101, "Max number of tickers has been reached")
    assert (server.gateway.lines.open, server.gateway.lines.peak) == (3, 3)
    one.cancel(1)
    await one.until(lambda: server.gateway.lines.open == 2)
    one.send(49, 1)
    await one.until(lambda: bool(one.of(49)))
    assert two.ticks(2) == {}  # it goes on waiting
    two.cancel(2)
    two.market_data(3, conids[3])
    await two.until(lambda: "2" in two.ticks(3))
    assert two.errors(2) == [(101, "Max number of tickers has been reached")]  # the cancel found it
    assert server.gateway.lines.peak == 3


async def test_a_rolling_window_of_three_hundred_requests_leave_no_line_open(bench, option_conids):
    """Everything a client can do with a gateway in a short time, counted right."""
    limits = {"lines": 20, "max_messages_per_s": 100_000}
    server = await bench.gateway({"limits": limits, "dwell": {"kind": "uniform", "low_s": 0.0, "high_s": 0.02}})
    client = await bench.client(server)
    conids = option_conids(server)
    window = asyncio.Semaphore(20)

    async def sample(req_id: int, conid: int) -> None:
        async with window:
            client.market_data(req_id, conid)
            await client.until(lambda: str(req_id) in seen)
            client.cancel(req_id)

    seen: set[str] = set()

    async def watch() -> None:
        at = 0
        while True:
            for frame in client.frames[at:]:
                if frame[0] == "21" and frame[2] == "13":
                    seen.add(frame[1])
            at = len(client.frames)
            await asyncio.sleep(0.002)

    watcher = asyncio.create_task(watch())
    await asyncio.gather(*(sample(i, conids[i % len(conids)]) for i in range(300)))
    await client.until(lambda: server.gateway.lines.open == 0)
    watcher.cancel()
    stats = server.gateway.stats()
    assert (stats["subscriptions"], stats["contracts_subscribed"]) == (300, len(conids))
    assert stats["requests"]["reqMktData"] == stats["requests"]["cancelMktData"] == 300
    assert stats["lines_peak"] <= 20
    assert "101" not in stats["errors_sent"]
