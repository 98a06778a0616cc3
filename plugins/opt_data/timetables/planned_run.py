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


def first_worth_creating(
    newest_due: PlannedRun, upcoming: PlannedRun, now: datetime, *, first_of_session: PlannedRun | None
) -> PlannedRun:
    """Choose where a DAG without catch-up goes on: after its first unpausing, a pause, or an outage of the scheduler.

    While the newest run whose time has come is not over, its session is running: then everything from the session's
    first run on is worth creating, because what was missed of it can still be made good. The first unpausing has missed
    nothing: it begins with that newest run. Once the session is over, the next run to come; older ones are left to
    ``airflow backfill create``. So nobody is flooded: at most one session's runs are created at once.

    Parameters
    ----------
    newest_due
        The last run with ``run_after <= now``.
    upcoming
        The one after it.
    now
        The current instant.
    first_of_session
        The first run of ``newest_due``'s session; None if the DAG has never run by itself.
    """
    if now >= newest_due.over_at:
        return upcoming
    return newest_due if first_of_session is None else first_of_session
