"""Names and flags of the ways by which a day gets its quote."""

from datetime import UTC, date, datetime, timedelta

import pytest

from opt_data.core.capture_plan import close_capture_mode
from opt_data.core.quotes import MarketDataType
from opt_data.core.rollup import slot_strategies, strategy_flags
from opt_data.core.sessions import TradingSession
from opt_data.core.slots import CaptureMode, close_slot, slot_grid
from tests.fakes.chain import SESSION, SLOTS

# NYSE: Friday 28 November 2025 closes at 13:00; Monday 1 December opens at 09:30.
SHORT = TradingSession(
    date(2025, 11, 28), datetime(2025, 11, 28, 14, 30, tzinfo=UTC), datetime(2025, 11, 28, 18, tzinfo=UTC), True
)
MONDAY = TradingSession(
    date(2025, 12, 1), datetime(2025, 12, 1, 14, 30, tzinfo=UTC), datetime(2025, 12, 1, 21, tzinfo=UTC)
)


def test_slots_are_named_by_the_real_close():
    assert slot_strategies(SLOTS) == ("last_good",) * 12 + ("slot_1530", "slot_1600")
    assert slot_strategies(slot_grid(SHORT)) == ("last_good",) * 6 + ("slot_1230", "slot_1300")


@pytest.mark.parametrize(
    ("strategy", "flags"),
    [
        ("close", ()),
        ("slot_1600", ("fallback_intraday",)),
        ("slot_1530", ("fallback_intraday", "eod_rollup_fallback")),
        ("last_good", ("fallback_intraday", "eod_rollup_fallback", "eod_rollup_stale")),
        ("none", ()),
    ],
)
def test_every_step_away_from_the_close_is_flagged(strategy: str, flags: tuple[str, ...]):
    assert strategy_flags(strategy, "slot_1600") == flags


def test_the_closing_snapshot_lasts_until_shortly_before_the_next_open():
    close = close_slot(SHORT, MONDAY)

    assert (close.index, close.instant_utc, close.is_last) == (7, SHORT.close_utc, True)
    assert close.ends_utc == datetime(2025, 12, 1, 14, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("after_bell", "served", "mode"),
    [
        (timedelta(0), MarketDataType.FROZEN, CaptureMode.FROZEN),
        (timedelta(minutes=90), MarketDataType.FROZEN, CaptureMode.FROZEN),
        (timedelta(days=2), MarketDataType.DELAYED_FROZEN, CaptureMode.FROZEN),
        (timedelta(minutes=5), MarketDataType.LIVE, None),
        (timedelta(minutes=5), MarketDataType.DELAYED, None),
        (timedelta(minutes=5), None, None),
        (timedelta(seconds=-1), MarketDataType.FROZEN, None),
        (timedelta(days=2, hours=20), MarketDataType.FROZEN, None),
    ],
)
def test_only_frozen_values_between_bell_and_next_open_are_the_close(after_bell, served, mode):
    assert close_capture_mode(close_slot(SHORT, MONDAY), SHORT.close_utc + after_bell, served) is mode


def test_a_normal_days_close_is_the_last_slot():
    assert close_slot(SESSION, MONDAY).index == SLOTS[-1].index == 13
