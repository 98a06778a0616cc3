"""What the gateway saw and what it sent, kept so that a test can compare against it."""

from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field
from typing import Any

from ibsim.clock import iso_utc
from ibsim.messages.ticks import AnyTick

_MAX_ARRIVALS = 200_000


@dataclass(slots=True)
class RequestRecord:
    """One market-data request with everything sent to it. Instants are the market's, in seconds since 1970."""

    client_id: int
    req_id: int
    conid: int
    exchange: str
    generic_ticks: str
    snapshot: bool
    requested_s: float
    requested_type: int
    served_types: list[tuple[float, int]] = field(default_factory=list)
    ticks: deque[tuple[float, AnyTick]] = field(default_factory=deque)
    errors: list[tuple[float, int, str]] = field(default_factory=list)
    ended_s: float | None = None

    def describe(self) -> dict[str, Any]:
        """Plain values; ``ticks`` in the order of sending, each with its ``at`` (ISO, UTC) and name."""
        return {
            "client_id": self.client_id,
            "req_id": self.req_id,
            "conid": self.conid,
            "exchange": self.exchange,
            "generic_ticks": self.generic_ticks,
            "snapshot": self.snapshot,
            "requested_at": iso_utc(self.requested_s),
            "requested_type": self.requested_type,
            "ended_at": None if self.ended_s is None else iso_utc(self.ended_s),
            "served_types": [{"at": iso_utc(at), "type": data_type} for at, data_type in self.served_types],
            "errors": [{"at": iso_utc(at), "code": code, "text": text} for at, code, text in self.errors],
            "ticks": [{"at": iso_utc(at), **tick.describe()} for at, tick in self.ticks],
        }


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message as it arrived: market time and monotonic seconds."""

    market_s: float
    monotonic_s: float
    client_id: int
    kind: str
    req_id: int
    conid: int
    accepted: bool


class Journal:
    """Counts and records since the start or the last reset."""

    def __init__(self, max_requests: int) -> None:
        self._max_requests = max_requests
        self._records: OrderedDict[int, RequestRecord] = OrderedDict()
        self._serial = 0
        self.arrivals: deque[Arrival] = deque(maxlen=_MAX_ARRIVALS)
        self.kinds: Counter[str] = Counter()
        self.asked: Counter[int] = Counter()
        self.errors_sent: Counter[int] = Counter()
        self.warnings = 0
        self.strikes = 0
        self.rejected = 0
        self.connections = 0

    def reset(self) -> None:
        """Forget everything counted; requests that are still open keep recording."""
        for serial in [s for s, record in self._records.items() if record.ended_s is not None]:
            del self._records[serial]
        self.arrivals.clear()
        for counter in (self.kinds, self.asked, self.errors_sent):
            counter.clear()
        self.warnings = self.strikes = self.rejected = self.connections = 0

    def note_arrival(self, arrival: Arrival) -> None:
        self.arrivals.append(arrival)
        self.kinds[arrival.kind] += 1

    def open_record(self, record: RequestRecord) -> None:
        self._serial += 1
        self._records[self._serial] = record
        self.asked[record.conid] += 1
        while len(self._records) > self._max_requests:
            self._records.popitem(last=False)

    def records(self, conid: int | None, req_id: int | None, client_id: int | None) -> list[RequestRecord]:
        """Records that fit, in the order of asking."""
        return [
            record
            for record in self._records.values()
            if (conid is None or record.conid == conid)
            and (req_id is None or record.req_id == req_id)
            and (client_id is None or record.client_id == client_id)
        ]
