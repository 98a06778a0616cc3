"""Sampling a chain: a rolling window of subscriptions, each held until it has given a quote.

Snapshot requests are never used: they carry no generic ticks, last up to eleven seconds, and end at the first
harmless entitlement message. A contract costs two messages (subscribe, cancel) and one market-data line while held.

Over 400 lines because one state machine belongs in one place: every step reads and changes the same open subscriptions.
"""

import asyncio
import copy
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from opt_data.core.allowance import Resource
from opt_data.core.contracts import OptionContract, Underlying
from opt_data.core.quotes import Quote, Wanted, is_complete, is_usable
from opt_data.core.sampling_plan import is_time_short
from opt_data.core.strikes import StrikeWatch
from opt_data.errors import CompetingSession
from opt_data.gateway.error_codes import CODES, CodeMeaning, Effect, code_meaning
from opt_data.gateway.ib_contracts import option_contract, underlying_contract
from opt_data.gateway.recorder import TickRecorder
from opt_data.gateway.session import PACING_STRIKE, GatewaySession

if TYPE_CHECKING:
    from ib_insync import Contract

log = logging.getLogger(__name__)

MAX_TURNS = 12
"""How often a contract is asked for again because the gateway had no line for it, an outage spoilt it, or a strike
lost it."""

LINE_POLL_S = 0.1
"""How long to wait for a line that other tasks hold before asking again."""

PATIENCE_POLL_S = 0.25
"""How often an unlikely contract that has had its time is looked at: does anybody need its line meanwhile?"""

_ASK_AGAIN = frozenset({"no_line", "interrupted", "pacing"})

LINE_PAUSE_S = 0.25
"""How long a contract that got no line waits before its next turn; doubled each time, up to four seconds."""


_MISSING = {Wanted.QUOTE: "bid, ask or last", Wanted.OPEN_INTEREST: "open interest"}


@dataclass(frozen=True, slots=True)
class SamplingRules:
    """How a pass samples.

    ``lines`` is the most subscriptions open at once, the underlying's included; ``linger_s`` is how long a complete
    subscription is kept for the rest of its first burst of ticks. ``wanted`` decides when a subscription is complete.
    """

    lines: int
    generic_ticks: str
    require_greeks: bool
    ready_timeout_s: float
    linger_s: float
    wanted: Wanted = Wanted.QUOTE


@dataclass(frozen=True, slots=True)
class Sample:
    """What became of one contract.

    ``quote`` holds what was received, also when it was not enough; ``error_type`` is empty if the contract gave a
    quote. ``underlying`` is the underlying's quote as known at ``asof``. ``dwell_s`` is how long the request was on the
    wire until the quote was complete; None if it never was. ``farm_outage``: a market-data farm was down while the
    contract was subscribed, or is now. ``clock_skew``: the gateway's clock and ours differ.
    """

    contract: OptionContract
    exchange: str
    asof: datetime
    quote: Quote
    underlying: Quote | None = None
    error_type: str = ""
    message: str = ""
    ib_error_code: int | None = None
    dwell_s: float | None = None
    farm_outage: bool = False
    clock_skew: bool = False

    @property
    def is_kept(self) -> bool:
        return not self.error_type


@dataclass(slots=True)
class _Subscription:
    """One request and the reason it ended for.

    ``left_at`` and ``complete_at`` are the loop's times at which it was on the wire and its quote was complete;
    ``held_s`` is how long an incomplete one was waited for. ``impairments_before`` had ended when it was asked for.
    ``underlying`` is what was known of the underlying when an interruption met a subscription that had ended.
    """

    req_id: int
    recorder: TickRecorder
    ended: "asyncio.Future[str]"
    impairments_before: int
    left_at: float | None = None
    complete_at: float | None = None
    held_s: float = 0.0
    underlying: Quote | None = None
    meaning: CodeMeaning | None = None
    message: str = ""

    @property
    def dwell_s(self) -> float | None:
        return self.complete_at - self.left_at if self.complete_at is not None and self.left_at is not None else None

    def end(self, reason: str) -> None:
        if not self.ended.done():
            self.ended.set_result(reason)


@dataclass(slots=True)
class _Turn:
    """A contract waiting for its turn, and how many it has had."""

    contract: OptionContract
    number: int = 0


@dataclass(slots=True)
class Sampler:
    """Samples contracts of one underlying over one session.

    Parameters
    ----------
    session
        A connected session; its clock stamps every tick and sample.
    rules
        How to sample.
    stop_at
        From this instant on nothing is asked or kept: the slot is over.
    patience_s
        By conid, how long a contract that probably gives nothing may hold a line that somebody waits for, or while time
        is short; seconds. The others have their whole deadline.
    on_time_until
        Until when a quote is on time; None if it is never late.
    on_progress
        Told after each contract how many are done.
    """

    session: GatewaySession
    rules: SamplingRules
    stop_at: datetime
    patience_s: Mapping[int, float] = field(default_factory=dict)
    on_time_until: datetime | None = None
    on_progress: Callable[[int], None] = lambda done: None
    _open: dict[int, _Subscription] = field(default_factory=dict, init=False)
    _queue: deque[_Turn] = field(default_factory=deque, init=False)
    _lacks_line: bool = field(default=False, init=False)
    _began_at: float = field(default=0.0, init=False)
    _done: int = field(default=0, init=False)
    _underlying: _Subscription | None = field(default=None, init=False)
    _underlying_due: float = field(default=0.0, init=False)
    _watched: tuple[Underlying, float] | None = field(default=None, init=False)
    _is_underlying_stale: bool = field(default=False, init=False)
    _strikes: StrikeWatch = field(default_factory=StrikeWatch, init=False)
    _recovery: "asyncio.Task[None] | None" = field(default=None, init=False)
    _is_underlying_frozen: bool = field(default=False, init=False)

    async def __aenter__(self) -> "Sampler":
        self._heed_underlying_farm()
        self.session.ib.wrapper.listeners.append(self._on_error)
        self.session.interruptions.append(self._on_interruption)
        return self

    async def __aexit__(self, *exc: object) -> None:
        for subscription in tuple(self._open.values()):
            self._cancel(subscription)
        if self.session.is_connected:
            await self.session.ib.client.drained()
        if self._recovery is not None:
            await self._recovery
            await self.session.ib.client.drained()
        self.session.ib.wrapper.listeners.remove(self._on_error)
        self.session.interruptions.remove(self._on_interruption)

    async def watch_underlying(self, underlying: Underlying, wait_s: float) -> None:
        """Keep the underlying subscribed for the whole pass, so that every row has its price at that moment.

        Options are asked for meanwhile; one that is complete before the underlying has a price waits for it, until
        ``wait_s`` after this call.
        """
        await self._may_send()
        while self._obstacle() is None and not self.session.share.take(Resource.LINE):
            await asyncio.sleep(LINE_POLL_S)
        if self._obstacle() is None:
            self._watch(underlying, wait_s)

    def _watch(self, underlying: Underlying, wait_s: float) -> None:
        self._underlying = self._subscribe(underlying_contract(underlying), "", lambda quote: quote.has_price)
        self._underlying_due = asyncio.get_running_loop().time() + wait_s
        self._watched, self._is_underlying_stale = (underlying, wait_s), False

    def _renew_underlying(self) -> None:
        """Ask for the underlying anew, on the line it has."""
        if self._underlying is not None and self._watched is not None:
            self._cancel(self._underlying, keeps_line=True)
            self._watch(*self._watched)

    async def sample(self, contracts: Sequence[OptionContract], exchange: str) -> list[Sample]:
        """Sample every contract once at one exchange, in the order given.

        Every contract is in the result, whatever happens: faults end in ``Sample.error_type``, never in an exception.
        """
        queue = self._queue = deque(_Turn(contract) for contract in contracts)
        self._began_at, self._done = asyncio.get_running_loop().time(), 0
        window = max(1, self.rules.lines - (1 if self._underlying else 0))
        results: list[Sample] = []
        running: set[asyncio.Task[None]] = set()

        def finish(turn: _Turn, sample: Sample) -> None:
            if sample.error_type in _ASK_AGAIN and turn.number < MAX_TURNS and self._seconds_left() > 0:
                queue.append(_Turn(turn.contract, turn.number + 1))
            else:
                results.append(sample)
                self._done = len(results)
                self.on_progress(self._done)

        async def hold(turn: _Turn, subscription: _Subscription) -> None:
            sample = await self._hold(turn.contract, exchange, subscription)
            if sample.error_type == "no_line":
                await asyncio.sleep(min(LINE_PAUSE_S * 2**turn.number, 4.0, self._seconds_left()))
            finish(turn, sample)

        try:
            while queue or running:
                if queue and len(running) < window:
                    await self._may_send()
                    if (obstacle := self._obstacle()) is not None:
                        turn = queue.popleft()
                        message = self._obstacle_message(obstacle)
                        finish(turn, self._sample(turn.contract, exchange, Quote(), obstacle, message))
                        continue
                    if self._is_underlying_stale:
                        self._renew_underlying()
                    self._lacks_line = not self.session.share.take(Resource.LINE)
                    if not self._lacks_line:
                        turn = queue.popleft()
                        task = asyncio.create_task(hold(turn, self._ask_for(turn.contract, exchange)))
                        running.add(task)
                        task.add_done_callback(running.discard)
                        continue
                self._lacks_line = bool(queue)
                await _first_of(running, LINE_POLL_S if queue and len(running) < window else None)
        finally:
            for task in running:
                task.cancel()
            if running:
                await asyncio.gather(*running, return_exceptions=True)
        return results

    async def _may_send(self) -> None:
        """Wait for the wire to be free; in an outage or after a strike for its end, or the end of the slot."""
        session = self.session
        if self._recovery is not None:
            await self._unless_lost(self._recovery)
        if not session.restored.is_set() and not session.lost.done():
            restored = asyncio.ensure_future(session.restored.wait())
            await self._unless_lost(restored)
            restored.cancel()
        await session.ib.client.drained()

    async def _unless_lost(self, what: "asyncio.Future[Any]") -> None:
        """Wait for something, for the end of the connection, or for the end of the slot."""
        waiting = {what, self.session.lost}
        await asyncio.wait(waiting, timeout=self._seconds_left(), return_when=asyncio.FIRST_COMPLETED)

    def _ask_for(self, contract: OptionContract, exchange: str) -> _Subscription:
        rules = self.rules
        return self._subscribe(
            option_contract(contract, exchange),
            rules.generic_ticks,
            lambda quote: is_complete(quote, require_greeks=rules.require_greeks, wanted=rules.wanted),
            contract.right,
        )

    async def _hold(self, contract: OptionContract, exchange: str, subscription: _Subscription) -> Sample:
        try:
            await self._wait_for_quote(contract, subscription)
            reason = subscription.ended.result() if subscription.ended.done() else "timed_out"
            if reason == "complete":
                await self._linger()
        finally:
            self._cancel(subscription)
        sample = self._judge(contract, exchange, subscription, reason)
        had_outage = self.session.connectivity.impairments > subscription.impairments_before
        return replace(sample, farm_outage=had_outage)

    async def _wait_for_quote(self, contract: OptionContract, subscription: _Subscription) -> None:
        """Wait until the subscription has ended, or has held its line long enough."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        deadline_s = min(self.rules.ready_timeout_s, self._seconds_left())
        wait_s = min(deadline_s, self.patience_s.get(contract.conid, deadline_s))
        await asyncio.wait({subscription.ended}, timeout=wait_s)
        while not subscription.ended.done() and (rest_s := began + deadline_s - loop.time()) > 0:
            if self._lacks_line or self.session.share.is_wanted(Resource.LINE) or self.is_time_short(rest_s):
                break
            await asyncio.wait({subscription.ended}, timeout=min(rest_s, PATIENCE_POLL_S))
        subscription.held_s = loop.time() - began

    def is_time_short(self, rest_s: float) -> bool:
        """Whether waiting so much longer for one contract would make quotes late."""
        if self.on_time_until is None:
            return False
        return is_time_short(
            (self.on_time_until - self.session.clock.now()).total_seconds(),
            waiting=len(self._queue),
            pace_per_s=self._done / max(asyncio.get_running_loop().time() - self._began_at, 0.001),
            rest_s=rest_s,
        )

    async def _linger(self) -> None:
        """Wait for the rest of the first burst of ticks, and for the underlying's first price."""
        if self._underlying is not None and not self._underlying.ended.done():
            waiting: set[asyncio.Future[Any]] = {self._underlying.ended, self.session.lost}
            due_s = self._underlying_due - asyncio.get_running_loop().time()
            await asyncio.wait(
                waiting, timeout=max(0.0, min(due_s, self._seconds_left())), return_when=asyncio.FIRST_COMPLETED
            )
        await asyncio.sleep(min(self.rules.linger_s, self._seconds_left()))

    def _judge(self, contract: OptionContract, exchange: str, subscription: _Subscription, reason: str) -> Sample:
        quote = subscription.recorder.quote
        if reason in ("complete", "timed_out") and self.session.clock.now() >= self.stop_at:
            return self._sample(contract, exchange, quote, "out_of_time", "time was up before the quote was complete")
        if reason == "complete" or (reason == "timed_out" and is_usable(quote, self.rules.wanted)):
            return self._sample(
                contract, exchange, quote, "", "", dwell_s=subscription.dwell_s, underlying=subscription.underlying
            )
        if reason == "timed_out":
            error_type = "timed_out" if quote.is_silent else "no_quote"
            what = "nothing arrived" if quote.is_silent else f"no {_MISSING[self.rules.wanted]} arrived"
            return self._sample(contract, exchange, quote, error_type, f"{what} in {subscription.held_s:.1f} s")
        if reason == "interrupted":
            reason = self._reason_lost() or reason
            return self._sample(contract, exchange, quote, reason, self._obstacle_message(reason))
        code = subscription.meaning.code if subscription.meaning else None
        return self._sample(contract, exchange, quote, reason, subscription.message, code)

    def _sample(
        self, contract: OptionContract, exchange: str, quote: Quote, error_type: str, message: str,
        code: int | None = None, dwell_s: float | None = None, underlying: Quote | None = None,
    ) -> Sample:  # fmt: skip
        now, underlying = self.session.clock.now(), underlying or self._underlying_quote()
        return Sample(
            contract, exchange, now, quote, underlying, error_type, message, code, dwell_s,
            farm_outage=self.session.connectivity.is_impaired, clock_skew=self.session.is_clock_skewed,
        )  # fmt: skip

    def _obstacle(self) -> str | None:
        if (reason := self._reason_lost()) is not None:
            return reason
        if not self.session.restored.is_set():
            return "interrupted"
        return "out_of_time" if self._seconds_left() <= 0 else None

    def _reason_lost(self) -> str | None:
        """Why nothing on this connection can be trusted any more; None if it can."""
        if not self.session.lost.done():
            return None
        return "competing_session" if isinstance(self.session.lost.result(), CompetingSession) else "gateway_lost"

    def _obstacle_message(self, obstacle: str) -> str:
        if self.session.lost.done():
            return str(self.session.lost.result())
        if obstacle == "interrupted":
            return "the gateway lost its connection to IB; quotes received before are not this slot's"
        return "time was up before this contract's turn"

    def _seconds_left(self) -> float:
        return max(0.0, (self.stop_at - self.session.clock.now()).total_seconds())

    def _underlying_quote(self) -> Quote | None:
        if self._underlying is None or self._underlying.recorder.quote.is_silent or self._is_underlying_frozen:
            return None
        return copy.copy(self._underlying.recorder.quote)

    def _subscribe(
        self, contract: "Contract", generic_ticks: str, is_enough: Callable[[Quote], bool], right: str = ""
    ) -> _Subscription:
        client = self.session.ib.client
        req_id = client.getReqId()
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def on_tick() -> None:
            if not ended.done() and is_enough(recorder.quote):
                subscription.complete_at = asyncio.get_running_loop().time()
                ended.set_result("complete")

        recorder = TickRecorder(self.session.clock, on_tick, right)
        connectivity = self.session.connectivity
        subscription = _Subscription(req_id, recorder, ended, connectivity.impairments - connectivity.is_impaired)
        self._open[req_id] = subscription
        self.session.ib.wrapper.recorders[req_id] = recorder
        client.reqMktData(req_id, contract, generic_ticks, False, False, [])
        client.when_sent(lambda: setattr(subscription, "left_at", asyncio.get_running_loop().time()))
        return subscription

    def _cancel(self, subscription: _Subscription, *, keeps_line: bool = False) -> None:
        if self._open.pop(subscription.req_id, None) is None:
            return
        self.session.ib.wrapper.recorders.pop(subscription.req_id, None)
        if self.session.is_connected:
            self._send_cancel(subscription.req_id)
            if not keeps_line:
                self.session.ib.client.when_sent(lambda: self.session.share.give_back(Resource.LINE))

    def _send_cancel(self, req_id: int) -> None:
        client = self.session.ib.client
        client.cancelMktData(req_id)
        client.when_sent(lambda: self._strikes.cancel_left(req_id, asyncio.get_running_loop().time()))

    def _on_strike(self, text: str) -> None:
        """The gateway lost messages: sit it out, then say again what may have been among them."""
        self._strikes.struck(asyncio.get_running_loop().time())
        if self._recovery is None or self._recovery.done():
            self._recovery = asyncio.create_task(self._recover(f"IB {PACING_STRIKE}: {text}"))

    async def _recover(self, message: str) -> None:
        loop, lost = asyncio.get_running_loop(), self.session.lost
        while (wait_s := self._strikes.wait_s(loop.time())) > 0 and not lost.done():
            await asyncio.wait({lost}, timeout=wait_s)
        unheard = [
            one for one in self._open.values()
            if self._strikes.may_have_lost(one.left_at) and not one.recorder.is_heard
        ]  # fmt: skip
        cancels = self._strikes.settle()
        if not self.session.is_connected:
            return
        for req_id in cancels:
            self._send_cancel(req_id)
        for subscription in unheard:
            subscription.meaning, subscription.message = CODES[PACING_STRIKE], message
            subscription.end("pacing")
            if subscription is self._underlying:
                self._renew_underlying()

    def _on_error(self, req_id: int, code: int, text: str) -> None:
        if code == PACING_STRIKE:
            self._on_strike(text)
        self._heed_underlying_farm()
        subscription = self._open.get(req_id)
        if subscription is None:
            return
        subscription.recorder.heard()
        meaning = code_meaning(code, delayed_requested=self.session.delayed_requested)
        if meaning.effect in (Effect.ENDS_REQUEST, Effect.NO_LINE, Effect.SLOW_DOWN):
            if meaning.effect is Effect.NO_LINE:
                self.session.share.line_refused()
            subscription.meaning = meaning
            subscription.message = f"IB {code}: {text}"
            subscription.end(meaning.error_type or "ib_error")

    def _heed_underlying_farm(self) -> None:
        """What is known of the underlying is frozen while its own farm is down, also where options go on; afterwards it
        is asked for anew, on the line it has: the old request would tell only what changes from then on."""
        was_frozen, self._is_underlying_frozen = (
            self._is_underlying_frozen,
            self.session.connectivity.is_underlying_down,
        )
        if was_frozen and not self._is_underlying_frozen and self.session.is_connected:
            self._renew_underlying()

    def _on_interruption(self) -> None:
        """Values received so far may be frozen ones: end every subscription, the contracts are asked for again.

        So is the underlying: IB may have dropped its request too, and if not, would tell only what changes from now on.
        What was complete before keeps what was known then.
        """
        known = self._underlying_quote()
        for subscription in tuple(self._open.values()):
            if subscription is self._underlying:
                subscription.recorder.quote = Quote()
                self._is_underlying_stale = True
            elif subscription.ended.done():
                subscription.underlying = known
            else:
                subscription.end("interrupted")


async def _first_of(tasks: "set[asyncio.Task[None]]", timeout_s: float | None) -> None:
    """Wait until one of the tasks ends, or so long; without a task always so long."""
    if tasks:
        await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    else:
        await asyncio.sleep(timeout_s or 0.0)
