"""Folding observations and merging them into a day: pure, tables made by hand."""

from datetime import UTC, date, datetime, timedelta
from itertools import permutations
from typing import Any

import pyarrow as pa
import pytest

from opt_data.core.open_interest import ReadVerdict
from opt_data.tables.arrow import empty_table
from opt_data.tables.arrow_rows import table_from_rows
from opt_data.tables.datasets import DAILY_CLEAN, OPEN_INTEREST_READS
from opt_data.tables.row_check import checked_rows
from opt_data.transforms.open_interest import day_open_interest, with_open_interest
from tests.fakes.chain import daily_row

DAY = date(2025, 11, 24)
HALF_PAST_SEVEN = datetime(2025, 11, 25, 12, 30, tzinfo=UTC)


def read(
    number: int, values: dict[int, int | None], verdict: str, accepted: tuple[int, ...] = ()
) -> list[dict[str, Any]]:
    at = HALF_PAST_SEVEN + timedelta(minutes=10 * (number - 1))
    return [
        {
            "trade_date": DAY, "underlying": "AAPL", "conid": conid, "symbol": f"AAPL  251219C{conid:08d}",
            "right": "C", "exchange": "SMART", "read_number": number, "open_interest": value,
            "absence": "timed_out" if value is None else None, "verdict": verdict, "is_accepted": conid in accepted,
            "observed_at": at, "market_data_type": 1, "source": "IBKR", "ingest_id": f"read{number}",
            "known_at": at + timedelta(seconds=5), "schema_version": 1,
        }
        for conid, value in values.items()
    ]  # fmt: skip


def observations(*reads: list[dict[str, Any]]) -> pa.Table:
    rows = [row for one in reads for row in one]
    return table_from_rows(checked_rows(OPEN_INTEREST_READS, rows), OPEN_INTEREST_READS)


def daily(*conids: int, **changes: Any) -> pa.Table:
    return table_from_rows(checked_rows(DAILY_CLEAN, [daily_row(c, **changes) for c in conids]), DAILY_CLEAN)


FIRST = read(1, {711: 40, 712: 50, 713: None}, "first_read")
SECOND = read(2, {711: 40, 712: 50, 713: None}, "rolled", accepted=(711, 712))
THIRD = read(3, {713: 7}, "rolled", accepted=(713,))


def test_the_order_of_reads_does_not_matter() -> None:
    folded = [day_open_interest(DAY, observations(*order)) for order in permutations((FIRST, SECOND, THIRD))]

    assert all(one == folded[0] for one in folded)
    assert {conid: seen.contracts for conid, seen in folded[0].accepted.items()} == {711: 40, 712: 50, 713: 7}
    assert folded[0].last is not None
    assert (folded[0].last.number, folded[0].last.values) == (3, {713: 7})


def test_no_reads() -> None:
    on_file = day_open_interest(DAY, empty_table(OPEN_INTEREST_READS))

    assert (on_file.accepted, on_file.last, on_file.is_failed) == ({}, None, False)


def test_merging_fills_what_was_accepted_and_flags_the_rest() -> None:
    on_file = day_open_interest(DAY, observations(FIRST, SECOND))

    rows = with_open_interest(daily(711, 713, data_quality_flag=["wide", "missing_oi"]), on_file).to_pylist()

    assert [row["open_interest"] for row in rows] == [40, None]
    assert [row["oi_asof_date"] for row in rows] == [DAY, None]
    assert [row["oi_observed_at"] for row in rows] == [HALF_PAST_SEVEN + timedelta(minutes=10), None]
    assert [row["data_quality_flag"] for row in rows] == [["wide"], ["wide", "missing_oi"]]


def test_merging_again_changes_nothing_and_nothing_but_open_interest_changes() -> None:
    on_file = day_open_interest(DAY, observations(FIRST, SECOND))
    day = daily(711, 712, 713)

    once = with_open_interest(day, on_file)

    assert with_open_interest(once, on_file).equals(once)
    assert once.schema.equals(day.schema)
    touched = {"open_interest", "oi_asof_date", "oi_observed_at", "data_quality_flag"}
    kept = [name for name in day.schema.names if name not in touched]
    assert once.select(kept).equals(day.select(kept))


def test_a_value_that_is_no_longer_on_file_goes_again() -> None:
    filled = with_open_interest(daily(711), day_open_interest(DAY, observations(FIRST, SECOND)))

    (row,) = with_open_interest(filled, day_open_interest(DAY, empty_table(OPEN_INTEREST_READS))).to_pylist()

    assert (row["open_interest"], row["oi_asof_date"], row["oi_observed_at"]) == (None, None, None)
    assert row["data_quality_flag"] == ["missing_oi"]


@pytest.mark.parametrize(
    ("verdict", "failed", "flags"),
    [
        ("unstable", 1, ["missing_oi"]),
        ("not_rolled", 1, ["missing_oi", "oi_not_rolled"]),
        ("nothing", 3, ["missing_oi", "oi_enrichment_failed"]),
        ("not_rolled", 3, ["missing_oi", "oi_not_rolled", "oi_enrichment_failed"]),
    ],
)
def test_a_failed_morning_says_how(verdict: str, failed: int, flags: list[str]) -> None:
    on_file = day_open_interest(DAY, observations(read(1, {711: 40}, verdict)))

    (row,) = with_open_interest(daily(711), on_file, failed).to_pylist()

    assert on_file.is_failed
    assert on_file.last is not None
    assert on_file.last.verdict is ReadVerdict(verdict)
    assert row["data_quality_flag"] == flags
