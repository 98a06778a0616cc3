"""From slots and close to the day: which quote, what it is flagged with, and what a contract without one looks like."""

import random
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opt_data.core.contracts import ContractSet, OptionContract, Underlying
from opt_data.core.sessions import TradingSession
from opt_data.core.slots import Slot, slot_grid
from opt_data.tables.arrow_rows import rows_from_table, table_from_rows
from opt_data.tables.chain_columns import QUOTE_VALUES
from opt_data.tables.datasets import CLEAN_CHAIN_INTRADAY, DAILY_CLEAN
from opt_data.tables.row_check import checked_rows
from opt_data.tables.stored_rows import HeldRows
from opt_data.transforms.rollup import roll_up
from opt_data.transforms.rollup_columns import RollupRules
from tests.fakes.chain import LAST_SLOT, SESSION, SLOTS, Row, contract_row, error_row, late_row, quote_row, stored_row

BELL = LAST_SLOT.instant_utc
RULES = RollupRules(SLOTS, is_intraday=True, allows_fallback=True)


def contract(conid: int, first_seen_slot: int = 0) -> OptionContract:
    identity = {name: value for name, value in contract_row(conid).items() if name != "first_seen_slot"}
    return OptionContract(**identity, underlying="AAPL", exchange="SMART", first_seen_slot=first_seen_slot)


def day_set(*contracts: OptionContract) -> ContractSet:
    return ContractSet(
        underlying=Underlying("AAPL", conid=265598), trade_date=SESSION.day, reference_price=700.0,
        reference_source="previous_close", contracts=contracts, created_at=datetime(2025, 11, 24, 14, 25, tzinfo=UTC),
        verified_on=SESSION.day, und_fingerprint="x",
    )  # fmt: skip


def table(rows: list[Row]) -> pa.Table:
    return table_from_rows(checked_rows(CLEAN_CHAIN_INTRADAY, rows), CLEAN_CHAIN_INTRADAY)


def at_close(conid: int = 711, **changes: object) -> Row:
    row = quote_row(conid, LAST_SLOT, 5400.0, **{"capture_mode": "frozen", "bid": 9.0, "ask": 9.2, **changes})
    return stored_row(row, LAST_SLOT, ingest_id="close", known_at=BELL + timedelta(minutes=91))


def at_slot(index: int, conid: int = 711, slots: tuple[Slot, ...] = SLOTS, **changes: object) -> Row:
    changes = {"bid": float(index + 1), "ask": index + 1.5, **changes}
    return stored_row(quote_row(conid, slots[index], **changes), slots[index])


def broken(index: int, conid: int = 711, error_type: str = "timed_out") -> Row:
    return stored_row(error_row(conid, error_type), SLOTS[index], data_quality_flag=["snapshot_error"])


def rolled(
    close: list[Row], slots: list[Row], *contracts: OptionContract, rules: RollupRules = RULES
) -> dict[int, Row]:
    day = roll_up(
        HeldRows(table(close)), HeldRows(table(slots)), day_set(*(contracts or (contract(711),))), "SMART", rules
    )
    rows = rows_from_table(day)
    checked_rows(DAILY_CLEAN, rows)
    return {row["conid"]: row for row in rows}


CROSSED = {"bid": 3.0, "ask": 2.0}

# close, slots -> strategy, source slot, bid, flags
STRATEGIES = {
    "close first": ([at_close()], [at_slot(13), at_slot(12)], "close", 13, 9.0, []),
    "close with a last only": ([at_close(bid=None, ask=None)], [at_slot(13)], "close", 13, None, []),
    "no close": ([], [at_slot(13), at_slot(12)], "slot_1600", 13, 14.0, ["fallback_intraday"]),
    "crossed close": ([at_close(**CROSSED)], [at_slot(13)], "slot_1600", 13, 14.0, ["fallback_intraday"]),
    "close is an error": (
        [stored_row(error_row(711), LAST_SLOT)], [at_slot(12)], "slot_1530", 12, 13.0,
        ["eod_rollup_fallback", "fallback_intraday"],
    ),
    "crossed last slot": (
        [], [at_slot(13, **CROSSED), at_slot(12)], "slot_1530", 12, 13.0, ["eod_rollup_fallback", "fallback_intraday"],
    ),
    "newest of the earlier": (
        [], [at_slot(3), at_slot(5), broken(12), broken(13)], "last_good", 5, 6.0,
        ["eod_rollup_fallback", "eod_rollup_stale", "fallback_intraday"],
    ),
    "nothing good": ([at_close(**CROSSED)], [broken(4)], "none", None, None, ["snapshot_error"]),
}  # fmt: skip


@pytest.mark.parametrize("case", STRATEGIES.values(), ids=STRATEGIES.keys())
def test_the_way_to_a_contracts_quote(case) -> None:
    close, slots, strategy, slot, bid, flags = case

    row = rolled(close, slots)[711]

    assert (row["rollup_strategy"], row["rollup_source_slot"], row["bid"]) == (strategy, slot, bid)
    assert sorted(row["data_quality_flag"]) == flags
    assert row["rollup_source_time"] == (None if slot is None else SLOTS[slot].instant_utc)
    assert row["ingest_run_type"] == "eod_rollup"


def test_a_days_row_is_its_source_as_it_was_sampled() -> None:
    source = at_slot(12, iv=0.31, volume=17, und_last=702.5, und_asof_ts=SLOTS[12].instant_utc, attempt=2)

    row = rolled([], [source])[711]

    of_the_day = {"data_quality_flag", "ingest_run_type", "schema_version"}
    assert {name: row[name] for name in source if name not in of_the_day} == {
        name: value for name, value in source.items() if name not in of_the_day
    }


def test_on_an_early_day_the_names_follow_the_real_close() -> None:
    short = TradingSession(
        date(2025, 11, 28), datetime(2025, 11, 28, 14, 30, tzinfo=UTC), datetime(2025, 11, 28, 18, tzinfo=UTC), True
    )
    grid = slot_grid(short)
    rows = [at_slot(7, 711, grid), at_slot(6, 712, grid), at_slot(5, 713, grid)]

    day = rolled([], rows, contract(711), contract(712), contract(713), rules=RollupRules(grid, True, True))

    assert {conid: row["rollup_strategy"] for conid, row in day.items()} == {
        711: "slot_1300", 712: "slot_1230", 713: "last_good",
    }  # fmt: skip
    assert day[711]["slots_expected"] == 8


def test_error_rows_never_become_prices_and_say_why_in_the_day() -> None:
    row = rolled([stored_row(error_row(711, "no_permission"), LAST_SLOT)], [broken(5)])[711]

    assert all(row[name] is None for name in (*QUOTE_VALUES, "capture_mode", "rollup_source_time"))
    assert (row["snapshot_error"], row["error_type"]) == (True, "no_permission")


def test_a_quote_that_may_not_stand_in_leaves_no_trace_of_its_price() -> None:
    rules = RollupRules(SLOTS, is_intraday=True, allows_fallback=False)

    day = rolled([at_close()], [at_slot(13), at_slot(13, 712)], contract(711), contract(712), rules=rules)

    assert (day[711]["rollup_strategy"], day[712]["rollup_strategy"]) == ("close", "none")
    assert all(day[712][name] is None for name in (*QUOTE_VALUES, "capture_mode"))
    assert day[712]["error_type"] == "no_quote"
    assert day[712]["slots_on_time"] == 1


def test_a_contract_of_which_nothing_is_stored_has_its_row() -> None:
    row = rolled([at_close()], [], contract(711), contract(790, first_seen_slot=5))[790]

    assert (row["rollup_strategy"], row["snapshot_error"], row["error_type"]) == ("none", True, "not_asked")
    assert (row["symbol"], row["strike"], row["ingest_id"]) == ("AAPL  251219C00000790", 790.0, None)
    assert row["known_at"] == datetime(2025, 11, 24, 14, 25, tzinfo=UTC)
    assert (row["slots_expected"], row["slots_missing"]) == (9, 9)


def test_slots_are_counted_by_how_they_were_got() -> None:
    rebuilt = stored_row(quote_row(711, SLOTS[2], 7200.0, capture_mode="rebuilt"), SLOTS[2])
    frozen = stored_row(quote_row(711, LAST_SLOT, 300.0, capture_mode="frozen"), LAST_SLOT)
    slots = [at_slot(0), at_slot(1), rebuilt, stored_row(late_row(711, SLOTS[3]), SLOTS[3]), broken(4), frozen]

    row = rolled([at_close()], slots)[711]

    names = ("slots_expected", "slots_on_time", "slots_late", "slots_rebuilt", "slots_missing")
    assert [row[name] for name in names] == [14, 3, 1, 1, 9]


def test_a_symbol_of_the_close_only_expects_no_slots() -> None:
    row = rolled([at_close()], [], rules=RollupRules(SLOTS, is_intraday=False, allows_fallback=True))[711]

    assert (row["slots_expected"], row["slots_missing"]) == (0, 0)


def test_moneyness_is_measured_at_the_close() -> None:
    und = {"und_last": 720.0, "und_asof_ts": BELL + timedelta(seconds=3)}

    day = rolled([], [at_slot(13, 711, **und), at_slot(13, 792, **und)], contract(711), contract(792))

    assert day[792]["underlying_close"] == 720.0
    assert day[792]["moneyness_pct"] == pytest.approx(10.0)
    assert day[792]["strike_per_100"] == pytest.approx(110.0)
    assert day[711]["moneyness_pct"] == pytest.approx(-1.25)


def test_the_underlying_nearest_to_the_bell_counts_not_trading_after_hours() -> None:
    slots = [at_slot(13, und_last=720.0, und_asof_ts=BELL + timedelta(seconds=3)), at_slot(12, und_last=719.0)]
    close = [at_close(und_last=731.0, und_asof_ts=BELL + timedelta(minutes=90))]

    assert rolled(close, slots)[711]["underlying_close"] == 720.0
    assert rolled(close, slots[1:])[711]["underlying_close"] == 731.0
    assert rolled([], slots[1:])[711]["underlying_close"] is None


def test_an_underlying_sampled_apart_in_time_is_flagged() -> None:
    bell = {"und_last": 720.0, "und_asof_ts": BELL + timedelta(seconds=3)}
    slots = [at_slot(13, 711, **bell), at_slot(12, 712), at_slot(13, 713, **bell)]
    after_hours = {"und_last": 731.0, "und_asof_ts": BELL + timedelta(minutes=90)}

    day = rolled([at_close(713, **after_hours)], slots, contract(711), contract(712), contract(713))

    flagged = {conid: "und_async" in row["data_quality_flag"] for conid, row in day.items()}
    assert flagged == {711: False, 712: True, 713: True}


def test_nothing_at_all_gives_a_day_of_bare_rows() -> None:
    day = rolled([], [], contract(711), contract(712))

    assert [row["rollup_strategy"] for row in day.values()] == ["none", "none"]


@st.composite
def days(draw) -> tuple[list[Row], list[Row]]:
    kinds = st.sampled_from(["quote", "late", "error", "crossed", "absent"])
    close, slots = [], []
    for conid in (711, 712, 713):
        for index in draw(st.lists(st.integers(0, 13), unique=True, max_size=5)):
            kind = draw(kinds)
            row = {
                "quote": at_slot(index, conid), "late": stored_row(late_row(conid, SLOTS[index]), SLOTS[index]),
                "error": broken(index, conid), "crossed": at_slot(index, conid, **CROSSED), "absent": None,
            }[kind]  # fmt: skip
            slots += [row] if row else []
        kind = draw(kinds)
        row = {"error": stored_row(error_row(conid), LAST_SLOT), "crossed": at_close(conid, **CROSSED)}.get(kind)
        close += [row or at_close(conid)] if kind != "absent" else []
    return close, slots


@settings(max_examples=60)
@given(days(), st.randoms(use_true_random=False))
def test_the_day_does_not_depend_on_the_order_of_rows(day: tuple[list[Row], list[Row]], order: random.Random) -> None:
    close, slots = day
    contracts = day_set(contract(711), contract(712), contract(713), contract(714))
    expected = roll_up(HeldRows(table(close)), HeldRows(table(slots)), contracts, "SMART", RULES)
    order.shuffle(close)
    order.shuffle(slots)

    again = roll_up(HeldRows(table(close)), HeldRows(table(slots)), contracts, "SMART", RULES)

    assert again.equals(expected)
    assert expected.column("conid").to_pylist() == [711, 712, 713, 714]
    for row in rows_from_table(expected):
        had = row["slots_on_time"] + row["slots_late"] + row["slots_rebuilt"] + row["slots_missing"]
        assert had == row["slots_expected"] == 14
        assert (row["rollup_strategy"] == "none") == row["snapshot_error"]
        assert row["bid"] is None or row["bid"] <= row["ask"]
