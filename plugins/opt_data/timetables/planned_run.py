"""One run a timetable can plan, and the decision which one is worth creating. Knows nothing of Airflow."""

from dataclasses import dataclass
from datetime import datetime

from opt_data.core.sessions import TradingSession


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One run of a DAG that follows the sessions. All instants are aware.

    Attributes
    ----------
    session
        The trading day the run belongs to.
    start, end
        The data interval, both on the session's New York date. ``start`` is the logical date.
    run_after
        When the run may begin. Never before ``start``: Airflow holds back tasks whose logical date is in the future.
    over_at
        From then on the run's own moment is gone: created later, it could not do what it is for.
    """

    session: TradingSession
    start: datetime
    end: datetime
    run_after: datetime
    over_at: datetime

    def __post_init__(self) -> None:
        if not self.start <= self.end or self.start > self.run_after:
            raise ValueError(f"run of {self.session.day}: start {self.start} after end or after run_after")


def first_worth_creating(newest_due: PlannedRun, upcoming: PlannedRun, now: datetime) -> PlannedRun:
    """Choose where a DAG without catch-up goes on: after its first unpausing, a pause, or an outage of the scheduler.

    The newest run whose time has come, if it is not over; else the next one to come. So nobody is flooded, and what
    was missed in between is not created: it is recovered by ``airflow backfill create``.

    Parameters
    ----------
    newest_due
        The last run with ``run_after <= now``.
    upcoming
        The one after it.
    now
        The current instant.
    """
    return newest_due if now < newest_due.over_at else upcoming
