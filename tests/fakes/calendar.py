"""A calendar of weekdays 09:30 to 16:00 New York, with the holidays and early closes a test names."""

from collections.abc import Collection
from datetime import date, datetime, time, timedelta

from opt_data.core.sessions import NEW_YORK, TradingSession
from opt_data.errors import NotASession


class WeekdayCalendar:
    """``SessionCalendar`` for tests."""

    def __init__(self, holidays: Collection[date] = (), early_closes: Collection[date] = ()) -> None:
        self._holidays = frozenset(holidays)
        self._early_closes = frozenset(early_closes)

    def session(self, day: date) -> TradingSession:
        if day.weekday() >= 5 or day in self._holidays:
            raise NotASession(f"{day} is not a session", day=day)
        early = day in self._early_closes
        return TradingSession(
            day,
            datetime.combine(day, time(9, 30), NEW_YORK),
            datetime.combine(day, time(13) if early else time(16), NEW_YORK),
            early_close=early,
        )

    def sessions(self, first: date, last: date) -> list[TradingSession]:
        days = (first + timedelta(days=offset) for offset in range((last - first).days + 1))
        return [self.session(day) for day in days if day.weekday() < 5 and day not in self._holidays]

    def next_session(self, after: date) -> TradingSession:
        return self.sessions(after + timedelta(days=1), after + timedelta(days=15))[0]

    def previous_session(self, before: date) -> TradingSession:
        return self.sessions(before - timedelta(days=15), before - timedelta(days=1))[-1]
