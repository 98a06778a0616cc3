"""The sockets: one thread reads, the kernel notes arrival times, the event loop does everything else.

That is what keeps the count of messages in a sliding second honest: however long this process is busy with ticks, or
waits for a processor, a message is dated when it arrives. Of several that the kernel has merged meanwhile it notes the
last one's time only; the others are spread over the time in which they came.
"""

import asyncio
import contextlib
import gc
import logging
import selectors
import socket
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable

from ibsim.clock import MarketClock
from ibsim.control import ControlServer
from ibsim.events import EventTimer
from ibsim.gateway import Gateway
from ibsim.scenario import Scenario
from ibsim.session import ClientSession
from ibsim.wire import FrameSplitter, ProtocolError

log = logging.getLogger("ibsim.server")
LOOPBACK = "127.0.0.1"
_RECEIVE_BYTES = 65536
_BACKLOG = 128
#: Linux's option for arrival times of the data that is read, and what it adds to each reading; not in Python's socket.
_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("@qq")
_ANCILLARY_BYTES = socket.CMSG_SPACE(_TIMESPEC.size)
_CLOCK_READINGS, _ONE_MOMENT_S = 5, 0.0005
#: How often the reader looks when nothing arrives: so long, at most, is the time over which merged messages are spread,
#: unless the reader itself was kept from looking.
_LOOK_EVERY_S = 0.01
#: How long one thread may keep the interpreter while the reader waits for it.
_SWITCH_INTERVAL_S = 0.0005
#: The collection of everything stops all threads for more than a tenth of a second once the market is large, and what
#: arrives meanwhile looks like a burst. The younger generations are collected as ever.
_OLDEST_NEVER = 1_000_000_000


class SocketReader(threading.Thread):
    """Reads all sockets in a thread of its own and hands (empty until, arrival time, bytes) to the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(name="ibsim-reader", daemon=True)
        self._loop = loop
        self._selector = selectors.DefaultSelector()
        self._orders: deque[Callable[[], None]] = deque()
        self._wake_out, self._wake_in = socket.socketpair()
        self._wake_out.setblocking(False)
        self._selector.register(self._wake_out, selectors.EVENT_READ, None)
        self._stopping = False

    def add(self, sock: socket.socket, on_readable: Callable[[float], None]) -> None:
        """Watch a socket; ``on_readable(empty_s)`` runs in the reader's thread: until then nothing had arrived."""

        def watch() -> None:
            with contextlib.suppress(ValueError):  # closed before its turn came
                self._selector.register(sock, selectors.EVENT_READ, on_readable)

        self._order(watch)

    def remove(self, sock: socket.socket, then: Callable[[], None]) -> None:
        """Stop watching; ``then`` runs in the event loop once no more reading can happen."""

        def forget() -> None:
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(sock)
            self._loop.call_soon_threadsafe(then)

        self._order(forget)

    def hand_over(self, call: Callable[..., None], *args: object) -> None:
        """Run something in the event loop."""
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody is left to hand over to
            self._loop.call_soon_threadsafe(call, *args)

    def stop(self) -> None:
        self._stopping = True
        self._order(lambda: None)
        self.join()
        self._selector.close()
        self._wake_in.close()
        self._wake_out.close()

    def _order(self, order: Callable[[], None]) -> None:
        self._orders.append(order)
        with contextlib.suppress(BlockingIOError):
            self._wake_in.send(b"x")

    def run(self) -> None:
        looked_s = time.monotonic()
        while not self._stopping:
            empty_s, looked_s = looked_s, time.monotonic()
            for key, _ in self._selector.select(_LOOK_EVERY_S):
                if key.data is None:
                    with contextlib.suppress(BlockingIOError):
                        self._wake_out.recv(4096)
                else:
                    key.data(empty_s)
            while self._orders:
                self._orders.popleft()()


class Connection:
    """One client's socket: reads in the reader's thread, writes in the event loop, many messages in one piece."""

    def __init__(self, sock: socket.socket, reader: SocketReader, gateway: Gateway) -> None:
        self._sock = sock
        self._reader = reader
        self._loop = asyncio.get_running_loop()
        self._splitter = FrameSplitter()
        self._pending = bytearray()
        self._flush_planned = False
        self._waits_for_room = False
        self._is_closing = False
        self._last_s = float("-inf")
        self._on_gone: Callable[[Connection], None] = lambda _: None
        self.session = ClientSession(gateway, self)

    def start(self, on_gone: Callable[["Connection"], None]) -> None:
        self._on_gone = on_gone
        self._sock.setblocking(False)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._reader.add(self._sock, self._on_readable)

    def _on_readable(self, empty_s: float) -> None:
        noted: list[tuple[int, int, bytes]] = []
        try:
            data, noted, _, _ = self._sock.recvmsg(_RECEIVE_BYTES, _ANCILLARY_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._reader.hand_over(self._received, empty_s, _arrived_s(noted), data)
        if not data:
            self._reader.remove(self._sock, lambda: None)

    def _received(self, empty_s: float, arrived_s: float, data: bytes) -> None:
        arrived_s = max(arrived_s, self._last_s)  # two clocks are compared: a little back would be out of order
        since_s, self._last_s = max(empty_s, self._last_s), arrived_s
        if self._is_closing:
            return
        if not data:
            self.close()
            return
        try:
            payloads = self._splitter.feed(data)
            for payload, dated_s in zip(payloads, _evenly(since_s, arrived_s, len(payloads)), strict=True):
                self.session.receive(dated_s, payload)
        except ProtocolError as error:
            log.warning("closing a connection: %s", error)
            self.close()

    def write(self, data: bytes) -> None:
        """Send soon: everything written in one turn of the loop goes out together."""
        if self._is_closing:
            return
        self._pending += data
        if not self._flush_planned and not self._waits_for_room:
            self._flush_planned = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_planned = False
        if not self._pending or self._sock.fileno() < 0:
            return
        try:
            sent = self._sock.send(self._pending)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._pending.clear()
            self.close()
            return
        del self._pending[:sent]
        if self._pending and not self._waits_for_room:
            self._waits_for_room = True
            self._loop.add_writer(self._sock, self._flush)
        elif not self._pending and self._waits_for_room:
            self._waits_for_room = False
            self._loop.remove_writer(self._sock)

    def close(self) -> None:
        """Send what can be sent at once, then close."""
        if self._is_closing:
            return
        self._flush()
        self._is_closing = True
        if self._waits_for_room:
            self._loop.remove_writer(self._sock)
        self.session.closed()
        self._reader.remove(self._sock, self._sock_close)

    def _sock_close(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
        self._on_gone(self)


def _arrived_s(noted: list[tuple[int, int, bytes]]) -> float:
    """When the last of what was read just now had arrived, monotonic; now if the kernel has not noted it."""
    for level, kind, content in noted:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
            seconds, nanoseconds = _TIMESPEC.unpack(content)
            now_s, wall_s = _both_clocks()
            waited_s: float = wall_s - seconds - nanoseconds / 1e9
            return now_s - max(0.0, waited_s)
    return time.monotonic()


def _both_clocks() -> tuple[float, float]:
    """Monotonic and wall time of one moment: read again if this thread was stopped between the two."""
    for _ in range(_CLOCK_READINGS):
        now_s, wall_s = time.monotonic(), time.time()
        if time.monotonic() - now_s < _ONE_MOMENT_S:
            break
    return now_s, wall_s


def _evenly(since_s: float, until_s: float, count: int) -> list[float]:
    """Dates of ``count`` messages of which the last came at ``until_s`` and none before ``since_s``."""
    step_s = max(0.0, until_s - since_s) / max(1, count)
    return [until_s - step_s * later for later in reversed(range(count))]


class GatewayServer:
    """A running simulated gateway. Use ``serve``."""

    def __init__(self, gateway: Gateway, port: int, control_port: int, host: str = LOOPBACK) -> None:
        self.gateway = gateway
        self.host = host
        self.port = port
        self.control_port = control_port
        self.stop_requested = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._reader = SocketReader(self._loop)
        self._connections: set[Connection] = set()
        self._listener: socket.socket | None = None
        self._is_listening = False
        self._control = ControlServer(gateway, self.stop_requested.set)
        self._events = EventTimer(gateway, self._control.perform)

    async def start(self) -> None:
        """Bind the ports (0 chooses free ones) and begin."""
        self._reader.start()
        self.control_port = await self._control.start(LOOPBACK, self.control_port)
        self._bind()
        self._listening_changed()
        self.gateway.on_listening_changed = self._listening_changed
        self._events.start()

    async def stop(self) -> None:
        """Close everything."""
        self._events.stop()
        self._unbind()
        for connection in list(self._connections):
            connection.close()
        await self._control.stop()
        self._reader.stop()
        await asyncio.sleep(0)  # what the reader handed over last: closing the sockets

    def _listening_changed(self) -> None:
        """Listen, or hold the port without listening: then the system refuses connections."""
        if self.gateway.is_listening == self._is_listening:
            return
        if self._is_listening:
            self._unbind()
            self._bind()
        elif self._listener is not None:
            listener = self._listener
            listener.listen(_BACKLOG)
            self._is_listening = True
            self._reader.add(listener, lambda _: self._accept(listener))

    def _bind(self) -> None:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self.host, self.port))
        except OSError:
            listener.close()
            raise
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        self._listener = listener

    def _unbind(self) -> None:
        if self._listener is not None:
            listener, self._listener = self._listener, None
            self._is_listening = False
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # from here on connections are refused
            self._reader.remove(listener, listener.close)

    def _accept(self, listener: socket.socket) -> None:
        """Runs in the reader's thread."""
        try:
            sock, _ = listener.accept()
        except OSError:
            return
        self._reader.hand_over(self._accepted, sock)

    def _accepted(self, sock: socket.socket) -> None:
        connection = Connection(sock, self._reader, self.gateway)
        self._connections.add(connection)
        connection.start(self._connections.discard)


@contextlib.asynccontextmanager
async def serve(
    scenario: Scenario | None = None,
    *,
    clock: MarketClock | None = None,
    port: int = 0,
    control_port: int = 0,
    host: str = LOOPBACK,
) -> AsyncIterator[GatewayServer]:
    """Run a gateway inside this event loop.

    Parameters
    ----------
    scenario
        Default: all defaults.
    clock
        Default: the machine's time.
    port, control_port
        0 chooses a free one; see the server's ``port`` and ``control_port``.
    host
        The address clients connect to. The control port is always on loopback.
    """
    server = GatewayServer(Gateway(scenario or Scenario(), clock or MarketClock()), port, control_port, host)
    interval, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    gc.set_threshold(*thresholds[:2], _OLDEST_NEVER)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()
        sys.setswitchinterval(interval)
        gc.set_threshold(*thresholds)
