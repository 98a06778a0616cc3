"""When open interest may be believed: worked by hand from the rules, no I/O."""

from datetime import UTC, date, datetime, time

import pytest

from opt_data.core.open_interest import (
    Baseline,
    Judgement,
    NextStep,
    ReadVerdict,
    judge_read,
    next_step,
    open_interest_window,
)
from tests.fakes.calendar import WeekdayCalendar

CONIDS = tuple(range(1, 21))
BEFORE = Baseline(dict.fromkeys(CONIDS, 100), is_previous=True)


def moved(count: int) -> dict[int, int | None]:
    """A read in which the first ``count`` of twenty contracts differ from the session before."""
    return {conid: 150 if conid <= count else 100 for conid in CONIDS}


def judge(latest, earlier=None, baseline=BEFORE, traded=CONIDS, *, is_proven=False) -> Judgement:
    return judge_read(latest, earlier, baseline=baseline, traded=traded, is_proven=is_proven)


@pytest.mark.parametrize(
    ("count", "verdict"),
    [
        pytest.param(0, ReadVerdict.NOT_ROLLED, id="none of 20 changed"),
        pytest.param(1, ReadVerdict.NOT_ROLLED, id="19 of 20 unchanged are 95 %"),
        pytest.param(2, ReadVerdict.MIXED, id="2 of 20 changed"),
        pytest.param(10, ReadVerdict.MIXED, id="half is not most"),
        pytest.param(11, ReadVerdict.ROLLED, id="11 of 20 changed"),
        pytest.param(20, ReadVerdict.ROLLED, id="all changed"),
    ],
)
def test_most_values_must_have_changed(count: int, verdict: ReadVerdict) -> None:
    judgement = judge(moved(count), moved(count))

    assert judgement.verdict is verdict
    assert judgement.accepted == (frozenset(CONIDS) if verdict is ReadVerdict.ROLLED else frozenset())


def test_one_read_proves_nothing() -> None:
    assert judge(moved(20)) == Judgement(ReadVerdict.FIRST_READ)


def test_only_contracts_that_traded_are_expected_to_move() -> None:
    values = moved(6)

    assert judge(values, values, traded=range(1, 7)).verdict is ReadVerdict.ROLLED
    assert judge(values, values).verdict is ReadVerdict.MIXED


def test_two_reads_that_differ_are_unstable() -> None:
    assert judge(moved(20), moved(18)) == Judgement(ReadVerdict.UNSTABLE)


def test_a_single_correction_does_not_hold_up_the_others() -> None:
    assert judge(moved(20), moved(19)) == Judgement(ReadVerdict.ROLLED, frozenset(CONIDS) - {20})


@pytest.mark.parametrize(
    ("baseline", "count"),
    [
        pytest.param(Baseline(), 20, id="the first session on file"),
        pytest.param(Baseline({1: 100, 2: 100, 3: 100, 4: 100}, is_previous=True), 0, id="four contracts say nothing"),
        pytest.param(
            Baseline(BEFORE.values, is_previous=False), 20, id="two sessions ago: one behind would differ too"
        ),
    ],
)
def test_where_nothing_can_be_compared_agreement_has_to_do_and_is_called_so(baseline: Baseline, count: int) -> None:
    values = moved(count)

    assert judge(values, values, baseline) == Judgement(ReadVerdict.UNCHECKED, frozenset(CONIDS))


def test_values_of_two_sessions_ago_are_recognized() -> None:
    assert judge(moved(0), moved(0), Baseline(BEFORE.values)).verdict is ReadVerdict.NOT_ROLLED


def test_half_the_contracts_silent_accepts_the_other_half() -> None:
    values = {conid: value if conid <= 10 else None for conid, value in moved(20).items()}

    assert judge(values, values) == Judgement(ReadVerdict.ROLLED, frozenset(range(1, 11)))


def test_nothing_at_all() -> None:
    assert judge(dict.fromkeys(CONIDS), moved(20)) == Judgement(ReadVerdict.NOTHING)


def test_what_is_still_missing_need_only_agree_once_the_roll_is_proven() -> None:
    late = {19: 100, 20: 100}

    assert judge(late, {19: None, 20: None}, is_proven=True) == Judgement(ReadVerdict.FIRST_READ)
    assert judge(late, late, is_proven=True) == Judgement(ReadVerdict.ROLLED, frozenset({19, 20}))


@pytest.mark.parametrize(
    ("accepted", "silent", "is_first", "is_past", "step"),
    [
        pytest.param(20, 0, False, False, NextStep.DONE, id="all there"),
        pytest.param(0, 0, True, False, NextStep.READ_AGAIN, id="first read"),
        pytest.param(0, 0, True, True, NextStep.READ_AGAIN, id="first read after the deadline: one more"),
        pytest.param(18, 2, False, False, NextStep.DONE, id="90 %, the others silent twice"),
        pytest.param(18, 1, False, False, NextStep.READ_AGAIN, id="90 %, one may still come"),
        pytest.param(18, 1, False, True, NextStep.DONE, id="90 % at the deadline"),
        pytest.param(10, 10, False, False, NextStep.READ_AGAIN, id="half"),
        pytest.param(10, 10, False, True, NextStep.GIVE_UP, id="half at the deadline"),
    ],
)
def test_next_step(accepted: int, silent: int, is_first: bool, is_past: bool, step: NextStep) -> None:
    found = next_step(
        asked=CONIDS,
        accepted=CONIDS[:accepted],
        silent_twice=CONIDS[len(CONIDS) - silent :],
        is_first=is_first,
        is_past_deadline=is_past,
        filled_min=0.9,
    )

    assert found is step


@pytest.mark.parametrize(
    ("day", "morning", "morning_after"),
    [
        pytest.param(date(2025, 11, 24), date(2025, 11, 25), date(2025, 11, 26), id="Monday"),
        pytest.param(date(2025, 11, 21), date(2025, 11, 24), date(2025, 11, 25), id="Friday"),
        pytest.param(date(2025, 11, 26), date(2025, 11, 28), date(2025, 12, 1), id="before Thanksgiving"),
    ],
)
def test_the_window_ends_when_the_next_sessions_values_may_be_out(
    day: date, morning: date, morning_after: date
) -> None:
    calendar = WeekdayCalendar(holidays={date(2025, 11, 27)})

    window = open_interest_window(calendar.session(day), calendar, published_at=time(6, 30), deadline_at=time(9, 0))

    # New York is five hours behind UTC in late November
    assert window.opens == datetime.combine(morning, time(11, 30), UTC)
    assert window.deadline == datetime.combine(morning, time(14, 0), UTC)
    assert window.closes == datetime.combine(morning_after, time(11, 30), UTC)
