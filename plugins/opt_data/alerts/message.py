"""The message about a missed deadline, as a line, as a text and as values."""

from dataclasses import dataclass
from datetime import date, datetime
from urllib.parse import quote

from opt_data.core.sessions import NEW_YORK


@dataclass(frozen=True, slots=True)
class MissedDeadline:
    """One run that was not done in time. All instants are aware.

    Attributes
    ----------
    dag_id, run_id
        The run.
    logical_date
        What the run belongs to: its slot or session; None for a run without.
    state
        The run's state when the deadline passed: ``queued``, ``running`` or ``failed``.
    due, noticed_at
        When it should have been done, and when that was noticed.
    promise
        The rule in words: ``15 min after the slot``.
    ui_address
        Airflow's own address, or nothing.
    """

    dag_id: str
    run_id: str
    logical_date: datetime | None
    state: str
    due: datetime
    noticed_at: datetime
    promise: str
    ui_address: str = ""

    @property
    def day(self) -> date:
        """The New York date of the deadline."""
        return self.due.astimezone(NEW_YORK).date()

    @property
    def late_s(self) -> float:
        """Seconds from the deadline until it was noticed."""
        return (self.noticed_at - self.due).total_seconds()

    @property
    def link(self) -> str:
        """Where Airflow shows the run, or nothing."""
        if not self.ui_address:
            return ""
        return f"{self.ui_address.rstrip('/')}/dags/{quote(self.dag_id)}/runs/{quote(self.run_id, safe='')}"


def subject(missed: MissedDeadline) -> str:
    """One line: which DAG, which run, what is wrong."""
    return (
        f"{missed.dag_id} missed its deadline: the run of {_new_york(missed.logical_date)} is {missed.state}, "
        f"it was due at {_new_york(missed.due)} New York ({missed.promise})"
    )


def text(missed: MissedDeadline) -> str:
    """The line, where to look, and what to do next."""
    lines = [
        subject(missed),
        f"Run: {missed.run_id}",
        *([f"Open: {missed.link}"] if missed.link else []),
        "If tasks are red, their log says whose move it is; what to clear stands in the DAG's own documentation and in "
        "docs/runbook.md. If the run is queued or tasks wait, look at the scheduler and the pool.",
    ]
    return "\n".join(lines)


def record(missed: MissedDeadline) -> dict[str, object]:
    """The values, for a run log."""
    return {
        "dag_id": missed.dag_id,
        "run_id": missed.run_id,
        "logical_date": missed.logical_date,
        "state": missed.state,
        "due": missed.due,
        "late_s": round(missed.late_s, 3),
        "promise": missed.promise,
        "message": subject(missed),
    }


def _new_york(instant: datetime | None) -> str:
    return "no date" if instant is None else f"{instant.astimezone(NEW_YORK):%Y-%m-%d %H:%M}"
