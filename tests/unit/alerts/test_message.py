"""The message about a missed deadline: everything a person on call needs, nothing guessed."""

from dataclasses import replace
from datetime import UTC, date, datetime

from opt_data.alerts.message import MissedDeadline, record, subject, text

MISSED = MissedDeadline(
    dag_id="opt_data_intraday",
    run_id="scheduled__2025-11-24T15:00:00+00:00",
    logical_date=datetime(2025, 11, 24, 15, 0, tzinfo=UTC),
    state="running",
    due=datetime(2025, 11, 24, 15, 20, tzinfo=UTC),
    noticed_at=datetime(2025, 11, 24, 15, 20, 2, 500000, tzinfo=UTC),
    promise="20 min after the slot",
    ui_address="https://airflow.example.org/",
)


def test_the_line_says_what_was_due_when_in_new_york() -> None:
    assert subject(MISSED) == (
        "opt_data_intraday missed its deadline: the run of 2025-11-24 10:00 is running, "
        "it was due at 2025-11-24 10:20 New York (20 min after the slot)"
    )


def test_the_text_opens_with_the_line_and_links_to_the_run() -> None:
    lines = text(MISSED).splitlines()

    assert lines[0] == subject(MISSED)
    assert (
        "https://airflow.example.org/dags/opt_data_intraday/runs/scheduled__2025-11-24T15%3A00%3A00%2B00%3A00"
        in (lines[2])
    )


def test_without_an_address_there_is_no_link() -> None:
    assert "Open:" not in text(replace(MISSED, ui_address=""))


def test_a_run_without_a_date_says_so() -> None:
    assert "the run of no date is running" in subject(replace(MISSED, logical_date=None))


def test_the_record_holds_values_and_the_day_is_new_yorks() -> None:
    late_in_the_evening = replace(MISSED, due=datetime(2025, 11, 25, 0, 0, tzinfo=UTC))

    assert late_in_the_evening.day == date(2025, 11, 24)
    assert record(MISSED)["late_s"] == 2.5
    assert record(MISSED)["due"] == MISSED.due
