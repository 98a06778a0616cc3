"""What the gateway answers, field by field at server version 176."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from ibsim.wire import encode_frame, escape_text


@dataclass(frozen=True, slots=True)
class Handshake:
    """The only message of two fields."""

    server_version: int
    connection_time: str

    def encode(self) -> bytes:
        return encode_frame((self.server_version, self.connection_time))


@dataclass(frozen=True, slots=True)
class ErrorMessage:
    """Errors, warnings and notices; ``req_id`` is -1 where no request is meant."""

    req_id: int
    code: int
    text: str

    def encode(self) -> bytes:
        return encode_frame((4, 2, self.req_id, self.code, escape_text(self.text), ""))


@dataclass(frozen=True, slots=True)
class ManagedAccountsReply:
    accounts: str

    def encode(self) -> bytes:
        return encode_frame((15, 1, self.accounts))


@dataclass(frozen=True, slots=True)
class NextValidId:
    order_id: int

    def encode(self) -> bytes:
        return encode_frame((9, 1, self.order_id))


@dataclass(frozen=True, slots=True)
class CurrentTimeReply:
    epoch_s: int

    def encode(self) -> bytes:
        return encode_frame((49, 1, self.epoch_s))


@dataclass(frozen=True, slots=True)
class ContractDetailsReply:
    """One contract; ``last_trade`` is ``20260116 16:00:00 US/Eastern`` for options and empty otherwise."""

    req_id: int
    symbol: str
    sec_type: str
    last_trade: str
    strike: float
    right: str
    exchange: str
    currency: str
    local_symbol: str
    market_name: str
    trading_class: str
    conid: int
    min_tick: float
    multiplier: str
    order_types: str
    valid_exchanges: str
    und_conid: int
    long_name: str
    primary_exchange: str
    contract_month: str
    industry: str
    category: str
    subcategory: str
    time_zone: str
    trading_hours: str
    liquid_hours: str
    sec_ids: tuple[tuple[str, str], ...]
    agg_group: int
    und_symbol: str
    und_sec_type: str
    market_rules: str
    real_expiration: str
    stock_type: str
    min_size: str = "1"
    size_increment: str = "1"
    suggested_size_increment: str = "1"

    def encode(self) -> bytes:
        sec_ids = [part for pair in self.sec_ids for part in pair]
        return encode_frame((
            10, self.req_id, self.symbol, self.sec_type, self.last_trade, self.strike, self.right, self.exchange,
            self.currency, self.local_symbol, self.market_name, self.trading_class, self.conid, self.min_tick,
            self.multiplier, self.order_types, self.valid_exchanges, 1, self.und_conid, escape_text(self.long_name),
            self.primary_exchange, self.contract_month, self.industry, self.category, self.subcategory, self.time_zone,
            self.trading_hours, self.liquid_hours, "", 0, len(self.sec_ids), *sec_ids, self.agg_group,
            self.und_symbol, self.und_sec_type, self.market_rules, self.real_expiration, self.stock_type,
            self.min_size, self.size_increment, self.suggested_size_increment,
        ))  # fmt: skip


@dataclass(frozen=True, slots=True)
class OptionParametersReply:
    """The chain grid of one class at one exchange."""

    req_id: int
    exchange: str
    und_conid: int
    trading_class: str
    multiplier: int
    expirations: Sequence[date]
    strikes: Sequence[float]

    def encode(self) -> bytes:
        return encode_frame((
            75, self.req_id, self.exchange, self.und_conid, self.trading_class, self.multiplier,
            len(self.expirations), *(f"{day:%Y%m%d}" for day in self.expirations), len(self.strikes), *self.strikes,
        ))  # fmt: skip


@dataclass(frozen=True, slots=True)
class MarketDataTypeReply:
    """Which type is really served: 1 live, 2 frozen, 3 delayed, 4 delayed and frozen."""

    req_id: int
    data_type: int

    def encode(self) -> bytes:
        return encode_frame((58, 1, self.req_id, self.data_type))


@dataclass(frozen=True, slots=True)
class TickReqParams:
    req_id: int
    min_tick: float
    bbo_exchange: str
    snapshot_permissions: int

    def encode(self) -> bytes:
        return encode_frame((81, self.req_id, self.min_tick, self.bbo_exchange, self.snapshot_permissions))


@dataclass(frozen=True, slots=True)
class BarRow:
    """One bar; ``label`` is its date as the client asked for it. Volume, average and count are -1 without trades."""

    label: str
    open: float
    high: float
    low: float
    close: float
    volume: int
    average: float
    count: int

    def fields(self) -> tuple[str | float | int, ...]:
        return self.label, self.open, self.high, self.low, self.close, self.volume, self.average, self.count


@dataclass(frozen=True, slots=True)
class HistoricalDataReply:
    req_id: int
    start: str
    end: str
    bars: Sequence[BarRow]

    def encode(self) -> bytes:
        rows = [field for bar in self.bars for field in bar.fields()]
        return encode_frame((17, self.req_id, self.start, self.end, len(self.bars), *rows))


@dataclass(frozen=True, slots=True)
class HistoricalScheduleReply:
    """Sessions as (start, end, day); texts as ``20251124-09:30:00``."""

    req_id: int
    start: str
    end: str
    time_zone: str
    sessions: Sequence[tuple[str, str, str]]

    def encode(self) -> bytes:
        rows = [field for session in self.sessions for field in session]
        return encode_frame((106, self.req_id, self.start, self.end, self.time_zone, len(self.sessions), *rows))


@dataclass(frozen=True, slots=True)
class HeadTimestampReply:
    req_id: int
    text: str

    def encode(self) -> bytes:
        return encode_frame((88, self.req_id, self.text))


@dataclass(frozen=True, slots=True)
class AccountValue:
    key: str
    value: str
    currency: str
    account: str

    def encode(self) -> bytes:
        return encode_frame((6, 2, self.key, self.value, self.currency, self.account))


@dataclass(frozen=True, slots=True)
class AccountTime:
    text: str

    def encode(self) -> bytes:
        return encode_frame((8, 1, self.text))


@dataclass(frozen=True, slots=True)
class AccountValueMulti:
    req_id: int
    account: str
    key: str
    value: str
    currency: str

    def encode(self) -> bytes:
        return encode_frame((73, 1, self.req_id, self.account, "", self.key, self.value, self.currency))


@dataclass(frozen=True, slots=True)
class AccountSummaryRow:
    req_id: int
    account: str
    tag: str
    value: str
    currency: str

    def encode(self) -> bytes:
        return encode_frame((63, 1, self.req_id, self.account, self.tag, self.value, self.currency))


_ENDS_WITH_ID = {
    "contract_details": (52, 1), "option_parameters": (76,), "executions": (55, 1), "snapshot": (57, 1),
    "account_updates_multi": (74, 1), "account_summary": (64, 1),
}  # fmt: skip
_ENDS = {"positions": (62, 1), "open_orders": (53, 1), "completed_orders": (102,)}


@dataclass(frozen=True, slots=True)
class End:
    """ "That was all" of a request; ``req_id`` only where the protocol has one."""

    of: str
    req_id: int | None = None
    account: str = ""

    def encode(self) -> bytes:
        if self.of == "account_updates":
            return encode_frame((54, 1, self.account))
        if self.req_id is None:
            return encode_frame(_ENDS[self.of])
        return encode_frame((*_ENDS_WITH_ID[self.of], self.req_id))
