"""One-minute bars of a session: one request set per contract, within IB's historical pacing.

Bars of a minute and more are free of IB's hard limits (60 requests in ten minutes, six in two seconds); what is left is
50 open requests per login, no identical request within 15 seconds, and a soft throttle: IB answers more slowly. So as
many requests are kept open as the settings allow, each is asked once, and a deadline ends the wait for one answer.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from opt_data.core.allowance import Resource
from opt_data.core.bars import OPTION_KINDS, Bar, BarAnswer, BarFailure, BarKind, BarSeries
from opt_data.core.contracts import OptionContract, SecType, Underlying
from opt_data.core.pacing import SmoothPacer
from opt_data.core.quotes import finite
from opt_data.core.sessions import NEW_YORK, TradingSession
from opt_data.errors import (
    CompetingSession,
    ContractUnknown,
    GatewayUnavailable,
    NoBars,
    NotEntitled,
    OptDataError,
    PacingViolated,
    RequestRejected,
    RequestTimedOut,
)
from opt_data.gateway.error_codes import code_meaning
from opt_data.gateway.session import GatewaySession

if TYPE_CHECKING:
    from ib_insync import BarData, Contract

_STOPS_THE_PASS = (PacingViolated, GatewayUnavailable, CompetingSession)
"""After these every further request would fail too, or make things worse."""

TURN_POLL_S = 0.2
"""How long to wait before asking again for one of the login's open requests."""

_TIMEOUTS_IN_A_ROW = 5
"""So many deadlines without one answer between them: the history service itself is silent, asking on is waiting."""


@dataclass(frozen=True, slots=True)
class HistoryRules:
    """How bars are asked for.

    ``open_requests`` at once by this task at most; ``timeout_s`` for one answer; ``requests_per_min`` of this task, 0
    for as fast as IB answers.
    """

    open_requests: int
    timeout_s: float
    requests_per_min: float = 0.0


@dataclass(frozen=True, slots=True)
class BarRequest:
    """One contract whose bars of some kinds are wanted."""

    conid: int
    name: str
    contract: "Contract"
    kinds: tuple[BarKind, ...]
    expiry: date | None = None


@dataclass(slots=True)
class BarsPass:
    """What a pass over the requests brought.

    ``stopped_by`` is the error after which nothing more was asked; contracts not reached are in neither list.
    """

    series: list[BarSeries] = field(default_factory=list)
    failures: list[BarFailure] = field(default_factory=list)
    stopped_by: OptDataError | None = None


def option_request(contract: OptionContract, exchange: str, kinds: Sequence[BarKind] = OPTION_KINDS) -> BarRequest:
    """Bars of an option, also of one that has just expired; by conid, which IB never reuses."""
    from ib_insync import Contract

    query = Contract(
        secType="OPT", conId=contract.conid, symbol=contract.underlying, exchange=exchange,
        currency=contract.currency, includeExpired=True,
    )  # fmt: skip
    return BarRequest(contract.conid, contract.symbol, query, tuple(kinds), contract.expiry)


def underlying_request(underlying: Underlying) -> BarRequest:
    """Trades of the underlying; for an index its values."""
    from ib_insync import Contract

    is_index = underlying.sec_type is SecType.INDEX
    query = Contract(
        secType=str(underlying.sec_type),
        conId=underlying.conid,
        symbol=underlying.symbol,
        exchange="CBOE" if is_index and underlying.exchange == "SMART" else underlying.exchange,
        currency=underlying.currency,
    )
    return BarRequest(underlying.conid, underlying.symbol, query, (BarKind.TRADES,))


class BarHistory:
    """Asks one session for the bars of one trading day.

    Parameters
    ----------
    session
        A connected session.
    trading
        The day whose bars are wanted, from its open.
    until
        Whole minute up to which bars are asked for: the close, or the minute that has just ended.
    rules
        How to ask.
    """

    def __init__(self, session: GatewaySession, trading: TradingSession, until: datetime, rules: HistoryRules) -> None:
        self._session = session
        self._trading = trading
        self._until = until
        self._rules = rules
        rate = rules.requests_per_min / 60
        self._pacer = SmoothPacer(rate, max(2, int(rate) + 2)) if rate > 0 else None
        self._wire = asyncio.Lock()
        self._timeouts = 0

    async def ask(self, requests: Sequence[BarRequest], finish_within_s: float = float("inf")) -> BarsPass:
        """Ask for every request's kinds, contract by contract; faults of one contract never end the pass.

        No contract is begun ``finish_within_s`` seconds after the call, so that what came is kept before a task's
        timeout throws it away.
        """
        result = BarsPass()
        queue = deque(requests)
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + finish_within_s

        async def work() -> None:
            while queue and result.stopped_by is None:
                if loop.time() >= ends_at:
                    result.stopped_by = RequestTimedOut(
                        f"{len(queue)} of {len(requests)} contracts were not reached in {finish_within_s:.0f} s: IB's "
                        "history answers slowly. What came is kept, the next try goes on from there"
                    )
                    return
                await self._ask_contract(queue.popleft(), result)

        await asyncio.gather(*(work() for _ in range(min(self._rules.open_requests, len(requests)))))
        return result

    async def _ask_contract(self, request: BarRequest, result: BarsPass) -> None:
        for kind in request.kinds:
            if result.stopped_by is not None:
                return
            try:
                series = await self._series(request, kind)
            except _STOPS_THE_PASS as error:
                result.stopped_by = result.stopped_by or error
                word = "pacing" if isinstance(error, PacingViolated) else "gateway_lost"
                word = "competing_session" if isinstance(error, CompetingSession) else word
                result.failures.append(BarFailure(request.conid, word, str(error)))
                return
            except OptDataError as error:
                result.failures.append(_failure(request, error))
                if self._is_silent(error):
                    result.stopped_by = result.stopped_by or error
                return
            self._timeouts = 0
            result.series.append(series)
            if series.answer is BarAnswer.EXPIRED:
                return

    def _is_silent(self, error: OptDataError) -> bool:
        """Whether a deadline that passed says that none will be kept: in an outage, or too many in a row."""
        if not isinstance(error, RequestTimedOut):
            self._timeouts = 0
            return False
        self._timeouts += 1
        return self._timeouts >= _TIMEOUTS_IN_A_ROW or not self._session.restored.is_set()

    async def _series(self, request: BarRequest, kind: BarKind) -> BarSeries:
        req_id, waiting = await self._send(request.contract, kind)
        asked_at = self._session.clock.now()
        found: tuple[Bar, ...] = ()
        answer, message, code = BarAnswer.BARS, "", None
        try:
            rows = await self._session.ask(
                f"one-minute {kind} bars of {request.name} on {self._trading.day}",
                self._bars(req_id, waiting),
                self._rules.timeout_s,
            )
            found = tuple(bar for row in rows if (bar := self._bar(row, kind)) is not None)
            if not found:
                answer, message = BarAnswer.NO_BARS, "IB answered without a bar of that session"
        except NoBars as error:
            answer, message, code = BarAnswer.NO_BARS, str(error), 162
        except ContractUnknown as error:
            if request.expiry is None or request.expiry >= asked_at.astimezone(NEW_YORK).date():
                raise
            answer, message, code = BarAnswer.EXPIRED, str(error), 200
        return BarSeries(request.conid, kind, answer, asked_at, self._until, found, message, code)

    async def _send(self, contract: "Contract", kind: BarKind) -> "tuple[int, asyncio.Future[list[BarData]]]":
        """Put a request on the wire when its turn has come: waiting for others must not count as waiting for IB."""
        ib, loop = self._session.ib, asyncio.get_running_loop()
        while self._pacer is not None and (wait_s := self._pacer.wait_s(loop.time())) > 0:
            await asyncio.sleep(wait_s)
        async with self._wire:
            while self._session.is_connected and not self._session.share.take(Resource.BAR_REQUEST):
                await asyncio.sleep(TURN_POLL_S)
            await ib.client.drained()
            if self._session.lost.done():
                raise self._session.lost.result()
            req_id = ib.client.getReqId()
            answer: asyncio.Future[list[BarData]] = ib.wrapper.startReq(req_id, contract)
            end = f"{self._until.astimezone(UTC):%Y%m%d %H:%M:%S} UTC"
            ib.client.reqHistoricalData(req_id, contract, end, "1 D", "1 min", str(kind), True, 2, False, [])
        return req_id, answer

    async def _bars(self, req_id: int, answer: "asyncio.Future[list[BarData]]") -> "list[BarData]":
        """The answer to a request; abandoned ones are cancelled, or they would count as open for ever."""
        client, share = self._session.ib.client, self._session.share
        try:
            rows = await answer
        except asyncio.CancelledError:
            if self._session.is_connected:
                client.cancelHistoricalData(req_id)
            raise
        finally:
            client.when_sent(lambda: share.give_back(Resource.BAR_REQUEST))
        return rows

    def _bar(self, row: "BarData", kind: BarKind) -> Bar | None:
        """A bar of this session, with IB's words for "none" taken out; None for one that is not."""
        start = row.date
        if not isinstance(start, datetime):
            return None
        start = start.astimezone(UTC)
        prices = [finite(value) for value in (row.open, row.high, row.low, row.close)]
        if not self._trading.open_utc <= start < self._until or any(value is None or value <= 0 for value in prices):
            return None
        first, high, low, last = (value for value in prices if value is not None)
        if kind is not BarKind.TRADES:
            return Bar(start, first, high, low, last)
        volume, trades = max(0, int(row.volume)), max(0, int(row.barCount))
        average = finite(row.average)
        return Bar(start, first, high, low, last, volume, average if average and average > 0 else None, trades)


def _failure(request: BarRequest, error: OptDataError) -> BarFailure:
    code = error.code if isinstance(error, RequestRejected) else None
    if isinstance(error, RequestTimedOut):
        return BarFailure(request.conid, "timed_out", str(error))
    if isinstance(error, ContractUnknown):
        return BarFailure(request.conid, "unknown_contract", str(error), 200)
    if isinstance(error, NotEntitled):
        return BarFailure(request.conid, "no_permission", str(error))
    word = code_meaning(code).error_type if code is not None else ""
    return BarFailure(request.conid, word or "ib_error", str(error), code)
