"""What all our timetables share: Airflow's questions, asked of runs that follow the sessions."""

from abc import abstractmethod
from datetime import datetime
from typing import Any

import pendulum
from airflow.exceptions import AirflowTimetableInvalid
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable

from opt_data.core.clock import Clock, SystemClock
from opt_data.core.sessions import SessionCalendar
from opt_data.errors import CalendarUnavailable, ConfigInvalid
from opt_data.timetables.planned_run import PlannedRun, first_worth_creating


class SessionBoundTimetable(Timetable):
    """Base of timetables whose runs follow XNYS sessions.

    Airflow asks ``next_dagrun_info`` again at every parse, also between a run's moment and its creation, and keeps
    only the last answer. So a run that is due and not over must stay the answer until it exists: rounding *now* up to
    the next run would skip it.

    Parameters
    ----------
    calendar, clock
        For tests; not serialized. Without them, the configured calendar and the machine's clock.
    """

    def __init__(self, *, calendar: SessionCalendar | None = None, clock: Clock | None = None) -> None:
        self._given_calendar = calendar
        self._clock: Clock = clock or SystemClock()

    # ---- what a timetable of ours must answer ----------------------------------------------------------------

    @abstractmethod
    def first_run_from(self, calendar: SessionCalendar, at: datetime) -> PlannedRun:
        """The first run with ``start >= at``."""

    @abstractmethod
    def run_following(self, calendar: SessionCalendar, start: datetime) -> PlannedRun:
        """The run after the one whose data interval starts at ``start``."""

    @abstractmethod
    def newest_run_begun(self, calendar: SessionCalendar, at: datetime) -> PlannedRun:
        """The last run with ``start <= at``."""

    @abstractmethod
    def newest_run_due(self, calendar: SessionCalendar, at: datetime) -> PlannedRun:
        """The last run with ``run_after <= at``."""

    def first_run_of_session(self, calendar: SessionCalendar, run: PlannedRun) -> PlannedRun:
        """The first run of a run's session: the run itself where there is one a session."""
        return run

    # ---- what Airflow asks -----------------------------------------------------------------------------------

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        calendar = self._calendar()
        bounds = []
        if last_automated_data_interval is not None:
            bounds.append(self.run_following(calendar, last_automated_data_interval.start))
        if restriction.earliest is not None:
            bounds.append(self.first_run_from(calendar, restriction.earliest))
        if not restriction.catchup:
            now = self._clock.now()
            due = self.newest_run_due(calendar, now)
            has_run = last_automated_data_interval is not None
            first = self.first_run_of_session(calendar, due) if has_run else None
            upcoming = self.run_following(calendar, due.start)
            bounds.append(first_worth_creating(due, upcoming, now, first_of_session=first))
        if not bounds:
            return None
        run = max(bounds, key=lambda bound: bound.start)
        if restriction.latest is not None and run.start > restriction.latest:
            return None
        return DagRunInfo(run_after=pendulum.instance(run.run_after), data_interval=_interval(run))

    def infer_manual_data_interval(self, *, run_after: pendulum.DateTime) -> DataInterval:
        """A run started by hand belongs to the newest slot or session that has begun.

        Raises
        ------
        ValueError
            The calendar has no answer for that time, or settings or overrides file are wrong; the API shows the
            sentence to the person who clicked.
        """
        try:
            return _interval(self.newest_run_begun(self._calendar(), run_after))
        except (CalendarUnavailable, ConfigInvalid) as error:
            raise ValueError(str(error)) from error

    def validate(self) -> None:
        """Make a bad overrides file an import error in the UI; in ``next_dagrun_info`` it would only be a log line."""
        if self._given_calendar is not None:
            return
        from opt_data.calendars import check_overrides
        from opt_data.config.load import load_settings

        try:
            check_overrides(load_settings().calendar.overrides_file)
        except ConfigInvalid as error:
            raise AirflowTimetableInvalid(str(error)) from error

    def _calendar(self) -> SessionCalendar:
        """The calendar of this question: the settings may name another one at the next."""
        if self._given_calendar is not None:
            return self._given_calendar
        # Imported here, so that a fault anywhere in the package cannot unregister the timetables.
        from opt_data.bootstrap import session_calendar
        from opt_data.config.load import load_settings

        return session_calendar(load_settings())

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.serialize() == self.serialize()

    def __hash__(self) -> int:
        return hash((type(self), tuple(sorted(self.serialize().items()))))

    def __repr__(self) -> str:
        arguments: dict[str, Any] = self.serialize()
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in arguments.items())})"


def _interval(run: PlannedRun) -> DataInterval:
    return DataInterval(start=pendulum.instance(run.start), end=pendulum.instance(run.end))
