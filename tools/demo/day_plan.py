"""The simulated day as a list of steps: what Airflow runs, and what time the simulated market has when it does."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

from opt_data.core.sessions import NEW_YORK, SessionCalendar, TradingSession
from opt_data.core.slots import Slot, slot_grid
from tools.demo.errors import DemoFailed

FIRST_SESSION = date(2025, 11, 24)
FEWEST_SLOTS = 3
USUALLY_MISSED = 4

DISCOVERY = "opt_data_discovery"
INTRADAY = "opt_data_intraday"
EOD = "opt_data_eod"
OPEN_INTEREST = "opt_data_open_interest"
MAINTENANCE = "opt_data_maintenance"
DAGS = (DISCOVERY, INTRADAY, EOD, OPEN_INTEREST, MAINTENANCE)

BACKFILL_AFTER_CLOSE = timedelta(minutes=45)
UPKEEP_AT = time(9, 0)
SATURDAY = 5
OURS = "simulated_"


class Action(StrEnum):
    """How a step comes about: a run asked for by itself, by a backfill, or no run at all."""

    RUN = "run"
    MISS = "miss"
    BACKFILL = "backfill"


@dataclass(frozen=True, slots=True)
class Hours:
    """When the DAGs run: minutes before the open, and New York times."""

    discovery_before_open_min: int
    eod_at: time
    open_interest_at: time


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens.

    Attributes
    ----------
    moment
        What time it is in the simulated market when it happens.
    logical_date
        The run's logical date: what its data interval begins with.
    backfilled
        First and last logical date of a backfill; None for other actions.
    """

    action: Action
    title: str
    dag_id: str
    moment: datetime
    logical_date: datetime
    run_id: str
    backfilled: tuple[datetime, datetime] | None = None


@dataclass(frozen=True, slots=True)
class DayPlan:
    """A session to show: ``slots`` are those of the ledger at the end, the missed one included."""

    session: TradingSession
    slots: tuple[Slot, ...]
    missed: Slot
    left_out: int
    steps: tuple[Step, ...]


def session_to_show(upkeep_done: Sequence[datetime], calendar: SessionCalendar) -> TradingSession:
    """The session after the newest weekly upkeep that is done, so that the market's time never runs backwards."""
    if not upkeep_done:
        return calendar.session(FIRST_SESSION)
    return calendar.next_session(max(upkeep_done).astimezone(NEW_YORK).date())


def require_enough(slots_wanted: int | None) -> None:
    """Raise DemoFailed for fewer slots than can show a capture, a missed slot and the close."""
    if slots_wanted is not None and slots_wanted < FEWEST_SLOTS:
        raise DemoFailed(f"SLOTS={slots_wanted} is too few; an ordinary one, a missed one, the close: {FEWEST_SLOTS}")


def plan_day(
    session: TradingSession, next_session: TradingSession, hours: Hours, slots_wanted: int | None = None
) -> DayPlan:
    """Everything that happens from five minutes before the open to the upkeep of the week.

    Parameters
    ----------
    session, next_session
        The day, and the one on whose morning its open interest is read.
    hours
        When the DAGs run.
    slots_wanted
        So many slots instead of all, at least three: the first ones and the one at the close.
    """
    grid = slot_grid(session)
    count = min(slots_wanted or len(grid), len(grid))
    slots = (*grid[: count - 1], grid[-1])
    missed = slots[min(USUALLY_MISSED, count - 2)]
    before_open = session.open_utc - timedelta(minutes=hours.discovery_before_open_min)
    morning = _at(next_session.day, hours.open_interest_at)
    saturday = _at(_saturday_after(next_session.day), UPKEEP_AT)
    day = f"{OURS}{session.day}"
    steps = (
        Step(Action.RUN, "the day's contracts are frozen", DISCOVERY, before_open, before_open, day),
        *(_slot_step(slot, missed, day) for slot in slots),
        Step(
            Action.BACKFILL, f"the missed slot {missed.label} is backfilled", INTRADAY,
            session.close_utc + BACKFILL_AFTER_CLOSE, missed.instant_utc, "",
            (grid[0].instant_utc, grid[-1].instant_utc) if count == len(grid) else (missed.instant_utc,) * 2,
        ),
        Step(Action.RUN, "the day is closed, rolled up, adjusted", EOD,
             _at(session.day, hours.eod_at), session.open_utc, day),
        Step(Action.RUN, "next morning, open interest is read", OPEN_INTEREST, morning, session.open_utc, day),
        Step(Action.RUN, "the week's files are compacted", MAINTENANCE, saturday, saturday, day),
    )  # fmt: skip
    return DayPlan(session, slots, missed, len(grid) - count, steps)


def _slot_step(slot: Slot, missed: Slot, day: str) -> Step:
    run_id = f"{day}_{slot.label.replace(':', '')}"
    if slot == missed:
        title = f"slot {slot.label} is missed on purpose: nothing runs"
        return Step(Action.MISS, title, INTRADAY, slot.instant_utc, slot.instant_utc, run_id)
    title = f"slot {slot.label} is captured"
    return Step(Action.RUN, title, INTRADAY, slot.instant_utc, slot.instant_utc, run_id)


def _at(day: date, at: time) -> datetime:
    return datetime.combine(day, at, NEW_YORK).astimezone(UTC)


def _saturday_after(day: date) -> date:
    return day + timedelta(days=(SATURDAY - day.weekday()) % 7)
