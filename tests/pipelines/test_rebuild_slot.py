"""Slots that are over, rebuilt from the simulated gateway's bars: what a user has afterwards, in rows and ledger."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from opt_data.errors import GatewayUnavailable, RequestTimedOut, SlotExpired
from tests.pipelines.conftest import TEN

HALF_HOUR = timedelta(minutes=30)
OPEN = datetime(2025, 11, 24, 14, 30, tzinfo=UTC)
CLOSE = datetime(2025, 11, 24, 21, 0, tzinfo=UTC)
EVENING_ET = "2025-11-24T17:00:00-05:00"
NEXT_DAY_ET = "2025-11-25T10:00:00-05:00"

NEVER_IN_BARS = (
    "bid_size", "ask_size", "last_size", "iv", "delta", "gamma", "theta", "vega", "opt_price", "greeks_source",
    "market_data_type", "und_price_model", "last_trade_time",
)  # fmt: skip


def history_requests(desk) -> int:
    return desk.gateway.control.stats()["requests"].get("reqHistoricalData", 0)


async def discovered(desk, symbol="AAPL"):
    """Freeze the set before the open; its contracts."""
    contracts = (await desk.discover(symbol)).contract_set.contracts
    desk.gateway.control.reset_counters()
    return contracts


def assert_rows_are_the_truth(desk, rows, instant):
    for row in rows:
        truth = desk.gateway.control.truth(row["conid"], instant)
        assert {name: row[name] for name in ("bid", "ask", "last", "volume")} == {
            name: truth[name] for name in ("bid", "ask", "last", "volume")
        }


@pytest.mark.parametrize("symbol", ["AAPL", "SPX"])
async def test_an_outage_of_two_slots_leaves_rows_that_equal_the_markets_own(desk, symbol):
    desk = desk()
    contracts = await discovered(desk, symbol)
    desk.gateway.control.set_clock(EVENING_ET)
    missed = [desk.slot(TEN), desk.slot(TEN + HALF_HOUR)]

    outcomes = [await desk.rebuild(symbol, slot=slot) for slot in missed]

    for slot, outcome in zip(missed, outcomes, strict=True):
        rows = desk.rows(symbol, slot=slot.index)
        assert outcome.account.rebuilt == outcome.account.expected == len(rows) == len(contracts)
        assert_rows_are_the_truth(desk, rows, slot.instant_utc)
        for row in rows:
            assert (row["capture_mode"], row["ingest_run_type"]) == ("rebuilt", "rebuild")
            assert "rebuilt_from_bars" in row["data_quality_flag"]
            assert row["asof_ts"] == row["sample_time"] == slot.instant_utc
            assert [row[name] for name in NEVER_IN_BARS] == [None] * len(NEVER_IN_BARS)
        spot = desk.gateway.control.truth(contracts[0].und_conid, slot.instant_utc)["last"]
        assert {row["und_last"] for row in rows} == {spot}


@pytest.mark.parametrize("instant", [OPEN, CLOSE])
async def test_the_slots_at_open_and_close_are_rebuilt_too(desk, instant):
    desk = desk()
    await discovered(desk)
    desk.gateway.control.set_clock(EVENING_ET)
    slot = desk.slot(instant)

    await desk.rebuild(slot=slot)

    rows = desk.rows(slot=slot.index)
    assert len(rows) == 24
    assert_rows_are_the_truth(desk, rows, instant)


async def test_each_contract_is_asked_once_for_all_slots_of_its_day(desk):
    desk = desk()
    contracts = await discovered(desk)
    desk.gateway.control.set_clock(EVENING_ET)

    await desk.rebuild()
    first = history_requests(desk)
    for index in (0, 3, 5, 13):
        await desk.rebuild(slot=desk.slot(OPEN + index * HALF_HOUR))
    await desk.rebuild()

    assert first == history_requests(desk) == 3 * len(contracts) + 1
    assert "reqMktData" not in desk.gateway.control.stats()["requests"]


async def test_slots_rebuilt_side_by_side_ask_once(desk):
    desk = desk()
    contracts = await discovered(desk)
    desk.gateway.control.set_clock(EVENING_ET)

    await asyncio.gather(*(desk.rebuild(slot=desk.slot(TEN + index * HALF_HOUR)) for index in range(3)))

    assert history_requests(desk) == 3 * len(contracts) + 1
    assert len(desk.rows()) == 3 * len(contracts)


async def test_in_the_running_session_only_what_the_kept_bars_do_not_reach_is_asked_for(desk):
    desk = desk()
    contracts = await discovered(desk)
    desk.gateway.control.set_clock("2025-11-24T11:10:20-05:00")
    await desk.rebuild(slot=desk.slot(TEN))
    await desk.rebuild(slot=desk.slot(TEN + HALF_HOUR))
    assert history_requests(desk) == 3 * len(contracts) + 1
    desk.gateway.control.set_clock("2025-11-24T13:10:00-05:00")

    later = desk.slot(TEN + 4 * HALF_HOUR)
    await desk.rebuild(slot=later)

    assert history_requests(desk) == 2 * (3 * len(contracts) + 1)
    assert_rows_are_the_truth(desk, desk.rows(slot=later.index), later.instant_utc)


async def test_a_slot_that_still_lasts_is_captured_live(desk):
    desk = desk()
    await discovered(desk)
    desk.gateway.control.set_clock("2025-11-24T10:00:00-05:00")

    outcome = await desk.rebuild()

    assert outcome.account.on_time == 24
    assert history_requests(desk) == 0


async def test_only_what_is_missing_is_improved_and_a_second_time_nothing_changes(desk):
    desk = desk(CAPTURE__READY_TIMEOUT_S="0.4")
    contracts = await discovered(desk)
    late, lost = contracts[0].conid, contracts[1].conid
    desk.gateway.control.set_clock("2025-11-24T10:00:00-05:00")
    desk.gateway.control.faults(silent_conids=[late, lost])
    await desk.capture()
    desk.gateway.control.faults(silent_conids=[lost])
    desk.gateway.control.set_clock("2025-11-24T10:10:00-05:00")
    await desk.capture(attempt=2)
    before = {row["conid"]: row for row in desk.rows()}
    desk.gateway.control.faults(silent_conids=[])
    desk.gateway.control.set_clock(NEXT_DAY_ET)

    first = await desk.rebuild(attempt=3)

    after = {row["conid"]: row for row in desk.rows()}
    assert {conid for conid in after if after[conid] != before[conid]} == {lost}
    assert (before[late]["capture_mode"], after[lost]["capture_mode"]) == ("late", "rebuilt")
    account = desk.ledger()["AAPL"]
    assert [account[name] for name in ("on_time", "late", "rebuilt", "missing", "error")] == [22, 1, 1, 0, 0]
    assert (first.asked, history_requests(desk)) == (1, 4)

    second = await desk.rebuild(attempt=4)

    assert (second.asked, second.raw_key, history_requests(desk)) == (0, "", 4)
    assert {row["conid"]: row for row in desk.rows()} == after


async def expiring_contracts(desk):
    """The contracts of the set that expire first, on a Friday; the others."""
    contracts = await discovered(desk)
    friday = min(contract.expiry for contract in contracts)
    assert friday.isoformat() == "2025-11-28"
    expiring = {contract.conid for contract in contracts if contract.expiry == friday}
    return expiring, {contract.conid for contract in contracts} - expiring


async def test_an_option_that_expired_in_the_session_before_is_still_rebuilt(desk):
    desk = desk()
    expiring, _ = await expiring_contracts(desk)
    desk.gateway.control.set_clock("2025-12-01T10:00:00-05:00")

    await desk.rebuild()

    rows = [row for row in desk.rows() if row["conid"] in expiring]
    assert {row["capture_mode"] for row in rows} == {"rebuilt"}
    assert_rows_are_the_truth(desk, rows, TEN)


async def test_an_option_that_ib_has_forgotten_is_missing_with_the_reason_and_asked_once(desk):
    desk = desk()
    expiring, others = await expiring_contracts(desk)
    desk.gateway.control.set_clock("2025-12-02T10:00:00-05:00")

    await desk.rebuild()
    await desk.rebuild(attempt=2)

    stored = {row["conid"]: row for row in desk.rows()}
    assert {(stored[one]["error_type"], stored[one]["ib_error_code"]) for one in expiring} == {("expired", 200)}
    assert {stored[one]["capture_mode"] for one in others} == {"rebuilt"}
    account = desk.ledger()["AAPL"]
    assert (account["missing"], account["reasons"]) == (len(expiring), [("expired", len(expiring))])
    assert history_requests(desk) == len(expiring) + 3 * len(others) + 1


async def test_contracts_without_bars_are_missing_and_asked_again_later_only(desk):
    no_data = "Historical Market Data Service error message:HMDS query returned no data"
    desk = desk()
    contracts = await discovered(desk)
    bare = contracts[0].conid
    desk.gateway.control.faults(errors=[{"code": 162, "text": no_data, "conid": bare}])
    desk.gateway.control.set_clock(EVENING_ET)

    await desk.rebuild()
    asked = history_requests(desk)
    await desk.rebuild(attempt=2)

    assert history_requests(desk) == asked
    (row,) = [row for row in desk.rows() if row["conid"] == bare]
    assert (row["snapshot_error"], row["error_type"], row["bid"]) == (True, "no_bars", None)
    account = desk.ledger()["AAPL"]
    assert (account["rebuilt"], account["missing"], account["reasons"]) == (23, 1, [("no_bars", 1)])

    desk.gateway.control.faults(errors=[])
    desk.gateway.control.set_clock("2025-11-24T18:30:00-05:00")
    await desk.rebuild(attempt=3)

    assert history_requests(desk) == asked + 3
    assert desk.ledger()["AAPL"]["rebuilt"] == 24


async def test_a_symbol_without_any_bars_fails_after_it_was_counted(desk):
    no_data = "Historical Market Data Service error message:HMDS query returned no data"
    desk = desk({"faults": {"errors": []}})
    await discovered(desk)
    desk.gateway.control.faults(errors=[{"code": 162, "text": no_data, "request": "reqHistoricalData"}])
    desk.gateway.control.set_clock(EVENING_ET)

    with pytest.raises(SlotExpired, match=r"10:00 of 2025-11-24 is over and nothing of AAPL.*24 no_bars"):
        await desk.rebuild()

    account = desk.ledger()["AAPL"]
    assert (account["expected"], account["missing"], account["coverage"]) == (24, 24, 0.0)


async def test_a_connection_lost_on_the_way_keeps_what_came(desk):
    desk = desk({"feed": {"history_delay_s": 0.05}}, REBUILD__OPEN_REQUESTS="1")
    contracts = await discovered(desk)
    desk.gateway.control.set_clock(EVENING_ET)

    attempt = asyncio.create_task(desk.rebuild())
    while history_requests(desk) < 12:
        await asyncio.sleep(0)
    desk.gateway.control.call("drop")
    with pytest.raises(GatewayUnavailable):
        await attempt
    kept = history_requests(desk)

    await desk.rebuild(attempt=2)

    assert desk.ledger()["AAPL"]["rebuilt"] == len(contracts)
    assert history_requests(desk) <= 3 * len(contracts) + 1 + 1
    assert kept < 3 * len(contracts)


async def test_a_pass_that_runs_out_of_time_counts_what_it_did_not_reach_and_the_next_try_goes_on(desk):
    desk = desk()
    contracts = await discovered(desk)
    desk.gateway.control.set_clock(EVENING_ET)

    with pytest.raises(RequestTimedOut, match=r"25 of 25 contracts were not reached in 0 s"):
        await desk.rebuild(finish_within_s=0.0)
    assert desk.ledger()["AAPL"]["reasons"] == [("not_asked", len(contracts))]

    await desk.rebuild(attempt=2)

    assert desk.ledger()["AAPL"]["rebuilt"] == len(contracts)
    assert history_requests(desk) == 3 * len(contracts) + 1


async def test_the_calculated_volatility_is_the_markets_own(desk):
    desk = desk(REBUILD__RATE_PCT="0.0")
    contracts = {contract.conid: contract for contract in await discovered(desk)}
    desk.gateway.control.set_clock(EVENING_ET)

    await desk.rebuild()

    rows = [row for row in desk.rows() if row["calc_iv"] is not None]
    assert len(rows) > len(contracts) / 2
    for row in rows:
        model = desk.gateway.control.truth(row["conid"], TEN)["model"]
        half_spread = (row["ask"] - row["bid"]) / 2
        assert abs(row["calc_iv"] - model["iv"]) * 100 * model["vega"] <= half_spread + 0.02
        assert row["calc_delta"] == pytest.approx(model["delta"], abs=0.05)
        assert (row["calc_model"], row["calc_rate"]) == ("black_scholes_american", 0.0)


async def test_a_corrupt_file_of_bars_is_set_aside_and_asked_for_again(desk):
    desk = desk()
    contracts = await discovered(desk)
    desk.gateway.control.set_clock(EVENING_ET)
    await desk.rebuild()
    (kept,) = desk.settings.paths.data_root.glob("raw/ib/history/**/*.parquet")
    kept.write_bytes(kept.read_bytes()[:1000])

    await desk.rebuild(slot=desk.slot(TEN + HALF_HOUR))

    assert len(desk.rows(slot=2)) == len(contracts)
    assert history_requests(desk) == 2 * (3 * len(contracts) + 1)
    assert list(desk.settings.paths.data_root.glob("_quarantine/raw/ib/history/**/*.corrupt"))


async def test_the_days_set_is_remade_from_stored_rows_when_its_file_is_lost(desk):
    desk = desk()
    contracts = await discovered(desk)
    desk.gateway.control.set_clock("2025-11-24T10:00:00-05:00")
    await desk.capture()
    for path in desk.settings.paths.contracts_cache.glob("AAPL_*.json"):
        path.unlink()
    desk.gateway.control.set_clock(NEXT_DAY_ET)
    missed = desk.slot(TEN + HALF_HOUR)

    await desk.rebuild(slot=missed)

    assert len(desk.rows(slot=missed.index)) == len(contracts)
