"""One market-data request from its first byte to its cancel."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

from ibsim.gateway import Gateway
from ibsim.journal import RequestRecord
from ibsim.market.chains import ListedOption
from ibsim.market.hours import new_york_date
from ibsim.market.model import Contract, min_tick
from ibsim.messages.replies import End, ErrorMessage, MarketDataTypeReply, TickReqParams
from ibsim.messages.requests import MarketData
from ibsim.messages.ticks import AnyTick, TickPrice
from ibsim.rendering import TickRenderer, parse_generic_ticks
from ibsim.serving import Serving, decide_serving

_SNAPSHOT_NEEDS = ({1, 66}, {2, 67}, {4, 68}, {9, 75})
_SNAPSHOT_NEEDS_OF_OPTIONS = ({10, 80}, {11, 81}, {12, 82}, {13, 83})
#: Minutes after a quote has begun to show in which nothing changes are not sent again.
_BBO_EXCHANGES = {"OPT": "9c0001", "STK": "9c0001", "IND": ""}


class Encodable(Protocol):
    def encode(self) -> bytes: ...


Send = Callable[[Iterable[Encodable]], None]


class Subscription:
    """Serves one request: parameters and type at once, values after the dwell, then changes.

    A subscription that found no free line (``is_waiting``) gets nothing until it is cancelled.
    """

    def __init__(
        self,
        gateway: Gateway,
        request: MarketData,
        contract: Contract,
        record: RequestRecord,
        send: Send,
        on_end: Callable[["Subscription"], None],
        *,
        waits_for_line: bool = False,
    ) -> None:
        self.request = request
        self.contract = contract
        self.record = record
        self.is_waiting = waits_for_line
        self.has_ended = False
        self._gateway = gateway
        self._send = send
        self._on_end = on_end
        self._serving: Serving | None = None
        self._shown: dict[tuple[str, int], AnyTick] = {}
        self._timers: list[asyncio.TimerHandle] = []
        self._has_values = False
        self._greeks_due = False
        self._oi_due = False
        self._generics = parse_generic_ticks(request.generic_ticks)
        self._is_option = isinstance(contract, ListedOption)
        self._symbol = contract.underlying.symbol if isinstance(contract, ListedOption) else contract.symbol
        self._right = contract.right if isinstance(contract, ListedOption) else ""

    # ---- life -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Decide what may be served and begin."""
        serving = self._decide()
        for code, text in serving.notices:
            self.fail(code, text)
        if serving.data_type is None:
            return
        underlying = self.contract.underlying if isinstance(self.contract, ListedOption) else self.contract
        kind = "OPT" if self._is_option else underlying.sec_type
        tick = min_tick(underlying, 0.0)
        self._send([TickReqParams(self.request.req_id, tick, _BBO_EXCHANGES[kind], 3)])
        self._announce(serving)
        market = self._gateway.market
        dwell = self._gateway.scenario.dwell
        dwell_s = dwell.draw(market.seed, self.contract.conid, self._gateway.journal.asked[self.contract.conid])
        self._later(dwell_s, self._first_values)
        if self.request.snapshot:
            self._later(self._gateway.scenario.feed.snapshot_timeout_s, self._end_snapshot)

    def end(self) -> None:
        """Stop; nothing more is sent."""
        if self.has_ended:
            return
        self.has_ended = True
        self.record.ended_s = self._gateway.clock.now_s()
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def fail(self, code: int, text: str) -> None:
        """Send an error on this request."""
        self.record.errors.append((self._gateway.clock.now_s(), code, text))
        self._gateway.journal.errors_sent[code] += 1
        self._send([ErrorMessage(self.request.req_id, code, text)])

    def refresh(self) -> None:
        """Show what has changed, at once (the clock was moved, a quote was set, a session has begun or ended)."""
        if self._has_values and not self.has_ended:
            self._update()

    def late_tick(self) -> TickPrice | None:
        """The bid once more: what a slow farm may send after a cancel."""
        for tick in self._shown.values():
            if isinstance(tick, TickPrice) and tick.tick_type in {1, 66}:
                return tick
        return None

    # ---- values ---------------------------------------------------------------------------------------------------

    def _later(self, delay_s: float, action: Callable[[], None]) -> None:
        self._timers.append(asyncio.get_running_loop().call_later(max(delay_s, 0.0), action))

    def _decide(self) -> Serving:
        gateway = self._gateway
        entitlement = gateway.scenario.entitlements.of(self._symbol, is_option=self._is_option)
        is_open = gateway.market.hours.is_open(gateway.quoted_instant(self.contract, delayed=False))
        return decide_serving(self.contract, entitlement, self.record.requested_type, is_open=is_open)

    def _announce(self, serving: Serving) -> None:
        self._serving = serving
        if serving.data_type is not None:
            self.record.served_types.append((self._gateway.clock.now_s(), serving.data_type))
            self._send([MarketDataTypeReply(self.request.req_id, serving.data_type)])

    def _first_values(self) -> None:
        gateway, settings = self._gateway, self._gateway.scenario.market
        day = new_york_date(gateway.clock.now_s())
        chosen, conid = gateway.market.is_chosen, self.contract.conid
        self._has_values = True
        never = chosen("greeks never", settings.greeks_never_fraction, conid, day)
        late = chosen("greeks late", settings.greeks_late_fraction, conid, day)
        self._greeks_due = not never and not late
        if late and not never:
            self._later(settings.greeks_late_s, self._release_greeks)
        never = chosen("oi never", settings.oi_never_fraction, conid, day)
        late = chosen("oi late", settings.oi_late_fraction, conid, day)
        self._oi_due = not never and not late
        if late and not never:
            self._later(settings.oi_late_s, self._release_oi)
        self._update()
        if self.request.snapshot:
            self._end_snapshot_if_complete()
        elif gateway.scenario.feed.update_s > 0:
            self._later(gateway.scenario.feed.update_s, self._update_again)

    def _release_greeks(self) -> None:
        self._greeks_due = True
        self._update()

    def _release_oi(self) -> None:
        self._oi_due = True
        self._update()

    def _update_again(self) -> None:
        self._timers = [timer for timer in self._timers if timer.when() > asyncio.get_running_loop().time()]
        if not self._gateway.is_frozen(self.contract):
            self._update()
        self._later(self._gateway.scenario.feed.update_s or 1.5, self._update_again)

    def _update(self) -> None:
        serving = self._decide()
        if serving.data_type is None or self._serving is None:
            return
        if serving.data_type != self._serving.data_type:
            self._shown.clear()
            self._announce(serving)
        self._serving = serving
        fresh = [tick for tick in self._render(serving) if self._shown.get(tick.slot) != tick]
        now = self._gateway.clock.now_s()
        for tick in fresh:
            self._shown[tick.slot] = tick
            self.record.ticks.append((now, tick))
        self._send(fresh)

    def _render(self, serving: Serving) -> list[AnyTick]:
        gateway = self._gateway
        instant = gateway.quoted_instant(self.contract, serving.is_delayed)
        quote = gateway.quote(self.contract, instant)
        renderer = TickRenderer(self.request.req_id, self._right, self._generics, serving)
        ticks = renderer.quotes(quote)
        if self._oi_due and (not serving.is_delayed or gateway.scenario.feed.oi_on_delayed):
            ticks += renderer.open_interest(quote)
        if self._greeks_due:
            ticks += renderer.models(quote)
        return ticks

    # ---- snapshots ------------------------------------------------------------------------------------------------

    def _end_snapshot_if_complete(self) -> None:
        sent = {tick_type for _, tick_type in self._shown}
        needs = _SNAPSHOT_NEEDS + (_SNAPSHOT_NEEDS_OF_OPTIONS if self._is_option else ())
        if all(sent & either for either in needs):
            self._end_snapshot()

    def _end_snapshot(self) -> None:
        if not self.has_ended:
            self._send([End("snapshot", self.request.req_id)])
            self.end()
            self._on_end(self)
