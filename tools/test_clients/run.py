"""Let three clients that nobody here wrote ask one simulated gateway the same things, and compare what they decoded.

``ib_insync`` runs in this environment, ``ib_async`` and the official ``ibapi`` in small ones of their own under
``.venvs/`` (the first two cannot share one: their event libraries overwrite each other). Every value is compared
between the clients, and every tick with what the gateway says it sent. Exit code 1 on any difference.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "plugins"))

from ibsim.launch import GatewayProcess, running_gateway  # noqa: E402

PROBE_TIMEOUT_S = 120
OPEN, CLOSED = "2025-11-24T11:00:00-05:00", "2025-11-24T17:30:00-05:00"
SCENARIO = {
    "seed": 5,
    "dwell": {"kind": "fixed", "low_s": 0.02},
    "feed": {"update_s": 0.0},
    "market": {
        "no_bid_fraction": 0.0, "greeks_never_fraction": 0.0, "greeks_late_fraction": 0.0,
        "oi_never_fraction": 0.0, "oi_late_fraction": 0.0,
    },
}  # fmt: skip
IGNORED = {"current_time"}  # asked at different moments; checked against the gateway's own clock instead


@dataclass(frozen=True)
class Client:
    """A client library: its pinned requirement ("" if it is in this environment) and its probe."""

    name: str
    requirement: str
    probe: tuple[str, ...]
    client_id: int


CLIENTS = (
    Client("ib_insync", "", ("probe_insync.py", "ib_insync"), 11),
    Client("ib_async", "ib_async==2.1.0", ("probe_insync.py", "ib_async"), 12),
    Client("ibapi", "ibapi-stable==10.50.2", ("probe_ibapi.py",), 13),
)


def python_of(client: Client) -> str:
    """The interpreter of the client's environment, which is made if it is not there yet."""
    if not client.requirement:
        return sys.executable
    home = ROOT / ".venvs" / client.name
    python = home / "bin" / "python"
    stamp = home / "requirement.txt"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != client.requirement:
        uv = Path(sys.executable).with_name("uv")
        environment = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
        make = [uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, home]
        subprocess.run(make, check=True, env=environment)
        install = [uv, "pip", "install", "--quiet", "--python", python, client.requirement]
        subprocess.run(install, check=True, env=environment)
        stamp.write_text(client.requirement, encoding="utf-8")
    return str(python)


def make_plan(gateway: GatewayProcess, option_conids: Mapping[str, int]) -> dict[str, Any]:
    """What every client asks."""
    call, put, weekly = (option_conids[name] for name in ("call", "put", "weekly"))
    option_ticks = {"exchange": "SMART", "generic": "100,101,106,221,233", "is_option": True}
    return {
        "host": gateway.host,
        "port": gateway.port,
        "details": {
            "stock": {"symbol": "AAPL", "secType": "STK", "exchange": "SMART", "currency": "USD"},
            "fund": {"conId": 756733},
            "index": {"symbol": "SPX", "secType": "IND", "exchange": "CBOE", "currency": "USD"},
            "option": {"conId": call, "exchange": "CBOE"},
            "expiry": {
                "symbol": "AAPL", "secType": "OPT", "exchange": "SMART",
                "lastTradeDateOrContractMonth": "20251219", "right": "P",
            },
            "class": {
                "symbol": "SPX", "secType": "OPT", "exchange": "CBOE", "tradingClass": "SPX", "strike": 6600.0,
            },
        },
        "chain": ["SPX", "", "IND", 416904],
        "market_data": {
            "265598": {"exchange": "SMART", "generic": "", "is_option": False},
            "416904": {"exchange": "CBOE", "generic": "", "is_option": False},
            str(call): option_ticks,
            str(put): option_ticks,
            str(weekly): {"exchange": "CBOE", "generic": "101", "is_option": True},
        },
        "bars": {
            "stock days": bars_of(265598, "5 D", "1 day", "TRADES"),
            "option bids": bars_of(put, "1800 S", "1 min", "BID"),
            "option asks": bars_of(put, "1 D", "30 mins", "ASK"),
            "option trades": bars_of(call, "2 D", "8 hours", "TRADES"),
        },
        "head": 265598,
        "unknown": {"symbol": "NOSUCH", "secType": "STK", "exchange": "SMART", "currency": "USD"},
        "illegal_generic": "101,9999",
    }  # fmt: skip


def bars_of(conid: int, duration: str, size: str, what: str) -> dict[str, Any]:
    """One request for bars that end at a fixed instant."""
    return {
        "conid": conid, "exchange": "SMART", "end": "20251124-15:45:00", "duration": duration, "size": size,
        "what": what,
    }  # fmt: skip


def find_options(gateway: GatewayProcess) -> dict[str, int]:
    """Conids of the options asked for, from the gateway's own list."""
    find = gateway.control.find
    calls = find("AAPL", "20251219", right="C")
    puts = find("AAPL", "20251219", right="P")
    weeklies = find("SPX", "20251205", right="C", trading_class="SPXW")
    return {"call": calls[len(calls) // 2], "put": puts[len(puts) // 2], "weekly": weeklies[len(weeklies) // 2]}


def ask(client: Client, plan: Mapping[str, Any], phase: str) -> dict[str, Any]:
    """Run one probe; its answers."""
    text = json.dumps({**plan, "client_id": client.client_id, "phase": phase})
    command = [python_of(client), str(HERE / client.probe[0]), *client.probe[1:], text]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PROBE_TIMEOUT_S)
    if done.returncode:
        raise SystemExit(f"{client.name}: the probe failed\n{done.stdout}{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def sent_values(gateway: GatewayProcess, client: Client, conid: str, served_type: int) -> dict[str, Any]:
    """What the gateway says it sent to a client for one contract, under the probes' names."""
    records = gateway.control.sent(conid=int(conid), client_id=client.client_id)
    record = next(r for r in records if r["served_types"] and r["served_types"][-1]["type"] == served_type)
    values: dict[str, Any] = {}
    for tick in record["ticks"]:
        name = tick["name"]
        if name.endswith("model"):
            values[name] = [tick[k] for k in (
                "iv", "delta", "price", "pv_dividend", "gamma", "vega", "theta", "und_price")]  # fmt: skip
        elif name == "rt_volume":
            values[name] = float(tick["value"].split(";")[3])
        elif "price" in tick:
            values[name] = tick["price"]
        else:
            values[name] = tick.get("size", tick.get("value"))
    return values


def differences(left: Any, right: Any, where: str) -> list[str]:
    """Every place where two values differ; numbers are equal to 1e-12."""
    if isinstance(left, dict) and isinstance(right, dict):
        keys = sorted({*left, *right} - IGNORED)
        return [d for key in keys for d in differences(left.get(key), right.get(key), f"{where}.{key}")]
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        return [d for i, (a, b) in enumerate(zip(left, right, strict=True)) for d in differences(a, b, f"{where}[{i}]")]
    numbers = (int, float)
    if isinstance(left, numbers) and isinstance(right, numbers):
        return [] if abs(left - right) <= 1e-12 * max(1.0, abs(left)) else [f"{where}: {left} and {right}"]
    return [] if left == right else [f"{where}: {left!r} and {right!r}"]


def count_values(value: Any) -> int:
    if isinstance(value, dict):
        return sum(count_values(v) for v in value.values())
    return sum(count_values(v) for v in value) if isinstance(value, list) else 1


def main() -> int:
    problems: list[str] = []
    compared = 0
    with running_gateway(SCENARIO, clock=OPEN) as gateway:
        plan = make_plan(gateway, find_options(gateway))
        for phase, instant, served_type in (("live", OPEN, 1), ("frozen", CLOSED, 2)):
            gateway.control.set_clock(instant)
            answers = {client.name: ask(client, plan, phase) for client in CLIENTS}
            first = answers[CLIENTS[0].name]
            for client in CLIENTS:
                answer = answers[client.name]
                compared += count_values(answer)
                ahead_s = gateway.control.clock().timestamp() - answer["current_time"]
                if not 0 <= ahead_s < PROBE_TIMEOUT_S:
                    problems.append(f"{client.name}: current time is {ahead_s:.0f} s behind the gateway's clock")
                other = {**answer, "live": first["live"]}  # live quotes move between two clients
                problems += differences(first, other, f"{phase}: {CLIENTS[0].name} and {client.name}")
                for conid, values in answer[phase].items():
                    told = sent_values(gateway, client, conid, served_type)
                    seen = {k: v for k, v in values.items() if k != "served_type" and v is not None}
                    expected = {k: v for k, v in told.items() if k not in {"last_time"}}
                    problems += differences(expected, seen, f"{phase}: sent to and seen by {client.name} {conid}")
                    if values["served_type"] != served_type:
                        problems.append(f"{client.name} {conid}: market data type {values['served_type']}")
    for problem in problems[:50]:
        print(problem)
    names = ", ".join(client.requirement or client.name for client in CLIENTS)
    print(f"{names}: {compared} decoded values, {len(problems)} differences")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
