"""The timetable of slots: one run for every 30 minutes of the session."""

from datetime import datetime, timedelta

from opt_data.calendars.slot_search import first_slot_from, newest_slot_at
from opt_data.core.sessions import SessionCalendar
from opt_data.core.slots import Slot
from opt_data.timetables.planned_run import PlannedRun
from opt_data.timetables.session_bound import SessionBoundTimetable

RESOLUTION = timedelta(microseconds=1)


class SlotTimetable(SessionBoundTimetable):
    """Run once for every slot: 14 times on a normal day, 8 when the close is 13:00, never on a holiday.

    The data interval is the slot's instant itself: ``data_interval_start == data_interval_end == logical_date``.
    A slot is over when the next one begins, the last one 30 minutes after the close.
    """

    description = "Every 30 minutes of the New York session, open and close included; holidays and early closes known"

    @property
    def summary(self) -> str:
        return "XNYS slots"

    def first_run_from(self, calendar: SessionCalendar, at: datetime) -> PlannedRun:
        return _run(first_slot_from(calendar, at))

    def run_following(self, calendar: SessionCalendar, start: datetime) -> PlannedRun:
        return _run(first_slot_from(calendar, start + RESOLUTION))

    def newest_run_begun(self, calendar: SessionCalendar, at: datetime) -> PlannedRun:
        return _run(newest_slot_at(calendar, at))

    def newest_run_due(self, calendar: SessionCalendar, at: datetime) -> PlannedRun:
        return self.newest_run_begun(calendar, at)

    def first_run_of_session(self, calendar: SessionCalendar, run: PlannedRun) -> PlannedRun:
        return self.first_run_from(calendar, run.session.open_utc)


def _run(slot: Slot) -> PlannedRun:
    at = slot.instant_utc
    return PlannedRun(slot.session, start=at, end=at, run_after=at, over_at=slot.ends_utc)
