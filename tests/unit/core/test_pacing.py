"""The pacer's promise: never at the limit in any sliding second, and hardly slower than asked."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opt_data.core.pacing import SmoothPacer, message_rate


def send(pacer: SmoothPacer, oversleeps: list[float]) -> list[float]:
    """Send one message per entry; each entry is how much later than allowed the sender wakes."""
    now, sent = 100.0, []
    for oversleep in oversleeps:
        while (wait := pacer.wait_s(now)) > 0:
            now += wait + oversleep
        pacer.sent(now)
        sent.append(now)
    return sent


def greatest_in_a_second(times: list[float]) -> int:
    return max(sum(1 for t in times if start <= t < start + 1.0) for start in times)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 0.001, 0.004, 0.03, 0.2]), min_size=150, max_size=300),
    st.sampled_from([(47.0, 50), (50.0, 50), (100.0, 50), (94.0, 100), (19.0, 20)]),
)
def test_limit_is_never_reached_however_badly_the_sender_sleeps(oversleeps, rate_and_limit):
    rate, limit = rate_and_limit

    sent = send(SmoothPacer(rate, limit), oversleeps)

    assert greatest_in_a_second(sent) < limit


def test_small_oversleeps_do_not_lower_the_rate():
    sent = send(SmoothPacer(47.0, 50), [0.001] * 2000)

    assert len(sent) / (sent[-1] - sent[0]) > 46.5


def test_time_lost_to_a_stall_is_not_caught_up_in_a_burst():
    pacer = SmoothPacer(40.0, 50)

    sent = send(pacer, [0.0] * 50 + [2.0] + [0.0] * 50)

    after_the_stall = sent[51:]
    assert greatest_in_a_second(after_the_stall) <= 42


def test_a_complaint_halves_the_rate_at_once_and_it_recovers_evenly():
    pacer = SmoothPacer(48.0, 50, recovery_s=30.0)

    pacer.slow_down(now=100.0)

    assert [pacer.current_rate_per_s(now) for now in (100.0, 115.0, 130.0, 200.0)] == [24.0, 36.0, 48.0, 48.0]


def test_messages_follow_the_lowered_rate():
    pacer = SmoothPacer(48.0, 50, recovery_s=1e9)

    pacer.slow_down(now=100.0)
    sent = send(pacer, [0.0] * 200)

    assert len(sent) / (sent[-1] - sent[0]) == pytest.approx(24, rel=0.02)


@pytest.mark.parametrize(("rate", "limit"), [(0, 50), (-1, 50), (10, 1)])
def test_impossible_allowance_is_refused(rate, limit):
    with pytest.raises(ValueError, match="rate_per_s"):
        SmoothPacer(rate, limit)


@pytest.mark.parametrize(
    ("lines", "maximum", "share", "expected"),
    [
        # IBKR's rule: a connection may send market-data lines / 2 messages a second
        pytest.param(100, 0, 1.0, (50.0, 50), id="default-login"),
        pytest.param(200, 0, 1.0, (100.0, 100), id="one-booster-pack"),
        pytest.param(100, 30, 1.0, (30.0, 30), id="ceiling"),
    ],
)
def test_rate_follows_the_lines(lines, maximum, share, expected):
    assert message_rate(lines, maximum, share) == expected
