"""The timetables' answers to Airflow, against the exchange's published days (tests/data/calendar).

Over 400 lines because both timetables answer the same questions and are held to the same days.
"""

import csv
import itertools
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pendulum
import pytest
from airflow.exceptions import AirflowTimetableInvalid
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable
from hypothesis import given
from hypothesis import strategies as st

from opt_data.calendars import default_calendar
from opt_data.core.slots import slot_grid
from opt_data.timetables.sessions import SessionTimetable
from opt_data.timetables.slots import SlotTimetable

DATA = Path(__file__).parents[1] / "data" / "calendar"
ONE_DAY = timedelta(days=1)

instants = st.datetimes(min_value=datetime(2024, 1, 2), max_value=datetime(2027, 12, 30), timezones=st.just(UTC))


class StoppedClock:
    """Always says the same instant."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> datetime:
        return self._at

    def monotonic(self) -> float:
        return 0.0


def at(text: str) -> pendulum.DateTime:
    return pendulum.instance(datetime.fromisoformat(text).replace(tzinfo=UTC))


def catch_up(earliest: str, latest: str) -> TimeRestriction:
    return TimeRestriction(at(earliest), at(latest), catchup=True)


def ahead(timetable: Timetable, restriction: TimeRestriction) -> list[DagRunInfo]:
    """Every run from the restriction's beginning to its end, as Airflow's backfill asks for them."""
    infos: list[DagRunInfo] = []
    last = None
    while (info := timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)) is not None:
        assert len(infos) < 5_000, "the timetable does not come to an end"
        infos.append(info)
        last = info.data_interval
    return infos


def next_without_catch_up(
    make: Callable[..., Timetable], now: str, last: str | None = None, earliest: str | None = "2025-01-02T00:00"
) -> DagRunInfo | None:
    """What Airflow would plan at ``now``, after a run whose interval starts at ``last``."""
    timetable = make(clock=StoppedClock(at(now)))
    return timetable.next_dagrun_info(
        last_automated_data_interval=DataInterval.exact(at(last)) if last else None,
        restriction=TimeRestriction(at(earliest) if earliest else None, None, catchup=False),
    )


def discovery(**injected: object) -> SessionTimetable:
    return SessionTimetable(anchor="open", offset_min=-5, **injected)  # type: ignore[arg-type]


with (DATA / "session_hours.csv").open(newline="") as _file:
    HOURS = list(csv.DictReader(_file))


# ---- slots: which runs exist ------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", HOURS, ids=lambda row: f"{row['date']} {row['note']}")
def test_slots_of_published_days(row: dict[str, str]) -> None:
    day = date.fromisoformat(row["date"])

    infos = ahead(SlotTimetable(), catch_up(f"{day}T00:00", f"{day + ONE_DAY}T00:00"))

    opens, closes = datetime.fromisoformat(row["open_utc"]), datetime.fromisoformat(row["close_utc"])
    assert [info.logical_date for info in infos] == [
        opens + timedelta(minutes=30 * index) for index in range(int(row["slots"]))
    ]
    assert infos[-1].logical_date == closes


def test_no_slots_on_thanksgiving() -> None:
    assert ahead(SlotTimetable(), catch_up("2025-11-27T00:00", "2025-11-28T00:00")) == []


@pytest.mark.parametrize(
    ("monday", "opens"),
    [
        pytest.param("2025-03-03", "14 14 14 14 14 | 13 13 13 13 13", id="clocks go forward on 2025-03-09"),
        pytest.param("2025-10-27", "13 13 13 13 13 | 14 14 14 14 14", id="clocks go back on 2025-11-02"),
        pytest.param("2026-03-02", "14 14 14 14 14 | 13 13 13 13 13", id="clocks go forward on 2026-03-08"),
        pytest.param("2026-10-26", "13 13 13 13 13 | 14 14 14 14 14", id="clocks go back on 2026-11-01"),
    ],
)
def test_two_weeks_around_a_clock_change(monday: str, opens: str) -> None:
    first = at(f"{monday}T00:00")

    infos = ahead(SlotTimetable(), TimeRestriction(first, first.add(days=14), catchup=True))

    assert len(infos) == 10 * 14
    assert [info.logical_date.hour for info in infos[::14] if info.logical_date] == [
        int(hour) for hour in opens.replace("|", "").split()
    ]


def test_a_slot_run_is_exactly_its_instant() -> None:
    [info] = ahead(SlotTimetable(), catch_up("2025-11-28T15:00", "2025-11-28T15:29"))

    assert info == DagRunInfo.exact(at("2025-11-28T15:00"))
    assert info.run_after.timezone_name == "UTC"


def test_both_ends_of_the_restriction_belong_to_it() -> None:
    infos = ahead(SlotTimetable(), catch_up("2025-11-28T15:00", "2025-11-28T16:00"))

    assert [info.logical_date for info in infos] == [at(f"2025-11-28T{time}") for time in ("15:00", "15:30", "16:00")]


def test_catch_up_without_a_start_has_nothing_to_begin_with() -> None:
    restriction = TimeRestriction(None, None, catchup=True)

    assert SlotTimetable().next_dagrun_info(last_automated_data_interval=None, restriction=restriction) is None


@given(start=instants, days=st.integers(0, 12))
def test_slot_runs_are_strictly_increasing_and_equal_the_slots_between(start: datetime, days: int) -> None:
    end = start + ONE_DAY * days

    infos = ahead(SlotTimetable(), TimeRestriction(pendulum.instance(start), pendulum.instance(end), catchup=True))

    sessions = default_calendar().sessions((start - ONE_DAY).date(), (end + ONE_DAY).date())
    between = [s.instant_utc for session in sessions for s in slot_grid(session) if start <= s.instant_utc <= end]
    dates = [info.logical_date for info in infos]
    assert dates == between
    assert all(earlier < later for earlier, later in itertools.pairwise(dates))  # type: ignore[operator]


# ---- slots: without catch-up ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "planned"),
    [
        pytest.param("2025-11-28T15:10", "2025-11-28T15:00", id="inside a slot: that slot"),
        pytest.param("2025-11-28T15:00", "2025-11-28T15:00", id="at a slot's instant: that slot"),
        pytest.param("2025-11-28T18:29", "2025-11-28T18:00", id="in the half hour after the close: the last slot"),
        pytest.param("2025-11-28T18:30", "2025-12-01T14:30", id="half an hour after the close: the next open"),
        pytest.param("2025-11-28T14:29", "2025-11-28T14:30", id="before the open: the open"),
        pytest.param("2025-11-27T17:00", "2025-11-28T14:30", id="on a holiday: the next open"),
        pytest.param("2025-11-30T12:00", "2025-12-01T14:30", id="on a Sunday: the next open"),
    ],
)
def test_the_first_unpausing_creates_at_most_the_running_slot(now: str, planned: str) -> None:
    info = next_without_catch_up(SlotTimetable, now)

    assert info == DagRunInfo.exact(at(planned))


def test_the_first_unpausing_leads_to_one_run_that_is_due() -> None:
    now = "2025-11-28T15:10"

    first = next_without_catch_up(SlotTimetable, now)
    assert first is not None
    second = next_without_catch_up(SlotTimetable, now, last=first.run_after.isoformat()[:16])

    assert second is not None
    assert first.run_after <= at(now) < second.run_after


@pytest.mark.parametrize(
    ("last", "now", "planned"),
    [
        pytest.param("2025-11-28T15:00", "2025-11-28T15:10", "2025-11-28T15:30", id="nothing missed"),
        pytest.param("2025-11-28T15:00", "2025-11-28T15:30:01", "2025-11-28T15:30", id="due and not yet created"),
        pytest.param("2025-11-28T15:00", "2025-11-28T17:10", "2025-11-28T15:30", id="outage: the first slot missed"),
        pytest.param("2025-11-26T21:00", "2025-11-28T17:10", "2025-11-28T14:30", id="outage since before the open"),
        pytest.param("2025-11-24T16:00", "2025-11-28T17:10", "2025-11-28T14:30", id="of older sessions nothing"),
        pytest.param("2025-11-28T15:00", "2025-11-28T18:29", "2025-11-28T15:30", id="until the last slot is over"),
        pytest.param("2025-11-28T15:00", "2025-11-28T18:30", "2025-12-01T14:30", id="afterwards: the next open"),
        pytest.param("2025-11-28T15:00", "2025-11-29T12:00", "2025-12-01T14:30", id="outage past the session"),
        pytest.param("2025-11-28T18:00", "2025-11-28T15:10", "2025-12-01T14:30", id="last run ahead of the clock"),
    ],
)
def test_what_follows_a_run(last: str, now: str, planned: str) -> None:
    assert next_without_catch_up(SlotTimetable, now, last=last) == DagRunInfo.exact(at(planned))


def test_after_an_outage_every_missed_slot_of_the_running_session_is_created_and_then_the_next_to_come() -> None:
    now, last, planned = "2025-11-28T17:10", "2025-11-26T19:30", []

    while (info := next_without_catch_up(SlotTimetable, now, last=last)) is not None and info.run_after <= at(now):
        last = info.run_after.isoformat()[:16]
        planned.append(last)

    assert planned == [f"2025-11-28T{time}" for time in ("14:30", "15:00", "15:30", "16:00", "16:30", "17:00")]
    assert info == DagRunInfo.exact(at("2025-11-28T17:30"))


def test_a_start_date_in_the_future_is_waited_for() -> None:
    info = next_without_catch_up(SlotTimetable, "2025-11-28T15:10", earliest="2025-12-03T15:01")

    assert info == DagRunInfo.exact(at("2025-12-03T15:30"))


def test_without_a_start_date_the_running_slot_is_planned() -> None:
    assert next_without_catch_up(SlotTimetable, "2025-11-28T15:10", earliest=None) == DagRunInfo.exact(
        at("2025-11-28T15:00")
    )


def test_past_the_end_date_nothing_is_planned() -> None:
    timetable = SlotTimetable(clock=StoppedClock(at("2025-11-28T15:10")))

    restriction = TimeRestriction(at("2025-01-02T00:00"), at("2025-11-28T14:59"), catchup=False)

    assert timetable.next_dagrun_info(last_automated_data_interval=None, restriction=restriction) is None


@given(now=instants, ask_again_after_s=st.integers(0, 29 * 60))
def test_a_due_run_stays_planned_until_it_is_created(now: datetime, ask_again_after_s: int) -> None:
    """Airflow asks at every parse and keeps the last answer: rounding the clock up would lose the running slot."""
    restriction = TimeRestriction(None, None, catchup=False)

    def planned(moment: datetime) -> DagRunInfo:
        timetable = SlotTimetable(clock=StoppedClock(moment))
        info = timetable.next_dagrun_info(last_automated_data_interval=None, restriction=restriction)
        assert info is not None
        return info

    first = planned(now)
    again = planned(max(now, first.run_after) + timedelta(seconds=ask_again_after_s))

    due_and_not_over = max(now, first.run_after) + timedelta(seconds=ask_again_after_s) < first.run_after + timedelta(
        minutes=30
    )
    assert (again == first) if due_and_not_over else (again.run_after > first.run_after)


# ---- sessions ---------------------------------------------------------------------------------------------------


def test_discovery_runs_five_minutes_before_every_open() -> None:
    infos = ahead(discovery(), catch_up("2025-11-24T00:00", "2025-12-02T00:00"))

    assert [info.run_after for info in infos] == [
        at(f"2025-{day}T14:25") for day in ("11-24", "11-25", "11-26", "11-28", "12-01")
    ]


def test_a_run_before_the_open_starts_its_interval_then_and_ends_it_at_the_close() -> None:
    [info] = ahead(discovery(), catch_up("2025-11-28T00:00", "2025-11-29T00:00"))

    assert info.data_interval == DataInterval(at("2025-11-28T14:25"), at("2025-11-28T18:00"))
    assert info.logical_date == info.run_after == at("2025-11-28T14:25")


def test_a_run_after_the_close_has_the_session_as_its_interval() -> None:
    timetable = SessionTimetable(anchor="close", offset_min=15)

    [info] = ahead(timetable, catch_up("2025-11-28T00:00", "2025-11-29T00:00"))

    assert info.run_after == at("2025-11-28T18:15")
    assert info.data_interval == DataInterval(at("2025-11-28T14:30"), at("2025-11-28T18:00"))


@given(
    start=instants,
    days=st.integers(0, 30),
    timetable=st.builds(SessionTimetable, anchor=st.sampled_from(["open", "close"]), offset_min=st.integers(-180, 180)),
)
def test_session_runs_are_one_a_session_in_order(start: datetime, days: int, timetable: SessionTimetable) -> None:
    end = start + ONE_DAY * days

    infos = ahead(timetable, TimeRestriction(pendulum.instance(start), pendulum.instance(end), catchup=True))

    new_york_dates = [info.logical_date.in_timezone("America/New_York").date() for info in infos if info.logical_date]
    sessions = default_calendar().sessions((start - ONE_DAY).date(), (end + ONE_DAY).date())
    inside = [s.day for s in sessions if start.date() < s.day < end.date()]
    assert [day for day in new_york_dates if start.date() < day < end.date()] == inside
    assert len(set(new_york_dates)) == len(new_york_dates)
    for info in infos:
        assert info.data_interval is not None
        assert start <= info.data_interval.start <= end
        assert info.data_interval.start <= info.run_after, "Airflow holds back tasks of a future logical date"


@pytest.mark.parametrize(
    ("now", "planned"),
    [
        pytest.param("2025-11-28T14:24", "2025-11-28T14:25", id="before its moment: today"),
        pytest.param("2025-11-28T16:00", "2025-11-28T14:25", id="while the session runs: today, at once"),
        pytest.param("2025-11-28T18:00", "2025-12-01T14:25", id="after the close: the next session"),
        pytest.param("2025-11-27T16:00", "2025-11-28T14:25", id="on a holiday: the next session"),
    ],
)
def test_the_first_unpausing_of_discovery(now: str, planned: str) -> None:
    info = next_without_catch_up(discovery, now)

    assert info is not None
    assert info.run_after == at(planned)


@pytest.mark.parametrize(
    ("last", "now", "planned"),
    [
        pytest.param("2025-11-26T14:25", "2025-11-28T16:00", "2025-11-28T14:25", id="missed today: at once"),
        pytest.param("2025-11-24T14:25", "2025-11-28T16:00", "2025-11-28T14:25", id="missed for days: today only"),
        pytest.param("2025-11-28T14:25", "2025-11-28T16:00", "2025-12-01T14:25", id="nothing missed"),
    ],
)
def test_discovery_after_an_outage(last: str, now: str, planned: str) -> None:
    info = next_without_catch_up(discovery, now, last=last)

    assert info is not None
    assert info.run_after == at(planned)


def test_a_run_after_the_close_is_still_due_in_the_evening() -> None:
    info = next_without_catch_up(lambda **kw: SessionTimetable(anchor="close", offset_min=90, **kw), "2025-11-29T01:00")

    assert info is not None
    assert info.run_after == at("2025-11-28T19:30")


def test_a_changed_offset_does_not_run_the_same_session_twice() -> None:
    info = next_without_catch_up(
        lambda **kw: SessionTimetable(anchor="open", offset_min=-5, **kw),
        "2025-11-26T14:22",
        last="2025-11-26T14:20",
    )

    assert info is not None
    assert info.run_after == at("2025-11-28T14:25")


# ---- runs by hand -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moment", "slot"),
    [
        pytest.param("2025-11-28T15:10", "2025-11-28T15:00", id="inside a slot"),
        pytest.param("2025-11-28T14:30", "2025-11-28T14:30", id="at the open"),
        pytest.param("2025-11-28T14:29", "2025-11-26T21:00", id="before the open, after a holiday"),
        pytest.param("2025-11-29T12:00", "2025-11-28T18:00", id="weekend"),
    ],
)
def test_a_manual_run_belongs_to_the_newest_slot_that_has_begun(moment: str, slot: str) -> None:
    interval = SlotTimetable().infer_manual_data_interval(run_after=at(moment))

    assert interval == DataInterval.exact(at(slot))


@pytest.mark.parametrize(
    ("moment", "start"),
    [
        pytest.param("2025-11-28T14:24", "2025-11-26T14:25", id="before discovery time: the session before"),
        pytest.param("2025-11-28T14:26", "2025-11-28T14:25", id="between discovery time and the open: today"),
        pytest.param("2025-11-29T12:00", "2025-11-28T14:25", id="weekend: the last session"),
    ],
)
def test_a_manual_discovery_belongs_to_the_newest_session_that_has_begun(moment: str, start: str) -> None:
    assert discovery().infer_manual_data_interval(run_after=at(moment)).start == at(start)


@pytest.mark.parametrize("timetable", [SlotTimetable(), discovery()], ids=repr)
def test_a_manual_run_before_the_covered_years_is_refused(timetable: Timetable) -> None:
    with pytest.raises(ValueError, match="covers 2000-01-01 to 2030-12-31"):
        timetable.infer_manual_data_interval(run_after=at("1999-06-01T15:00"))


# ---- at a New York time -----------------------------------------------------------------------------------------


def test_a_time_of_day_is_new_yorks_in_summer_and_winter_and_on_early_days() -> None:
    runs = ahead(SessionTimetable(at="17:30"), catch_up("2025-11-26T00:00", "2025-12-01T23:00"))
    summer = ahead(SessionTimetable(at="17:30"), catch_up("2025-07-03T00:00", "2025-07-07T00:00"))

    # Thanksgiving has no session; the day after closes at 13:00, and so does July 3.
    assert [str(run.run_after) for run in runs] == [
        "2025-11-26 22:30:00+00:00", "2025-11-28 22:30:00+00:00", "2025-12-01 22:30:00+00:00",
    ]  # fmt: skip
    assert str(runs[1].data_interval.start) == "2025-11-28 14:30:00+00:00"
    assert str(runs[1].data_interval.end) == "2025-11-28 18:00:00+00:00"
    assert [str(run.run_after) for run in summer] == ["2025-07-03 21:30:00+00:00"]


def test_the_evening_after_a_missed_run_still_creates_it() -> None:
    info = next_without_catch_up(lambda **kw: SessionTimetable(at="17:30", **kw), "2025-11-25T03:00")

    assert info is not None
    assert str(info.data_interval.start) == "2025-11-24 14:30:00+00:00"


@pytest.mark.parametrize("at", ["17", "5:30", "24:00", "17:30:00", "close"])
def test_a_time_of_day_that_is_none_is_refused(at: str) -> None:
    with pytest.raises(ValueError):
        SessionTimetable(at=at)
    with pytest.raises(ValueError, match="time by itself"):
        SessionTimetable(at="17:30", offset_min=5)


# ---- parameters, serialization, words for the UI ----------------------------------------------------------------


@pytest.mark.parametrize(
    "timetable",
    [
        SlotTimetable(),
        SessionTimetable(),
        discovery(),
        SessionTimetable(anchor="close", offset_min=90),
        SessionTimetable(at="17:30"),
    ],
    ids=repr,
)
def test_a_round_trip_keeps_the_parameters_and_the_runs(timetable: Timetable) -> None:
    restriction = catch_up("2025-11-24T00:00", "2025-12-02T00:00")

    copy = type(timetable).deserialize(timetable.serialize())

    assert copy == timetable
    assert hash(copy) == hash(timetable)
    assert (copy.summary, copy.description) == (timetable.summary, timetable.description)
    assert ahead(copy, restriction) == ahead(timetable, restriction)


def test_timetables_with_other_parameters_differ() -> None:
    assert SessionTimetable(offset_min=-5) != SessionTimetable(offset_min=-10)
    assert SessionTimetable() != SlotTimetable()
    assert SessionTimetable(at="17:30") != SessionTimetable(at="17:00")


@pytest.mark.parametrize(
    ("timetable", "summary"),
    [
        pytest.param(SlotTimetable(), "XNYS slots", id="slots"),
        pytest.param(discovery(), "XNYS open - 5 min", id="discovery"),
        pytest.param(SessionTimetable(anchor="close", offset_min=15), "XNYS close + 15 min", id="after the close"),
        pytest.param(SessionTimetable(anchor="close"), "XNYS close", id="at the close"),
        pytest.param(SessionTimetable(at="17:30"), "XNYS 17:30 New York", id="at a time"),
    ],
)
def test_the_summary_for_the_grid(timetable: Timetable, summary: str) -> None:
    assert timetable.summary == summary


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        pytest.param({"anchor": "noon"}, "anchor 'noon' is none of open, close", id="anchor"),
        pytest.param({"anchor": "open", "offset_min": -600}, "offset_min -600 is not between", id="the day before"),
        pytest.param({"anchor": "close", "offset_min": 480}, "offset_min 480 is not between", id="the day after"),
    ],
)
def test_impossible_parameters_are_refused(arguments: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        SessionTimetable(**arguments)  # type: ignore[arg-type]


def test_a_bad_overrides_file_is_refused_while_parsing_and_to_a_person_who_triggers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "overrides.csv"
    path.write_text("date,kind,close_et,reason,source,known_at\n2025-11-28,shut,,Storm,,\n")
    monkeypatch.setenv("OPT_DATA__CALENDAR__OVERRIDES_FILE", str(path))

    with pytest.raises(AirflowTimetableInvalid, match=r"overrides\.csv:2: kind 'shut' is none of"):
        SlotTimetable().validate()
    with pytest.raises(ValueError, match=r"overrides\.csv:2: kind 'shut' is none of"):
        SlotTimetable().infer_manual_data_interval(run_after=at("2025-11-28T15:10"))


def test_a_closure_announced_during_the_day_ends_its_slots(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "overrides.csv"
    path.write_text("date,kind,close_et,reason,source,known_at\n")
    monkeypatch.setenv("OPT_DATA__CALENDAR__OVERRIDES_FILE", str(path))
    timetable = SlotTimetable()
    restriction = catch_up("2026-03-11T00:00", "2026-03-12T00:00")
    full_day = ahead(timetable, restriction)

    path.write_text(
        "date,kind,close_et,reason,source,known_at\n2026-03-11,early_close,12:15,Power failure,NYSE notice,\n"
    )
    shortened = ahead(timetable, restriction)

    assert len(full_day) == 14
    assert [info.run_after for info in shortened[-2:]] == [at("2026-03-11T16:00"), at("2026-03-11T16:15")]
