"""The timetable of sessions: one run a trading day, some minutes from the open or the close, or at a New York time."""

from datetime import UTC, datetime, time, timedelta
from typing import Any, Literal, get_args

from opt_data.calendars.slot_search import new_york_date
from opt_data.core.clock import Clock
from opt_data.core.sessions import NEW_YORK, SessionCalendar, TradingSession
from opt_data.timetables.planned_run import PlannedRun
from opt_data.timetables.session_bound import SessionBoundTimetable

Anchor = Literal["open", "close"]

ONE_DAY = timedelta(days=1)

# Open - 9 h and close + 7 h are the last whole hours that stay on the session's New York date.
EARLIEST_MIN = {"open": -9 * 60, "close": -3 * 60}
LATEST_MIN = {"open": 3 * 60, "close": 7 * 60}


class SessionTimetable(SessionBoundTimetable):
    """Run once for every session: ``offset_min`` minutes after its open or close, or ``at`` a New York time of the day.

    The data interval is the session, open to close, so that the trade date is the New York date of
    ``data_interval_start``, whenever the run happens. A run before the open starts its interval at that moment:
    Airflow holds back tasks whose logical date is in the future.

    Parameters
    ----------
    anchor
        What the run is timed by. The close is the day's real one: 13:00 on an early-close day.
    offset_min
        Minutes after the anchor; negative for before it.
    at
        ``HH:MM`` on the session's New York date, the same on early-close days; instead of anchor and offset.

    Raises
    ------
    ValueError
        Unknown anchor, an offset that could leave the session's New York date, or a time of day that is none.
    """

    def __init__(
        self,
        *,
        anchor: Anchor = "open",
        offset_min: int = 0,
        at: str | None = None,
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
        if at is not None and (anchor, offset_min) != ("open", 0):
            raise ValueError(f"at {at!r} is a time by itself: no anchor and no offset go with it")
        self.anchor: Anchor = anchor
        self.offset_min = offset_min
        self.at = at
        self._time_of_day = None if at is None else _time_of_day(at)
        moment = self._moment() if at else f"its {self._moment()}"
        self.description = f"Once a New York session, at {moment}; holidays and early closes known"

    @property
    def summary(self) -> str:
        return f"XNYS {self._moment()}"

    def serialize(self) -> dict[str, Any]:
        return {"anchor": self.anchor, "offset_min": self.offset_min, "at": self.at}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> "SessionTimetable":
        return cls(anchor=data["anchor"], offset_min=data["offset_min"], at=data.get("at"))

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
        run_after = self._run_after(session)
        # What is timed inside the session serves that session; what comes after it serves the record, for a day.
        over_at = session.close_utc if run_after < session.close_utc else run_after + ONE_DAY
        return PlannedRun(
            session,
            start=min(session.open_utc, run_after),
            end=session.close_utc,
            run_after=run_after,
            over_at=over_at,
        )

    def _run_after(self, session: TradingSession) -> datetime:
        if self._time_of_day is not None:
            return datetime.combine(session.day, self._time_of_day, NEW_YORK).astimezone(UTC)
        anchor_utc = session.open_utc if self.anchor == "open" else session.close_utc
        return anchor_utc + timedelta(minutes=self.offset_min)

    def _moment(self) -> str:
        if self.at is not None:
            return f"{self.at} New York"
        if not self.offset_min:
            return self.anchor
        return f"{self.anchor} {'-' if self.offset_min < 0 else '+'} {abs(self.offset_min)} min"


def _time_of_day(text: str) -> time:
    at = time.fromisoformat(text)
    if text != f"{at:%H:%M}":
        raise ValueError(f"{text!r} is not a time of day like 17:30")
    return at
