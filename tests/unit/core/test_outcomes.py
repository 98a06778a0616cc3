"""Which of two answers is kept: the design's rules one by one, and that they make one order."""

import itertools
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from opt_data.core.outcomes import Answer, ErrorType
from opt_data.core.slots import CaptureMode

MORNING = datetime(2025, 11, 24, 15, 0, tzinfo=UTC)
LATER = MORNING + timedelta(minutes=5)
ON_TIME = Answer(CaptureMode.ON_TIME, has_price=True, has_greeks=True, known_at=MORNING, attempt=1, ingest_id="a")

answers = st.builds(
    Answer,
    mode=st.none() | st.sampled_from(CaptureMode),
    error_type=st.sampled_from(ErrorType),
    is_delayed=st.booleans(),
    has_price=st.booleans(),
    has_greeks=st.booleans(),
    known_at=st.integers(0, 3).map(lambda minutes: MORNING + timedelta(minutes=minutes)),
    attempt=st.integers(1, 3),
    ingest_id=st.sampled_from("abc"),
)


def beats(winner: Answer, loser: Answer) -> bool:
    return winner.rank() > loser.rank() and not loser.rank() > winner.rank()


def worst(mode: CaptureMode) -> Answer:
    return Answer(mode, is_delayed=True, known_at=MORNING, attempt=1, ingest_id="a")


def best(mode: CaptureMode) -> Answer:
    return Answer(mode, has_price=True, has_greeks=True, known_at=LATER, attempt=9, ingest_id="z")


def test_the_poorest_quote_beats_every_answer_without_one() -> None:
    for error_type in ErrorType:
        newest = Answer(None, error_type, known_at=LATER, attempt=9, ingest_id="z")
        assert beats(worst(CaptureMode.REBUILT), newest)


def test_on_time_is_never_replaced_by_late_or_rebuilt_nor_late_by_rebuilt() -> None:
    assert beats(worst(CaptureMode.ON_TIME), best(CaptureMode.LATE))
    assert beats(worst(CaptureMode.ON_TIME), best(CaptureMode.REBUILT))
    assert beats(worst(CaptureMode.LATE), best(CaptureMode.REBUILT))


def test_frozen_at_the_close_is_as_good_as_on_time() -> None:
    assert beats(worst(CaptureMode.FROZEN), best(CaptureMode.LATE))
    assert beats(best(CaptureMode.FROZEN), ON_TIME)
    newer_on_time = Answer(
        CaptureMode.ON_TIME, has_price=True, has_greeks=True, known_at=LATER + timedelta(1), attempt=2, ingest_id="b"
    )
    assert beats(newer_on_time, best(CaptureMode.FROZEN))


def test_within_a_mode_live_then_price_then_greeks_then_the_newer_decide() -> None:
    mode = CaptureMode.LATE
    ladder = [
        Answer(mode, is_delayed=True, has_price=True, has_greeks=True, known_at=LATER, attempt=9, ingest_id="z"),
        Answer(mode, known_at=LATER, attempt=8, ingest_id="y"),
        Answer(mode, has_price=True, known_at=LATER, attempt=7, ingest_id="x"),
        Answer(mode, has_price=True, has_greeks=True, known_at=MORNING, attempt=6, ingest_id="w"),
        Answer(mode, has_price=True, has_greeks=True, known_at=LATER, attempt=5, ingest_id="v"),
    ]
    for worse, better in itertools.pairwise(ladder):
        assert beats(better, worse)


def test_among_answers_without_a_quote_one_that_asked_then_the_newer_stands() -> None:
    asked = Answer(None, ErrorType.UNKNOWN_CONTRACT, known_at=MORNING, attempt=1, ingest_id="a")
    not_asked = Answer(None, ErrorType.NOT_ASKED, known_at=LATER, attempt=2, ingest_id="b")
    asked_again = Answer(None, ErrorType.TIMED_OUT, known_at=LATER, attempt=2, ingest_id="b")
    assert beats(asked, not_asked)
    assert beats(asked_again, asked)


@settings(deadline=None)
@given(first=answers, second=answers, third=answers)
def test_the_order_is_one_line(first: Answer, second: Answer, third: Answer) -> None:
    if first.rank() > second.rank() > third.rank():
        assert beats(first, third)
    assert (first.rank() > second.rank()) + (second.rank() > first.rank()) + (first.rank() == second.rank()) == 1
