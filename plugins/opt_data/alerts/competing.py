"""The message about another login that took the market data, as a line, as a text and as values."""

from dataclasses import dataclass
from datetime import date, datetime

from opt_data.core.sessions import NEW_YORK


@dataclass(frozen=True, slots=True)
class CompetingLogin:
    """What the first task of a run found. Instants are aware.

    ``instant`` is the run's slot or session, None for a run without; ``said`` is the error in IB's words.
    """

    dag_id: str
    run_id: str
    task_id: str
    instant: datetime | None
    noticed_at: datetime
    said: str

    @property
    def day(self) -> date:
        """The New York date on which it was noticed."""
        return self.noticed_at.astimezone(NEW_YORK).date()


def subject(found: CompetingLogin) -> str:
    """One line: what is wrong, and whom it stops."""
    of = "" if found.instant is None else f" of {found.instant.astimezone(NEW_YORK):%Y-%m-%d %H:%M} New York"
    return f"another login has the market data: {found.task_id} of {found.dag_id}{of} is stopped"


def text(found: CompetingLogin) -> str:
    """The line, what IB said, and what to do next."""
    return "\n".join(
        [
            subject(found),
            f"Run: {found.run_id}",
            f"IB says: {found.said}",
            "Log the other session of this user out: TWS, mobile, web, another program. Tasks are tried again by "
            "themselves for eight minutes; clear what is red afterwards. Contracts cut off count as errors, never "
            "as missing.",
        ]
    )


def record(found: CompetingLogin) -> dict[str, object]:
    """The values, for a run log."""
    return {
        "dag_id": found.dag_id,
        "run_id": found.run_id,
        "task_id": found.task_id,
        "noticed_at": found.noticed_at,
        "message": subject(found),
    }
