"""Three weeks of a simulated market, and the runs that a person's backfills would make of them.

Each run is the DAG's own operators, given the context of a run of type ``backfill``, in the order in which the DAG
chains them. Starting a process of Airflow for each of the thousand task instances would take an hour and add nothing to
the numbers: scheduler, mapping and states have tests of their own.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk.exceptions import AirflowRescheduleException, AirflowSkipException
from airflow.utils.types import DagRunType

from ibsim.launch import GatewayProcess
from opt_data.errors import OptDataError
from opt_data.operators.adjust import AdjustSessionOperator
from opt_data.operators.capture import CaptureSlotOperator, PlanSlotOperator, SlotReportOperator
from opt_data.operators.discovery import DiscoverContractsOperator
from opt_data.operators.eod import CloseSnapshotOperator, EodReportOperator, RollUpOperator
from opt_data.operators.maintenance import MaintainOperator
from opt_data.operators.open_interest import OpenInterestReportOperator, ReadOpenInterestOperator
from opt_data.operators.plan import PlanSymbolsOperator

NEW_YORK = ZoneInfo("America/New_York")
HALF_HOUR = timedelta(minutes=30)
EARLY_CLOSE = date(2025, 11, 28)
#: NYSE, "Holidays & Trading Hours": Thanksgiving is Thursday 27 November 2025, the Friday after closes at 13:00.
SESSIONS = (
    *(date(2025, 11, day) for day in (17, 18, 19, 20, 21, 24, 25, 26, 28)),
    *(date(2025, 12, day) for day in (1, 2, 3, 4, 5)),
)
AFTERWARDS = date(2025, 12, 8)
"""The session after the last one, on whose morning its open interest is out."""
SATURDAYS = (date(2025, 11, 22), date(2025, 11, 29), date(2025, 12, 6))
CALLS = 4
"""Of each symbol and day: two expiries, the strikes on both sides of the previous close. As many puts."""


def new_york(day: date, text: str) -> datetime:
    return datetime.combine(day, time.fromisoformat(text), NEW_YORK)


def close_of(day: date) -> datetime:
    return new_york(day, "13:00" if day == EARLY_CLOSE else "16:00").astimezone(UTC)


def slots_of(day: date) -> list[datetime]:
    """Every half hour from 09:30 to the close, both included."""
    instants = [new_york(day, "09:30").astimezone(UTC)]
    while instants[-1] < close_of(day):
        instants.append(instants[-1] + HALF_HOUR)
    return instants


@dataclass(frozen=True)
class Run:
    """One DAG run as its task instances see it: its id, and the instant that its data interval begins at."""

    run_id: str
    instant: datetime

    @property
    def context(self) -> dict[str, Any]:
        dag_run = SimpleNamespace(
            run_type=DagRunType.BACKFILL_JOB, logical_date=self.instant, data_interval_start=self.instant
        )
        return {"run_id": self.run_id, "dag_run": dag_run, "data_interval_start": self.instant}


def run_of(instant: datetime) -> Run:
    """The backfill's run of one data interval."""
    instant = instant.astimezone(UTC)
    return Run(f"backfill__{instant.isoformat()}", instant)


@dataclass(frozen=True)
class Try:
    """One try of a task instance: between which two readings of the market's clock, and which raw files it left."""

    task: str
    run_id: str
    symbol: str
    number: int
    begun: datetime
    ended: datetime
    files: frozenset[Path]


@dataclass
class Backfills:
    """One installation over a gateway; every method is what the backfill of one run does.

    ``data`` is the installation's data root. ``tries`` are all tries of all task instances, in their order.
    """

    gateway: GatewayProcess
    data: Path
    failures: list[tuple[str, date, str]] = field(default_factory=list)
    tries: list[Try] = field(default_factory=list)

    def at(self, day: date, text: str) -> None:
        self.gateway.control.set_clock(new_york(day, text))

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Nothing listens at the gateway's port."""
        self.gateway.control.faults(refuse=True)
        try:
            yield
        finally:
            self.gateway.control.faults(refuse=False)

    def discover(self, day: date) -> None:
        run = run_of(new_york(day, "09:30"))
        for number, symbol in enumerate(PlanSymbolsOperator(task_id="plan").execute(run.context)):
            self._do("discover", DiscoverContractsOperator(task_id="discover", symbol=symbol), run, symbol, number)

    def intraday(
        self, day: date, slots: Sequence[datetime] | None = None, *, refused_first: datetime | None = None
    ) -> None:
        """The slots of a day; at one of them the gateway refuses at first, and each instance is tried twice."""
        for instant in slots_of(day) if slots is None else slots:
            run = run_of(instant)
            planned = PlanSlotOperator(task_id="plan").execute(run.context)
            for number, arguments in enumerate(planned):
                (symbol,) = arguments["symbols"]
                capture = CaptureSlotOperator(task_id="capture", **arguments)
                if instant == refused_first:
                    with self.refusing():
                        self._do("capture", capture, run, symbol, number)
                    self._do("capture", capture, run, symbol, number, try_number=2)
                else:
                    self._do("capture", capture, run, symbol, number)
            self._do("slot_report", SlotReportOperator(task_id="slot_report"), run)

    def close(self, day: date, *, lost_on_the_way: str = "", cut_in_half: str = "") -> None:
        """The closing snapshots.

        In the middle of one symbol's, IB's servers are lost to the gateway. Of another one's only the calls are
        answered when the socket closes; it is tried again.
        """
        run = run_of(new_york(day, "09:30"))
        for number, symbol in enumerate(PlanSymbolsOperator(task_id="plan").execute(run.context)):
            snapshot = CloseSnapshotOperator(task_id="close_snapshot", symbol=symbol)
            if symbol == lost_on_the_way:
                losing = SimpleNamespace(aexecute=partial(self._lose_the_servers, snapshot))
                self._do("close_snapshot", losing, run, symbol, number)
            elif symbol == cut_in_half:
                cutting = SimpleNamespace(aexecute=partial(self._close_the_socket_before_the_puts, snapshot))
                self._do("close_snapshot", cutting, run, symbol, number)
                self._do("close_snapshot", snapshot, run, symbol, number, try_number=2)
            else:
                self._do("close_snapshot", snapshot, run, symbol, number)

    async def _lose_the_servers(self, operator: Any, context: dict[str, Any]) -> None:
        """1100 as soon as something has been asked, before anything can have been answered; then the socket closes."""
        control = self.gateway.control
        dwell = control.scenario()["dwell"]
        control.patch(dwell={"kind": "fixed", "low_s": 1.0})
        asked = self._received("reqMktData")
        task = asyncio.create_task(operator.aexecute(context))
        while self._received("reqMktData") == asked and not task.done():
            await asyncio.sleep(0)
        control.call("begin_outage")
        control.call("drop")
        try:
            await task
        finally:
            control.call("end_outage", data_lost=True)
            control.patch(dwell=dwell)

    async def _close_the_socket_before_the_puts(self, operator: Any, context: dict[str, Any]) -> None:
        """No put is answered; once every call has been and is cancelled, the socket closes."""
        control = self.gateway.control
        control.faults(silent_conids=control.find(operator.symbol, right="P"))
        cancelled = self._received("cancelMktData")
        task = asyncio.create_task(operator.aexecute(context))
        while self._received("cancelMktData") < cancelled + CALLS and not task.done():
            await asyncio.sleep(0)
        control.call("drop")
        try:
            await task
        finally:
            control.faults(silent_conids=[])

    def _received(self, kind: str) -> int:
        return int(self.gateway.control.stats()["requests"].get(kind, 0))

    def derive(self, day: date) -> None:
        """The rest of ``opt_data_eod``."""
        run = run_of(new_york(day, "09:30"))
        for number, symbol in enumerate(PlanSymbolsOperator(task_id="plan").execute(run.context)):
            self._do("rollup", RollUpOperator(task_id="rollup", symbol=symbol), run, symbol, number)
        self._do("adjust", AdjustSessionOperator(task_id="adjust"), run)
        self._do("eod_report", EodReportOperator(task_id="eod_report", watched=()), run)

    def open_interest(self, day: date) -> bool:
        """One read of each symbol and the report; whether another read is wanted."""
        run = run_of(new_york(day, "09:30"))
        planned = PlanSymbolsOperator(task_id="plan").execute(run.context)
        again = [
            self._do("read", ReadOpenInterestOperator(task_id="read", symbol=symbol), run, symbol, number)
            for number, symbol in enumerate(planned)
        ]
        if AirflowRescheduleException in again:
            return True
        self._do("oi_report", OpenInterestReportOperator(task_id="oi_report"), run)
        return False

    def maintain(self, day: date) -> None:
        self._do("maintain", MaintainOperator(task_id="maintain"), run_of(new_york(day, "09:00")))

    def _do(
        self, task: str, operator: Any, run: Run, symbol: str = "", map_index: int = -1, *, try_number: int = 1
    ) -> type[Exception] | None:
        """Run one task instance; what it ended with, if not with success, is noted as the grid would show it."""
        ti = SimpleNamespace(
            dag_id="three_weeks",
            task_id=task,
            map_index=map_index,
            try_number=try_number,
            max_tries=4,
            get_task_states=lambda **_: {},
        )
        context = run.context | {"ti": ti}
        day = run.instant.astimezone(NEW_YORK).date()
        clock = self.gateway.control.clock
        begun, before = clock(), self._raw_files(day)
        try:
            if hasattr(operator, "aexecute"):
                asyncio.run(operator.aexecute(context))
            else:
                operator.execute(context)
        except AirflowRescheduleException:
            return AirflowRescheduleException
        except (OptDataError, AirflowSkipException) as error:
            self.failures.append((task, day, type(error).__name__))
            return type(error)
        finally:
            files = self._raw_files(day) - before
            self.tries.append(Try(task, run.run_id, symbol, try_number, begun, clock(), files))
        return None

    def _raw_files(self, day: date) -> frozenset[Path]:
        """Every stored attempt at a chain of a day."""
        return frozenset((self.data / "raw/ib/chain").glob(f"view=*/date={day}/*/*/*.parquet"))
