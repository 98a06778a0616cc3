"""A client that only knows frames: what the simulated gateway sends is looked at byte by byte."""

import asyncio
import struct
from collections.abc import Callable
from types import TracebackType

from tests.ibsim.golden import frame_bytes, opening_bytes

TIMEOUT_S = 10.0


class RawClient:
    """One connection; ``frames`` are the messages received so far as lists of fields."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self.frames: list[list[str]] = []
        self.raw: list[bytes] = []
        self.is_closed = False

    async def __aenter__(self) -> "RawClient":
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        self._task = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task.cancel()
        self._writer.close()

    async def _read(self) -> None:
        try:
            while True:
                prefix = await self._reader.readexactly(4)
                body = await self._reader.readexactly(struct.unpack(">I", prefix)[0])
                self.raw.append(prefix + body)
                self.frames.append(body.decode("ascii").split("\0")[:-1])
        except (asyncio.IncompleteReadError, ConnectionError):
            self.is_closed = True

    def send_bytes(self, data: bytes) -> None:
        self._writer.write(data)

    def send(self, *fields: object) -> None:
        body = "".join(f"{field}\0" for field in fields).encode("ascii")
        self._writer.write(struct.pack(">I", len(body)) + body)

    async def start(self, client_id: int = 7) -> None:
        """Handshake and startApi; returns when the next valid id is there."""
        self.send_bytes(opening_bytes())
        await self.until(lambda: bool(self.frames))
        if client_id == 7:
            self.send_bytes(frame_bytes("start api"))
        else:
            self.send(71, 2, client_id, "")
        await self.until(lambda: any(f[0] == "9" for f in self.frames) or self.is_closed)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while not condition():
                await asyncio.sleep(0.005)

    def of(self, message_id: int, req_id: int | None = None) -> list[list[str]]:
        """Messages of one kind; ``req_id`` where the protocol has it second or third."""
        found = [frame for frame in self.frames if frame[0] == str(message_id)]
        return found if req_id is None else [f for f in found if str(req_id) in f[1:3]]

    def errors(self, req_id: int | None = None) -> list[tuple[int, str]]:
        """(code, text) of the errors, of one request if given."""
        return [(int(f[3]), f[4]) for f in self.of(4) if req_id is None or f[2] == str(req_id)]

    async def error(self, req_id: int) -> tuple[int, str]:
        """The first error of a request."""
        await self.until(lambda: bool(self.errors(req_id)))
        return self.errors(req_id)[0]

    def contract(self, **fields: object) -> list[object]:
        """The twelve contract fields."""
        names = (
            "conid", "symbol", "sec_type", "last_trade", "strike", "right", "multiplier", "exchange",
            "primary_exchange", "currency", "local_symbol", "trading_class",
        )  # fmt: skip
        empty: dict[str, object] = {"conid": 0, "strike": "0.0"}
        return [fields.get(name, empty.get(name, "")) for name in names]

    def market_data(
        self, req_id: int, conid: int, exchange: str = "SMART", generic: str = "", *, snapshot: bool = False
    ) -> None:
        contract = self.contract(conid=conid, exchange=exchange)
        self.send(1, 11, req_id, *contract, 0, generic, int(snapshot), 0, "")

    def cancel(self, req_id: int) -> None:
        self.send(2, 2, req_id)

    def ticks(self, req_id: int) -> dict[str, list[str]]:
        """The last tick of each type: ``"1"`` → its fields after the type."""
        last: dict[str, list[str]] = {}
        for frame in self.frames:
            if frame[0] in {"1", "2", "45", "46"} and frame[2] == str(req_id):
                last.setdefault(f"{frame[3]}" if frame[0] != "2" else f"size {frame[3]}", [])[:] = frame[4:]
            elif frame[0] == "21" and frame[1] == str(req_id):
                last[frame[2]] = frame[3:]
        return last
