"""By when a run must be done, and whether somebody is to be told when it is not."""

from datetime import UTC, datetime, time, timedelta
from enum import StrEnum

from opt_data.core.sessions import NEW_YORK, SessionCalendar


class RunOrigin(StrEnum):
    """Who asked for a run."""

    SCHEDULED = "scheduled"
    MANUAL = "manual"
    BACKFILL = "backfill"


def due_on_the_clock(start: datetime, at: str, *, sessions_later: int, calendar: SessionCalendar) -> datetime:
    """A New York wall time (``"09:15"``) on the day a run belongs to, or so many sessions later, as an instant in UTC.

    ``start`` is the start of the run's data interval; its New York date is the day.
    """
    day = start.astimezone(NEW_YORK).date()
    for _ in range(sessions_later):
        day = calendar.next_session(day).day
    return datetime.combine(day, time.fromisoformat(at), NEW_YORK).astimezone(UTC)


def is_worth_telling(origin: RunOrigin, due: datetime, now: datetime, max_age: timedelta) -> bool:
    """Whether a run created now is watched for a deadline.

    A backfill repairs the past with a person looking on: never. A run started by hand: only while its deadline lies
    ahead, so that repeating an old date wakes nobody. A scheduled run: also when it was created too late, because then
    nobody was told yet; but not when the deadline is older than ``max_age``.
    """
    if origin is RunOrigin.BACKFILL:
        return False
    if origin is RunOrigin.MANUAL:
        return due > now
    return due > now - max_age
