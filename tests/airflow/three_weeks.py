"""Three weeks of a simulated market, and the runs that a person's backfills would make of them.

Each run is the DAG's own operators, given the context of a run of type ``backfill``, in the order in which the DAG
chains them. Starting a process of Airflow for each of the thousand task instances would take an hour and add nothing to
the numbers: scheduler, mapping and states have tests of their own.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
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


@dataclass
class Backfills:
    """One installation over a gateway; every method is what the backfill of one run does."""

    gateway: GatewayProcess
    failures: list[tuple[str, date, str]] = field(default_factory=list)

    def at(self, day: date, text: str) -> None:
        self.gateway.control.set_clock(new_york(day, text))

    def discover(self, day: date) -> None:
        context = _context(new_york(day, "09:30"))
        for number, symbol in enumerate(PlanSymbolsOperator(task_id="plan").execute(context)):
            self._do("discover", DiscoverContractsOperator(task_id="discover", symbol=symbol), context, number)

    def intraday(self, day: date, slots: Sequence[datetime] | None = None) -> None:
        for instant in slots_of(day) if slots is None else slots:
            context = _context(instant)
            planned = PlanSlotOperator(task_id="plan").execute(context)
            for number, arguments in enumerate(planned):
                self._do("capture", CaptureSlotOperator(task_id="capture", **arguments), context, number)
            self._do("slot_report", SlotReportOperator(task_id="slot_report"), context)

    def close(self, day: date, *, lost_on_the_way: str = "") -> None:
        """The closing snapshots; IB's servers are lost to the gateway in the middle of one symbol's."""
        context = _context(new_york(day, "09:30"))
        for number, symbol in enumerate(PlanSymbolsOperator(task_id="plan").execute(context)):
            operator = CloseSnapshotOperator(task_id="close_snapshot", symbol=symbol)
            if symbol == lost_on_the_way:
                operator = SimpleNamespace(aexecute=partial(self._lose_the_servers, operator))
            self._do("close_snapshot", operator, context, number)

    async def _lose_the_servers(self, operator: Any, context: dict[str, Any]) -> None:
        """1100 as soon as something has been asked, before anything can have been answered; then the socket closes."""
        control = self.gateway.control
        dwell = control.scenario()["dwell"]
        control.patch(dwell={"kind": "fixed", "low_s": 1.0})
        asked = control.stats()["requests"].get("reqMktData", 0)
        task = asyncio.create_task(operator.aexecute(context))
        while control.stats()["requests"].get("reqMktData", 0) == asked:
            await asyncio.sleep(0)
        control.call("begin_outage")
        control.call("drop")
        try:
            await task
        finally:
            control.call("end_outage", data_lost=True)
            control.patch(dwell=dwell)

    def derive(self, day: date) -> None:
        """The rest of ``opt_data_eod``."""
        context = _context(new_york(day, "09:30"))
        for number, symbol in enumerate(PlanSymbolsOperator(task_id="plan").execute(context)):
            self._do("rollup", RollUpOperator(task_id="rollup", symbol=symbol), context, number)
        self._do("adjust", AdjustSessionOperator(task_id="adjust"), context)
        self._do("eod_report", EodReportOperator(task_id="eod_report", watched=()), context)

    def open_interest(self, day: date) -> bool:
        """One read of each symbol and the report; whether another read is wanted."""
        context = _context(new_york(day, "09:30"))
        planned = PlanSymbolsOperator(task_id="plan").execute(context)
        again = [
            self._do("read", ReadOpenInterestOperator(task_id="read", symbol=symbol), context, number)
            for number, symbol in enumerate(planned)
        ]
        if AirflowRescheduleException in again:
            return True
        self._do("oi_report", OpenInterestReportOperator(task_id="oi_report"), context)
        return False

    def maintain(self, day: date) -> None:
        self._do("maintain", MaintainOperator(task_id="maintain"), _context(new_york(day, "09:00")))

    def _do(self, task: str, operator: Any, context: dict[str, Any], map_index: int = -1) -> type[Exception] | None:
        """Run one task instance; what it ended with, if not with success, is noted as the grid would show it."""
        ti = SimpleNamespace(
            dag_id="three_weeks",
            task_id=task,
            map_index=map_index,
            try_number=1,
            max_tries=4,
            get_task_states=lambda **_: {},
        )
        context = context | {"ti": ti}
        day = context["data_interval_start"].astimezone(NEW_YORK).date()
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
        return None


def _context(instant: datetime) -> dict[str, Any]:
    instant = instant.astimezone(UTC)
    return {
        "run_id": f"backfill__{instant.isoformat()}",
        "dag_run": SimpleNamespace(
            run_type=DagRunType.BACKFILL_JOB, logical_date=instant, data_interval_start=instant
        ),
        "data_interval_start": instant,
    }  # fmt: skip
