"""One connection to the gateway: a client id of our own, a deadline on every answer, errors in our own words.

Over 400 lines because connecting, being told of outages and being thrown out change the same few fields.
"""

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from opt_data.core.allowance import ALIVE_S, AllowancePolicy
from opt_data.core.allowance_share import AllowanceShare, PrivateStore
from opt_data.core.clock import Clock, RunningClock, SystemClock
from opt_data.core.clock_skew import ClockReading
from opt_data.core.connectivity import Connectivity
from opt_data.core.pacing import message_rate
from opt_data.errors import ClientIdInUse, GatewayUnavailable, OptDataError, PacingViolated, RequestTimedOut
from opt_data.gateway.error_codes import Effect, code_meaning, error_from_code
from opt_data.gateway.events import EventKind, GatewayEvent, Observer, unobserved

if TYPE_CHECKING:
    from opt_data.gateway.ib_client import RecordingIB

log = logging.getLogger(__name__)
T = TypeVar("T")

CLIENT_ID_IN_USE = 326
PACING_STRIKE = 100
STRIKES_THAT_CLOSE = 3
COMPETING_SESSION = 10197


@dataclass(frozen=True, slots=True)
class GatewayAddress:
    """Where a gateway listens, and the client ids this installation may use on it."""

    host: str = "127.0.0.1"
    port: int = 4001
    client_id_first: int = 0
    client_id_count: int = 32

    def client_ids(self, start: int = 0) -> tuple[int, ...]:
        """The whole range, beginning somewhere inside it, so that parallel tasks rarely ask for the same one."""
        count = max(1, self.client_id_count)
        return tuple(self.client_id_first + (start + i) % count for i in range(count))


@dataclass(frozen=True, slots=True)
class GatewayLimits:
    """Deadlines in seconds, and the login's allowance as this connection may use it."""

    connect_timeout_s: float = 10.0
    request_timeout_s: float = 30.0
    market_data_lines: int = 100
    messages_per_s_max: float = 0.0
    message_rate_share: float = 0.96


@dataclass(frozen=True, slots=True)
class Notice:
    """One message of the gateway that concerns no single request."""

    at: datetime
    code: int
    text: str


class GatewaySession:
    """A connected session. Made by :func:`open_session`; ends with its ``async with`` block."""

    def __init__(
        self, ib: "RecordingIB", address: GatewayAddress, limits: GatewayLimits, client_id: int, share: AllowanceShare
    ) -> None:
        self.ib = ib
        self.share = share
        self.clock: Clock = SystemClock()
        self.address = address
        self.limits = limits
        self.client_id = client_id
        self.connectivity = Connectivity()
        self.notices: list[Notice] = []
        self.clock_reading: ClockReading | None = None
        self.delayed_requested = False
        self.interruptions: list[Callable[[], None]] = []
        self.restored = asyncio.Event()
        self.restored.set()
        self.lost: asyncio.Future[OptDataError] = asyncio.get_running_loop().create_future()
        self._is_warned = False
        self._strikes = 0
        self._observer: Observer = unobserved
        ib.wrapper.listeners.append(self.note_message)
        ib.disconnectedEvent += self._on_disconnect

    @property
    def is_connected(self) -> bool:
        return bool(self.ib.client.isReady()) and not self.lost.done()

    async def ask(self, what: str, answer: Awaitable[T], timeout_s: float | None = None) -> T:
        """Await one answer of the gateway, within the deadline and in our own errors.

        The deadline begins when the request has left: waiting for a turn on the wire is not waiting for the gateway.

        Parameters
        ----------
        what
            What was asked, for messages: ``contract details of AAPL``.
        answer
            A coroutine of the client library.
        timeout_s
            The deadline; the session's ``request_timeout_s`` unless given.

        Raises
        ------
        RequestTimedOut
            No answer in time.
        GatewayUnavailable
            The connection ended first.
        OptDataError
            The error IB answered with (see ``error_codes``).
        """
        timeout = timeout_s or self.limits.request_timeout_s
        task: asyncio.Future[T] = asyncio.ensure_future(answer)
        try:
            waiting: set[asyncio.Future[Any]] = {task, self.lost}
            await self._left(waiting)
            await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return self._result(what, task)
            if self.lost.done():
                raise self.lost.result()
            raise RequestTimedOut(f"the gateway did not answer within {timeout:g} s: {what}")
        finally:
            if not task.done():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def _left(self, unless: "set[asyncio.Future[Any]]") -> None:
        """Wait until the first request of a task that was just made has left, unless something ends before."""
        await asyncio.sleep(0)  # the task begins, and puts its request into the queue
        drained = asyncio.ensure_future(self.ib.client.drained())
        await asyncio.wait({drained, *unless}, return_when=asyncio.FIRST_COMPLETED)
        drained.cancel()

    def _result(self, what: str, task: "asyncio.Future[T]") -> T:
        try:
            return task.result()
        except ConnectionError as error:
            raise self._unavailable(f"connection lost while asking for {what}: {error}") from error
        except Exception as error:
            code = getattr(error, "code", None)
            if isinstance(code, int):
                mapped = error_from_code(code, f"{getattr(error, 'message', error)} ({what})")
                raise mapped from error
            raise

    async def current_time(self) -> datetime:
        """The gateway's own time, to the second, aware UTC."""
        answer: datetime = await self.ask("current time", self.ib.reqCurrentTimeAsync())
        return answer.astimezone(UTC)

    def take_the_gateways_clock(self, now: datetime) -> None:
        """From now on the session's clock is the gateway's; what was noticed while connecting is of this moment."""
        self.clock = RunningClock(now)
        self.notices = [replace(notice, at=now) for notice in self.notices]

    def observe(self, observer: Observer) -> None:
        """Tell of every event from the connection's beginning on."""
        self._observer = observer
        self._tell(EventKind.CONNECTED, f"client id {self.client_id}")
        for notice in self.notices:
            self._tell(EventKind.NOTICE, notice.text, notice.code, at=notice.at)

    def compare_clocks(self) -> None:
        """Ask the gateway's time, and note how far it is from ours when the answer comes; nobody waits for it."""
        sent: list[datetime] = []
        answer: asyncio.Future[datetime] = asyncio.ensure_future(self.ib.reqCurrentTimeAsync())
        self.ib.client.when_sent(lambda: sent.append(self.clock.now()))

        def note(answer: "asyncio.Future[datetime]") -> None:
            if answer.cancelled() or answer.exception() is not None or not sent:
                return
            self.clock_reading = reading = ClockReading(sent[0], self.clock.now(), answer.result().astimezone(UTC))
            text = (
                f"the gateway's clock less ours is {reading.skew_s:.1f} s, give or take {reading.uncertainty_s:.1f} s"
            )
            if reading.is_skewed:
                log.warning("%s; rows are flagged clock_skew, check the time service of both machines", text)
            self._tell(EventKind.CLOCK, text, reading=reading)

        answer.add_done_callback(note)

    @property
    def is_clock_skewed(self) -> bool:
        """Whether the gateway's clock is known to be more than a second from ours."""
        return self.clock_reading is not None and self.clock_reading.is_skewed

    def request_market_data_type(self, market_data_type: int) -> None:
        """Say which kind of market data later requests on this connection want."""
        self.delayed_requested = market_data_type in (3, 4)
        self.ib.client.reqMarketDataType(market_data_type)

    def stop(self, error: OptDataError) -> None:
        """Declare the connection useless; everybody waiting on it gets ``error``."""
        if not self.lost.done():
            self.lost.set_result(error)
            self._tell(EventKind.LOST, str(error))
            self._interrupt()

    def _interrupt(self) -> None:
        """Tell everybody who holds a subscription that what it has received may be stale."""
        for interrupt in tuple(self.interruptions):
            interrupt()

    def _tell(
        self, kind: EventKind, text: str, code: int | None = None, *,
        at: datetime | None = None, reading: ClockReading | None = None,
    ) -> None:  # fmt: skip
        skew_s, uncertainty_s = (reading.skew_s, reading.uncertainty_s) if reading else (None, None)
        self._observer(GatewayEvent(at or self.clock.now(), kind, text, code, self.client_id, skew_s, uncertainty_s))

    def note_message(self, req_id: int, code: int, text: str) -> None:
        """Take in one message of the gateway; those that concern a single request are not ours."""
        if req_id != -1 and code != COMPETING_SESSION:
            return
        self.notices.append(Notice(self.clock.now(), code, text))
        self._tell(EventKind.NOTICE, text, code)
        if self.connectivity.note(code, text):
            log.warning("gateway %s: %s", code, text)
            self._interrupt()
        if self.connectivity.is_down:
            self.restored.clear()
        else:
            self.restored.set()
        effect = code_meaning(code).effect
        if effect is Effect.STOPS_ALL:
            self.stop(error_from_code(code, text))
        elif effect is Effect.SLOW_DOWN:
            self._heed(code, text)

    def _heed(self, code: int, text: str) -> None:
        """Slow down after a strike, and after a warning that was nearly one; most warnings only say how well we do."""
        if code == PACING_STRIKE or warns_of_a_strike(text):
            log.warning("gateway %s: %s; sending at half the rate", code, text)
            self._strikes += code == PACING_STRIKE
            self.share.struck()
        elif not self._is_warned:
            self._is_warned = True
            log.info("gateway %s: %s (told once)", code, text)

    def _on_disconnect(self) -> None:
        closed = self._unavailable("the gateway closed the connection")
        if self._strikes >= STRIKES_THAT_CLOSE:
            self.stop(
                PacingViolated(
                    f"{closed} after {self._strikes} strikes for too many messages a second (error 100). All tasks go "
                    "on at half the rate for a while; if this recurs, another program sends too, or "
                    "gateway.market_data_lines is more than the login has"
                )
            )
        self.stop(closed)

    def _unavailable(self, message: str) -> GatewayUnavailable:
        where = f"{self.address.host}:{self.address.port}"
        return GatewayUnavailable(f"{where}: {message}", host=self.address.host, port=self.address.port)

    def close(self) -> None:
        """Leave. Open subscriptions end with the connection."""
        self.ib.disconnectedEvent -= self._on_disconnect
        with contextlib.suppress(ConnectionError):
            self.ib.client.disconnect()
        if not self.lost.done():
            self.lost.set_result(self._unavailable("the session is closed"))
            self._tell(EventKind.CLOSED, "")


def warns_of_a_strike(text: str) -> bool:
    """Whether a warning (code 0) counted as many messages as are allowed, or all but one.

    Examples
    --------
    >>> warns_of_a_strike("Warning: Approaching max rate of 50 messages per second (44)")
    False
    >>> warns_of_a_strike("Warning: Approaching max rate of 50 messages per second (49)")
    True
    """
    counts = re.search(r"max rate of (\d+) .*\((\d+)\)", text)
    return counts is not None and int(counts[2]) >= int(counts[1]) - 1


@contextlib.asynccontextmanager
async def open_session(
    address: GatewayAddress,
    limits: GatewayLimits,
    *,
    first_choice: int = 0,
    clock_source: Literal["system", "gateway"] = "system",
    share: AllowanceShare | None = None,
    observer: Observer = unobserved,
) -> AsyncIterator[GatewaySession]:
    """Connect with the first free client id of the range.

    Parameters
    ----------
    address, limits
        Where, and within which deadlines and allowance.
    first_choice
        Where in the range of client ids to begin, e.g. the task's map index.
    clock_source
        ``gateway``: the session's clock is the gateway's, asked once and running on from there. For simulated
        markets only. With ``system`` the two clocks are compared, at the cost of one message.
    share
        This connection's hand in the allowance that all tasks share; without one it takes itself to be the only one.
    observer
        Told of everything that happens on the connection besides answers, also when none comes about.

    Raises
    ------
    GatewayUnavailable
        Nothing listens there, or the port answers but the API behind it is dead.
    ClientIdInUse
        Every client id of the range is taken.
    """
    share = share or _undivided(limits)
    living = asyncio.create_task(_give_signs_of_life(share))
    try:
        async with _connected(address, limits, address.client_ids(first_choice), share, observer) as session:
            if clock_source == "gateway":
                session.take_the_gateways_clock(await session.current_time())
            session.observe(observer)
            if clock_source == "system":
                session.compare_clocks()
            yield session
    finally:
        living.cancel()
        share.leave()


@contextlib.asynccontextmanager
async def _connected(
    address: GatewayAddress, limits: GatewayLimits, client_ids: Sequence[int], share: AllowanceShare, observer: Observer
) -> AsyncIterator[GatewaySession]:
    try:
        session = await _connect(address, limits, client_ids, share)
    except OptDataError as error:
        observer(GatewayEvent(SystemClock().now(), EventKind.REFUSED, str(error)))
        raise
    try:
        yield session
    finally:
        session.close()
        await asyncio.sleep(0)  # let the transport write its end before the loop may close


def _undivided(limits: GatewayLimits) -> AllowanceShare:
    rate, limit = message_rate(limits.market_data_lines, limits.messages_per_s_max, limits.message_rate_share)
    return AllowanceShare(PrivateStore(SystemClock()), AllowancePolicy(rate, limit, limits.market_data_lines), "alone")


async def _give_signs_of_life(share: AllowanceShare) -> None:
    while True:
        await asyncio.sleep(ALIVE_S / 5)
        share.sign_of_life()


async def _connect(
    address: GatewayAddress, limits: GatewayLimits, client_ids: Sequence[int], share: AllowanceShare
) -> GatewaySession:
    for client_id in client_ids:
        session = await _connect_as(address, limits, client_id, share)
        if session is not None:
            return session
        log.info("client id %s is in use at %s:%s, trying the next", client_id, address.host, address.port)
    raise ClientIdInUse(
        f"every client id from {min(client_ids)} to {max(client_ids)} is in use at {address.host}:{address.port}; "
        "end the other clients or widen the connection's client id range",
        client_ids=tuple(client_ids),
        host=address.host,
        port=address.port,
    )


async def _connect_as(
    address: GatewayAddress, limits: GatewayLimits, client_id: int, share: AllowanceShare
) -> GatewaySession | None:
    """One attempt; None if the client id is in use."""
    from opt_data.gateway.ib_client import RecordingIB

    ib = RecordingIB(share)
    id_taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    heard: list[tuple[int, int, str]] = []  # the state of the farms comes with the end of the handshake

    def listen(req_id: int, code: int, text: str) -> None:
        heard.append((req_id, code, text))
        if code == CLIENT_ID_IN_USE and not id_taken.done():
            id_taken.set_result(None)

    ib.wrapper.listeners.append(listen)
    ib.wrapper.clientId = client_id
    handshake = asyncio.ensure_future(
        ib.client.connectAsync(address.host, address.port, client_id, limits.connect_timeout_s)
    )
    try:
        await asyncio.wait({handshake, id_taken}, return_when=asyncio.FIRST_COMPLETED)
        if id_taken.done():
            return None
        _raise_handshake_error(handshake, address, limits)
    finally:
        ib.wrapper.listeners.remove(listen)
        if not ib.client.isReady():
            await _abandon(ib, [handshake])
    session = GatewaySession(ib, address, limits, client_id, share)
    for message in heard:
        session.note_message(*message)
    return session


def _raise_handshake_error(handshake: "asyncio.Future[Any]", address: GatewayAddress, limits: GatewayLimits) -> None:
    where = f"{address.host}:{address.port}"
    try:
        handshake.result()
    except TimeoutError as error:
        raise GatewayUnavailable(
            f"{where} accepts connections but the IB API behind it is dead (no handshake within "
            f"{limits.connect_timeout_s:g} s): is the gateway logged in, and is its API port enabled?",
            host=address.host,
            port=address.port,
        ) from error
    except OSError as error:
        raise GatewayUnavailable(
            f"nothing listens at {where} ({error.strerror or error}): "
            "is the gateway running, and is this its API port?",
            host=address.host,
            port=address.port,
        ) from error


async def _abandon(ib: "RecordingIB", tasks: Iterable["asyncio.Future[Any]"]) -> None:
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task
    ib.client.conn.disconnect()
