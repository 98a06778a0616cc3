"""Which messages a strike puts in doubt."""

from opt_data.core.strikes import StrikeWatch


def test_without_a_strike_nothing_is_in_doubt():
    watch = StrikeWatch(reach_s=1.5)
    watch.cancel_left(7, 10.0)

    assert not watch.may_have_lost(10.0)
    assert watch.wait_s(10.0) == 0.0
    assert watch.settle() == ()


def test_what_left_just_before_or_after_a_strike_is_in_doubt():
    watch = StrikeWatch(reach_s=1.5)
    watch.cancel_left(1, 8.0)
    watch.cancel_left(2, 8.6)
    watch.struck(10.0)
    watch.cancel_left(3, 11.0)

    assert [watch.may_have_lost(left_at) for left_at in (None, 8.4, 8.5, 10.0, 11.4)] == [
        False, False, True, True, True,
    ]  # fmt: skip
    assert watch.wait_s(10.5) == 1.0
    assert watch.settle() == (2, 3)


def test_a_second_strike_lengthens_the_first():
    watch = StrikeWatch(reach_s=1.5)
    watch.cancel_left(1, 9.0)
    watch.struck(10.0)
    watch.cancel_left(2, 10.2)
    watch.struck(11.0)

    assert watch.wait_s(11.0) == 1.5
    assert watch.may_have_lost(8.6)
    assert watch.settle() == (1, 2)


def test_a_settled_strike_is_over():
    watch = StrikeWatch(reach_s=1.5)
    watch.cancel_left(1, 9.9)
    watch.struck(10.0)
    watch.settle()
    watch.cancel_left(1, 11.6)

    assert not watch.may_have_lost(11.6)
    assert watch.wait_s(11.6) == 0.0
    assert watch.settle() == ()
