"""The morning after over the simulated gateway, whose open interest rolls at 06:30 New York on every session.

Over 400 lines because each way a morning can go is told once, with what is stored after it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

import pytest

from opt_data.bootstrap import gateway_limits, whole_universe
from opt_data.core.sessions import NEW_YORK
from opt_data.errors import GatewayUnavailable, OpenInterestGone, OpenInterestMissing, OpenInterestNotOut
from opt_data.pipelines.adjust_corporate_actions import adjust_corporate_actions
from opt_data.pipelines.contract_sets import freeze_contract_set
from opt_data.pipelines.enrich_open_interest import (
    OpenInterestOutcome,
    contracts_with_open_interest,
)
from opt_data.pipelines.merge_open_interest import merge_open_interest, read_open_interest
from opt_data.pipelines.report_open_interest import report_open_interest
from opt_data.tables.arrow_rows import table_from_rows
from opt_data.tables.datasets import DAILY_CLEAN
from opt_data.tables.row_check import checked_rows
from tests.fakes.chain import daily_row
from tests.pipelines.conftest import Desk

MONDAY, TUESDAY, WEDNESDAY = date(2025, 11, 24), date(2025, 11, 25), date(2025, 11, 26)
FRIDAY_BEFORE, FRIDAY = date(2025, 11, 21), date(2025, 11, 28)


@dataclass
class Mornings:
    """A desk, and the mornings after its sessions."""

    desk: Desk

    @property
    def control(self) -> Any:
        return self.desk.gateway.control

    def at(self, day: date, clock: str) -> None:
        self.control.set_clock(datetime.combine(day, time.fromisoformat(clock), NEW_YORK))

    async def freeze(self, *days: date) -> None:
        """Contract sets, each made before its session's open."""
        (underlying,) = whole_universe(self.desk.settings, ("AAPL",))
        for day in days:
            self.at(day, "09:25")
            await freeze_contract_set(
                underlying, day, address=self.desk.address, limits=gateway_limits(self.desk.settings),
                stores=self.desk.stores,
            )  # fmt: skip

    async def read(self, session_day: date) -> OpenInterestOutcome:
        return await self.desk.read_open_interest(session_day)

    async def read_twice(self, session_day: date, morning: date) -> OpenInterestOutcome:
        self.at(morning, "07:30")
        await self.read(session_day)
        self.at(morning, "07:41")
        return await self.read(session_day)

    def conids(self, day: date) -> list[int]:
        contract_set = self.desk.stores.cache.load("AAPL", day).contract_set
        assert contract_set is not None
        return [contract.conid for contract in contracts_with_open_interest(contract_set)]

    def accepted(self, day: date) -> dict[int, int]:
        on_file = read_open_interest(self.desk.stores, day, "AAPL")
        return {conid: observed.contracts for conid, observed in on_file.accepted.items()}

    def truth(self, day: date, morning: date) -> dict[int, int]:
        """What the market itself says of the session's contracts, having made sure that it speaks of that session."""
        at = datetime.combine(morning, time(7, 30), NEW_YORK)
        answers = {conid: self.control.truth(conid, at) for conid in self.conids(day)}
        assert {answer["open_interest_of"] for answer in answers.values()} == {day.isoformat()}
        return {conid: answer["open_interest"] for conid, answer in answers.items()}

    def verdicts(self, day: date) -> list[str]:
        rows = self.desk.stores.open_interest.reads(day, "AAPL").to_pylist()
        return [verdict for _, verdict in sorted({(row["read_number"], row["verdict"]) for row in rows})]


@pytest.fixture
def mornings(desk: Callable[..., Desk]) -> Callable[..., Mornings]:
    """Every contract has open interest at once, unless the scenario says otherwise; contracts wait 3 s for it."""

    def make(scenario: dict[str, Any] | None = None, **settings: str) -> Mornings:
        market = {"oi_late_fraction": 0.0, "oi_never_fraction": 0.0, "greeks_never_fraction": 0.0}
        changes = {"OPEN_INTEREST__READY_TIMEOUT_S": "3", "OPEN_INTEREST__REREAD_AFTER_S": "600"} | settings
        return Mornings(desk({"market": market} | (scenario or {}), **changes))

    return make


async def test_the_second_of_two_reads_that_agree_fills_every_contract_with_the_markets_own_value(mornings) -> None:
    office = mornings()
    await office.freeze(MONDAY)

    office.at(TUESDAY, "07:30")
    first = await office.read(MONDAY)
    office.at(TUESDAY, "07:41")
    second = await office.read(MONDAY)

    assert (first.filled, first.wait_s) == (0, 600.0)
    assert (second.filled, second.wait_s) == (second.expected, None)
    assert office.accepted(MONDAY) == office.truth(MONDAY, TUESDAY)
    assert office.verdicts(MONDAY) == ["first_read", "unchecked"]  # nothing older is on file to compare with


async def test_the_rolled_up_day_gets_the_values_and_loses_its_flag(mornings) -> None:
    office = mornings()
    await office.freeze(MONDAY)
    stores, conids = office.desk.stores, office.conids(MONDAY)
    unknown = 999_999_999
    rows = [daily_row(conid, data_quality_flag=["no_bid", "missing_oi"]) for conid in [*conids, unknown]]
    day = table_from_rows(checked_rows(DAILY_CLEAN, rows), DAILY_CLEAN)
    stores.daily.derive(MONDAY, "AAPL", "SMART", lambda: day)

    await office.read_twice(MONDAY, TUESDAY)

    merged = {row["conid"]: row for row in stores.daily.read(MONDAY, "AAPL").to_pylist()}
    truth = office.truth(MONDAY, TUESDAY)
    assert {conid: merged[conid]["open_interest"] for conid in conids} == truth
    assert {merged[conid]["oi_asof_date"] for conid in conids} == {MONDAY}
    for conid in conids:
        seen = merged[conid]["oi_observed_at"].astimezone(NEW_YORK)
        assert (seen.date(), seen.hour, seen.minute) == (TUESDAY, 7, 41)
        assert merged[conid]["data_quality_flag"] == ["no_bid"]
    assert merged[unknown]["open_interest"] is None
    assert merged[unknown]["data_quality_flag"] == ["no_bid", "missing_oi"]
    assert not merge_open_interest(stores, MONDAY, "AAPL", "SMART")  # again: nothing changes


async def test_a_day_that_was_adjusted_gets_them_too(mornings) -> None:
    office = mornings()
    await office.freeze(MONDAY)
    stores, conids = office.desk.stores, office.conids(MONDAY)
    rows = checked_rows(DAILY_CLEAN, [daily_row(conid) for conid in conids])
    stores.daily.derive(MONDAY, "AAPL", "SMART", lambda: table_from_rows(rows, DAILY_CLEAN))
    adjust_corporate_actions("AAPL", MONDAY, stores=stores)

    await office.read_twice(MONDAY, TUESDAY)

    adjusted = stores.adjusted.read(MONDAY, "AAPL").to_pylist()
    assert {row["conid"]: row["open_interest"] for row in adjusted} == office.truth(MONDAY, TUESDAY)


async def test_rolling_up_again_keeps_it_and_a_deleted_day_comes_back_whole(mornings) -> None:
    office = mornings()
    await office.freeze(MONDAY)
    office.at(MONDAY, "17:30")
    await office.desk.close()
    office.desk.roll_up()
    before = office.desk.daily()
    await office.read_twice(MONDAY, TUESDAY)
    filled = office.desk.stores.daily.read(MONDAY, "AAPL")

    assert not office.desk.roll_up().is_changed
    for path in office.desk.settings.paths.data_root.glob("clean/ib/chain/view=daily_clean/**/*.parquet"):
        path.unlink()
    office.desk.roll_up()

    assert {"missing_oi" in row["data_quality_flag"] for row in before.values()} == {True}
    assert office.desk.stores.daily.read(MONDAY, "AAPL").equals(filled)
    truth = office.truth(MONDAY, TUESDAY)
    rows = office.desk.daily()
    assert {conid: rows[conid]["open_interest"] for conid in truth} == truth
    assert {flag for conid in truth for flag in rows[conid]["data_quality_flag"]} & {"missing_oi"} == set()
    assert {row["rollup_strategy"] for row in rows.values()} == {"close"}


async def test_the_next_day_is_checked_against_the_day_before(mornings) -> None:
    office = mornings()
    await office.freeze(MONDAY, TUESDAY)
    await office.read_twice(MONDAY, TUESDAY)

    await office.read_twice(TUESDAY, WEDNESDAY)

    assert office.verdicts(TUESDAY) == ["first_read", "rolled"]
    assert office.accepted(TUESDAY) == office.truth(TUESDAY, WEDNESDAY)
    assert office.accepted(TUESDAY) != office.accepted(MONDAY)


async def test_values_that_have_not_rolled_are_never_taken(mornings) -> None:
    office = mornings()
    await office.freeze(MONDAY, TUESDAY)
    await office.read_twice(MONDAY, TUESDAY)
    yesterdays = office.truth(MONDAY, TUESDAY)
    for conid in office.conids(TUESDAY):
        if conid in yesterdays:
            office.control.set_quote(conid, open_interest=yesterdays[conid])

    outcome = await office.read_twice(TUESDAY, WEDNESDAY)
    assert (outcome.filled, outcome.wait_s) == (0, 600.0)

    office.at(WEDNESDAY, "09:01")
    with pytest.raises(OpenInterestMissing, match="still those of an earlier session"):
        await office.read(TUESDAY)
    assert office.accepted(TUESDAY) == {}
    assert set(office.verdicts(TUESDAY)) == {"not_rolled"}

    for conid in office.conids(TUESDAY):
        office.control.set_quote(conid)
    office.at(WEDNESDAY, "10:00")
    late = await office.read(TUESDAY)
    office.at(WEDNESDAY, "10:11")
    assert late.wait_s is not None
    await office.read(TUESDAY)
    assert office.accepted(TUESDAY) == office.truth(TUESDAY, WEDNESDAY)


async def test_values_that_flap_wait_until_two_reads_agree(mornings) -> None:
    office = mornings()
    await office.freeze(MONDAY)
    conids = office.conids(MONDAY)

    office.at(TUESDAY, "07:30")
    await office.read(MONDAY)
    for conid in conids[::2]:
        office.control.set_quote(conid, open_interest=77)
    office.at(TUESDAY, "07:41")
    flapped = await office.read(MONDAY)
    for conid in conids[::2]:
        office.control.set_quote(conid)
    office.at(TUESDAY, "07:52")
    back = await office.read(MONDAY)
    office.at(TUESDAY, "08:03")
    await office.read(MONDAY)

    assert flapped.filled == back.filled == 0
    assert office.verdicts(MONDAY) == ["first_read", "unstable", "unstable", "unchecked"]
    assert office.accepted(MONDAY) == office.truth(MONDAY, TUESDAY)


async def test_half_the_contracts_missing_keeps_reading_fills_the_others_and_fails_at_the_deadline(mornings) -> None:
    office = mornings({"market": {"oi_never_fraction": 0.5, "oi_late_fraction": 0.0}})
    await office.freeze(MONDAY)

    outcome = await office.read_twice(MONDAY, TUESDAY)
    assert 0 < outcome.filled < 0.9 * outcome.expected
    assert outcome.wait_s is not None

    office.at(TUESDAY, "09:00")
    with pytest.raises(OpenInterestMissing, match=rf"has open interest of {outcome.filled} of {outcome.expected}"):
        await office.read(MONDAY)
    truth = office.truth(MONDAY, TUESDAY)
    assert office.accepted(MONDAY).items() <= truth.items()
    third = [
        row for row in office.desk.stores.open_interest.reads(MONDAY, "AAPL").to_pylist() if row["read_number"] == 3
    ]
    assert {row["conid"] for row in third} == set(truth) - set(
        office.accepted(MONDAY)
    )  # the others are not asked again

    office.control.patch(market={"oi_never_fraction": 0.0})
    office.at(TUESDAY, "09:30")
    await office.read(MONDAY)
    office.at(TUESDAY, "09:41")
    await office.read(MONDAY)
    assert office.accepted(MONDAY) == truth


async def test_a_few_silent_contracts_are_let_go(mornings) -> None:
    office = mornings({"market": {"oi_never_fraction": 0.05, "oi_late_fraction": 0.0}})
    await office.freeze(MONDAY)

    outcome = await office.read_twice(MONDAY, TUESDAY)

    assert outcome.wait_s is None
    assert 0.9 * outcome.expected <= outcome.filled


async def test_delayed_data_are_refused_with_the_reason(mornings) -> None:
    office = mornings({"entitlements": {"options": "delayed"}, "feed": {"oi_on_delayed": True, "update_s": 60.0}})
    await office.freeze(MONDAY)

    office.at(TUESDAY, "07:30")
    outcome = await office.read(MONDAY)

    assert outcome.filled == 0
    assert set(outcome.absences) <= {"no_permission", "not_live"}
    assert sum(outcome.absences.values()) == outcome.expected


async def test_too_early_nothing_is_asked(mornings) -> None:
    office = mornings()
    await office.freeze(MONDAY)
    office.at(TUESDAY, "06:20")

    with pytest.raises(OpenInterestNotOut, match="published at 2025-11-25 06:30"):
        await office.read(MONDAY)

    assert "reqMktData" not in office.control.stats()["requests"]


async def test_too_late_nothing_is_asked_and_nothing_written(mornings) -> None:
    office = mornings()
    await office.freeze(MONDAY, TUESDAY, WEDNESDAY)
    office.at(WEDNESDAY, "06:31")

    with pytest.raises(OpenInterestGone, match="the open interest of a session after 2025-11-24"):
        await office.read(MONDAY)

    assert office.accepted(MONDAY) == {}
    assert "reqMktData" not in office.control.stats()["requests"]


async def test_a_complete_session_stays_as_it_is_when_run_again_weeks_later(mornings) -> None:
    office = mornings()
    await office.freeze(MONDAY)
    await office.read_twice(MONDAY, TUESDAY)
    before = office.desk.stores.open_interest.reads(MONDAY, "AAPL")

    office.at(date(2025, 12, 15), "12:00")
    outcome = await office.read(MONDAY)

    assert (outcome.asked, outcome.wait_s) == (0, None)
    assert office.desk.stores.open_interest.reads(MONDAY, "AAPL").equals(before)


async def test_a_read_too_soon_after_the_last_asks_nothing_and_says_how_long_to_wait(mornings) -> None:
    office = mornings()
    await office.freeze(MONDAY)
    office.at(TUESDAY, "07:30")
    await office.read(MONDAY)

    office.at(TUESDAY, "07:35")
    outcome = await office.read(MONDAY)

    assert outcome.asked == 0
    assert outcome.wait_s is not None
    assert 280 <= outcome.wait_s <= 300.5
    assert outcome.reads == 1


@pytest.mark.parametrize(
    ("session_day", "morning"),
    [
        pytest.param(FRIDAY_BEFORE, MONDAY, id="Monday serves Friday"),
        pytest.param(WEDNESDAY, FRIDAY, id="the day after Thanksgiving serves Wednesday"),
    ],
)
async def test_the_next_session_serves_the_last_one(mornings, session_day: date, morning: date) -> None:
    office = mornings()
    await office.freeze(session_day)

    await office.read_twice(session_day, morning)

    assert office.accepted(session_day) == office.truth(session_day, morning)


async def test_a_connection_lost_in_the_middle_counts_as_no_read(mornings) -> None:
    office = mornings({"dwell": {"kind": "fixed", "low_s": 30.0}}, OPEN_INTEREST__READY_TIMEOUT_S="20")
    await office.freeze(MONDAY)
    office.at(TUESDAY, "07:30")

    async def drop_when_asked() -> None:
        while not office.control.stats()["requests"].get("reqMktData"):
            await asyncio.sleep(0.01)
        office.control.call("drop")

    dropping = asyncio.create_task(drop_when_asked())
    with pytest.raises(GatewayUnavailable):
        await office.read(MONDAY)
    await dropping
    assert office.desk.stores.open_interest.reads(MONDAY, "AAPL").num_rows == 0


async def test_three_mornings_without_a_gateway_are_reported(mornings) -> None:
    office = mornings()
    days = (FRIDAY_BEFORE, MONDAY, TUESDAY)
    await office.freeze(*days)
    universe = whole_universe(office.desk.settings, ("AAPL",))
    stores = office.desk.stores

    reports = [
        report_open_interest(stores.calendar.session(day), universe, "SMART", stores=stores, dag_run_id="test")
        for day in days
    ]

    assert [report.incomplete for report in reports] == [("AAPL",)] * 3
    assert [report.failed_for_days for report in reports] == [(), (), ("AAPL",)]
    assert {row["absence"] for row in stores.open_interest.reads(TUESDAY, "AAPL").to_pylist()} == {"not_read"}
    again = report_open_interest(stores.calendar.session(TUESDAY), universe, "SMART", stores=stores, dag_run_id="test")
    assert again == reports[-1]
    assert set(stores.open_interest.reads(TUESDAY, "AAPL").column("read_number").to_pylist()) == {1}


async def test_the_third_failed_morning_is_flagged_in_the_day_and_a_read_takes_the_flag_away(mornings) -> None:
    office = mornings()
    days = (FRIDAY_BEFORE, MONDAY, TUESDAY)
    await office.freeze(*days)
    universe = whole_universe(office.desk.settings, ("AAPL",))
    stores, conids = office.desk.stores, office.conids(TUESDAY)
    rows = [daily_row(conid, trade_date=TUESDAY) for conid in conids]
    checked = checked_rows(DAILY_CLEAN, rows)
    stores.daily.derive(TUESDAY, "AAPL", "SMART", lambda: table_from_rows(checked, DAILY_CLEAN))

    for day in days:
        report_open_interest(stores.calendar.session(day), universe, "SMART", stores=stores, dag_run_id="test")
    failed = stores.daily.read(TUESDAY, "AAPL").column("data_quality_flag").to_pylist()
    await office.read_twice(TUESDAY, WEDNESDAY)
    filled = stores.daily.read(TUESDAY, "AAPL").column("data_quality_flag").to_pylist()

    assert failed == [["missing_oi", "oi_enrichment_failed"]] * len(conids)
    assert filled == [[]] * len(conids)


async def test_rolling_up_again_keeps_what_the_morning_brought(mornings) -> None:
    office = mornings()
    await office.freeze(MONDAY)
    office.at(MONDAY, "17:30")
    await office.desk.close()
    office.desk.roll_up()
    await office.read_twice(MONDAY, TUESDAY)
    before = office.desk.daily()
    for path in office.desk.settings.paths.data_root.glob("clean/ib/chain/view=daily_clean/**/*.parquet"):
        path.unlink()

    office.desk.roll_up()

    assert office.desk.daily() == before
    assert {conid: before[conid]["open_interest"] for conid in office.conids(MONDAY)} == office.truth(MONDAY, TUESDAY)


async def test_what_a_killed_run_stored_reaches_the_day_with_the_next_one_even_when_nothing_is_asked(
    mornings, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = mornings()
    await office.freeze(MONDAY)
    office.control.faults(silent_conids=office.conids(MONDAY)[:1])
    stores = office.desk.stores
    rows = checked_rows(DAILY_CLEAN, [daily_row(conid) for conid in office.conids(MONDAY)])
    stores.daily.derive(MONDAY, "AAPL", "SMART", lambda: table_from_rows(rows, DAILY_CLEAN))

    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr("opt_data.pipelines.enrich_open_interest.merge_open_interest", killed)
        with pytest.raises(KeyboardInterrupt):
            await office.read_twice(MONDAY, TUESDAY)
    stored = office.accepted(MONDAY)
    assert 0 < len(stored) < len(office.conids(MONDAY))
    assert {row["open_interest"] for row in stores.daily.read(MONDAY, "AAPL").to_pylist()} == {None}

    office.at(WEDNESDAY, "06:31")  # too late to ask for the few that are missing
    assert (await office.read(MONDAY)).asked == 0

    filled = {row["conid"]: row["open_interest"] for row in stores.daily.read(MONDAY, "AAPL").to_pylist()}
    assert {conid: value for conid, value in filled.items() if value is not None} == stored
