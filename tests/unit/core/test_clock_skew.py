"""How far two clocks are apart when one tells whole seconds: worked by hand."""

from datetime import UTC, datetime, timedelta

import pytest

from opt_data.core.clock_skew import ClockReading

NINE = datetime(2025, 11, 24, 14, tzinfo=UTC)


def reading(gateway_s, round_trip_s=0.0, asked_s=0.0):
    asked = NINE + timedelta(seconds=asked_s)
    return ClockReading(asked, asked + timedelta(seconds=round_trip_s), NINE + timedelta(seconds=gateway_s))


@pytest.mark.parametrize(
    ("gateway_s", "round_trip_s", "asked_s", "is_skewed"),
    [
        # its clock stands between 2 and 3 s past the hour while ours stands at 0: at least 2 s ahead
        pytest.param(2, 0.0, 0.0, True, id="ahead"),
        # between 1 and 2 s: exactly one second is possible
        pytest.param(1, 0.0, 0.0, False, id="perhaps-one-second-ahead"),
        # between -3 and -2 s: more than 2 s behind
        pytest.param(-3, 0.0, 0.0, True, id="behind"),
        # between -2 and -1 s: one second is possible
        pytest.param(-2, 0.0, 0.0, False, id="perhaps-one-second-behind"),
        # the same second as ours, at its end: nothing is wrong
        pytest.param(0, 0.0, 0.99, False, id="the-end-of-the-same-second"),
        # asked at 0, answered at 1.5: when its clock stood at 2, ours may have stood at 1.5
        pytest.param(2, 1.5, 0.0, False, id="the-way-may-explain-it"),
        pytest.param(4, 1.5, 0.0, True, id="the-way-cannot-explain-it"),
    ],
)
def test_only_what_resolution_and_way_cannot_explain_is_skew(gateway_s, round_trip_s, asked_s, is_skewed):
    assert reading(gateway_s, round_trip_s, asked_s).is_skewed is is_skewed


def test_the_real_skew_lies_within_what_is_told():
    for tenths in range(-40, 41):
        real_s = tenths / 10
        for asked_tenths in range(10):
            answered_s = asked_tenths / 10 + 0.2  # the gateway looked at its clock half way
            told = (asked_tenths / 10 + 0.1 + real_s) // 1  # whole seconds, cut off
            one = reading(told, 0.2, answered_s - 0.2)
            assert abs(one.skew_s - real_s) <= one.uncertainty_s + 1e-9
