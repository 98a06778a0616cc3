"""Slots across sessions: which one comes next, which one began last."""

from datetime import date, datetime, timedelta

from opt_data.core.sessions import NEW_YORK, SessionCalendar
from opt_data.core.slots import Slot, newest_slot_begun, slot_grid

ONE_DAY = timedelta(days=1)


def new_york_date(instant: datetime) -> date:
    """The New York date of an aware instant: the trade date of anything that happens in a session.

    Raises
    ------
    ValueError
        If ``instant`` is naive.

    Examples
    --------
    >>> from datetime import UTC
    >>> new_york_date(datetime(2025, 11, 29, 2, 0, tzinfo=UTC))
    datetime.date(2025, 11, 28)
    """
    if instant.tzinfo is None:
        raise ValueError(f"{instant!r} has no time zone; give an aware instant, e.g. 2025-11-24T10:00-05:00")
    local = instant.astimezone(NEW_YORK)
    return date(local.year, local.month, local.day)


def first_slot_from(calendar: SessionCalendar, at: datetime) -> Slot:
    """The first slot with ``instant >= at``, today's or a later session's.

    Raises
    ------
    CalendarUnavailable
        The slot would lie outside the years the calendar covers.
    """
    session = calendar.next_session(new_york_date(at) - ONE_DAY)
    for slot in slot_grid(session):
        if slot.instant_utc >= at:
            return slot
    return slot_grid(calendar.next_session(session.day))[0]


def newest_slot_at(calendar: SessionCalendar, at: datetime) -> Slot:
    """The last slot with ``instant <= at``, today's or an earlier session's.

    Raises
    ------
    CalendarUnavailable
        The slot would lie outside the years the calendar covers.
    """
    session = calendar.previous_session(new_york_date(at) + ONE_DAY)
    begun = newest_slot_begun(slot_grid(session), at)
    return begun or slot_grid(calendar.previous_session(session.day))[-1]
