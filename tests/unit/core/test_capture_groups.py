"""How a universe is cut into tasks, when a batch gives way, and what a group is called."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opt_data.core.capture_groups import batch_wait_s, group_symbols, symbols_label
from opt_data.core.sessions import TradingSession
from opt_data.core.slots import slot_grid

SESSION = TradingSession(
    date(2025, 11, 24), datetime(2025, 11, 24, 14, 30, tzinfo=UTC), datetime(2025, 11, 24, 21, tzinfo=UTC)
)
TEN = slot_grid(SESSION)[1]


def test_one_symbol_a_task_keeps_the_order_of_the_universe() -> None:
    assert [group.symbols for group in group_symbols(["SPX", "AAPL", "MSFT"], {}, 1)] == [
        ("SPX",), ("AAPL",), ("MSFT",),
    ]  # fmt: skip


def test_batches_come_in_the_order_of_their_turn_and_never_share_a_task() -> None:
    groups = group_symbols(["A", "B", "C", "D", "E"], {"A": 10, "C": 5, "D": 10}, 2)

    assert [(group.symbols, group.offset_min) for group in groups] == [
        (("B", "E"), 0), (("C",), 5), (("A", "D"), 10),
    ]  # fmt: skip


@given(st.dictionaries(st.text("ABC", min_size=1, max_size=6), st.integers(0, 29), max_size=40), st.integers(1, 9))
def test_every_symbol_is_in_exactly_one_group(offsets: dict[str, int], per_task: int) -> None:
    groups = group_symbols(offsets, offsets, per_task)

    assert sorted(symbol for group in groups for symbol in group.symbols) == sorted(offsets)
    assert all(1 <= len(group.symbols) <= per_task for group in groups)
    assert {offsets[symbol] == group.offset_min for group in groups for symbol in group.symbols} <= {True}


@pytest.mark.parametrize(
    ("seconds_after_slot", "offset_min", "wait_s"),
    [(0, 0, 0), (0, 5, 300), (299, 5, 1), (300, 5, 0), (90_000, 5, 0), (-20, 5, 0)],
)
def test_a_batch_gives_way_from_the_slot_until_its_turn(seconds_after_slot: int, offset_min: int, wait_s: int) -> None:
    assert batch_wait_s(TEN, offset_min, TEN.instant_utc + timedelta(seconds=seconds_after_slot)) == wait_s


def test_a_label_names_all_symbols_of_a_small_group_and_counts_the_rest_of_a_large_one() -> None:
    assert symbols_label(["AAPL", "BRK B", "MSFT"]) == "AAPL, BRK B, MSFT"
    label = symbols_label([f"SYN{number:03}" for number in range(500)])
    assert label.startswith("SYN000, SYN001, ")
    assert label.endswith(f" +{500 - label.count('SYN')}")
    # Airflow's column for it holds 250 characters
    assert len(label) < 80
