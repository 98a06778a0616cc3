"""The control channel: JSON lines on a second loopback port, and a small client for tests and scripts."""

import asyncio
import json
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from types import TracebackType
from typing import Any, cast

from ibsim.clock import iso_utc, parse_instant
from ibsim.gateway import Gateway
from ibsim.market.hours import new_york_date

_MAX_LINE_BYTES = 1 << 26


class ControlServer:
    """Performs commands ``{"op": name, …arguments}``; answers ``{"ok": true, "result": …}`` or ``{"ok": false, …}``."""

    def __init__(self, gateway: Gateway, request_stop: Callable[[], None]) -> None:
        self._gateway = gateway
        self._request_stop = request_stop
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._ops: dict[str, Callable[..., Any]] = {
            "ping": lambda: {"pid": os.getpid()},
            "clock": lambda: iso_utc(gateway.clock.now_s()),
            "set_clock": self._set_clock,
            "patch": lambda changes: gateway.patch(changes),
            "scenario": lambda: asdict(gateway.scenario),
            "set_quote": lambda conid, columns=None: gateway.set_quote(conid, columns),
            "stats": gateway.stats,
            "reset_counters": gateway.reset_counters,
            "requests_seen": self._requests_seen,
            "sent": self._sent,
            "truth": self._truth,
            "find": self._find,
            "begin_outage": lambda code=1100: gateway.begin_outage(code),
            "end_outage": lambda data_lost=False: gateway.end_outage(data_lost=data_lost),
            "break_farm": gateway.break_farm,
            "mend_farm": gateway.mend_farm,
            "notice": lambda code, text: gateway.notify_all(code, text),
            "drop": lambda client_id=None: gateway.drop(client_id),
            "restart": lambda refuse_s=1.0: gateway.restart(refuse_s),
            "shutdown": request_stop,
        }

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port."""
        self._server = await asyncio.start_server(self._talk, host, port, limit=_MAX_LINE_BYTES)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in list(self._writers):
                writer.close()
            await self._server.wait_closed()

    def perform(self, op: str, args: Mapping[str, Any]) -> Any:
        """Carry out one command.

        Raises
        ------
        ValueError
            If there is no such command or an argument is wrong.
        """
        action = self._ops.get(op)
        if action is None:
            raise ValueError(f"no command {op!r}; commands: {', '.join(self._ops)}")
        return action(**args)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while line := await reader.readline():
                writer.write(self._answer(line) + b"\n")
                await writer.drain()
        except (ConnectionError, asyncio.LimitOverrunError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def _answer(self, line: bytes) -> bytes:
        try:
            command = json.loads(line)
            op = command.pop("op")
            answer = {"ok": True, "result": self.perform(op, command)}
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
        return json.dumps(answer, default=str).encode()

    def _set_clock(self, at: str) -> str:
        self._gateway.set_clock(parse_instant(at))
        return iso_utc(self._gateway.clock.now_s())

    def _requests_seen(self, kind: str = "", limit: int = 100_000) -> list[dict[str, Any]]:
        found = [a for a in self._gateway.journal.arrivals if kind in {"", a.kind}]
        return [{**asdict(a), "market_at": iso_utc(a.market_s)} for a in found[-limit:]]

    def _sent(
        self, conid: int | None = None, req_id: int | None = None, client_id: int | None = None
    ) -> list[dict[str, Any]]:
        return [record.describe() for record in self._gateway.journal.records(conid, req_id, client_id)]

    def _find(
        self, symbol: str, last_trade: str = "", strike: float = 0.0, right: str = "", trading_class: str = ""
    ) -> list[int]:
        market = self._gateway.market
        instrument = market.universe.by_symbol(symbol)
        if instrument is None:
            return []
        today = new_york_date(self._gateway.clock.now_s())
        found = market.chains.find(
            instrument, today, last_trade=last_trade, strike=strike, right=right, trading_class=trading_class
        )
        return [option.conid for option in found]

    def _truth(self, conid: int, at: str = "") -> dict[str, Any]:
        instant_s = parse_instant(at) if at else self._gateway.clock.now_s()
        contract = self._gateway.market.by_conid(conid, instant_s)
        if contract is None:
            raise ValueError(f"no contract {conid}")
        quote = asdict(self._gateway.quote(contract, instant_s))
        session = self._gateway.market.open_interest_session(instant_s)
        return {**quote, "at": iso_utc(instant_s), "open_interest_of": session.day.isoformat()}


class ControlError(RuntimeError):
    """The gateway refused a command."""


class ControlClient:
    """Talks to a gateway's control port; one connection, blocking.

    Instants are aware datetimes or ISO texts with an offset.
    """

    def __init__(self, host: str, port: int, timeout_s: float = 60.0) -> None:
        self._sock = socket.create_connection((host, port), timeout=timeout_s)
        self._file = self._sock.makefile("rwb")

    def __enter__(self) -> "ControlClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()
        self._sock.close()

    def call(self, op: str, **args: Any) -> Any:
        """Any command by name."""
        self._file.write(json.dumps({"op": op, **args}, default=str).encode() + b"\n")
        self._file.flush()
        line = self._file.readline()
        if not line:
            raise ControlError(f"{op}: the gateway has gone")
        answer = json.loads(line)
        if not answer["ok"]:
            raise ControlError(f"{op}: {answer['error']}")
        return answer["result"]

    def ping(self) -> int:
        """The gateway's process id."""
        return int(self.call("ping")["pid"])

    def clock(self) -> datetime:
        """What time it is in the market (UTC)."""
        return datetime.fromisoformat(self.call("clock"))

    def set_clock(self, at: datetime | str) -> datetime:
        """Move the market's clock; it runs on from there."""
        return datetime.fromisoformat(self.call("set_clock", at=_instant(at)))

    def patch(self, **changes: Any) -> None:
        """Change the scenario: ``patch(limits={"lines": 20})``."""
        self.call("patch", changes=changes)

    def scenario(self) -> dict[str, Any]:
        return cast("dict[str, Any]", self.call("scenario"))

    def set_quote(self, conid: int, **columns: Any) -> None:
        """Override quote columns of a contract (see ``ibsim.market.quotes.Quote``); no columns: stop overriding."""
        self.call("set_quote", conid=conid, columns=columns or None)

    def faults(self, **changes: Any) -> None:
        """Change the scenario's faults: ``faults(silent_exchanges=["SMART"])``."""
        self.patch(faults=changes)

    def stats(self) -> dict[str, Any]:
        """Counts: requests by kind, lines open and peak, greatest sliding-second rate, strikes, …"""
        return cast("dict[str, Any]", self.call("stats"))

    def reset_counters(self) -> None:
        self.call("reset_counters")

    def requests_seen(self, kind: str = "", limit: int = 100_000) -> list[dict[str, Any]]:
        """Messages as they arrived, oldest first."""
        return cast("list[dict[str, Any]]", self.call("requests_seen", kind=kind, limit=limit))

    def sent(
        self, conid: int | None = None, req_id: int | None = None, client_id: int | None = None
    ) -> list[dict[str, Any]]:
        """Market-data requests with every tick sent to them."""
        return cast("list[dict[str, Any]]", self.call("sent", conid=conid, req_id=req_id, client_id=client_id))

    def truth(self, conid: int, at: datetime | str = "") -> dict[str, Any]:
        """The market's own values of a contract at an instant (default: now)."""
        return cast("dict[str, Any]", self.call("truth", conid=conid, at=_instant(at)))

    def find(
        self, symbol: str, last_trade: str = "", strike: float = 0.0, right: str = "", trading_class: str = ""
    ) -> list[int]:
        """Conids of the options that trade now and fit the terms (``last_trade`` as ``YYYYMMDD`` or ``YYYYMM``)."""
        terms = {"last_trade": last_trade, "strike": strike, "right": right, "trading_class": trading_class}
        return cast("list[int]", self.call("find", symbol=symbol, **terms))

    def shutdown(self) -> None:
        self.call("shutdown")


def _instant(at: datetime | str) -> str:
    return at if isinstance(at, str) else at.isoformat()
