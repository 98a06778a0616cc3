"""One client's side of the protocol: from the version range to the last cancel. No sockets here.

Over 400 lines because one state machine belongs in one place: every request reads and changes the same few tables.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from ibsim import wire
from ibsim.account import FIRST_ORDER_ID, account_replies
from ibsim.allowance import MessageRate
from ibsim.gateway import Gateway
from ibsim.history import HistoryRefused, answer_head_timestamp, answer_history
from ibsim.journal import Arrival, RequestRecord
from ibsim.lookup import describe_chains, describe_contract, find_contracts
from ibsim.market.model import Contract
from ibsim.messages import replies, requests
from ibsim.messages.requests import Request, parse_request
from ibsim.serving import invalid_request_text
from ibsim.subscriptions import Encodable, Subscription

SERVER_VERSION = 176
_OLDEST_CLIENT = 100
_NO_DEFINITION = "No security definition has been found for the request"
_IN_USE = "Unable to connect as the client id is already in use. Retry with a unique client id."


class Transport(Protocol):
    """Where a session's bytes go. ``close`` sends what is still to be sent first."""

    def write(self, data: bytes) -> None: ...
    def close(self) -> None: ...


class ClientSession:
    """State machine of one connection: handshake → startApi → requests."""

    def __init__(self, gateway: Gateway, transport: Transport) -> None:
        self.client_id = -1
        self.is_closed = False
        self._gateway = gateway
        self._transport = transport
        self._negotiated = False
        self._started = False
        self._messages = 0
        self._own_rate = MessageRate()
        self._data_type = 1
        self._subscriptions: dict[int, Subscription] = {}
        self._historical: dict[int, asyncio.TimerHandle] = {}
        self._heads: dict[int, asyncio.TimerHandle] = {}
        self._snapshot_times: list[float] = []
        self._servers: dict[type[Request], Callable[[Any], None]] = {
            requests.MarketData: self._serve_market_data,
            requests.CancelMarketData: self._cancel_market_data,
            requests.ContractDetails: self._serve_contract_details,
            requests.OptionParameters: self._serve_option_parameters,
            requests.HistoricalData: self._serve_history,
            requests.CancelHistoricalData: self._cancel_history,
            requests.HeadTimestamp: self._serve_head_timestamp,
            requests.CancelHeadTimestamp: self._cancel_head_timestamp,
            requests.SetMarketDataType: self._set_market_data_type,
        }

    # ---- from the wire --------------------------------------------------------------------------------------------

    def receive(self, arrived_s: float, payload: bytes) -> None:
        """Take one payload that arrived at ``arrived_s`` (monotonic seconds)."""
        if self.is_closed or self._gateway.scenario.faults.accept_silent:
            return
        if not self._negotiated:
            self._negotiate(payload)
            return
        request = parse_request(wire.split_fields(payload))
        accepted = self._count(arrived_s, request)
        if self.is_closed or not accepted:
            return
        if isinstance(request, requests.StartApi):
            self._start(request)
        elif self._started:
            self._dispatch(request)

    def _negotiate(self, payload: bytes) -> None:
        text = payload.decode("ascii", "replace").split(" ")[0]
        try:
            low, _, high = text.removeprefix("v").partition("..")
            oldest, newest = int(low), int(high or low)
        except ValueError as error:
            raise wire.ProtocolError(f"no version range: {text!r}") from error
        version = min(newest, SERVER_VERSION)
        if version < max(oldest, _OLDEST_CLIENT):
            self.close()
            return
        self._negotiated = True
        now = datetime.fromtimestamp(self._gateway.clock.now_s(), ZoneInfo(self._gateway.scenario.time_zone))
        self._send(replies.Handshake(version, f"{now:%Y%m%d %H:%M:%S %Z}"))

    def _count(self, arrived_s: float, request: Request) -> bool:
        """Judge a message against the allowance; False if it is lost."""
        gateway, journal = self._gateway, self._gateway.journal
        limits = gateway.scenario.limits
        rate = gateway.shared_rate if limits.rate_scope == "all" else self._own_rate
        verdict = rate.judge(arrived_s, limits, is_excess=gateway.is_excess(request.kind))
        gateway.note_rate(rate)
        journal.note_arrival(
            Arrival(
                market_s=gateway.clock.now_s() - (gateway.clock.monotonic_s() - arrived_s),
                monotonic_s=arrived_s,
                client_id=self.client_id,
                kind=request.kind,
                req_id=getattr(request, "req_id", -1),
                conid=request.contract.conid if isinstance(request, requests.MarketData) else 0,
                accepted=verdict.accepted,
            )
        )
        if verdict.warning:
            journal.warnings += 1
            self.notify(0, f"Warning: Approaching max rate of {limits.message_rate} messages per second "
                           f"({verdict.warning})")  # fmt: skip
        if verdict.strike:
            journal.strikes += 1
            self.notify(100, f"Max rate of messages per second has been exceeded:max={limits.message_rate} "
                             f"rec={verdict.excess} ({verdict.strike})")  # fmt: skip
        if not verdict.accepted:
            journal.rejected += 1
        self._messages += 1
        drop_after = gateway.scenario.faults.drop_after_messages
        if verdict.closes or (drop_after and self._messages >= drop_after):
            self.close()
        return verdict.accepted

    def _start(self, request: requests.StartApi) -> None:
        gateway = self._gateway
        faults = gateway.scenario.faults
        if request.client_id in gateway.clients or request.client_id in faults.client_ids_in_use:
            self.notify(326, _IN_USE)
            self.close()
            return
        if len(gateway.clients) >= gateway.scenario.limits.clients:
            self.close()
            return
        self.client_id = request.client_id
        gateway.clients[self.client_id] = self
        gateway.journal.connections += 1
        self._started = True
        self._send(
            replies.ManagedAccountsReply(gateway.scenario.account),
            replies.NextValidId(FIRST_ORDER_ID),
            *(
                replies.ErrorMessage(-1, *gateway.farm_state(farm))
                for farm in ("usfarm", "usopt", "ushmds", "secdefnj")
            ),
        )

    def _dispatch(self, request: Request) -> None:
        if request.kind in self._gateway.scenario.faults.silent_requests:
            return
        serve = self._servers.get(type(request))
        if serve is not None:
            serve(request)
        elif isinstance(request, requests.Unsupported):
            text = f"Error validating request.-'xx' : cause - message {request.message_id} is not served"
            self._fail(request.req_id, 321, text)
        else:
            self.send_all(account_replies(self._gateway, request))

    # ---- to the wire ----------------------------------------------------------------------------------------------

    def _send(self, *messages: Encodable) -> None:
        self.send_all(messages)

    def send_all(self, messages: Iterable[Encodable]) -> None:
        """Write messages as one piece."""
        if not self.is_closed and (data := b"".join(message.encode() for message in messages)):
            self._transport.write(data)

    def notify(self, code: int, text: str) -> None:
        """A message that belongs to no request."""
        self._fail(-1, code, text)

    def _fail(self, req_id: int, code: int, text: str) -> None:
        self._gateway.journal.errors_sent[code] += 1
        self._send(replies.ErrorMessage(req_id, code, text))

    # ---- end ------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close from our side; what was written is still sent."""
        self._transport.close()
        self.closed()

    def closed(self) -> None:
        """The connection is gone: give every line back."""
        if self.is_closed:
            return
        self.is_closed = True
        self.lose_subscriptions()
        for timer in (*self._historical.values(), *self._heads.values()):
            timer.cancel()
        if self._gateway.clients.get(self.client_id) is self:
            del self._gateway.clients[self.client_id]

    def lose_subscriptions(self) -> None:
        """End all subscriptions without a word."""
        for subscription in list(self._subscriptions.values()):
            self._forget(subscription)

    def refresh(self) -> None:
        for subscription in list(self._subscriptions.values()):
            if not subscription.is_waiting:
                subscription.refresh()

    # ---- contracts ------------------------------------------------------------------------------------------------

    def _find_one(self, request: Any) -> Contract | None:
        """The only contract that a request names; otherwise error 200 is sent."""
        found = []
        expired = getattr(request, "include_expired", False)
        for contract in find_contracts(
            self._gateway.market, request.contract, self._gateway.clock.now_s(), include_expired=expired
        ):
            found.append(contract)
            if len(found) > 1:
                break
        if len(found) == 1:
            return found[0]
        text = _NO_DEFINITION if not found else "The contract description specified for this request is ambiguous."
        self._fail(request.req_id, 200, text)
        return None

    def _is_spoiled(self, request: Any, contract: Contract) -> bool:
        """Whether a fault of the scenario takes this request: silence, or an error that was sent."""
        gateway, exchange = self._gateway, request.contract.exchange
        rule = gateway.error_for(request.kind, contract, exchange)
        if rule is not None:
            self._fail(request.req_id, rule.code, rule.text)
            return True
        return gateway.is_silent(request.kind, contract, exchange)

    def _serve_contract_details(self, request: requests.ContractDetails) -> None:
        gateway = self._gateway
        if "secdefnj" in gateway.broken_farms:
            return
        now_s, zone = gateway.clock.now_s(), gateway.scenario.time_zone
        exchange = request.contract.exchange
        rows: list[Encodable] = []
        for contract in find_contracts(
            gateway.market, request.contract, now_s, include_expired=request.include_expired
        ):
            if not rows and self._is_spoiled(request, contract):
                return
            rows.append(describe_contract(gateway.market, contract, request.req_id, exchange, zone, now_s))
        if not rows:
            self._fail(request.req_id, 200, _NO_DEFINITION)
            return
        self.send_all([*rows, replies.End("contract_details", request.req_id)])

    def _serve_option_parameters(self, request: requests.OptionParameters) -> None:
        gateway = self._gateway
        instrument = gateway.market.universe.by_symbol(request.symbol)
        if instrument is None or request.conid not in {0, instrument.conid} or request.sec_type != instrument.sec_type:
            self._fail(request.req_id, 321, "Error validating request.-'cd' : cause - Invalid contract id")
            return
        rule = gateway.error_for(request.kind, instrument, "")
        if rule is not None:
            self._fail(request.req_id, rule.code, rule.text)
            return
        if gateway.is_silent(request.kind, instrument, ""):
            return
        rows = describe_chains(gateway.market, instrument, request.req_id, gateway.clock.now_s())
        self.send_all([*rows, replies.End("option_parameters", request.req_id)])

    # ---- market data ----------------------------------------------------------------------------------------------

    def _set_market_data_type(self, request: requests.SetMarketDataType) -> None:
        if request.data_type in {1, 2, 3, 4}:
            self._data_type = request.data_type
        else:
            self.notify(321, "Error validating request.-'bQ' : cause - Invalid market data type")

    def _serve_market_data(self, request: requests.MarketData) -> None:
        gateway = self._gateway
        if request.req_id in self._subscriptions:
            self._fail(request.req_id, 322, "Error processing request.-'bQ' : cause - Duplicate ticker id")
            return
        invalid = invalid_request_text(request)
        if invalid:
            self._fail(request.req_id, 321, invalid)
            return
        if request.snapshot and self._too_many_snapshots():
            text = "Error validating request.-'bQ' : cause - Snapshot requests limitation exceeded:"
            self._fail(request.req_id, 321, f"{text}{gateway.scenario.limits.snapshots_per_s} per 1 second(s)")
            return
        contract = self._find_one(request)
        if contract is None:
            return
        record = RequestRecord(
            client_id=self.client_id,
            req_id=request.req_id,
            conid=contract.conid,
            exchange=request.contract.exchange,
            generic_ticks=request.generic_ticks,
            snapshot=request.snapshot,
            requested_s=gateway.clock.now_s(),
            requested_type=self._data_type,
            ticks=deque(maxlen=gateway.scenario.feed.journal_ticks),
        )
        gateway.journal.open_record(record)
        uses_line = not request.snapshot or gateway.scenario.limits.snapshots_use_lines
        has_line = not uses_line or gateway.lines.take((self, request.req_id), gateway.scenario.limits.lines)
        subscription = Subscription(
            gateway, request, contract, record, self.send_all, self._forget, waits_for_line=not has_line
        )
        self._subscriptions[request.req_id] = subscription
        self._begin(subscription, has_line)

    def _begin(self, subscription: Subscription, has_line: bool) -> None:
        gateway, request, contract = self._gateway, subscription.request, subscription.contract
        if not has_line:
            subscription.fail(101, "Max number of tickers has been reached")
            return
        rule = gateway.error_for(request.kind, contract, request.contract.exchange)
        if rule is not None:
            subscription.fail(rule.code, rule.text)
            self._release(subscription)
        elif gateway.scenario.faults.competing_session:
            subscription.fail(10197, "No market data during competing live session")
            self._release(subscription)
        elif not gateway.is_silent(request.kind, contract, request.contract.exchange):
            subscription.start()
            if not subscription.record.served_types:
                self._release(subscription)

    def _too_many_snapshots(self) -> bool:
        now = self._gateway.clock.monotonic_s()
        self._snapshot_times = [t for t in self._snapshot_times if t > now - 1.0]
        self._snapshot_times.append(now)
        return len(self._snapshot_times) > self._gateway.scenario.limits.snapshots_per_s

    def _cancel_market_data(self, request: requests.CancelMarketData) -> None:
        subscription = self._subscriptions.get(request.req_id)
        if subscription is None:
            self._fail(request.req_id, 300, f"Can't find EId with tickerId:{request.req_id}")
            return
        self._forget(subscription)
        delay_s = self._gateway.scenario.faults.late_tick_after_cancel_s
        tick = subscription.late_tick()
        if delay_s > 0 and tick is not None:
            asyncio.get_running_loop().call_later(delay_s, self._send, tick)

    def _release(self, subscription: Subscription) -> None:
        """A request that IB ended with an error holds no line, but its id stays known until the cancel."""
        self._gateway.lines.release((self, subscription.request.req_id))
        subscription.end()

    def _forget(self, subscription: Subscription) -> None:
        self._subscriptions.pop(subscription.request.req_id, None)
        self._release(subscription)

    # ---- history --------------------------------------------------------------------------------------------------

    def _serve_history(self, request: requests.HistoricalData) -> None:
        gateway = self._gateway
        if len(self._historical) + len(self._heads) >= gateway.scenario.limits.historical_open:
            text = "Error processing request:-'wd' : cause - Only 50 simultaneous API historical data requests allowed."
            self._fail(request.req_id, 322, text)
            return
        contract = self._find_one(request)
        if contract is None or self._is_spoiled(request, contract) or "ushmds" in gateway.broken_farms:
            return

        def answer() -> None:
            self._historical.pop(request.req_id, None)
            try:
                self._send(answer_history(gateway, request, contract))
            except HistoryRefused as refused:
                self._fail(request.req_id, refused.code, refused.text)

        delay_s = gateway.scenario.feed.history_delay_s
        self._historical[request.req_id] = asyncio.get_running_loop().call_later(delay_s, answer)

    def _cancel_history(self, request: requests.CancelHistoricalData) -> None:
        timer = self._historical.pop(request.req_id, None)
        if timer is None:
            self._fail(request.req_id, 366, f"No historical data query found for ticker id:{request.req_id}")
            return
        timer.cancel()
        text = "Historical Market Data Service error message:API historical data query cancelled: "
        self._fail(request.req_id, 162, f"{text}{request.req_id}")

    def _serve_head_timestamp(self, request: requests.HeadTimestamp) -> None:
        contract = self._find_one(request)
        if contract is None or self._is_spoiled(request, contract) or "ushmds" in self._gateway.broken_farms:
            return

        def answer() -> None:
            self._heads.pop(request.req_id, None)
            self._send(answer_head_timestamp(self._gateway, request, contract))

        delay_s = self._gateway.scenario.feed.history_delay_s
        self._heads[request.req_id] = asyncio.get_running_loop().call_later(delay_s, answer)

    def _cancel_head_timestamp(self, request: requests.CancelHeadTimestamp) -> None:
        timer = self._heads.pop(request.req_id, None)
        if timer is not None:
            timer.cancel()
