"""Which sessions and slots a backfill covers: from two New York dates and the time it is. Pure decisions.

``airflow backfill create`` reads a bare date as midnight UTC, so that the last day of a range is left out, and takes
the running slot along. So the dates are turned into instants here, and the range ends with what is over.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from opt_data.core.open_interest import open_interest_window
from opt_data.core.sessions import NEW_YORK, SessionCalendar, TradingSession
from opt_data.core.slots import slot_grid
from tools.backfill.errors import BackfillRefused

DISCOVERY, INTRADAY, EOD = "opt_data_discovery", "opt_data_intraday", "opt_data_eod"
OPEN_INTEREST, MAINTENANCE = "opt_data_open_interest", "opt_data_maintenance"
DAGS = (DISCOVERY, INTRADAY, EOD, OPEN_INTEREST, MAINTENANCE)
WHOLE_DAY = (INTRADAY, EOD, OPEN_INTEREST)
"""What a backfill without a DAG runs, in this order: the day is made of its slots, and open interest goes into the day.
A capture makes a lost contract set by itself, and upkeep is about weeks."""


@dataclass(frozen=True, slots=True)
class RunTimes:
    """New York times of the day from the settings: when the evening and the morning run are due, and when open interest
    is published and no longer asked for."""

    eod_at: time
    open_interest_at: time
    published_at: time
    reread_until: time


@dataclass(frozen=True, slots=True)
class Window:
    """What one DAG's backfill covers; ``runs`` of ``days``, from the first instant to the last, both included."""

    dag_id: str
    days: tuple[date, ...]
    runs: int
    first: datetime
    last: datetime
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Run:
    """One run that could be made: from ``ready_at`` on, and only before ``gone_at``."""

    day: date
    name: str
    instant: datetime
    ready_at: datetime
    gone_at: datetime | None = None
    is_begun: bool = False


def sessions_of(first: date, last: date, calendar: SessionCalendar) -> tuple[TradingSession, ...]:
    """The sessions of a range.

    Raises
    ------
    BackfillRefused
        The range ends before it begins, or holds no session.
    """
    if first > last:
        raise BackfillRefused(f"FROM={first} is after TO={last}")
    sessions = tuple(calendar.sessions(first, last))
    if not sessions:
        span = f"{first:%A} {first} is" if first == last else f"{first} to {last} are"
        following = calendar.next_session(last).day
        raise BackfillRefused(f"{span} no session of XNYS: nothing was missed. The next session is {following}")
    return sessions


def check_begun(sessions: Sequence[TradingSession], now: datetime) -> tuple[TradingSession, ...]:
    """Those of the sessions that have begun.

    Raises
    ------
    BackfillRefused
        All of them lie in the future.
    """
    begun = tuple(session for session in sessions if session.open_utc <= now)
    if not begun:
        raise BackfillRefused(
            f"{sessions[0].day} lies in the future: it is {_new_york(now)}, and its first slot is at "
            f"{_new_york(sessions[0].open_utc)}. A backfill is for what is over"
        )
    return begun


def window_of(
    dag_id: str, first: date, last: date, calendar: SessionCalendar, now: datetime, times: RunTimes
) -> Window:
    """What a backfill of one DAG can do for the sessions ``first`` to ``last`` (both included) at the instant ``now``.

    Raises
    ------
    BackfillRefused
        Nothing of it can be done now; the message says when, or why never.
    """
    if dag_id == MAINTENANCE:
        return _by_date(first, last, now)
    sessions = check_begun(sessions_of(first, last, calendar), now)
    runs = [run for session in sessions for run in _runs_of(dag_id, session, calendar, now, times)]
    waiting = [run for run in runs if run.ready_at > now and run.is_begun]
    gone = [run for run in runs if run.gone_at is not None and run.gone_at <= now]
    kept = [run for run in runs if run.ready_at <= now and run not in gone]
    notes = [_why_waiting(dag_id, run) for run in waiting[:1]]
    if gone:
        notes.append(
            f"open interest of {_span(gone)} is left out: a newer session's is out, and IB keeps no history of it"
        )
    if not kept:
        raise BackfillRefused(f"{dag_id}: " + "; ".join(notes or [f"nothing of {first} to {last} is over yet"]))
    if dag_id == INTRADAY:
        begin, end = kept[0].instant, kept[-1].instant
    else:
        begin, end = _day_begins(kept[0].day), _day_begins(kept[-1].day + timedelta(days=1)) - timedelta(seconds=1)
    return Window(dag_id, tuple(dict.fromkeys(run.day for run in kept)), len(kept), begin, end, tuple(notes))


def _by_date(first: date, last: date, now: datetime) -> Window:
    """Upkeep runs by the calendar, not by sessions; a run to come is no backfill."""
    if first > last:
        raise BackfillRefused(f"FROM={first} is after TO={last}")
    end = min(_day_begins(last + timedelta(days=1)) - timedelta(seconds=1), now)
    if _day_begins(first) > now:
        raise BackfillRefused(f"{first} lies in the future: it is {_new_york(now)}")
    days = tuple(first + timedelta(days=offset) for offset in range((last - first).days + 1))
    return Window(MAINTENANCE, days, 0, _day_begins(first), end)


def _runs_of(
    dag_id: str, session: TradingSession, calendar: SessionCalendar, now: datetime, times: RunTimes
) -> Sequence[_Run]:
    day = session.day
    if dag_id == INTRADAY:
        return [
            _Run(day, f"slot {slot.label} of {day}", slot.instant_utc, slot.ends_utc, is_begun=slot.instant_utc <= now)
            for slot in slot_grid(session)
        ]
    if dag_id == OPEN_INTEREST:
        window = open_interest_window(
            session, calendar, published_at=times.published_at, deadline_at=times.reread_until
        )
        morning = datetime.combine(calendar.next_session(day).day, times.open_interest_at, NEW_YORK)
        return [_Run(day, f"open interest of {day}", session.open_utc, morning, window.closes, is_begun=True)]
    ready_at = datetime.combine(day, times.eod_at, NEW_YORK) if dag_id == EOD else session.close_utc
    return [_Run(day, str(day), session.open_utc, ready_at, is_begun=True)]


def _why_waiting(dag_id: str, run: _Run) -> str:
    at = _new_york(run.ready_at)
    if dag_id == INTRADAY:
        return f"{run.name} lasts until {at}: it belongs to its own run, a backfill can rebuild it from then on"
    return f"{run.name} is left out: its own run comes at {at}" if dag_id != DISCOVERY else f"{run.name} ends at {at}"


def _span(runs: Sequence[_Run]) -> str:
    first, last = runs[0].day, runs[-1].day
    return str(first) if first == last else f"{first} to {last}"


def _day_begins(day: date) -> datetime:
    return datetime.combine(day, time(0), NEW_YORK).astimezone(UTC)


def _new_york(instant: datetime) -> str:
    return f"{instant.astimezone(NEW_YORK):%Y-%m-%d %H:%M} New York"
