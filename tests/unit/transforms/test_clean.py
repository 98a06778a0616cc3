"""``best_rows``: a pure function of all attempts, however and in whatever order they are merged."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from opt_data.core.slots import Slot
from opt_data.storage.chain_rows import attempt_table
from opt_data.storage.layout import ChainPartition
from opt_data.transforms.clean import best_rows
from tests.fakes.chain import SESSION, SLOT, SLOTS, Row, error_row, ingest, late_row, quote_row

PARTITION = ChainPartition(SESSION.day, "AAPL", "SMART")
T0 = datetime(2025, 11, 24, 16, 1, tzinfo=UTC)


def attempt(name: str, rows: list[Row], minutes: int = 0, slot: Slot = SLOT) -> pa.Table:
    return attempt_table(slot, PARTITION, rows, ingest(name), T0 + timedelta(minutes=minutes))


def winners(*tables: pa.Table) -> dict[int, str]:
    best = best_rows(tables)
    return dict(zip(best.column("conid").to_pylist(), best.column("ingest_id").to_pylist(), strict=True))


def test_each_contract_keeps_its_own_best_row() -> None:
    first = attempt("first", [quote_row(1), late_row(2), error_row(3), quote_row(4, iv=None)])
    second = attempt("second", [late_row(1), quote_row(2), error_row(3, "ib_error"), quote_row(4)], minutes=5)
    assert winners(first, second) == {1: "first", 2: "second", 3: "second", 4: "second"}


def test_delayed_never_replaces_live_however_it_is_known() -> None:
    live = attempt("live", [quote_row(1), quote_row(2)])
    delayed = attempt(
        "delayed",
        [quote_row(1, market_data_type=3), quote_row(2, market_data_type=None, data_quality_flag=["delayed_fallback"])],
        minutes=1,
    )
    assert winners(live, delayed) == {1: "live", 2: "live"}


def test_slots_do_not_compete() -> None:
    both = best_rows([attempt("a", [quote_row(1)]), attempt("b", [quote_row(1, SLOTS[4])], slot=SLOTS[4])])
    assert both.column("slot_30m").to_pylist() == [3, 4]


def test_the_winner_is_stored_unchanged_with_its_own_time_of_knowledge() -> None:
    first = attempt("first", [quote_row(1)])
    best = best_rows([first, attempt("second", [late_row(1)], minutes=7)])
    assert best.to_pylist() == first.to_pylist()
    assert best.column("known_at").to_pylist() == [T0]


def test_rows_come_out_sorted_by_contract() -> None:
    best = best_rows([attempt("a", [quote_row(9), quote_row(2)]), attempt("b", [quote_row(5)])])
    assert best.column("conid").to_pylist() == [2, 5, 9]


rows = st.lists(
    st.one_of(
        st.builds(quote_row, st.integers(1, 4), iv=st.sampled_from([None, 0.2])),
        st.builds(late_row, st.integers(1, 4), market_data_type=st.sampled_from([None, 1, 3])),
        st.builds(error_row, st.integers(1, 4), st.sampled_from(["timed_out", "not_asked", "ib_error"])),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda row: row["conid"],
)
attempts = st.lists(st.tuples(rows, st.integers(0, 2)), min_size=1, max_size=5).map(
    lambda parts: [attempt(f"run-{number}", rows, minutes) for number, (rows, minutes) in enumerate(parts)]
)


@settings(max_examples=60, deadline=None)
@given(tables=attempts, data=st.data())
def test_order_and_steps_of_merging_do_not_matter_and_nothing_is_lost(
    tables: list[pa.Table], data: st.DataObject
) -> None:
    at_once = best_rows(tables)
    shuffled = data.draw(st.permutations(tables))
    step_by_step = shuffled[0]
    for table in shuffled[1:]:
        step_by_step = best_rows([table, step_by_step])
    assert best_rows(shuffled).equals(at_once)
    assert best_rows([step_by_step]).equals(at_once)
    assert best_rows([at_once, *tables]).equals(at_once)
    assert set(at_once.column("conid").to_pylist()) == {c for table in tables for c in table["conid"].to_pylist()}
    everything = pa.concat_tables(tables).to_pylist()
    for row in at_once.to_pylist():
        rivals = [other for other in everything if other["conid"] == row["conid"]]
        assert row in rivals
        if any(other["capture_mode"] == "on_time" for other in rivals):
            assert row["capture_mode"] == "on_time"
        if any(not other["snapshot_error"] for other in rivals):
            assert not row["snapshot_error"]
