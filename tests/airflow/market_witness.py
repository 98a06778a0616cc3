"""What the simulated gateway's own journal says of a task: what it asked, what it was sent, and when.

The gateway's clock is the only one that counts here. A task's clock is another: the task asks the gateway's time once,
IB answers in whole seconds, cut off, and the task's clock runs on from the answer. How far it is behind follows from
the journal, because the answer came after the question had arrived and before the task's next message had.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from ibsim.control import ControlClient
from tests.airflow.three_weeks import Try


@dataclass(frozen=True, eq=False)
class Within:
    """Equals every instant from ``earliest`` to ``latest``, both included."""

    earliest: datetime
    latest: datetime

    def __eq__(self, other: object) -> bool:
        return isinstance(other, datetime) and self.earliest <= other <= self.latest

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Arrival:
    """One message as it arrived at the gateway."""

    at: datetime
    kind: str
    client_id: int
    req_id: int


@dataclass(frozen=True)
class Request:
    """One market-data request as it arrived, and what was sent to it: each tick's name with its instant."""

    at: datetime
    conid: int
    client_id: int
    req_id: int
    exchange: str
    requested_type: int
    served_type: int | None
    sent: tuple[tuple[str, datetime], ...]

    def sent_first(self, tick: str = "") -> datetime | None:
        """When a tick, or any, was sent first; None if it never was."""
        return min((at for name, at in self.sent if tick in {"", name}), default=None)


class MarketWitness:
    """The journal up to now, by task."""

    def __init__(self, control: ControlClient) -> None:
        self._arrivals = [
            Arrival(datetime.fromisoformat(one["market_at"]), one["kind"], one["client_id"], one["req_id"])
            for one in control.requests_seen()
        ]
        self._requests: dict[int, list[Request]] = defaultdict(list)
        for one in control.sent():
            self._requests[one["conid"]].append(_request(one))

    def asked(self, one: Try, conid: int) -> list[Request]:
        """The market-data requests of a contract that arrived during a try."""
        return [request for request in self._requests[conid] if one.begun <= request.at <= one.ended]

    @cache  # noqa: B019 - as long as the story
    def last_sent(self, one: Try) -> datetime:
        """When the last value of all was sent to a try."""
        return max(at for conid in self._requests for request in self.asked(one, conid) for _, at in request.sent)

    def first_cancel(self, one: Try) -> datetime:
        """When a try had given up the first of its requests."""
        return min(arrival.at for arrival in self._arrived(one) if arrival.kind == "cancelMktData")

    def cancelled(self, one: Try, request: Request) -> datetime | None:
        """When the cancel of a request arrived; None if none did."""
        told = ("cancelMktData", request.client_id, request.req_id)
        return next((a.at for a in self._arrived(one) if (a.kind, a.client_id, a.req_id) == told), None)

    def by_the_tasks_clock(self, one: Try, earliest: datetime, latest: datetime) -> Within:
        """What a task may have stamped on something that happened between two instants of the gateway's clock."""
        least, most = self._behind(one)
        return Within(earliest - most, latest - least)

    @cache  # noqa: B019
    def _behind(self, one: Try) -> tuple[timedelta, timedelta]:
        """How far the task's clock is behind the gateway's: at least, at most."""
        arrived = self._arrived(one)
        (place,) = [place for place, arrival in enumerate(arrived) if arrival.kind == "reqCurrentTime"]
        asked = arrived[place].at
        said_next = arrived[place + 1].at if place + 1 < len(arrived) else one.ended
        told_first, told_last = (instant.replace(microsecond=0) for instant in (asked, said_next))
        return max(timedelta(0), asked - told_last), said_next - told_first

    @cache  # noqa: B019
    def _arrived(self, one: Try) -> list[Arrival]:
        return [arrival for arrival in self._arrivals if one.begun <= arrival.at <= one.ended]


def _request(told: dict[str, Any]) -> Request:
    served = told["served_types"]
    return Request(
        at=datetime.fromisoformat(told["requested_at"]),
        conid=told["conid"],
        client_id=told["client_id"],
        req_id=told["req_id"],
        exchange=told["exchange"],
        requested_type=told["requested_type"],
        served_type=served[-1]["type"] if served else None,
        sent=tuple((tick["name"], datetime.fromisoformat(tick["at"])) for tick in told["ticks"]),
    )
