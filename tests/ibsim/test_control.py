"""The control channel, the gateway as a process of its own, and real clients against it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ibsim.control import ControlClient, ControlError
from ibsim.launch import GatewayStartFailed, running_gateway, start_gateway
from tests.ibsim.conftest import MONDAY_11, QUIET

PLUGINS = Path(__file__).parents[2] / "plugins"


@pytest.fixture
def gateway(tmp_path):
    with running_gateway(QUIET, clock=MONDAY_11, log_path=tmp_path / "ibsim.log") as process:
        yield process


async def until(condition, timeout_s=10.0):
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)


def test_clock_and_truth(gateway):
    control = gateway.control
    assert control.ping() == gateway.pid
    start = datetime.fromisoformat(MONDAY_11)
    assert timedelta(0) <= control.clock() - start < timedelta(seconds=30)
    control.set_clock("2025-11-24T15:00:00-05:00")
    assert control.clock() >= datetime(2025, 11, 24, 20, 0, tzinfo=UTC)
    conids = control.find("AAPL", "20251219", right="C")
    conid = conids[len(conids) // 2]
    then = control.truth(conid, datetime(2025, 11, 24, 16, 0, tzinfo=UTC))
    assert then["bid"] < then["model"]["price"] < then["ask"]
    assert then["open_interest_of"] == "2025-11-21"
    assert control.truth(conid, "2025-11-24T11:00:00-05:00") == then


def test_mistakes_are_told(gateway):
    control = gateway.control
    for op, args, message in (
        ("dance", {}, "no command 'dance'; commands: ping"),
        ("set_clock", {"at": "2025-11-24T11:00:00"}, "has no offset"),
        ("patch", {"changes": {"limitz": {}}}, "did you mean limits"),
        ("set_quote", {"conid": 5, "columns": {"bidd": 1}}, "unknown column bidd"),
        ("break_farm", {"farm": "ranch"}, "no farm 'ranch'"),
        ("truth", {"conid": 1}, "no contract 1"),
    ):
        with pytest.raises(ControlError, match=message):
            control.call(op, **args)
    assert control.scenario()["limits"]["lines"] == 100


def test_a_bad_patch_changes_nothing(gateway):
    with pytest.raises(ControlError):
        gateway.control.patch(limits={"lines": 7}, faults={"silent": []})
    assert gateway.control.scenario()["limits"]["lines"] == 100


async def test_a_real_client_sees_exactly_what_was_sent(gateway):
    from ib_insync import IB, Contract

    ib = IB()
    await ib.connectAsync(gateway.host, gateway.port, clientId=3, timeout=5)
    conids = gateway.control.find("AAPL", "20251219", right="P")
    option = Contract(conId=conids[len(conids) // 2], exchange="SMART")
    (qualified,) = await asyncio.wait_for(ib.qualifyContractsAsync(option), 5)
    assert (qualified.symbol, qualified.right, qualified.secType) == ("AAPL", "P", "OPT")
    ticker = ib.reqMktData(qualified, "100,101,233", False, False)
    await until(lambda: ticker.modelGreeks is not None and ticker.putOpenInterest == ticker.putOpenInterest)
    ib.cancelMktData(qualified)
    await until(lambda: gateway.control.stats()["lines_open"] == 0)
    ib.disconnect()
    (record,) = gateway.control.sent(conid=qualified.conId)
    assert (record["client_id"], record["exchange"], record["served_types"][0]["type"]) == (3, "SMART", 1)
    assert record["ended_at"] is not None
    ticks = {tick["name"]: tick for tick in record["ticks"]}
    assert (ticker.bid, ticker.bidSize) == (ticks["bid"]["price"], ticks["bid"]["size"])
    assert (ticker.ask, ticker.askSize) == (ticks["ask"]["price"], ticks["ask"]["size"])
    assert (ticker.close, ticker.volume) == (ticks["prev_close"]["price"], ticks["volume"]["size"])
    assert ticker.putOpenInterest == ticks["put_open_interest"]["size"]
    assert ticker.callOpenInterest == 0
    greeks, model = ticker.modelGreeks, ticks["model"]
    assert (greeks.impliedVol, greeks.delta, greeks.gamma) == (model["iv"], model["delta"], model["gamma"])
    assert (greeks.vega, greeks.theta, greeks.undPrice) == (model["vega"], model["theta"], model["und_price"])
    truth = gateway.control.truth(qualified.conId, ticks["bid"]["at"])
    assert (truth["bid"], truth["ask"]) == (ticker.bid, ticker.ask)
    assert (truth["open_interest"], truth["model"]["iv"]) == (ticker.putOpenInterest, greeks.impliedVol)


async def test_a_real_client_asks_for_a_chain_and_bars(gateway):
    from ib_insync import IB, Index, Option, Stock

    ib = IB()
    await ib.connectAsync(gateway.host, gateway.port, clientId=3, timeout=5)
    stock, index = Stock("AAPL", "SMART", "USD"), Index("SPX", "CBOE")
    await asyncio.wait_for(ib.qualifyContractsAsync(stock, index), 5)
    assert (stock.conId, index.conId) == (265598, 416904)
    chains = await asyncio.wait_for(ib.reqSecDefOptParamsAsync("SPX", "", "IND", index.conId), 5)
    assert {c.tradingClass for c in chains if c.exchange == "SMART"} == {"SPX", "SPXW"}
    monthly = next(c for c in chains if c.exchange == "SMART" and c.tradingClass == "SPX")
    wanted = [Option("SPX", monthly.expirations[0], k, "C", "SMART", tradingClass="SPX") for k in monthly.strikes[::40]]
    found = await asyncio.wait_for(ib.qualifyContractsAsync(*wanted), 10)
    assert 0 < len(found) < len(wanted)  # the grid is a union
    assert {c.tradingClass for c in found} == {"SPX"}
    bars = await ib.reqHistoricalDataAsync(stock, "", "1 D", "30 mins", "TRADES", True, formatDate=2)
    assert [bar.date.hour * 60 + bar.date.minute for bar in bars[:3]] == [14 * 60 + 30, 15 * 60, 15 * 60 + 30]
    head = await ib.reqHeadTimeStampAsync(stock, "TRADES", True, 2)
    assert head.year < 2025
    now = await ib.reqCurrentTimeAsync()
    assert abs(now - gateway.control.clock()) < timedelta(seconds=30)
    ib.disconnect()


async def test_snapshots_of_a_real_client(gateway):
    from ib_insync import IB, Stock

    ib = IB()
    await ib.connectAsync(gateway.host, gateway.port, clientId=3, timeout=5)
    stock = Stock("AAPL", "SMART", "USD")
    await ib.qualifyContractsAsync(stock)
    (ticker,) = await asyncio.wait_for(ib.reqTickersAsync(stock), 10)
    assert ticker.bid < ticker.ask
    ib.disconnect()


async def test_counters_requests_and_reset(gateway):
    from ib_insync import IB

    ib = IB()
    await ib.connectAsync(gateway.host, gateway.port, clientId=3, timeout=5)
    await ib.reqCurrentTimeAsync()
    control = gateway.control
    assert control.stats()["requests"]["reqCurrentTime"] == 1
    assert control.stats()["clients"] == [3]
    (arrival,) = control.requests_seen("reqCurrentTime")
    assert (arrival["client_id"], arrival["accepted"]) == (3, True)
    control.reset_counters()
    assert control.stats()["requests"] == {}
    assert control.stats()["greatest_rate"] == 0
    ib.disconnect()


def test_two_control_clients_and_shutdown(gateway):
    with ControlClient(gateway.host, gateway.control_port) as other:
        assert other.ping() == gateway.control.ping()
        other.shutdown()
    assert gateway.stop() == 0
    assert not gateway.is_running


# ---- command line ------------------------------------------------------------------------------------------------


def run_ibsim(*arguments, **options):
    command = [sys.executable, "-m", "ibsim", *map(str, arguments)]
    return subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": str(PLUGINS)}, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, **options,
    )  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_when_it_is_ready_and_ends_cleanly_on_a_signal(tmp_path, number):
    ready = tmp_path / "ready.json"
    with run_ibsim("--port", 0, "--clock", MONDAY_11, "--ready-file", ready) as process:
        said = json.loads(process.stdout.readline())
        assert json.loads(ready.read_text()) == said
        assert said["pid"] == process.pid
        with ControlClient("127.0.0.1", said["control_port"]) as control:
            assert control.ping() == process.pid
        process.send_signal(number)
        assert process.wait(10) == 0
        assert process.stderr.read() == ""


def test_it_ends_with_the_process_that_started_it():
    with run_ibsim("--port", 0, "--stop-on-stdin-eof", stdin=subprocess.PIPE) as process:
        assert process.stdout.readline()
        process.stdin.close()
        assert process.wait(10) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--clock", "noon"), "Invalid isoformat string"),
        (("--clock", "2025-11-24T12:00:00"), "has no offset"),
        (("--scenario", "nowhere.toml"), "nowhere.toml"),
    ],
)
def test_wrong_arguments_end_with_2_and_a_message(arguments, message):
    with run_ibsim("--port", 0, *arguments) as process:
        assert process.wait(10) == 2
        assert message in process.stderr.read()


def test_a_port_in_use_ends_with_1():
    with running_gateway(QUIET) as gateway, run_ibsim("--port", gateway.port) as process:
        assert process.wait(10) == 1
        assert "Address already in use" in process.stderr.read()


def test_a_failed_start_is_an_error(tmp_path):
    with pytest.raises(GatewayStartFailed, match="exit code 2"):
        start_gateway({"limitz": {}}, log_path=tmp_path / "log.txt")
    assert "did you mean limits" in (tmp_path / "log.txt").read_text()


def test_help_needs_nothing_but_python():
    code = f"import sys; sys.path.insert(0, {str(PLUGINS)!r}); import ibsim.__main__ as m; m.main(['--help'])"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, capture_output=True, text=True)
    assert "--ready-file" in done.stdout
