"""Counting messages in a sliding second, strikes and lines."""

from hypothesis import given
from hypothesis import strategies as st

from ibsim.allowance import MarketDataLines, MessageRate, SlidingSecond
from ibsim.scenario import Limits


@given(st.lists(st.floats(0, 5), max_size=200))
def test_the_sliding_second_counts_what_lies_within_it(times):
    times = sorted(times)
    window = SlidingSecond()
    counts = [window.add(t) for t in times]
    expected = [sum(1 for other in times[: i + 1] if other > t - 1.0) for i, t in enumerate(times)]
    assert counts == expected
    assert window.greatest == max(expected, default=0)


def test_one_that_is_told_late_counts_where_it_belongs():
    window = SlidingSecond()
    assert [window.add(t) for t in (0.2, 1.1, 0.5, 1.3)] == [1, 2, 3, 3]


def test_the_allowance_is_half_the_lines_and_warns_at_nine_tenths():
    assert (Limits().message_rate, Limits().warning_rate) == (50, 45)
    assert Limits(lines=200).message_rate == 100
    assert Limits(max_messages_per_s=30, warn_messages_per_s=20).warning_rate == 20


def test_fifty_in_a_second_are_fine_and_warned_about_once():
    rate = MessageRate()
    verdicts = [rate.judge(i * 0.01, Limits()) for i in range(50)]
    assert all(v.accepted for v in verdicts)
    assert [v.warning for v in verdicts if v.warning] == [45]


def test_the_fifty_first_is_a_strike_and_lost():
    rate = MessageRate()
    verdicts = [rate.judge(i * 0.01, Limits()) for i in range(56)]
    assert [(v.excess, v.strike) for v in verdicts if v.strike] == [(51, 1)]
    assert [v.accepted for v in verdicts[50:]] == [False] * 6


def test_excess_can_be_served_all_the_same():
    rate = MessageRate()
    assert all(rate.judge(0.0, Limits(excess="accept")).accepted for _ in range(60))
    assert rate.strikes == 1


def test_the_third_strike_closes():
    rate = MessageRate()
    verdicts = [rate.judge(second + i * 0.001, Limits()) for second in (0.0, 2.0, 4.0) for i in range(60)]
    assert [(v.strike, v.closes) for v in verdicts if v.strike] == [(1, False), (2, False), (3, True)]


def test_lines_are_given_until_all_are_taken():
    lines = MarketDataLines()
    assert [lines.take(i, 2) for i in range(3)] == [True, True, False]
    lines.release(0)
    lines.release("never taken")
    assert lines.take(3, 2)
    assert (lines.open, lines.peak) == (2, 2)
