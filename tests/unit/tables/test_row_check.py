"""Single values: what is stored, and what is refused with its row and column."""

import math
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest

from opt_data.errors import SchemaMismatch
from opt_data.tables.datasets import RAW_CHAIN_INTRADAY
from opt_data.tables.row_check import checked_row, checked_rows
from tests.fakes.chain import SLOT, quote_row


def stamped(**changes: object) -> dict[str, object]:
    """A row as the store completes it."""
    return {
        **quote_row(711),
        "trade_date": date(2025, 11, 24),
        "underlying": "AAPL",
        "exchange": "SMART",
        "sample_time": SLOT.instant_utc,
        "sample_time_et": "2025-11-24T11:00:00-05:00",
        "slot_30m": 3,
        "lag_s": 5.0,
        "attempt": 1,
        "data_quality_flag": [],
        "source": "IBKR",
        "ingest_id": "a",
        "ingest_run_type": "intraday",
        "known_at": SLOT.instant_utc,
        "schema_version": 1,
        **changes,
    }


def checked(**changes: object) -> dict[str, object]:
    return checked_row(RAW_CHAIN_INTRADAY, stamped(**changes), "row 4")


def test_a_good_row_comes_back_whole_with_what_was_left_out_as_none() -> None:
    row = checked()
    assert list(row) == [column.name for column in RAW_CHAIN_INTRADAY.columns]
    assert row["bid"] == 1.25
    assert row["vwap"] is None


def test_instants_are_brought_to_utc() -> None:
    new_york = timezone(timedelta(hours=-5))
    assert checked(last_trade_time=datetime(2025, 11, 24, 10, 59, tzinfo=new_york))["last_trade_time"] == datetime(
        2025, 11, 24, 15, 59, tzinfo=UTC
    )


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("delta", -1.0),
        ("theta", -1.0),
        ("volume", 12.0),
        ("volume", np.int64(12)),
        ("bid", np.float64(0.5)),
        ("bid", 0),
    ],
)
def test_real_values_pass(column: str, value: object) -> None:
    assert checked(**{column: value})[column] == value


SENTINELS = [math.nan, math.inf, -math.inf, 1.7976931348623157e308, 1e300, -1e300]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *[("bid", value) for value in [*SENTINELS, -1.0, -2.0, -1]],
        *[("delta", value) for value in [*SENTINELS, -2.0]],
        *[("und_last", value) for value in (-1.0, math.nan)],
        ("volume", -1),
        ("volume", math.nan),
        ("halted", -1),
        ("iv", -1.0),
        ("gamma", -2.0),
        ("market_data_type", -1),
    ],
)
def test_a_sentinel_is_refused(column: str, value: float) -> None:
    with pytest.raises(SchemaMismatch, match=f"row 4, column '{column}'"):
        checked(**{column: value})


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        ("asof_ts", datetime(2025, 11, 24, 11, 0), "no time zone"),
        ("known_at", datetime(2025, 11, 24, 11, 0), "no time zone"),
        ("expiry", datetime(2025, 12, 19, tzinfo=UTC), "not a date"),
        ("expiry", "2025-12-19", "not a date"),
        ("asof_ts", date(2025, 11, 24), "not an instant"),
        ("conid", None, "may not be null"),
        ("conid", 0, "greater than 0"),
        ("conid", 7.5, "not a whole number"),
        ("slot_30m", 128, "does not fit int8"),
        ("strike", "200", "not a number"),
        ("strike", True, "not a number"),
        ("right", "call", "not one of C, P"),
        ("capture_mode", "early", "not one of"),
        ("error_type", "bad_luck", "not one of"),
        ("snapshot_error", 0, "neither true nor false"),
        ("symbol", "", "may not be empty"),
        ("symbol", 711, "not text"),
        ("data_quality_flag", ["windy"], "no flag 'windy'"),
        ("data_quality_flag", "wide", "not a list"),
        ("data_quality_flag", None, "may not be null"),
        ("colour", "red", "no such column"),
    ],
)
def test_a_wrong_value_is_refused_with_row_column_and_reason(column: str, value: object, why: str) -> None:
    with pytest.raises(SchemaMismatch, match=f"row 4, column '{column}'.*{why}"):
        checked(**{column: value})


def test_two_rows_of_one_key_are_refused() -> None:
    rows = [stamped(), stamped(conid=712), stamped(bid=1.0)]
    with pytest.raises(SchemaMismatch, match=r"row 2 has the key of row 0.*711"):
        checked_rows(RAW_CHAIN_INTRADAY, rows)
