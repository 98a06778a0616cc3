"""The steps of the demo's day: what runs, and what time it is in the simulated market then."""

from datetime import UTC, date, datetime, time

import pytest

from opt_data.calendars import default_calendar
from opt_data.core.sessions import NEW_YORK, SessionCalendar
from tools.demo.day_plan import INTRADAY, Action, DayPlan, Hours, plan_day, require_enough, session_to_show
from tools.demo.errors import DemoFailed

MONDAY = date(2025, 11, 24)
HOURS = Hours(discovery_before_open_min=5, eod_at=time(17, 30), open_interest_at=time(7, 30))


@pytest.fixture(scope="module")
def calendar() -> SessionCalendar:
    return default_calendar()


def plan(calendar: SessionCalendar, day: date = MONDAY, slots: int | None = None) -> DayPlan:
    return plan_day(calendar.session(day), calendar.next_session(day), HOURS, slots)


def moments(shown: DayPlan) -> list[str]:
    return [f"{step.moment.astimezone(NEW_YORK):%m-%d %H:%M} {step.action} {step.dag_id}" for step in shown.steps]


def test_a_whole_day_from_discovery_to_upkeep(calendar: SessionCalendar) -> None:
    whole = plan(calendar)

    assert moments(whole) == [
        "11-24 09:25 run opt_data_discovery",
        "11-24 09:30 run opt_data_intraday",
        "11-24 10:00 run opt_data_intraday",
        "11-24 10:30 run opt_data_intraday",
        "11-24 11:00 run opt_data_intraday",
        "11-24 11:30 miss opt_data_intraday",
        "11-24 12:00 run opt_data_intraday",
        "11-24 12:30 run opt_data_intraday",
        "11-24 13:00 run opt_data_intraday",
        "11-24 13:30 run opt_data_intraday",
        "11-24 14:00 run opt_data_intraday",
        "11-24 14:30 run opt_data_intraday",
        "11-24 15:00 run opt_data_intraday",
        "11-24 15:30 run opt_data_intraday",
        "11-24 16:00 run opt_data_intraday",
        "11-24 16:45 backfill opt_data_intraday",
        "11-24 17:30 run opt_data_eod",
        "11-25 07:30 run opt_data_open_interest",
        "11-29 09:00 run opt_data_maintenance",
    ]
    assert whole.left_out == 0


def test_runs_of_slots_belong_to_their_slot_and_those_of_the_day_to_its_open(calendar: SessionCalendar) -> None:
    whole = plan(calendar)
    at_open = datetime(2025, 11, 24, 14, 30, tzinfo=UTC)

    slots = [step for step in whole.steps if step.dag_id == INTRADAY and step.action is not Action.BACKFILL]
    assert [step.logical_date for step in slots] == [slot.instant_utc for slot in whole.slots]
    assert all(step.moment == step.logical_date for step in slots)
    assert [step.logical_date for step in whole.steps[-3:-1]] == [at_open, at_open]
    assert len({(step.dag_id, step.run_id) for step in whole.steps}) == len(whole.steps)


def test_the_backfill_is_for_the_whole_day_and_wants_the_missed_slot(calendar: SessionCalendar) -> None:
    backfill = plan(calendar).steps[-4]

    assert backfill.backfilled == (
        datetime(2025, 11, 24, 14, 30, tzinfo=UTC),
        datetime(2025, 11, 24, 21, 0, tzinfo=UTC),
    )
    assert backfill.logical_date == datetime(2025, 11, 24, 16, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("slots", "labels", "missed"),
    [
        (3, ["09:30", "10:00", "16:00"], "10:00"),
        (7, ["09:30", "10:00", "10:30", "11:00", "11:30", "12:00", "16:00"], "11:30"),
    ],
)
def test_a_shortened_day_begins_at_the_open_and_ends_at_the_close(
    slots: int, labels: list[str], missed: str, calendar: SessionCalendar
) -> None:
    short = plan(calendar, slots=slots)

    assert [slot.label for slot in short.slots] == labels
    assert short.missed.label == missed
    assert short.left_out == 14 - slots
    assert short.steps[-4].backfilled == (short.missed.instant_utc, short.missed.instant_utc)


def test_more_slots_than_there_are_is_the_whole_day(calendar: SessionCalendar) -> None:
    early_close = date(2025, 11, 28)

    whole = plan(calendar, early_close, slots=14)

    assert len(whole.slots) == 8
    assert whole.left_out == 0
    assert moments(whole)[-2:] == [
        "12-01 07:30 run opt_data_open_interest",
        "12-06 09:00 run opt_data_maintenance",
    ]


@pytest.mark.parametrize("slots", [2, 1, 0, -1])
def test_too_few_slots_are_refused(slots: int) -> None:
    with pytest.raises(DemoFailed, match="too few"):
        require_enough(slots)


@pytest.mark.parametrize("slots", [None, 3, 14])
def test_enough_slots_are_not(slots: int | None) -> None:
    require_enough(slots)


@pytest.mark.parametrize(
    ("upkeep", "day"),
    [
        pytest.param([], MONDAY, id="first start"),
        pytest.param([datetime(2025, 11, 29, 14, tzinfo=UTC)], date(2025, 12, 1), id="the week after"),
        pytest.param(
            [datetime(2025, 11, 29, 14, tzinfo=UTC), datetime(2026, 1, 17, 14, tzinfo=UTC)],
            date(2026, 1, 20),
            id="the newest counts, and a holiday Monday has no session",
        ),
    ],
)
def test_the_markets_time_never_runs_backwards(upkeep: list[datetime], day: date, calendar: SessionCalendar) -> None:
    assert session_to_show(upkeep, calendar).day == day
