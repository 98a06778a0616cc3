"""What tasks promise each other: never past IB's limit together, the urgent first, nobody starved, nothing lost."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opt_data.core.allowance import (
    ALIVE_S,
    LEAST_AIM,
    LINES_GROW_S,
    PAUSE_AFTER_LOSS_S,
    STEP_DOWN,
    STRIKE_FORGOTTEN_S,
    AllowancePolicy,
    AllowanceState,
    Priority,
    Resource,
    as_of_now,
)
from opt_data.core.allowance_share import AllowanceShare, PrivateStore
from opt_data.errors import AllowanceUnavailable

# IBKR: a login has 100 market-data lines and may send lines / 2 messages a second
LOGIN = AllowancePolicy(rate_per_s=47.5, limit_per_s=50, lines=100)


class Time:
    """A clock that only tests move."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self):
        raise AssertionError("the allowance has no use for the time of day")

    def monotonic(self) -> float:
        return self.seconds


class Wire:
    """Tasks that send as fast as they are let, each waking a little late."""

    def __init__(self, policy: AllowancePolicy = LOGIN) -> None:
        self.time = Time()
        self.store = PrivateStore(self.time)
        self.policy = policy
        self.sent: list[tuple[float, str]] = []

    def share(self, name: str, priority: Priority = Priority.SLOT) -> AllowanceShare:
        return AllowanceShare(self.store, self.policy, name, priority)

    def run(self, shares: dict[str, AllowanceShare], seconds: float, oversleep: list[float] | None = None) -> None:
        oversleep = oversleep or [0.0005]
        ends = self.time.seconds + seconds
        due = {name: self.time.seconds for name in shares}
        turn = 0
        while (name := min(due, key=lambda key: due[key])) and due[name] < ends:
            self.time.seconds = max(self.time.seconds, due[name])
            wait = shares[name].send_or_wait_s(lambda: None)
            if wait == 0:
                self.sent.append((self.time.seconds, name))
            due[name] = self.time.seconds + wait + (oversleep[turn % len(oversleep)] if wait else 0.0)
            turn += 1

    def greatest_in_a_second(self) -> int:
        times = [at for at, _ in self.sent]
        return max(sum(1 for at in times if start <= at < start + 1.0) for start in times)

    def count(self, name: str) -> int:
        return sum(1 for _, sender in self.sent if sender == name)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 0.0005, 0.004, 0.03, 0.2]), min_size=5, max_size=40),
    st.integers(min_value=1, max_value=8),
)
def test_all_together_never_reach_the_limit_however_badly_they_sleep(oversleeps, tasks):
    wire = Wire()

    wire.run({name: wire.share(name) for name in "abcdefgh"[:tasks]}, 6.0, oversleeps)

    assert wire.greatest_in_a_second() < 50


@pytest.mark.parametrize("tasks", [1, 2, 8])
def test_the_rate_is_used_up_by_however_many_and_evenly(tasks):
    wire = Wire()
    names = "abcdefgh"[:tasks]

    wire.run({name: wire.share(name) for name in names}, 20.0)

    assert len(wire.sent) / 20.0 == pytest.approx(47.5, rel=0.02)
    counts = [wire.count(name) for name in names]
    assert max(counts) - min(counts) <= 0.05 * max(counts)


def test_a_slot_goes_before_a_rebuild_which_still_gets_a_message_through_now_and_then():
    wire = Wire()
    slot, rebuild = wire.share("slot"), wire.share("rebuild", Priority.REBUILD)

    wire.run({"slot": slot, "rebuild": rebuild}, 20.0)

    assert wire.count("slot") / 20.0 > 45
    assert 15 <= wire.count("rebuild") <= 25  # one a second


def test_a_rebuild_has_the_whole_wire_once_the_slot_is_done():
    wire = Wire()
    slot, rebuild = wire.share("slot"), wire.share("rebuild", Priority.REBUILD)
    wire.run({"slot": slot, "rebuild": rebuild}, 3.0)
    wire.sent.clear()

    wire.run({"rebuild": rebuild}, 10.0)

    assert wire.count("rebuild") / 10.0 > 45


def test_a_complaint_to_one_task_halves_the_rate_of_all_and_it_comes_back():
    wire = Wire()
    shares = {name: wire.share(name) for name in "ab"}
    shares["a"].struck()

    wire.run(shares, 2.0)
    halved = len(wire.sent) / 2.0
    wire.run(shares, 40.0)
    wire.sent.clear()
    wire.run(shares, 10.0)

    assert halved == pytest.approx(47.5 / 2, rel=0.1)
    assert len(wire.sent) / 10.0 == pytest.approx(47.5 * (1 - STEP_DOWN), rel=0.02)


def test_each_complaint_lowers_the_aim_a_little_and_is_forgotten_after_an_hour():
    """IB's own count may be some messages above ours, by jitter; the third complaint ends a connection."""
    state = AllowanceState()

    for second in (0.0, 60.0, 120.0):
        LOGIN.struck(state, 1000.0 + second)
    soon = LOGIN.aim_per_s(state, 1120.0)
    an_hour_later = LOGIN.aim_per_s(state, 1120.0 + STRIKE_FORGOTTEN_S)
    next_day = LOGIN.aim_per_s(state, 90_000.0)

    assert soon == pytest.approx(47.5 * (1 - 3 * STEP_DOWN), rel=0.01)
    assert an_hour_later == pytest.approx(47.5 * (1 - 2 * STEP_DOWN), rel=0.01)
    assert next_day == 47.5


def test_however_many_complaints_most_of_the_rate_stays():
    state = AllowanceState()
    for second in range(50):
        LOGIN.struck(state, 1000.0 + second)

    assert LOGIN.aim_per_s(state, 1050.0) == 47.5 * LEAST_AIM


class Repeating:
    """A store that makes each change twice before it keeps one, as Redis may."""

    repeats = True

    def __init__(self) -> None:
        self.kept = PrivateStore(Time())

    def now(self) -> float:
        return self.kept.now()

    def transact(self, change):
        change(AllowanceState(), 1000.0)
        return self.kept.transact(change)

    def close(self) -> None:
        pass


class FailsAfterwards(Repeating):
    """A store that makes the change and then cannot keep it."""

    repeats = False

    def transact(self, change):
        change(AllowanceState(), 1000.0)
        raise AllowanceUnavailable("the disk is gone")


@pytest.mark.parametrize("store", [Repeating(), FailsAfterwards(), PrivateStore(Time())])
def test_a_message_leaves_once_whatever_the_store_does(store):
    left = []
    share = AllowanceShare(store, LOGIN, "a", alone=PrivateStore(Time()))

    wait = share.send_or_wait_s(lambda: left.append("a message"))

    assert (wait, left) == (0.0, ["a message"])


def test_a_turn_reserved_by_a_killed_task_delays_the_others_by_one_distance_only():
    wire = Wire()
    killed, other = wire.share("killed"), wire.share("other")
    while killed.send_or_wait_s(lambda: None) == 0:
        pass  # until it has a turn to wait for; and dies before that comes

    wire.run({"other": other}, 1.0)

    assert wire.count("other") >= 45


class TestLines:
    def test_no_more_are_given_than_there_are(self):
        wire = Wire()
        shares = [wire.share(name) for name in "abcd"]

        taken = sum(share.take(Resource.LINE) for _ in range(60) for share in shares)

        assert taken == 100

    def test_one_task_alone_may_have_them_all(self):
        share = Wire().share("a")

        assert sum(share.take(Resource.LINE) for _ in range(120)) == 100

    def test_a_late_comer_gets_its_even_part_as_lines_come_back(self):
        wire = Wire()
        first, second = wire.share("first"), wire.share("second")
        for _ in range(100):
            first.take(Resource.LINE)

        got = 0
        for _ in range(100):
            got += second.take(Resource.LINE)
            first.give_back(Resource.LINE)
            got += second.take(Resource.LINE)
            first.take(Resource.LINE)
            wire.time.seconds += 0.05

        assert got >= 50

    def test_what_a_killed_task_held_comes_back_by_itself(self):
        wire = Wire()
        killed, other = wire.share("killed"), wire.share("other")
        for _ in range(100):
            killed.take(Resource.LINE)
        assert not other.take(Resource.LINE)

        wire.time.seconds += ALIVE_S

        assert sum(other.take(Resource.LINE) for _ in range(100)) == 100

    def test_a_task_that_was_only_slow_is_counted_again(self):
        wire = Wire()
        slow, other = wire.share("slow"), wire.share("other")
        for _ in range(40):
            slow.take(Resource.LINE)
        wire.time.seconds += ALIVE_S + 1
        assert other.take(Resource.LINE)

        slow.sign_of_life()

        assert sum(other.take(Resource.LINE) for _ in range(100)) == 59

    def test_a_slot_that_waits_for_a_line_goes_before_open_interest(self):
        wire = Wire()
        reading, slot = wire.share("oi", Priority.OPEN_INTEREST), wire.share("slot")
        for _ in range(100):
            reading.take(Resource.LINE)
        assert not slot.take(Resource.LINE)

        reading.give_back(Resource.LINE)

        assert not reading.take(Resource.LINE)
        assert slot.take(Resource.LINE)

    def test_code_101_shrinks_the_window_to_what_there_is_and_it_grows_again_slowly(self):
        wire = Wire()
        share = wire.share("a")
        for _ in range(61):
            share.take(Resource.LINE)

        share.line_refused()  # the 61st: others hold 40
        share.give_back(Resource.LINE)

        assert not share.take(Resource.LINE)
        wire.time.seconds += LINES_GROW_S
        share.sign_of_life()
        assert share.take(Resource.LINE)
        assert not share.take(Resource.LINE)

    def test_leaving_gives_everything_back(self):
        wire = Wire()
        leaver, other = wire.share("leaver"), wire.share("other")
        for _ in range(100):
            leaver.take(Resource.LINE)

        leaver.leave()

        assert other.take(Resource.LINE)

    def test_a_task_knows_whether_somebody_waits_for_its_line(self):
        wire = Wire(AllowancePolicy(47.5, 50, lines=2))
        mine, other, rebuild = wire.share("mine"), wire.share("other"), wire.share("rebuild", Priority.REBUILD)
        assert mine.take(Resource.LINE)
        assert mine.take(Resource.LINE)
        assert not mine.is_wanted(Resource.LINE)

        rebuild.take(Resource.LINE)
        assert not mine.is_wanted(Resource.LINE)
        other.take(Resource.LINE)
        assert mine.is_wanted(Resource.LINE)

        wire.time.seconds += 1.0
        assert not mine.is_wanted(Resource.LINE)
        mine.take(Resource.LINE)  # for another symbol of the same task
        assert mine.is_wanted(Resource.LINE)


def test_requests_for_bars_are_counted_apart_from_lines():
    wire = Wire(AllowancePolicy(47.5, 50, lines=2, bar_requests=3))
    share = wire.share("a")

    assert sum(share.take(Resource.BAR_REQUEST) for _ in range(9)) == 3
    assert sum(share.take(Resource.LINE) for _ in range(9)) == 2


def test_a_message_is_counted_when_it_has_left():
    """A process that is put to sleep while it sends: the next second begins with its message."""
    time = Time()
    store = PrivateStore(time)
    share = AllowanceShare(store, AllowancePolicy(rate_per_s=47.5, limit_per_s=3, lines=100), "a")

    def late() -> None:
        time.seconds += 0.4

    assert share.send_or_wait_s(late) == 0.0
    assert share.send_or_wait_s(lambda: None) == 0.0
    time.seconds = 1001.1  # more than a second after the first was let go, less after it had left

    assert share.send_or_wait_s(lambda: None) == pytest.approx(0.32)


def test_a_state_from_before_a_restart_of_the_machine_is_not_believed():
    left_behind = AllowanceState(next_at=500_000.0, recent=[499_999.0])

    state = as_of_now(left_behind, now=12.0)

    assert (state.next_at, state.recent) == (12.0 + PAUSE_AFTER_LOSS_S, [])


class Broken:
    repeats = False

    def transact(self, change):
        raise AllowanceUnavailable("no such disk")

    def close(self):
        self.is_closed = True


def test_a_task_that_cannot_see_the_others_goes_on_with_an_even_part():
    time = Time()
    store, told = Broken(), []
    share = AllowanceShare(store, LOGIN, "a", alone=PrivateStore(time), tasks=4, on_alone=told.append)

    assert sum(share.take(Resource.LINE) for _ in range(100)) == 25
    assert share.is_alone
    assert store.is_closed
    assert [str(error) for error in told] == ["no such disk"]
    assert share.policy.rate_per_s == pytest.approx(47.5 / 4)


def test_without_a_way_to_go_on_alone_the_failure_is_told():
    with pytest.raises(AllowanceUnavailable, match="no such disk"):
        AllowanceShare(Broken(), LOGIN, "a").take(Resource.LINE)
