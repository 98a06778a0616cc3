"""Which runs a backfill covers at a given time: sessions of the real calendar, instants written out by hand."""

from datetime import UTC, date, datetime, time

import pytest

from opt_data.calendars.xnys import XnysCalendar
from tools.backfill.errors import BackfillRefused
from tools.backfill.window import DISCOVERY, EOD, INTRADAY, MAINTENANCE, OPEN_INTEREST, RunTimes, window_of

CALENDAR = XnysCalendar()
TIMES = RunTimes(eod_at=time(17, 30), open_interest_at=time(7, 30), published_at=time(6, 30), reread_until=time(9))
MONDAY, WEDNESDAY, THANKSGIVING, FRIDAY = (date(2025, 11, day) for day in (24, 26, 27, 28))
NEXT_MONDAY = date(2025, 12, 1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def window(dag_id, first, last, now):
    return window_of(dag_id, first, last, CALENDAR, utc(now), TIMES)


def refused(dag_id, first, last, now) -> str:
    with pytest.raises(BackfillRefused) as refusal:
        window(dag_id, first, last, now)
    return str(refusal.value)


def test_a_week_with_a_holiday_and_an_early_close_counts_its_slots_and_both_ends():
    week = window(INTRADAY, MONDAY, FRIDAY, "2025-11-29T12:00")

    assert [day.day for day in week.days] == [24, 25, 26, 28]
    assert week.runs == 3 * 14 + 8
    assert (week.first, week.last) == (utc("2025-11-24T14:30"), utc("2025-11-28T18:00"))
    assert week.notes == ()


def test_daylight_saving_moves_the_instants_not_the_dates():
    summer = window(INTRADAY, date(2025, 10, 31), date(2025, 11, 3), "2025-11-10T12:00")

    assert (summer.first, summer.last) == (utc("2025-10-31T13:30"), utc("2025-11-03T21:00"))


def test_the_running_slot_belongs_to_its_own_run():
    running = window(INTRADAY, MONDAY, MONDAY, "2025-11-24T16:40")

    assert running.last == utc("2025-11-24T16:00")
    assert running.notes == (
        "slot 11:30 of 2025-11-24 lasts until 2025-11-24 12:00 New York: it belongs to its own run, a backfill can "
        "rebuild it from then on",
    )
    assert window(INTRADAY, MONDAY, MONDAY, "2025-11-24T17:00").last == utc("2025-11-24T16:30")


def test_the_first_slot_of_the_day_running_leaves_nothing_to_do():
    assert "slot 09:30 of 2025-11-24 lasts until" in refused(INTRADAY, MONDAY, MONDAY, "2025-11-24T14:45")


def test_after_the_last_slot_the_session_is_whole():
    assert window(INTRADAY, MONDAY, MONDAY, "2025-11-24T21:29").runs == 13
    assert window(INTRADAY, MONDAY, MONDAY, "2025-11-24T21:30").runs == 14


@pytest.mark.parametrize("dag_id", [DISCOVERY, INTRADAY, EOD, OPEN_INTEREST])
def test_what_no_dag_can_do_is_refused_with_what_can_be_done(dag_id):
    now = "2025-11-24T12:00"

    assert refused(dag_id, FRIDAY, MONDAY, now) == "FROM=2025-11-28 is after TO=2025-11-24"
    assert refused(dag_id, THANKSGIVING, THANKSGIVING, now) == (
        "Thursday 2025-11-27 is no session of XNYS: nothing was missed. The next session is 2025-11-28"
    )
    weekend = refused(dag_id, date(2025, 11, 29), date(2025, 11, 30), now)
    assert weekend.startswith("2025-11-29 to 2025-11-30 are no session of XNYS")
    assert weekend.endswith("The next session is 2025-12-01")
    assert "2025-12-01 lies in the future: it is 2025-11-24 07:00 New York" in refused(
        dag_id, NEXT_MONDAY, NEXT_MONDAY, now
    )


def test_the_evening_run_of_today_is_left_to_its_own_time():
    assert "its own run comes at 2025-11-24 17:30 New York" in refused(EOD, MONDAY, MONDAY, "2025-11-24T22:29")
    evening = window(EOD, date(2025, 11, 21), MONDAY, "2025-11-24T22:30")

    assert (evening.runs, evening.first, evening.last) == (2, utc("2025-11-21T05:00"), utc("2025-11-25T04:59:59"))


def test_open_interest_is_asked_for_only_while_ib_shows_that_sessions():
    wednesday = window(OPEN_INTEREST, MONDAY, WEDNESDAY, "2025-11-28T13:00")

    assert wednesday.days == (WEDNESDAY,)
    assert wednesday.notes == (
        "open interest of 2025-11-24 to 2025-11-25 is left out: a newer session's is out, and IB keeps no history of "
        "it",
    )
    assert "a newer session's is out" in refused(OPEN_INTEREST, MONDAY, WEDNESDAY, "2025-12-01T11:30")
    assert "its own run comes at 2025-11-28 07:30 New York" in refused(
        OPEN_INTEREST, WEDNESDAY, WEDNESDAY, "2025-11-28T12:29"
    )


def test_upkeep_goes_by_dates_not_by_sessions():
    saturday = date(2025, 11, 29)
    upkeep = window(MAINTENANCE, saturday, saturday, "2025-12-01T12:00")

    assert (upkeep.first, upkeep.last) == (utc("2025-11-29T05:00"), utc("2025-11-30T04:59:59"))
    assert "lies in the future" in refused(MAINTENANCE, saturday, saturday, "2025-11-28T12:00")
