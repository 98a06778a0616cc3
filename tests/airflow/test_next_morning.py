"""The timetable of mornings after, against the exchange's published days."""

import pytest
from airflow.timetables.base import DataInterval

from opt_data.timetables.next_morning import NextMorningTimetable
from tests.airflow.test_timetables import ahead, at, catch_up, next_without_catch_up


def morning(**injected: object) -> NextMorningTimetable:
    return NextMorningTimetable(at="07:30", **injected)  # type: ignore[arg-type]


def test_every_session_has_its_morning() -> None:
    """Thanksgiving 2025 is Thursday 27 November; the Friday after closes at 13:00."""
    infos = ahead(morning(), catch_up("2025-11-21T00:00", "2025-11-29T00:00"))

    assert [
        (str(info.data_interval.start), str(info.data_interval.end), str(info.run_after)[:16]) for info in infos
    ] == [
        (str(at(start)), str(at(end)), after)
        for start, end, after in (
            ("2025-11-21T14:30", "2025-11-21T21:00", "2025-11-24 07:30"),
            ("2025-11-24T14:30", "2025-11-24T21:00", "2025-11-25 07:30"),
            ("2025-11-25T14:30", "2025-11-25T21:00", "2025-11-26 07:30"),
            ("2025-11-26T14:30", "2025-11-26T21:00", "2025-11-28 07:30"),
            ("2025-11-28T14:30", "2025-11-28T18:00", "2025-12-01 07:30"),
        )
    ]


def test_half_past_seven_in_new_york_whatever_daylight_saving_says() -> None:
    infos = ahead(morning(), catch_up("2025-10-30T00:00", "2025-11-01T00:00"))

    assert [info.run_after for info in infos] == [at("2025-10-31T11:30"), at("2025-11-03T12:30")]


@pytest.mark.parametrize(
    ("now", "last", "start"),
    [
        pytest.param("2025-11-24T12:29", None, "2025-11-20T14:30", id="Monday before it: Thursday's is not over"),
        pytest.param("2025-11-24T12:31", None, "2025-11-21T14:30", id="Monday after it: Friday"),
        pytest.param("2025-11-25T02:00", None, "2025-11-21T14:30", id="Monday night: still Friday"),
        pytest.param("2025-11-24T12:31", "2025-11-21T14:30", "2025-11-24T14:30", id="already created: the next"),
        pytest.param("2025-11-27T20:00", "2025-11-20T14:30", "2025-11-25T14:30", id="after an outage: the newest only"),
    ],
)
def test_without_catch_up(now: str, last: str | None, start: str) -> None:
    info = next_without_catch_up(morning, now, last)

    assert info is not None
    assert info.data_interval.start == at(start)


@pytest.mark.parametrize(
    ("moment", "start"),
    [
        pytest.param("2025-11-25T12:31", "2025-11-24T14:30", id="after it: the session before"),
        pytest.param("2025-11-25T12:29", "2025-11-21T14:30", id="before it: what IB shows then"),
        pytest.param("2025-11-28T15:00", "2025-11-26T14:30", id="the day after Thanksgiving"),
        pytest.param("2025-11-24T14:30", "2025-11-24T14:30", id="exactly an open: that session"),
        pytest.param("2025-11-24T14:31", "2025-11-21T14:30", id="a minute later: the one whose morning has come"),
    ],
)
def test_a_run_by_hand_belongs_to_the_newest_session_whose_morning_has_come(moment: str, start: str) -> None:
    interval = morning().infer_manual_data_interval(run_after=at(moment))

    assert isinstance(interval, DataInterval)
    assert interval.start == at(start)


def test_a_round_trip_keeps_the_time_and_the_runs() -> None:
    restriction = catch_up("2025-11-24T00:00", "2025-12-02T00:00")

    copy = NextMorningTimetable.deserialize(morning().serialize())

    assert copy == morning()
    assert copy != NextMorningTimetable(at="08:00")
    assert (copy.summary, copy.description) == (morning().summary, morning().description)
    assert ahead(copy, restriction) == ahead(morning(), restriction)


def test_no_time_of_day_is_refused() -> None:
    with pytest.raises(ValueError, match="Invalid isoformat string"):
        NextMorningTimetable(at="half past seven")
