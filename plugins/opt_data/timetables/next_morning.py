"""The timetable of mornings after: one run a trading day, at a New York time of the session that follows it."""

from datetime import date, datetime, time, timedelta
from typing import Any

from opt_data.calendars.slot_search import new_york_date
from opt_data.core.clock import Clock
from opt_data.core.sessions import NEW_YORK, SessionCalendar, TradingSession
from opt_data.timetables.planned_run import PlannedRun
from opt_data.timetables.session_bound import SessionBoundTimetable

ONE_DAY = timedelta(days=1)


class NextMorningTimetable(SessionBoundTimetable):
    """Run once for every session, at ``at`` on the session after: a Monday serves Friday, the day after a holiday the
    last session before it.

    The data interval is the finished session, open to close, so that the trade date is the New York date of
    ``data_interval_start``. A run is over when the next one is due. A run by hand belongs to the newest session whose
    morning has come; a logical date that is exactly a session's open names that session.

    Parameters
    ----------
    at
        ``HH:MM`` in New York, whatever daylight saving says.

    Raises
    ------
    ValueError
        ``at`` is no time of day.
    """

    def __init__(self, *, at: str, calendar: SessionCalendar | None = None, clock: Clock | None = None) -> None:
        super().__init__(calendar=calendar, clock=clock)
        self._at = time.fromisoformat(at)
        self.at = at
        self.description = f"Once a New York session, at {at} of the session after it; holidays known"

    @property
    def summary(self) -> str:
        return f"XNYS next session {self.at}"

    def serialize(self) -> dict[str, Any]:
        return {"at": self.at}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> "NextMorningTimetable":
        return cls(at=data["at"])

    def first_run_from(self, calendar: SessionCalendar, at: datetime) -> PlannedRun:
        run = self._run(calendar, calendar.next_session(new_york_date(at) - ONE_DAY))
        return run if run.start >= at else self.run_following(calendar, run.start)

    def run_following(self, calendar: SessionCalendar, start: datetime) -> PlannedRun:
        return self._run(calendar, calendar.next_session(new_york_date(start)))

    def newest_run_begun(self, calendar: SessionCalendar, at: datetime) -> PlannedRun:
        session = calendar.previous_session(new_york_date(at) + ONE_DAY)
        return self._run(calendar, session) if session.open_utc == at else self.newest_run_due(calendar, at)

    def newest_run_due(self, calendar: SessionCalendar, at: datetime) -> PlannedRun:
        session = calendar.previous_session(new_york_date(at) + ONE_DAY)
        while (run := self._run(calendar, session)).run_after > at:
            session = calendar.previous_session(session.day)
        return run

    def _run(self, calendar: SessionCalendar, session: TradingSession) -> PlannedRun:
        morning = calendar.next_session(session.day).day
        return PlannedRun(
            session,
            start=session.open_utc,
            end=session.close_utc,
            run_after=self._moment(morning),
            over_at=self._moment(calendar.next_session(morning).day),
        )

    def _moment(self, day: date) -> datetime:
        return datetime.combine(day, self._at, NEW_YORK)
