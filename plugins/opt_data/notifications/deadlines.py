"""By when each run must be done: a reference for Airflow's Deadline Alerts, and the line a DAG states.

Airflow asks the reference once, when a run is created (by the scheduler, or by the API server for a run started by
hand). Without an answer the run has no deadline: that is how backfills and repeated old dates wake nobody.
"""

from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import BaseDeadlineReference, DeadlineAlert

CALLBACK = "opt_data.notifications.missed.report_missed_deadline"


@dataclass(eq=False)
class RunDeadline(BaseDeadlineReference):
    """Minutes after the start of the run's data interval, or a New York time on its day or a later session.

    The deadline itself, not a moment to count from: the alert's own interval is zero.

    :param minutes: minutes after the slot's or session's instant; not used with ``at``
    :param at: ``HH:MM`` in New York, or empty
    :param sessions_later: with ``at``, on which session: 0 the run's own, 1 the next
    """

    minutes: float = 0.0
    at: str = ""
    sessions_later: int = 0
    required_kwargs: ClassVar[set[str]] = {"dag_id", "run_id"}

    def serialize_reference(self) -> dict[str, Any]:
        return {**super().serialize_reference(), **asdict(self)}

    @classmethod
    def deserialize_reference(cls, reference_data: dict[str, Any]) -> "RunDeadline":
        return cls(**{field.name: reference_data[field.name] for field in fields(cls)})

    def _evaluate_with(self, *, session: Any, dag_id: str, run_id: str) -> datetime | None:
        """The deadline of one run, or None if nobody is to be told."""
        from airflow.models import DagRun
        from sqlalchemy import select

        from opt_data.config.load import load_settings
        from opt_data.core.clock import SystemClock
        from opt_data.core.deadlines import RunOrigin, is_worth_telling

        run = session.scalar(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
        start = None if run is None else run.data_interval_start or run.logical_date
        origin = next((known for known in RunOrigin if run is not None and known.value == run.run_type), None)
        if start is None or origin is None:
            return None
        settings = load_settings()
        due = self._due(datetime.fromisoformat(start.isoformat()).astimezone(UTC), settings)
        max_age = timedelta(hours=settings.alerts.max_age_h)
        return due if is_worth_telling(origin, due, SystemClock().now(), max_age) else None

    def _due(self, start: datetime, settings: Any) -> datetime:
        from opt_data.bootstrap import session_calendar
        from opt_data.core.deadlines import due_on_the_clock

        if not self.at:
            return start + timedelta(minutes=self.minutes)
        calendar = session_calendar(settings)
        return due_on_the_clock(start, self.at, sessions_later=self.sessions_later, calendar=calendar)


def deadline_after_start(minutes: float, of: str) -> DeadlineAlert:
    """A run must be done so many minutes after what it belongs to, ``of``: the slot, its start."""
    return _alert(RunDeadline(minutes=minutes), f"{minutes:g} min after {of}")


def deadline_same_session(at: str) -> DeadlineAlert:
    """A run must be done by a New York time on the day of the session it belongs to."""
    return _alert(RunDeadline(at=at), f"{at} New York of its session")


def deadline_next_session(at: str) -> DeadlineAlert:
    """A run must be done by a New York time on the session after the one it belongs to."""
    return _alert(RunDeadline(at=at, sessions_later=1), f"{at} New York of the next session")


def _alert(reference: RunDeadline, promise: str) -> DeadlineAlert:
    callback = AsyncCallback(CALLBACK, kwargs={"promise": promise})
    return DeadlineAlert(reference=reference, interval=timedelta(0), callback=callback, name=promise)
