"""What a client may ask, field by field at server version 176."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from ibsim.wire import ProtocolError


@dataclass(frozen=True, slots=True)
class ContractQuery:
    """The twelve contract fields of a request; empty and zero fit everything."""

    conid: int = 0
    symbol: str = ""
    sec_type: str = ""
    last_trade: str = ""
    strike: float = 0.0
    right: str = ""
    multiplier: str = ""
    exchange: str = ""
    primary_exchange: str = ""
    currency: str = ""
    local_symbol: str = ""
    trading_class: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """Base of all requests; ``kind`` is IB's name of it."""

    kind: ClassVar[str] = "?"


@dataclass(frozen=True, slots=True)
class NumberedRequest(Request):
    """A request whose answers carry its id."""

    req_id: int


@dataclass(frozen=True, slots=True)
class StartApi(Request):
    kind: ClassVar[str] = "startApi"
    client_id: int


@dataclass(frozen=True, slots=True)
class ManagedAccounts(Request):
    kind: ClassVar[str] = "reqManagedAccts"


@dataclass(frozen=True, slots=True)
class NextIds(Request):
    kind: ClassVar[str] = "reqIds"


@dataclass(frozen=True, slots=True)
class CurrentTime(Request):
    kind: ClassVar[str] = "reqCurrentTime"


@dataclass(frozen=True, slots=True)
class SetMarketDataType(Request):
    kind: ClassVar[str] = "reqMarketDataType"
    data_type: int


@dataclass(frozen=True, slots=True)
class ContractDetails(NumberedRequest):
    kind: ClassVar[str] = "reqContractDetails"
    contract: ContractQuery
    include_expired: bool


@dataclass(frozen=True, slots=True)
class OptionParameters(NumberedRequest):
    kind: ClassVar[str] = "reqSecDefOptParams"
    symbol: str
    fut_fop_exchange: str
    sec_type: str
    conid: int


@dataclass(frozen=True, slots=True)
class MarketData(NumberedRequest):
    kind: ClassVar[str] = "reqMktData"
    contract: ContractQuery
    generic_ticks: str
    snapshot: bool
    regulatory_snapshot: bool


@dataclass(frozen=True, slots=True)
class CancelMarketData(NumberedRequest):
    kind: ClassVar[str] = "cancelMktData"


@dataclass(frozen=True, slots=True)
class HistoricalData(NumberedRequest):
    kind: ClassVar[str] = "reqHistoricalData"
    contract: ContractQuery
    include_expired: bool
    end: str
    bar_size: str
    duration: str
    use_rth: bool
    what: str
    format_date: int
    keep_up_to_date: bool


@dataclass(frozen=True, slots=True)
class CancelHistoricalData(NumberedRequest):
    kind: ClassVar[str] = "cancelHistoricalData"


@dataclass(frozen=True, slots=True)
class HeadTimestamp(NumberedRequest):
    kind: ClassVar[str] = "reqHeadTimestamp"
    contract: ContractQuery
    include_expired: bool
    use_rth: bool
    what: str
    format_date: int


@dataclass(frozen=True, slots=True)
class CancelHeadTimestamp(NumberedRequest):
    kind: ClassVar[str] = "cancelHeadTimestamp"


@dataclass(frozen=True, slots=True)
class Positions(Request):
    kind: ClassVar[str] = "reqPositions"


@dataclass(frozen=True, slots=True)
class OpenOrders(Request):
    kind: ClassVar[str] = "reqOpenOrders"


@dataclass(frozen=True, slots=True)
class CompletedOrders(Request):
    kind: ClassVar[str] = "reqCompletedOrders"


@dataclass(frozen=True, slots=True)
class AccountUpdates(Request):
    kind: ClassVar[str] = "reqAccountUpdates"
    subscribe: bool
    account: str


@dataclass(frozen=True, slots=True)
class AccountUpdatesMulti(NumberedRequest):
    kind: ClassVar[str] = "reqAccountUpdatesMulti"
    account: str
    model_code: str


@dataclass(frozen=True, slots=True)
class Executions(NumberedRequest):
    kind: ClassVar[str] = "reqExecutions"


@dataclass(frozen=True, slots=True)
class AccountSummary(NumberedRequest):
    kind: ClassVar[str] = "reqAccountSummary"
    group: str
    tags: str


@dataclass(frozen=True, slots=True)
class Silent(Request):
    """A request that a real gateway takes without an answer here (cancels of account data, log level, …)."""

    kind: ClassVar[str] = "other"


@dataclass(frozen=True, slots=True)
class Unsupported(Request):
    """A request this gateway does not serve."""

    kind: ClassVar[str] = "unsupported"
    message_id: int
    req_id: int


class FieldReader:
    """Takes the fields of one message one by one; an empty number is zero."""

    def __init__(self, fields: list[str]) -> None:
        self._fields = fields
        self._at = 0

    def text(self) -> str:
        if self._at >= len(self._fields):
            raise ProtocolError(f"message {self._fields[:2]} ends after {len(self._fields)} fields")
        self._at += 1
        return self._fields[self._at - 1]

    def integer(self) -> int:
        return int(float(self.text() or 0))

    def number(self) -> float:
        return float(self.text() or 0.0)

    def flag(self) -> bool:
        return self.text() not in {"", "0", "false", "False"}

    def skip(self, count: int = 1) -> None:
        for _ in range(count):
            self.text()

    def contract(self) -> ContractQuery:
        """The block of twelve."""
        query = ContractQuery(
            conid=self.integer(),
            symbol=self.text(),
            sec_type=self.text(),
            last_trade=self.text().split(" ")[0],
            strike=self.number(),
            right=_right(self.text()),
            multiplier=self.text(),
            exchange=self.text(),
            primary_exchange=self.text(),
            currency=self.text(),
            local_symbol=self.text(),
            trading_class=self.text(),
        )
        return query

    def legs(self, query: ContractQuery) -> None:
        """Combination legs, which only a BAG carries."""
        if query.sec_type == "BAG":
            self.skip(4 * self.integer())


def _right(text: str) -> str:
    return {"C": "C", "CALL": "C", "P": "P", "PUT": "P"}.get(text.upper(), "")


def _contract_details(r: FieldReader) -> Request:
    r.skip()
    return ContractDetails(r.integer(), r.contract(), r.flag())


def _option_parameters(r: FieldReader) -> Request:
    return OptionParameters(r.integer(), r.text(), r.text(), r.text(), r.integer())


def _market_data(r: FieldReader) -> Request:
    r.skip()
    req_id, contract = r.integer(), r.contract()
    r.legs(contract)
    if r.flag():
        r.skip(3)
    return MarketData(req_id, contract, r.text(), r.flag(), r.flag())


def _historical_data(r: FieldReader) -> Request:
    req_id, contract = r.integer(), r.contract()
    expired, end, bar_size, duration = r.flag(), r.text(), r.text(), r.text()
    use_rth, what, format_date = r.flag(), r.text(), r.integer()
    r.legs(contract)
    return HistoricalData(
        req_id, contract, expired, end, bar_size, duration, use_rth, what, format_date, keep_up_to_date=r.flag()
    )


def _head_timestamp(r: FieldReader) -> Request:
    return HeadTimestamp(r.integer(), r.contract(), r.flag(), r.flag(), r.text(), r.integer())


def _versioned(make: Callable[[FieldReader], Request]) -> Callable[[FieldReader], Request]:
    def parse(r: FieldReader) -> Request:
        r.skip()
        return make(r)

    return parse


def _nothing(r: FieldReader) -> Request:
    return Silent()


_PARSERS: dict[int, Callable[[FieldReader], Request]] = {
    1: _market_data,
    2: _versioned(lambda r: CancelMarketData(r.integer())),
    5: lambda r: OpenOrders(),
    6: _versioned(lambda r: AccountUpdates(r.flag(), r.text())),
    7: _versioned(lambda r: Executions(r.integer())),
    8: lambda r: NextIds(),
    9: _contract_details,
    14: _nothing,
    15: _nothing,
    16: lambda r: OpenOrders(),
    17: lambda r: ManagedAccounts(),
    20: _historical_data,
    25: _versioned(lambda r: CancelHistoricalData(r.integer())),
    49: lambda r: CurrentTime(),
    59: _versioned(lambda r: SetMarketDataType(r.integer())),
    61: lambda r: Positions(),
    62: _versioned(lambda r: AccountSummary(r.integer(), r.text(), r.text())),
    63: _nothing,
    64: _nothing,
    71: _versioned(lambda r: StartApi(r.integer())),
    76: _versioned(lambda r: AccountUpdatesMulti(r.integer(), r.text(), r.text())),
    77: _nothing,
    78: _option_parameters,
    87: _head_timestamp,
    90: lambda r: CancelHeadTimestamp(r.integer()),
    99: lambda r: CompletedOrders(),
}


def parse_request(fields: list[str]) -> Request:
    """The request that a message's fields hold.

    Raises
    ------
    ProtocolError
        If a field is missing or is not the number it should be.
    """
    reader = FieldReader(fields)
    try:
        message_id = reader.integer()
        parser = _PARSERS.get(message_id)
        if parser is None:
            numbers = [f for f in fields[1:3] if f.lstrip("-").isdigit()]
            return Unsupported(message_id, int(numbers[-1]) if numbers else -1)
        return parser(reader)
    except ProtocolError:
        raise
    except ValueError as error:
        raise ProtocolError(f"message {fields[:3]}: {error}") from error
