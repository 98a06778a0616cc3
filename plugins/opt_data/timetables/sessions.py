"""The timetable of sessions: one run a trading day, some minutes before or after the open or the close."""

from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from opt_data.calendars.slot_search import new_york_date
from opt_data.core.clock import Clock
from opt_data.core.sessions import SessionCalendar, TradingSession
from opt_data.timetables.planned_run import PlannedRun
from opt_data.timetables.session_bound import SessionBoundTimetable

Anchor = Literal["open", "close"]

ONE_DAY = timedelta(days=1)

# Open - 9 h and close + 7 h are the last whole hours that stay on the session's New York date.
EARLIEST_MIN = {"open": -9 * 60, "close": -3 * 60}
LATEST_MIN = {"open": 3 * 60, "close": 7 * 60}


class SessionTimetable(SessionBoundTimetable):
    """Run once for every session, ``offset_min`` minutes after its open or close.

    The data interval is the session, open to close, so that the trade date is the New York date of
    ``data_interval_start``, whenever the run happens. A run before the open starts its interval at that moment:
    Airflow holds back tasks whose logical date is in the future.

    Parameters
    ----------
    anchor
        What the run is timed by. The close is the day's real one: 13:00 on an early-close day.
    offset_min
        Minutes after the anchor; negative for before it.

    Raises
    ------
    ValueError
        Unknown anchor, or an offset that could leave the session's New York date.
    """

    def __init__(
        self,
        *,
        anchor: Anchor = "open",
        offset_min: int = 0,
        calendar: SessionCalendar | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(calendar=calendar, clock=clock)
        if anchor not in get_args(Anchor):
            raise ValueError(f"anchor {anchor!r} is none of {', '.join(get_args(Anchor))}")
        if not EARLIEST_MIN[anchor] <= offset_min <= LATEST_MIN[anchor]:
            raise ValueError(
                f"offset_min {offset_min} is not between {EARLIEST_MIN[anchor]} and {LATEST_MIN[anchor]} "
                f"minutes of the {anchor}"
            )
        self.anchor: Anchor = anchor
        self.offset_min = offset_min
        self.description = f"Once a New York session, at its {self._moment()}; holidays and early closes known"

    @property
    def summary(self) -> str:
        return f"XNYS {self._moment()}"

    def serialize(self) -> dict[str, Any]:
        return {"anchor": self.anchor, "offset_min": self.offset_min}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> "SessionTimetable":
        return cls(anchor=data["anchor"], offset_min=data["offset_min"])

    def first_run_from(self, calendar: SessionCalendar, at: datetime) -> PlannedRun:
        run = self._run(calendar.next_session(new_york_date(at) - ONE_DAY))
        return run if run.start >= at else self.run_following(calendar, run.start)

    def run_following(self, calendar: SessionCalendar, start: datetime) -> PlannedRun:
        # By date, not by instant: after a change of offset_min the same session must not run twice.
        return self._run(calendar.next_session(new_york_date(start)))

    def newest_run_begun(self, calendar: SessionCalendar, at: datetime) -> PlannedRun:
        run = self._run(calendar.previous_session(new_york_date(at) + ONE_DAY))
        return run if run.start <= at else self._run(calendar.previous_session(run.session.day))

    def newest_run_due(self, calendar: SessionCalendar, at: datetime) -> PlannedRun:
        run = self._run(calendar.previous_session(new_york_date(at) + ONE_DAY))
        return run if run.run_after <= at else self._run(calendar.previous_session(run.session.day))

    def _run(self, session: TradingSession) -> PlannedRun:
        anchor_utc = session.open_utc if self.anchor == "open" else session.close_utc
        run_after = anchor_utc + timedelta(minutes=self.offset_min)
        # What is timed inside the session serves that session; what comes after it serves the record, for a day.
        over_at = session.close_utc if run_after < session.close_utc else run_after + ONE_DAY
        return PlannedRun(
            session,
            start=min(session.open_utc, run_after),
            end=session.close_utc,
            run_after=run_after,
            over_at=over_at,
        )

    def _moment(self) -> str:
        if not self.offset_min:
            return self.anchor
        return f"{self.anchor} {'-' if self.offset_min < 0 else '+'} {abs(self.offset_min)} min"
