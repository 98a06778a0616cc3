"""A backfill over a session of good, late, half and missing slots, as the DAG's tasks carry it out slot by slot."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from opt_data.bootstrap import intraday_universe
from opt_data.core.slots import slot_grid
from opt_data.pipelines.report_slot import report_slot

MONDAY, TUESDAY = date(2025, 11, 24), date(2025, 11, 25)
TUESDAY_EVENING_ET = "2025-11-25T17:00:00-05:00"
OPEN = {MONDAY: datetime(2025, 11, 24, 14, 30, tzinfo=UTC), TUESDAY: datetime(2025, 11, 25, 14, 30, tzinfo=UTC)}
GOOD, LATE, HALF = 0, 1, 2
SLOTS = {MONDAY: range(14), TUESDAY: range(3)}
CONTRACTS, OF_HALF = 24, 12
NO_DATA = "Historical Market Data Service error message:HMDS query returned no data"


async def backfill(desk) -> tuple[dict, dict]:
    """The slots of both sessions: what each capture says it improved, and what each report says was gained."""
    improved, gained = {}, {}
    for day, slots in SLOTS.items():
        desk.day = day
        for slot in slot_grid(desk.stores.calendar.session(day))[slots.start : slots.stop]:
            outcome = await desk.rebuild(slot=slot)
            said = outcome.summary()
            assert said["improved"] + said["unchanged"] + said["still_missing"] == CONTRACTS
            improved[day, slot.index] = outcome.improved
            gained[day, slot.index] = report(desk, slot).gained
    return improved, gained


def report(desk, slot):
    universe = intraday_universe(desk.settings, ("AAPL",))
    return report_slot(slot, universe, "SMART", stores=desk.stores, dag_run_id="backfill")


def files(desk) -> dict[str, bytes]:
    root: Path = desk.settings.paths.data_root
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def desk_file(desk, slot: int) -> Path:
    desk.day = MONDAY
    return desk.slot_path(slot).relative_to(desk.settings.paths.data_root)


async def test_it_changes_only_what_it_improves_and_a_second_one_changes_nothing(desk):
    desk = desk()
    grid = slot_grid(desk.stores.calendar.session(MONDAY))
    contracts = (await desk.discover()).contract_set.contracts
    for index, after_s, strikes in ((GOOD, 1, None), (LATE, 600, None), (HALF, 1, 1)):
        desk.gateway.control.set_clock(grid[index].instant_utc + timedelta(seconds=after_s))
        await desk.capture(slot=grid[index], strikes=strikes)
        report(desk, grid[index])
    half = {row["conid"]: row for row in desk.rows(slot=HALF)}
    desk.gateway.control.set_clock(OPEN[TUESDAY] - timedelta(minutes=5))
    desk.day = TUESDAY
    sets = {MONDAY: contracts, TUESDAY: (await desk.discover()).contract_set.contracts}
    desk.gateway.control.set_clock(TUESDAY_EVENING_ET)
    bare = contracts[0].conid
    desk.gateway.control.faults(errors=[{"code": 162, "text": NO_DATA, "conid": bare}])
    before = files(desk)

    improved, gained = await backfill(desk)

    assert len(half) == OF_HALF
    with_bars = {day: CONTRACTS - (bare in {one.conid for one in of}) for day, of in sets.items()}
    improved_before = {(MONDAY, GOOD): 0, (MONDAY, LATE): 0, (MONDAY, HALF): with_bars[MONDAY] - OF_HALF}
    assert improved == {
        (day, index): improved_before.get((day, index), with_bars[day])
        for day, slots in SLOTS.items()
        for index in slots
    }
    assert gained == {key: {"AAPL": count} if count else {} for key, count in improved.items()}
    after = files(desk)
    untouched = {name for name in before if "chain" in name and name != str(desk_file(desk, HALF))}
    assert len(untouched) == 5  # three attempts in raw, two slots in clean
    assert {name: after[name] for name in untouched} == {name: before[name] for name in untouched}
    desk.day = MONDAY
    assert {row["conid"]: row for row in desk.rows(slot=HALF) if row["conid"] in half} == half
    desk.gateway.control.reset_counters()

    improved, gained = await backfill(desk)

    assert set(improved.values()) == {0}
    assert all(not one for one in gained.values())
    assert files(desk) == after
    assert "reqHistoricalData" not in desk.gateway.control.stats()["requests"]
