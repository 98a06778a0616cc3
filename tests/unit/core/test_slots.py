"""The slot grid and the phases of a slot; expected values by hand from 09:30, 16:00 and 13:00 New York."""

import itertools
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opt_data.core.sessions import NEW_YORK, TradingSession
from opt_data.core.slots import SlotPhase, newest_slot_begun, slot_grid, slot_of_instant, slot_phase
from opt_data.errors import NotASlot

NORMAL = TradingSession(
    date(2025, 11, 24), datetime(2025, 11, 24, 14, 30, tzinfo=UTC), datetime(2025, 11, 24, 21, 0, tzinfo=UTC)
)
EARLY = TradingSession(
    date(2025, 11, 28),
    datetime(2025, 11, 28, 14, 30, tzinfo=UTC),
    datetime(2025, 11, 28, 18, 0, tzinfo=UTC),
    early_close=True,
)
GRACE = timedelta(seconds=120)
TICK = timedelta(microseconds=1)

NORMAL_LABELS = "09:30 10:00 10:30 11:00 11:30 12:00 12:30 13:00 13:30 14:00 14:30 15:00 15:30 16:00"
EARLY_LABELS = "09:30 10:00 10:30 11:00 11:30 12:00 12:30 13:00"

lengths = st.integers(min_value=1, max_value=9 * 3600).map(lambda seconds: timedelta(seconds=seconds))
instants = st.datetimes(
    min_value=datetime(2025, 11, 24, 12), max_value=datetime(2025, 11, 24, 23, 59), timezones=st.just(UTC)
)


@st.composite
def sessions(draw: st.DrawFn) -> TradingSession:
    opens = draw(st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2030, 12, 31), timezones=st.just(UTC)))
    minutes = draw(st.integers(min_value=1, max_value=12 * 60))
    return TradingSession(opens.astimezone(NEW_YORK).date(), opens, opens + timedelta(minutes=minutes))


@pytest.mark.parametrize(
    ("session", "labels"),
    [pytest.param(NORMAL, NORMAL_LABELS, id="normal day"), pytest.param(EARLY, EARLY_LABELS, id="13:00 close")],
)
def test_grid_of_a_known_day(session: TradingSession, labels: str) -> None:
    grid = slot_grid(session)

    assert [slot.label for slot in grid] == labels.split()
    assert [slot.index for slot in grid] == list(range(len(grid)))
    assert [slot.is_last for slot in grid] == [False] * (len(grid) - 1) + [True]
    assert grid[-1].ends_utc == session.close_utc + timedelta(minutes=30)


def test_the_close_is_a_slot_when_the_length_does_not_divide_the_session() -> None:
    grid = slot_grid(EARLY, timedelta(hours=2))

    assert [slot.label for slot in grid] == ["09:30", "11:30", "13:00"]


@pytest.mark.parametrize("length", [timedelta(0), timedelta(minutes=-30)], ids=["zero", "negative"])
def test_a_grid_needs_a_positive_length(length: timedelta) -> None:
    with pytest.raises(ValueError, match="length must be positive"):
        slot_grid(NORMAL, length)


@given(session=sessions(), length=lengths)
def test_every_grid_covers_its_session_without_gap_or_overlap(session: TradingSession, length: timedelta) -> None:
    grid = slot_grid(session, length)

    assert grid[0].instant_utc == session.open_utc
    assert grid[-1].instant_utc == session.close_utc
    assert grid[-1].ends_utc == session.close_utc + length
    steps = [after.instant_utc - before.instant_utc for before, after in itertools.pairwise(grid)]
    assert all(step == length for step in steps[:-1])
    assert timedelta(0) < steps[-1] <= length
    assert all(before.ends_utc == after.instant_utc for before, after in itertools.pairwise(grid))


def test_an_instant_on_the_grid_names_its_slot_in_any_zone() -> None:
    slot = slot_of_instant(NORMAL, datetime(2025, 11, 24, 10, 0, tzinfo=NEW_YORK))

    assert (slot.index, slot.label) == (1, "10:00")


@pytest.mark.parametrize(
    "instant",
    [
        pytest.param(datetime(2025, 11, 24, 15, 1, tzinfo=UTC), id="between slots"),
        pytest.param(datetime(2025, 11, 24, 14, 0, tzinfo=UTC), id="before the open"),
        pytest.param(datetime(2025, 11, 24, 21, 30, tzinfo=UTC), id="after the close"),
        pytest.param(datetime(2025, 11, 25, 15, 0, tzinfo=UTC), id="another day"),
    ],
)
def test_an_instant_off_the_grid_is_refused_with_the_grid(instant: datetime) -> None:
    with pytest.raises(NotASlot, match="its slots are 09:30 10:00") as caught:
        slot_of_instant(NORMAL, instant)

    assert caught.value.instant == instant


def test_a_naive_instant_is_refused_with_an_example() -> None:
    with pytest.raises(ValueError, match="has no time zone; give a slot as an aware instant"):
        slot_of_instant(NORMAL, datetime(2025, 11, 24, 10, 0))


@pytest.mark.parametrize(
    ("at", "label"),
    [
        pytest.param(datetime(2025, 11, 24, 14, 29, 59, tzinfo=UTC), None, id="a second before the open"),
        pytest.param(datetime(2025, 11, 24, 14, 30, tzinfo=UTC), "09:30", id="at the open"),
        pytest.param(datetime(2025, 11, 24, 15, 29, 59, tzinfo=UTC), "10:00", id="before the next begins"),
        pytest.param(datetime(2025, 11, 24, 23, 0, tzinfo=UTC), "16:00", id="in the evening"),
    ],
)
def test_newest_slot_begun(at: datetime, label: str | None) -> None:
    slot = newest_slot_begun(slot_grid(NORMAL), at)

    assert (slot.label if slot else None) == label


@given(at=instants)
def test_newest_slot_begun_leaves_no_later_slot_begun(at: datetime) -> None:
    grid = slot_grid(NORMAL)

    newest = newest_slot_begun(grid, at)

    begun = [slot for slot in grid if slot.instant_utc <= at]
    assert len(begun) == (newest.index + 1 if newest else 0)


@pytest.mark.parametrize(
    ("offset", "phase"),
    [
        pytest.param(-TICK, SlotPhase.BEFORE, id="just before"),
        pytest.param(timedelta(0), SlotPhase.ON_TIME, id="at the instant"),
        pytest.param(GRACE, SlotPhase.ON_TIME, id="end of grace belongs to it"),
        pytest.param(GRACE + TICK, SlotPhase.LATE, id="just after grace"),
        pytest.param(timedelta(minutes=30) - TICK, SlotPhase.LATE, id="just before the next slot"),
        pytest.param(timedelta(minutes=30), SlotPhase.OVER, id="the next slot's instant"),
    ],
)
def test_slot_phase_at_its_borders(offset: timedelta, phase: SlotPhase) -> None:
    slot = slot_grid(NORMAL)[13]

    assert slot_phase(slot, slot.instant_utc + offset, GRACE) is phase


@given(first=instants, second=instants, index=st.integers(0, 13), grace_s=st.integers(0, 1799))
def test_phases_only_move_forward_in_time(first: datetime, second: datetime, index: int, grace_s: int) -> None:
    order = [SlotPhase.BEFORE, SlotPhase.ON_TIME, SlotPhase.LATE, SlotPhase.OVER]
    slot = slot_grid(NORMAL)[index]
    earlier, later = sorted((first, second))

    phases = [slot_phase(slot, at, timedelta(seconds=grace_s)) for at in (earlier, later)]

    assert order.index(phases[0]) <= order.index(phases[1])


@given(at=instants)
def test_at_any_instant_at_most_one_slot_takes_live_quotes(at: datetime) -> None:
    live = [slot for slot in slot_grid(NORMAL) if slot_phase(slot, at, GRACE) in (SlotPhase.ON_TIME, SlotPhase.LATE)]

    inside = NORMAL.open_utc <= at < NORMAL.close_utc + timedelta(minutes=30)
    assert len(live) == (1 if inside else 0)
