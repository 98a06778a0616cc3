"""Which actions stand between two days: worked by hand, and what must hold for any table."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opt_data.core.corporate_actions import ActionKind, AdjMethod, CorporateAction, adjustment, looks_split


def action(ex_date: str, ratio: str = "", kind: str = "split", memo: str = "", known: str = "", **changes):
    new, old = (int(part) for part in ratio.split(":")) if ratio else (0, 0)
    known_at = datetime.fromisoformat(known) if known else datetime(2020, 1, 1, tzinfo=UTC)
    return CorporateAction(
        **{
            "symbol": "AAPL",
            "ex_date": date.fromisoformat(ex_date),
            "kind": ActionKind(kind),
            "memo": memo or f"OCC {ex_date}",
            "known_at": known_at,
            "ratio_new": new,
            "ratio_old": old,
        }
        | changes
    )


FOUR = action("2020-08-31", "4:1", known="2020-07-31T17:00-04:00")
SEVEN = action("2014-06-09", "7:1", known="2014-04-24T10:00-04:00")


def seen(day: str, as_of: str, *actions: CorporateAction, symbol: str = "AAPL") -> tuple[AdjMethod, int]:
    found = adjustment(actions, symbol, date.fromisoformat(day), date.fromisoformat(as_of))
    return found.method, found.factor


def test_a_day_before_the_ex_date_is_rescaled_and_the_ex_date_is_not() -> None:
    assert seen("2020-08-28", "2020-08-31", FOUR) == (AdjMethod.INTEGRAL_SPLIT, 4)
    assert seen("2020-08-31", "2021-01-04", FOUR) == (AdjMethod.NONE, 1)
    assert seen("2020-09-01", "2021-01-04", FOUR) == (AdjMethod.NONE, 1)


def test_before_the_ex_date_nobody_rescales_although_the_split_is_announced() -> None:
    assert seen("2020-08-03", "2020-08-28", FOUR) == (AdjMethod.NONE, 1)


def test_splits_multiply() -> None:
    assert seen("2014-06-06", "2020-08-31", SEVEN, FOUR) == (AdjMethod.INTEGRAL_SPLIT, 28)
    assert seen("2014-06-06", "2020-08-28", SEVEN, FOUR) == (AdjMethod.INTEGRAL_SPLIT, 7)
    assert seen("2014-06-09", "2020-08-31", SEVEN, FOUR) == (AdjMethod.INTEGRAL_SPLIT, 4)


def test_other_symbols_have_nothing_to_do_with_it() -> None:
    assert seen("2020-08-28", "2020-08-31", FOUR, symbol="MSFT") == (AdjMethod.NONE, 1)


@pytest.mark.parametrize(
    "other",
    [
        action("2020-08-31", "3:2"),
        action("2020-08-31", "1:10", "reverse_split"),
        action("2020-08-31", kind="merger"),
        action("2020-08-31", "1:4", kind="spin_off"),
        action("2020-08-31", kind="special_cash"),
        action("2020-08-31", kind="other"),
    ],
)
def test_everything_else_is_linked_and_never_rescaled(other: CorporateAction) -> None:
    found = adjustment([other], "AAPL", date(2020, 8, 28), date(2020, 9, 1))
    assert (found.method, found.factor, found.actions) == (AdjMethod.NOT_COMPARABLE, 1, (other,))
    assert seen("2014-06-06", "2020-09-01", SEVEN, other) == (AdjMethod.NOT_COMPARABLE, 1)
    assert seen("2020-08-31", "2020-09-01", SEVEN, other) == (AdjMethod.NONE, 1)


def test_a_ratio_that_is_a_whole_number_in_other_words_counts() -> None:
    assert seen("2020-08-28", "2020-08-31", action("2020-08-31", "8:2")) == (AdjMethod.INTEGRAL_SPLIT, 4)


def test_a_split_entered_late_is_seen_from_the_day_on_which_it_became_known() -> None:
    late = action("2020-08-31", "4:1", known="2020-09-10T23:30-04:00")  # the 11th in UTC
    assert seen("2020-08-28", "2020-09-09", late) == (AdjMethod.NONE, 1)
    found = adjustment([late], "AAPL", date(2020, 8, 28), date(2020, 9, 10))
    assert (found.factor, found.factor_asof) == (4, date(2020, 9, 10))
    assert found.known_from == datetime(2020, 9, 11, 3, 30, tzinfo=UTC)


def test_the_day_since_which_an_adjustment_holds() -> None:
    table = [SEVEN, FOUR]
    day = date(2014, 6, 6)
    assert adjustment(table, "AAPL", day, date(2019, 1, 2)).factor_asof == date(2014, 6, 9)
    assert adjustment(table, "AAPL", day, date(2024, 1, 2)).factor_asof == date(2020, 8, 31)
    untouched = adjustment(table, "AAPL", date(2021, 1, 4), date(2024, 1, 2))
    assert (untouched.factor_asof, untouched.known_from) == (date(2021, 1, 4), None)
    # midnight in New York begins the ex-date
    assert adjustment(table, "AAPL", day, date(2024, 1, 2)).known_from == datetime(2020, 8, 31, 4, 0, tzinfo=UTC)


def test_a_correction_replaces_the_line_from_its_own_time_on() -> None:
    wrong = replace(FOUR, ratio_new=5)
    right = replace(FOUR, known_at=datetime.fromisoformat("2020-09-02T09:00-04:00"))
    assert seen("2020-08-28", "2020-09-01", wrong, right) == (AdjMethod.INTEGRAL_SPLIT, 5)
    assert seen("2020-08-28", "2020-09-02", wrong, right) == (AdjMethod.INTEGRAL_SPLIT, 4)
    moved = replace(right, ex_date=date(2020, 9, 8))
    assert seen("2020-08-28", "2020-09-02", FOUR, moved) == (AdjMethod.NONE, 1)
    assert seen("2020-09-04", "2020-09-08", FOUR, moved) == (AdjMethod.INTEGRAL_SPLIT, 4)


def test_a_memo_called_off_is_gone_from_then_on() -> None:
    off = replace(
        FOUR, kind=ActionKind.WITHDRAWN, ratio_new=0, ratio_old=0,
        known_at=datetime.fromisoformat("2020-09-02T09:00-04:00"),
    )  # fmt: skip
    assert seen("2020-08-28", "2020-09-01", FOUR, off) == (AdjMethod.INTEGRAL_SPLIT, 4)
    found = adjustment([FOUR, off], "AAPL", date(2020, 8, 28), date(2020, 12, 1))
    assert (found.method, found.factor, found.factor_asof) == (AdjMethod.NONE, 1, date(2020, 9, 2))


def test_one_cannot_look_from_before_the_day() -> None:
    with pytest.raises(ValueError, match="before they existed"):
        adjustment([FOUR], "AAPL", date(2020, 8, 28), date(2020, 8, 27))


def test_the_label_says_what_and_who() -> None:
    assert replace(FOUR, memo="OCC 47369").label == "2020-08-31 split 4:1 [OCC 47369]"
    assert action("2020-08-31", kind="merger", memo="X").label == "2020-08-31 merger [X]"


FIRST = date(2024, 1, 1)
days = st.integers(0, 40).map(lambda number: FIRST + timedelta(days=number))


@st.composite
def tables(draw: st.DrawFn) -> list[CorporateAction]:
    found = []
    for _ in range(draw(st.integers(0, 6))):
        kind = draw(st.sampled_from(["split", "split", "split", "merger", "withdrawn"]))
        found.append(
            action(
                draw(days).isoformat(),
                f"{draw(st.sampled_from([2, 3, 4]))}:1" if kind == "split" else "",
                kind,
                draw(st.sampled_from(["A", "B", "C"])),
                f"{draw(days)}T{draw(st.sampled_from(['00:00', '12:00', '23:59']))}-05:00",
            )
        )
    return sorted(found, key=lambda one: one.known_at)


@settings(max_examples=200, deadline=None)
@given(table=tables(), later=tables(), day=days, ahead=st.integers(0, 30))
def test_what_comes_later_never_changes_how_it_looked_before(
    table: list[CorporateAction], later: list[CorporateAction], day: date, ahead: int
) -> None:
    as_of = day + timedelta(days=ahead)
    unknown_then = [one for one in later if one.known_on > as_of]
    not_yet_in_force = [replace(one, memo=f"D{n}") for n, one in enumerate(later) if one.ex_date > as_of]
    before = adjustment(table, "AAPL", day, as_of)
    after = adjustment([*table, *unknown_then, *not_yet_in_force], "AAPL", day, as_of)
    assert (after.method, after.factor, after.factor_asof, after.actions) == (
        before.method, before.factor, before.factor_asof, before.actions,
    )  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(table=tables(), day=days, ahead=st.integers(0, 30))
def test_every_day_since_then_sees_the_same(table: list[CorporateAction], day: date, ahead: int) -> None:
    as_of = day + timedelta(days=ahead)
    found = adjustment(table, "AAPL", day, as_of)
    assert day <= found.factor_asof <= as_of
    for offset in range((as_of - found.factor_asof).days + 1):
        assert adjustment(table, "AAPL", day, found.factor_asof + timedelta(days=offset)) == found


@pytest.mark.parametrize(
    ("close_then", "told_later", "is_split"),
    [
        (891.29, 297.10, True),  # TSLA 2022, 3:1; tests/data/corporate_actions
        (436.0, 109.0, True),  # AAPL 2020, 4:1
        (2.05, 20.4, True),  # a reverse split, 1:10
        (100.0, 100.4, False),  # sampled a little before the auction
        (100.0, 66.67, False),  # 3:2 is not seen
        (100.0, 52.0, False),
        (0.0, 100.0, False),
    ],
)
def test_one_close_told_twice(close_then: float, told_later: float, is_split: bool) -> None:
    assert looks_split(close_then, told_later) is is_split
