"""Which data to ask for, in which order, and under which mode it may be stored."""

from datetime import UTC, date, datetime, timedelta

import pytest

from opt_data.core.capture_plan import (
    capture_mode,
    contracts_left,
    is_settled,
    nearest_first,
    requested_market_data_type,
    worth_another_exchange,
)
from opt_data.core.contracts import OptionContract
from opt_data.core.quotes import MarketDataType
from opt_data.core.sessions import TradingSession
from opt_data.core.slots import CaptureMode, slot_grid

GRACE = timedelta(seconds=120)
# 24 November 2025, an ordinary Monday: 09:30-16:00 New York is 14:30-21:00 UTC
SESSION = TradingSession(
    date(2025, 11, 24), datetime(2025, 11, 24, 14, 30, tzinfo=UTC), datetime(2025, 11, 24, 21, tzinfo=UTC)
)
TEN, *_, CLOSE = slot_grid(SESSION)[1:]


def contract(conid, strike, expiry=date(2025, 12, 19), right="C"):
    return OptionContract(conid, f"X{conid}", "AAPL", 265598, expiry, right, strike, 100, "SMART", "AAPL")


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-0.001, None),
        (0, CaptureMode.ON_TIME),
        (120, CaptureMode.ON_TIME),
        (120.001, CaptureMode.LATE),
        (1799.999, CaptureMode.LATE),
        (1800, None),
    ],
)
def test_mode_by_the_time_of_sampling(seconds, expected):
    asof = TEN.instant_utc + timedelta(seconds=seconds)

    assert capture_mode(TEN, asof, MarketDataType.LIVE, GRACE) is expected


def test_frozen_values_are_the_close_only_at_the_close():
    minute = timedelta(minutes=10)

    assert capture_mode(CLOSE, CLOSE.instant_utc + minute, MarketDataType.FROZEN, GRACE) is CaptureMode.FROZEN
    assert capture_mode(CLOSE, CLOSE.instant_utc + minute, MarketDataType.LIVE, GRACE) is CaptureMode.LATE
    assert capture_mode(TEN, TEN.instant_utc + minute, MarketDataType.FROZEN, GRACE) is None


@pytest.mark.parametrize(
    ("configured", "allow_delayed", "is_close", "expected"),
    [
        (1, False, False, 1), (1, True, False, 3), (1, False, True, 2), (1, True, True, 4),
        (3, False, False, 3), (2, False, False, 2), (4, True, False, 4),
    ],
)  # fmt: skip
def test_requested_type(configured, allow_delayed, is_close, expected):
    assert requested_market_data_type(configured, allow_delayed=allow_delayed, is_close=is_close) == expected


def test_nearest_the_money_comes_first_then_nearest_expiry():
    far = contract(1, 300.0)
    near_later = contract(2, 200.0, date(2026, 1, 16))
    near_sooner = contract(3, 200.0, date(2025, 11, 28))

    assert nearest_first([far, near_later, near_sooner], 200.0) == [near_sooner, near_later, far]


def test_settled_contracts_are_not_asked_again():
    one, two = contract(1, 100.0), contract(2, 110.0)

    assert contracts_left([one, two], {1}) == [two]


@pytest.mark.parametrize(
    ("snapshot_error", "mode", "flags", "expected"),
    [
        pytest.param(False, "on_time", [], True, id="good"),
        pytest.param(False, "frozen", ["frozen"], True, id="close"),
        pytest.param(False, "late", ["late_capture"], False, id="late-may-be-joined-by-better"),
        pytest.param(False, "on_time", ["missing_greeks"], False, id="incomplete"),
        pytest.param(False, "on_time", ["delayed_fallback"], False, id="delayed"),
        pytest.param(True, None, ["snapshot_error"], False, id="no-quote"),
    ],
)
def test_what_counts_as_settled(snapshot_error, mode, flags, expected):
    assert is_settled(snapshot_error=snapshot_error, mode=mode, flags=flags, require_greeks=True) is expected


@pytest.mark.parametrize(
    ("error_type", "expected"),
    [("timed_out", True), ("unknown_contract", True), ("gateway_lost", False), ("rejected", False)],
)
def test_another_exchange_helps_against_silence_only(error_type, expected):
    assert worth_another_exchange(error_type) is expected
