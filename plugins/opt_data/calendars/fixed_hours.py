"""The founding fallback: 09:30-16:00 on Monday to Friday, where the calendar has no answer. Off unless asked for."""

import logging
from collections.abc import Sequence
from datetime import date, timedelta

from opt_data.calendars.hours import TradingHours
from opt_data.core.sessions import SessionCalendar, TradingSession
from opt_data.errors import CalendarUnavailable, NotASession

log = logging.getLogger(__name__)

ONE_DAY = timedelta(days=1)


class FixedHoursFallback:
    """A ``SessionCalendar`` that guesses where another one has no answer, and says so in the log.

    It knows neither holidays nor early closes: a guessed session has ``early_close`` false, and every guess leaves a
    warning with ``early_close=false``. What the primary calendar does answer, closed days included, is never changed.
    """

    def __init__(self, primary: SessionCalendar) -> None:
        self._primary = primary

    def session(self, day: date) -> TradingSession:
        """The primary's session, else fixed hours; weekends are ``NotASession``."""
        try:
            return self._primary.session(day)
        except CalendarUnavailable as error:
            _warn(str(day), error)
        if day.weekday() >= 5:
            raise NotASession(f"{day:%A} {day} is a weekend", day=day)
        return TradingHours(day).session()

    def sessions(self, first: date, last: date) -> Sequence[TradingSession]:
        """The primary's sessions; if it cannot answer for the whole range, fixed hours for the days it lacks."""
        try:
            return self._primary.sessions(first, last)
        except CalendarUnavailable as error:
            _warn(f"{first} to {last}", error)
        found = []
        for ordinal in range(first.toordinal(), last.toordinal() + 1):
            day = date.fromordinal(ordinal)
            try:
                found.append(self._primary.session(day))
            except NotASession:
                continue
            except CalendarUnavailable:
                if day.weekday() < 5:
                    found.append(TradingHours(day).session())
        return tuple(found)

    def next_session(self, after: date) -> TradingSession:
        """The primary's next session, else the next weekday."""
        try:
            return self._primary.next_session(after)
        except CalendarUnavailable as error:
            _warn(f"a session after {after}", error)
        return TradingHours(_weekday(after, ONE_DAY)).session()

    def previous_session(self, before: date) -> TradingSession:
        """The primary's previous session, else the weekday before."""
        try:
            return self._primary.previous_session(before)
        except CalendarUnavailable as error:
            _warn(f"a session before {before}", error)
        return TradingHours(_weekday(before, -ONE_DAY)).session()


def _weekday(day: date, step: timedelta) -> date:
    day += step
    while day.weekday() >= 5:
        day += step
    return day


def _warn(what: str, error: CalendarUnavailable) -> None:
    log.warning("calendar_fallback=fixed_hours early_close=false for=%s hours=09:30-16:00 because=%s", what, error)
