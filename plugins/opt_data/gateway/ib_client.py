"""Our edition of the IB client: paced, recording, and silent about the account.

Imported on first use only (see ``session.open_session``): ``ib_insync`` costs most of a second and grabs an event
loop while it is imported.

Three things differ from the library:

* every message, of whatever kind, leaves only when its turn in the shared allowance has come; the library's own
  throttle lets bursts of 45 out, which a sliding second at the receiver counts against us, and knows of no other task;
* market-data ticks go to a recorder per request id instead of a shared ``Ticker``, so that a value can never be older
  than the request it is stored under;
* connecting asks for neither positions, orders nor account values.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

import ib_insync
import ib_insync.client
import ib_insync.decoder
import ib_insync.wrapper

from opt_data.core.allowance_share import AllowanceShare
from opt_data.gateway.recorder import TickRecorder

READ_ONLY_MESSAGES = frozenset({
    1,  # market data
    2,  # cancel it
    9,  # contract details
    20,  # historical data
    25,  # cancel it
    49,  # current time
    59,  # market data type
    71,  # start the API
    78,  # option parameters
    87,  # head timestamp
    90,  # cancel it
})  # fmt: skip
"""All this package may ever say. Orders, accounts and positions are not in it."""

# Every failure reaches its caller as an error of ours; the library would say it a second time, as an alarm.
logging.getLogger("ib_insync").setLevel(logging.CRITICAL)

ErrorListener = Callable[[int, int, str], None]


class PacedClient(ib_insync.client.Client):
    """The library's client with a queue that drains one message at a time."""

    def __init__(self, wrapper: "RecordingWrapper", share: AllowanceShare) -> None:
        self.share = share
        self._timer: asyncio.TimerHandle | None = None
        self._handed_in = 0
        self._when_sent: deque[tuple[int, Callable[[], None]]] = deque()
        self.messages_sent = 0
        super().__init__(wrapper)

    def sendMsg(self, msg: str | None) -> None:
        if msg:
            if int(msg.split("\0", 1)[0]) not in READ_ONLY_MESSAGES:
                raise PermissionError(f"message {msg[:8]!r} is not one of those that only read market data")
            self._msgQ.append(msg)
            self._handed_in += 1
        if self._timer is None:
            self._drain()

    def when_sent(self, action: Callable[[], None]) -> None:
        """Call ``action`` once everything handed in so far has left, or the connection has ended."""
        if self._msgQ:
            self._when_sent.append((self._handed_in, action))
        else:
            action()

    async def drained(self) -> None:
        """Wait until everything handed in so far has left."""
        if self._msgQ and self.isConnected():
            left = asyncio.Event()
            self.when_sent(left.set)
            await left.wait()

    def reset(self) -> None:
        super().reset()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._handed_in = self.messages_sent
        self._release()

    def _drain(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        while self._msgQ:
            wait = self.share.send_or_wait_s(self._send_first)
            if wait > 0:
                self._timer = loop.call_later(wait, self._drain)
                return
            self._release()

    def _send_first(self) -> None:
        self.conn.sendMsg(self._prefix(self._msgQ.popleft().encode()))
        self.messages_sent += 1

    def _release(self) -> None:
        while self._when_sent and (not self._msgQ or self._when_sent[0][0] <= self.messages_sent):
            self._when_sent.popleft()[1]()


class RecordingWrapper(ib_insync.wrapper.Wrapper):
    """The library's wrapper, with market data diverted to recorders."""

    def __init__(self, ib: "RecordingIB") -> None:
        self.recorders: dict[int, TickRecorder] = {}
        self.listeners: list[ErrorListener] = []
        super().__init__(ib)

    def priceSizeTick(self, reqId: int, tickType: int, price: float, size: float) -> None:
        if recorder := self.recorders.get(reqId):
            recorder.price(tickType, price, size)

    def tickSize(self, reqId: int, tickType: int, size: float) -> None:
        if recorder := self.recorders.get(reqId):
            recorder.size(tickType, size)

    def tickGeneric(self, reqId: int, tickType: int, value: float) -> None:
        if recorder := self.recorders.get(reqId):
            recorder.generic(tickType, value)

    def tickString(self, reqId: int, tickType: int, value: str) -> None:
        if recorder := self.recorders.get(reqId):
            recorder.string(tickType, value)

    def tickOptionComputation(self, reqId: int, tickType: int, tickAttrib: int, *values: float) -> None:
        if recorder := self.recorders.get(reqId):
            recorder.computation(tickType, *values)

    def marketDataType(self, reqId: int, marketDataType: int) -> None:
        if recorder := self.recorders.get(reqId):
            recorder.market_data_type(marketDataType)

    def tickReqParams(self, reqId: int, minTick: float, bboExchange: str, snapshotPermissions: int) -> None:
        if recorder := self.recorders.get(reqId):  # nothing stored comes from it
            recorder.heard()

    def error(self, reqId: int, errorCode: int, errorString: str, advancedOrderRejectJson: str = "") -> None:
        for listener in tuple(self.listeners):
            listener(reqId, errorCode, errorString)
        super().error(reqId, errorCode, errorString, advancedOrderRejectJson)


class RecordingIB(ib_insync.IB):
    """``IB`` made of the two parts above. Use the ``*Async`` methods only."""

    RaiseRequestErrors = True
    wrapper: RecordingWrapper
    client: PacedClient

    def __init__(self, share: AllowanceShare) -> None:
        super().__init__()
        self.wrapper = RecordingWrapper(self)
        self.client = PacedClient(self.wrapper, share)
        self.client.apiEnd += self.disconnectedEvent
        self.client.decoder.handlers[21] = self._option_computation
        self.undecoded = 0
        self.client.decoder.logger = _CountingLogger(self)  # type: ignore[assignment]

    def _onError(self, reqId: int, errorCode: int, errorString: str, contract: Any) -> None:
        """The library would ask for an account summary after a reconnect; we never ask about the account."""

    def _option_computation(self, fields: list[str]) -> None:
        """Decode message 21 with empty fields allowed: the library's decoder drops the whole message."""
        _, req_id, tick_type, tick_attrib, *values = fields
        numbers = [float(value) if value else float("nan") for value in values]
        self.wrapper.tickOptionComputation(int(req_id), int(tick_type), int(tick_attrib or 0), *numbers)


class _CountingLogger(logging.LoggerAdapter):  # type: ignore[type-arg]
    """Counts messages that could not be decoded: the library only logs them, and the request then hangs."""

    def __init__(self, ib: RecordingIB) -> None:
        super().__init__(logging.getLogger("opt_data.gateway.decoder"), {})
        self._ib = ib

    def exception(self, msg: object, *args: object, **kwargs: Any) -> None:
        self._ib.undecoded += 1
        super().exception(msg, *args, **kwargs)
