"""The end of a session over the simulated gateway: the closing snapshot, and the day made of it and the slots."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pyarrow.compute as pc
import pytest

from opt_data.errors import (
    CloseExpired,
    CloseMissing,
    FileUnreadable,
    NothingCaptured,
    NothingToRollUp,
    SchemaMismatch,
    SlotNotBegun,
    SlotsRetired,
)
from opt_data.pipelines.report_session import report_session
from opt_data.storage.layout import ChainPartition, ChainView
from tests.pipelines.conftest import DAY

HALF_PAST_THREE = datetime(2025, 11, 24, 20, 30, tzinfo=UTC)
FOUR = datetime(2025, 11, 24, 21, 0, tzinfo=UTC)
HALF_PAST_FIVE_ET = "2025-11-24T17:30:00-05:00"
DAY_KEY = "clean/ib/chain/view=daily_clean/date=2025-11-24/underlying=AAPL/exchange=SMART/day.parquet"


async def at_slot(desk, instant):
    desk.gateway.control.set_clock(instant)
    return await desk.capture(slot=desk.slot(instant))


async def at_the_close(desk, at=HALF_PAST_FIVE_ET):
    desk.gateway.control.set_clock(at)
    return await desk.close()


def closes(desk):
    rows = desk.stores.reader.read_chain(desk.day, "AAPL", view=ChainView.CLOSE).to_pylist()
    return {row["conid"]: row for row in rows}


async def test_the_closing_snapshot_is_what_the_market_froze_at_the_bell(desk):
    desk = desk()
    await desk.discover()

    outcome = await at_the_close(desk)

    rows = closes(desk)
    assert (outcome.account.kept, outcome.account.frozen, len(rows)) == (24, 24, 24)
    for conid, row in rows.items():
        truth = desk.gateway.control.truth(conid, FOUR)
        assert [row[name] for name in ("bid", "ask", "last")] == [truth[name] for name in ("bid", "ask", "last")]
        assert (row["sample_time"], row["slot_30m"], row["capture_mode"]) == (FOUR, 13, "frozen")
        assert (row["market_data_type"], row["ingest_run_type"]) == (2, "close")
        assert row["lag_s"] >= 5400
    assert desk.rows() == []
    assert desk.ledger() == {}


async def test_a_second_snapshot_asks_only_for_what_is_missing(desk):
    desk = desk()
    await desk.discover()
    await at_the_close(desk)
    asked = desk.gateway.control.stats()["requests"]["reqMktData"]

    again = await desk.close()

    assert (again.asked, again.account.kept) == (0, 24)
    assert desk.gateway.control.stats()["requests"]["reqMktData"] == asked


async def test_the_close_is_taken_the_next_morning_without_the_running_days_figures(desk):
    desk = desk()
    await desk.discover()

    await at_the_close(desk, "2025-11-25T08:00:00-05:00")

    for conid, row in closes(desk).items():
        assert row["bid"] == desk.gateway.control.truth(conid, FOUR)["bid"]
        assert row["volume"] is row["prev_close"] is row["day_high"] is None


@pytest.mark.parametrize(
    "clock", ["2025-11-25T09:00:00-05:00", "2025-11-25T10:00:00-05:00", "2025-12-01T20:00:00-05:00"]
)
async def test_another_sessions_values_are_never_taken_for_the_close(desk, clock):
    desk = desk()
    await desk.discover()

    with pytest.raises(CloseExpired, match="could be taken until 2025-11-25 09:00 New York"):
        await at_the_close(desk, clock)

    assert closes(desk) == {}
    assert "reqMktData" not in desk.gateway.control.stats()["requests"]


async def test_before_the_bell_there_is_no_close(desk):
    desk = desk()
    await desk.discover()

    with pytest.raises(SlotNotBegun):
        await at_the_close(desk, "2025-11-24T15:00:00-05:00")


async def test_live_quotes_after_the_bell_are_not_the_close(desk):
    # a market that trades on until 16:15, as index options and some funds do
    desk = desk({"hours": {"close_at": "16:15"}})
    await desk.discover()

    with pytest.raises(NothingCaptured):
        await at_the_close(desk, "2025-11-24T16:05:00-05:00")

    assert {(row["error_type"], row["bid"]) for row in closes(desk).values()} == {("no_quote", None)}


async def test_a_day_traced_to_the_markets_own_truth(desk):
    desk = desk()
    await desk.discover()
    for instant in (HALF_PAST_THREE, FOUR):
        await at_slot(desk, instant)
    one, two = sorted(desk.daily_set())[:2]
    desk.gateway.control.faults(silent_conids=[one, two])
    await at_the_close(desk)
    desk.rewrite_slot(13, lambda table: table.filter(pc.field("conid") != two))

    outcome = desk.roll_up()

    assert outcome.strategies == {"close": 22, "slot_1530": 1, "slot_1600": 1}
    day = desk.daily()
    assert set(day) == desk.daily_set()
    assert (day[one]["rollup_strategy"], day[two]["rollup_strategy"]) == ("slot_1600", "slot_1530")
    assert "fallback_intraday" in day[one]["data_quality_flag"]
    assert {"eod_rollup_fallback", "und_async"} <= set(day[two]["data_quality_flag"])
    und_close = desk.gateway.control.truth(265598, FOUR)["last"]
    for conid, row in day.items():
        seen_at = row["asof_ts"] if row["rollup_strategy"] != "close" else FOUR
        truth = desk.gateway.control.truth(conid, seen_at)
        assert (row["bid"], row["ask"]) == (truth["bid"], truth["ask"])
        assert row["underlying_close"] == und_close
        assert row["moneyness_pct"] == pytest.approx((row["strike"] / und_close - 1) * 100)
        assert row["slots_expected"] == 14
        assert row["slots_missing"] == 14 - row["slots_on_time"]


async def test_rolling_up_again_and_after_deleting_gives_the_same_bytes(desk):
    desk = desk()
    await desk.discover()
    await at_slot(desk, FOUR)
    await at_the_close(desk)
    first = desk.roll_up()
    path = desk.settings.paths.data_root / DAY_KEY
    before = path.read_bytes()

    again = desk.roll_up()
    path.unlink()
    anew = desk.roll_up()

    assert (first.is_changed, again.is_changed, anew.is_changed) == (True, False, True)
    assert path.read_bytes() == before


async def test_on_an_early_day_the_slots_and_the_close_are_the_real_ones(desk):
    desk = replace(desk(clock="2025-11-28T09:25:00-05:00"), day=date(2025, 11, 28))
    await desk.discover()
    for instant in (datetime(2025, 11, 28, 17, 30, tzinfo=UTC), datetime(2025, 11, 28, 18, 0, tzinfo=UTC)):
        await at_slot(desk, instant)

    assert desk.roll_up().strategies == {"slot_1300": 24}

    await at_the_close(desk, "2025-11-28T17:30:00-05:00")
    assert desk.roll_up().strategies == {"close": 24}
    for row in desk.daily().values():
        assert row["rollup_source_time"] == datetime(2025, 11, 28, 18, 0, tzinfo=UTC)
        assert (row["rollup_source_slot"], row["slots_expected"], row["slots_on_time"]) == (7, 8, 2)


async def test_without_fallback_a_missing_close_says_what_to_run(desk):
    desk = desk(ROLLUP__ALLOW_INTRADAY_FALLBACK="false")
    await desk.discover()
    await at_slot(desk, FOUR)

    with pytest.raises(CloseMissing, match="clear its close_snapshot with downstream in opt_data_eod"):
        desk.roll_up()
    assert desk.daily() == {}

    await at_the_close(desk)
    assert desk.roll_up().strategies == {"close": 24}


async def test_a_day_with_no_data_is_an_error_and_leaves_nothing(desk):
    desk = desk()
    await desk.discover()

    with pytest.raises(NothingToRollUp, match="AAPL has no stored row on 2025-11-24"):
        desk.roll_up()

    assert not (desk.settings.paths.data_root / DAY_KEY).exists()


async def test_a_day_of_error_rows_is_stored_without_prices_and_is_an_error(desk):
    desk = desk(CAPTURE__READY_TIMEOUT_S="0.2")
    await desk.discover()
    desk.gateway.control.faults(silent_exchanges=["SMART", "CBOE", "CBOEOPT"])
    with pytest.raises(NothingCaptured):
        await at_slot(desk, FOUR)

    with pytest.raises(NothingToRollUp, match="not one good quote on 2025-11-24: its 24 rows are stored"):
        desk.roll_up()

    assert {(row["rollup_strategy"], row["error_type"], row["bid"]) for row in desk.daily().values()} == {
        ("none", "timed_out", None)
    }


async def test_a_file_that_lacks_a_needed_column_is_named_and_the_day_stays(desk):
    desk = desk()
    await desk.discover()
    await at_slot(desk, FOUR)
    desk.roll_up()
    before = desk.daily()
    desk.rewrite_slot(13, lambda table: table.drop_columns(["strike"]))

    with pytest.raises(SchemaMismatch, match=r"slot_13.parquet: column 'strike' .* is absent"):
        desk.roll_up()

    assert desk.daily() == before


async def test_files_of_an_older_schema_are_rolled_up_with_newer_ones(desk):
    desk = desk()
    await desk.discover()
    for instant in (HALF_PAST_THREE, FOUR):
        await at_slot(desk, instant)
    desk.rewrite_slot(12, lambda table: table.drop_columns(["pv_dividend", "hist_volatility"]))
    desk.rewrite_slot(13, lambda table: table.slice(1))

    assert desk.roll_up().strategies == {"slot_1530": 1, "slot_1600": 23}

    older = [row for row in desk.daily().values() if row["rollup_strategy"] == "slot_1530"]
    assert [(row["pv_dividend"], row["bid"] is None) for row in older] == [(None, False)]


async def test_a_damaged_slot_stops_the_rollup_until_it_is_set_aside(desk):
    desk = desk()
    await desk.discover()
    await at_slot(desk, FOUR)
    desk.slot_path(13).write_bytes(b"PAR1")

    with pytest.raises(FileUnreadable):
        desk.roll_up()

    desk.stores.chains.refresh(ChainPartition(DAY, "AAPL", "SMART"), 13)
    assert desk.roll_up().strategies == {"slot_1600": 24}


async def test_a_lost_contract_set_is_made_of_the_stored_rows(desk):
    desk = desk()
    await desk.discover()
    await at_the_close(desk)
    desk.roll_up()
    before = desk.daily()
    for path in desk.settings.paths.contracts_cache.glob("AAPL_*"):
        path.unlink()

    desk.roll_up()

    assert desk.daily() == before


async def test_the_report_names_who_has_no_day_and_who_has_no_close(desk):
    desk = desk()
    for symbol in ("AAPL", "MSFT"):
        await desk.discover(symbol)
    await at_slot(desk, FOUR)
    desk.gateway.control.set_clock(HALF_PAST_FIVE_ET)
    await desk.close("MSFT")
    for symbol in ("AAPL", "MSFT"):
        desk.roll_up(symbol)

    report = report_session(DAY, desk.universe("AAPL", "MSFT", "NVDA"), stores=desk.stores)

    assert report.strategies == {"AAPL": {"slot_1600": 24}, "MSFT": {"close": 24}, "NVDA": {}}
    assert (report.without_day, report.without_close) == (("NVDA",), ("AAPL", "NVDA"))
    assert report.summary()["fallback_rate"] == 0.5


async def test_a_day_outlives_the_slots_it_was_made_of(desk):
    desk = desk()
    await desk.discover()
    for instant in (HALF_PAST_THREE, FOUR):
        await at_slot(desk, instant)
    await at_the_close(desk)
    desk.roll_up()
    before = desk.daily()
    for layer in ("raw", "clean"):
        for path in (desk.settings.paths.data_root / layer).glob("ib/chain/view=intraday/**/*.parquet"):
            path.unlink()

    with pytest.raises(SlotsRetired, match="was rolled up from 48 quotes at slots, and 0 are stored now"):
        desk.roll_up()

    assert desk.daily() == before
