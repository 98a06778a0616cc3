"""Discovery: what is frozen, what is asked of IB, and what happens when the gateway or the files fail.

Over 400 lines because one stage has many ways to go wrong, and each is a short story over the same fixtures.
"""

import asyncio
import errno
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from opt_data.config.load import load_settings
from opt_data.config.models import Settings
from opt_data.core.contracts import ContractSet, OptionContract, SecType, Series, Underlying
from opt_data.core.discovery_plan import VerifyReason
from opt_data.core.sessions import NEW_YORK
from opt_data.errors import (
    AmbiguousContract,
    ConfigInvalid,
    ContractSetMissing,
    ContractUnknown,
    GatewayUnavailable,
    NotASession,
    OptDataError,
    RequestRejected,
    RequestTimedOut,
    SlotNotBegun,
    StorageUnavailable,
)
from opt_data.pipelines.discover_contracts import (
    DiscoveryAction,
    DiscoveryOutcome,
    carry_over_contract_set,
    discover_contracts,
    ensure_contract_set,
)
from opt_data.storage.contract_cache import CacheStatus, ContractCache
from tests.fakes.calendar import WeekdayCalendar
from tests.fakes.clock import FixedClock
from tests.fakes.gateway import FakeContractGateway, Listing, list_options

MONDAY, TUESDAY, WEDNESDAY = date(2025, 11, 24), date(2025, 11, 25), date(2025, 11, 26)
NEXT_MONDAY = date(2025, 12, 1)
THANKSGIVING, CHRISTMAS, NEW_YEAR = date(2025, 11, 27), date(2025, 12, 25), date(2026, 1, 1)
NOV_28, DEC_19, JAN_16, FEB_20 = date(2025, 11, 28), date(2025, 12, 19), date(2026, 1, 16), date(2026, 2, 20)
AAPL = Underlying("AAPL")
STRIKES = (190.0, 260.0, 265.0, 270.0, 275.0, 280.0, 285.0, 355.0)
DOWN = GatewayUnavailable("nothing listens on 127.0.0.1:4002")


def at(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=NEW_YORK)


def aapl(**changes: Any) -> Listing:
    values: dict[str, Any] = {"close": 271.49, "chains": [("AAPL", (NOV_28, DEC_19, JAN_16, FEB_20), STRIKES)]}
    return list_options("AAPL", 265598, **{**values, **changes})


@dataclass
class Bench:
    """Everything one discovery needs, with AAPL listed; a test changes what it is about."""

    root: Path
    gateway: FakeContractGateway = field(default_factory=lambda: FakeContractGateway({"AAPL": aapl()}))
    clock: FixedClock = field(default_factory=lambda: FixedClock(at(MONDAY, 9, 25)))
    calendar: WeekdayCalendar = field(default_factory=lambda: WeekdayCalendar({THANKSGIVING, CHRISTMAS, NEW_YEAR}))
    stored: dict[tuple[date, str], tuple[OptionContract, ...]] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def cache(self) -> ContractCache:
        return ContractCache(self.settings.paths.contracts_cache)

    @property
    def settings(self) -> Settings:
        variables = {
            "OPT_DATA__PATHS__STATE_ROOT": str(self.root),
            "OPT_DATA__DISCOVERY__STRIKES_PER_SIDE": "2",
            "OPT_DATA__DISCOVERY__MAX_STRIKES_PER_EXPIRY": "0",
        }
        return load_settings([], environ={**variables, **self.variables})

    def at(self, day: date, hour: int = 9, minute: int = 25) -> "Bench":
        self.clock.set(at(day, hour, minute))
        self.gateway.asked.clear()
        self.gateway.calls.clear()
        return self

    def discover(self, day: date, underlying: Underlying = AAPL, **more: Any) -> DiscoveryOutcome:
        return self._run(discover_contracts, underlying, day, **more)

    def ensure(self, day: date, underlying: Underlying = AAPL) -> DiscoveryOutcome:
        return self._run(ensure_contract_set, underlying, day)

    def _run(
        self, stage: Callable[..., Awaitable[DiscoveryOutcome]], underlying: Underlying, day: date, **more: Any
    ) -> DiscoveryOutcome:
        async def run() -> DiscoveryOutcome:
            return await stage(
                underlying,
                day,
                gateway=self.gateway,
                cache=self.cache,
                calendar=self.calendar,
                settings=self.settings,
                clock=self.clock,
                stored_contracts=lambda on, symbol: self.stored.get((on, symbol), ()),
                **more,
            )

        return asyncio.run(run())

    def log(self, day: date) -> list[dict[str, Any]]:
        text = (self.root / "run_logs" / "discovery" / f"{day}.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def named(contracts: ContractSet) -> list[tuple[date, float, str]]:
    return [(c.expiry, c.strike, c.right) for c in contracts.contracts]


class TestFirstDay:
    def test_the_set_is_chosen_around_the_previous_close_and_frozen(self, bench: Bench) -> None:
        outcome = bench.discover(MONDAY)
        assert outcome.action is DiscoveryAction.BUILT
        assert outcome.verify_reason is VerifyReason.FIRST
        expected = [
            (expiry, strike, right)
            for expiry in (NOV_28, DEC_19, JAN_16)  # two months ahead; February is not
            for strike in (265.0, 270.0, 275.0, 280.0)
            for right in ("C", "P")
        ]
        assert named(outcome.contract_set) == expected
        assert outcome.contract_set == bench.cache.load("AAPL", MONDAY).contract_set
        assert outcome.contract_set.underlying == replace(AAPL, conid=265598)
        assert (outcome.contract_set.reference_price, outcome.contract_set.reference_source) == (
            271.49,
            "previous_close",
        )
        assert outcome.contract_set.verified_on == MONDAY
        assert not outcome.contract_set.stale
        assert (outcome.asked, outcome.carried, outcome.unknown, outcome.failed) == (24, 0, 0, {})

    def test_every_conid_is_the_one_the_gateway_gave(self, bench: Bench) -> None:
        listing = bench.gateway.listings["AAPL"]
        for contract in bench.discover(MONDAY).contract_set.contracts:
            assert contract.conid == listing.conids[contract.series]

    def test_moneyness_limits_the_strikes_where_nothing_else_does(self, bench: Bench) -> None:
        bench.variables["OPT_DATA__DISCOVERY__STRIKES_PER_SIDE"] = "0"
        strikes = {c.strike for c in bench.discover(MONDAY).contract_set.contracts}
        # 271.49 ± 30 % is 190.043 … 352.937
        assert strikes == {260.0, 265.0, 270.0, 275.0, 280.0, 285.0}

    def test_only_the_wanted_kinds_of_expiry(self, bench: Bench) -> None:
        bench.variables["OPT_DATA__DISCOVERY__EXPIRY_TYPES"] = "monthly,quarterly"
        assert {c.expiry for c in bench.discover(MONDAY).contract_set.contracts} == {DEC_19, JAN_16}

    def test_the_batch_size_is_the_settings(self, bench: Bench) -> None:
        bench.variables["OPT_DATA__DISCOVERY__BATCH_SIZE"] = "25"
        bench.discover(MONDAY)
        assert set(bench.gateway.batch_sizes) == {25}

    def test_trading_classes_are_kept_apart(self, bench: Bench) -> None:
        spx = Underlying("SPX", sec_type=SecType.INDEX, exchange="CBOE")
        bench.gateway.listings["SPX"] = list_options(
            "SPX",
            416904,
            6602.99,
            [
                ("SPX", (date(2025, 12, 18),), (6600.0, 6625.0)),
                ("SPXW", (MONDAY, DEC_19), (6600.0, 6605.0)),
            ],
        )
        contracts = bench.discover(MONDAY, spx).contract_set.contracts
        assert {(c.trading_class, c.expiry, c.strike) for c in contracts} == {
            ("SPX", date(2025, 12, 18), 6600.0),
            ("SPX", date(2025, 12, 18), 6625.0),
            ("SPXW", MONDAY, 6600.0),
            ("SPXW", MONDAY, 6605.0),
            ("SPXW", DEC_19, 6600.0),
            ("SPXW", DEC_19, 6605.0),
        }
        bench.at(TUESDAY)
        only = bench.discover(TUESDAY, replace(spx, trading_class="SPX")).contract_set
        assert {c.trading_class for c in only.contracts} == {"SPX"}

    def test_a_strike_that_does_not_exist_gives_way_to_the_next_nearest(self, bench: Bench) -> None:
        gaps = [Series("AAPL", DEC_19, strike, right) for strike in (265.0, 275.0) for right in ("C", "P")]
        bench.gateway.listings["AAPL"] = aapl(missing=gaps)
        outcome = bench.discover(MONDAY)
        december = [c.strike for c in outcome.contract_set.contracts if c.expiry == DEC_19 and c.right == "C"]
        assert december == [260.0, 270.0, 280.0, 285.0]
        assert outcome.contract_set.nonexistent == set(gaps)
        assert (outcome.asked, outcome.unknown) == (28, 4)

    def test_filling_up_has_an_end(self, bench: Bench) -> None:
        gaps = [Series("AAPL", DEC_19, strike, right) for strike in (265.0, 275.0) for right in ("C", "P")]
        bench.gateway.listings["AAPL"] = aapl(missing=gaps)
        bench.variables["OPT_DATA__DISCOVERY__FILL_ROUNDS_MAX"] = "0"
        outcome = bench.discover(MONDAY)
        december = [c.strike for c in outcome.contract_set.contracts if c.expiry == DEC_19 and c.right == "C"]
        assert december == [270.0, 280.0]
        assert outcome.asked == 24

    def test_a_run_log_line_tells_what_was_done(self, bench: Bench) -> None:
        bench.discover(MONDAY)
        bench.discover(MONDAY)
        first, second = bench.log(MONDAY)
        assert first["logged_at"] == "2025-11-24T14:25:00+00:00"
        assert (first["symbol"], first["action"], first["contracts"], first["asked"]) == ("AAPL", "built", 24, 24)
        assert (second["action"], second["asked"]) == ("unchanged", 0)


class TestLaterDays:
    def test_a_frozen_day_asks_nobody(self, bench: Bench) -> None:
        frozen = bench.discover(MONDAY).contract_set
        bench.at(MONDAY, 11)
        outcome = bench.discover(MONDAY)
        assert (outcome.action, outcome.contract_set) == (DiscoveryAction.UNCHANGED, frozen)
        assert bench.gateway.calls == []

    def test_known_contracts_are_not_asked_again(self, bench: Bench) -> None:
        monday = bench.discover(MONDAY).contract_set
        bench.at(TUESDAY)
        outcome = bench.discover(TUESDAY)
        assert bench.gateway.asked == []
        assert (outcome.asked, outcome.carried, outcome.verify_reason) == (0, 24, None)
        assert outcome.contract_set.contracts == monday.contracts
        assert outcome.contract_set.verified_on == MONDAY

    def test_only_new_strikes_are_asked_when_the_price_has_moved(self, bench: Bench) -> None:
        bench.discover(MONDAY)
        bench.gateway.listings["AAPL"].close = 276.97
        bench.at(TUESDAY)
        outcome = bench.discover(TUESDAY)
        assert {series.strike for series in bench.gateway.asked} == {285.0}
        assert (outcome.asked, outcome.carried) == (6, 18)
        assert {c.strike for c in outcome.contract_set.contracts} == {270.0, 275.0, 280.0, 285.0}

    def test_what_does_not_exist_is_remembered(self, bench: Bench) -> None:
        gaps = [Series("AAPL", DEC_19, 275.0, right) for right in ("C", "P")]
        bench.gateway.listings["AAPL"] = aapl(missing=gaps)
        bench.discover(MONDAY)
        bench.at(TUESDAY)
        outcome = bench.discover(TUESDAY)
        assert bench.gateway.asked == []
        assert outcome.contract_set.nonexistent == set(gaps)

    def test_expired_contracts_are_dropped(self, bench: Bench) -> None:
        bench.discover(MONDAY)
        bench.at(NOV_28)
        assert NOV_28 in {c.expiry for c in bench.discover(NOV_28).contract_set.contracts}
        bench.at(NEXT_MONDAY)
        bench.variables["OPT_DATA__DISCOVERY__VERIFY_EVERY_DAYS"] = "30"
        outcome = bench.discover(NEXT_MONDAY)
        assert {c.expiry for c in outcome.contract_set.contracts} == {DEC_19, JAN_16}
        assert outcome.asked == 0

    def test_everything_is_verified_after_so_many_days_nonexistent_ones_too(self, bench: Bench) -> None:
        gaps = [Series("AAPL", DEC_19, 275.0, right) for right in ("C", "P")]
        bench.gateway.listings["AAPL"] = aapl(missing=gaps)
        bench.discover(MONDAY)
        bench.gateway.listings["AAPL"] = aapl()
        bench.at(NEXT_MONDAY)
        outcome = bench.discover(NEXT_MONDAY)
        assert outcome.verify_reason is VerifyReason.DUE
        assert set(gaps) <= set(bench.gateway.asked)
        assert outcome.carried == 0
        assert outcome.contract_set.verified_on == NEXT_MONDAY
        assert outcome.contract_set.nonexistent == frozenset()
        assert {c.series for c in outcome.contract_set.contracts} >= set(gaps)

    def test_a_changed_underlying_makes_everything_be_asked(self, bench: Bench) -> None:
        bench.discover(MONDAY)
        listing = bench.gateway.listings["AAPL"]
        listing.details = "after a split"
        listing.conids = {series: conid + 5_000 for series, conid in listing.conids.items()}
        bench.at(TUESDAY)
        outcome = bench.discover(TUESDAY)
        assert outcome.verify_reason is VerifyReason.UNDERLYING_CHANGED
        assert outcome.asked == 24
        assert all(c.conid == listing.conids[c.series] for c in outcome.contract_set.contracts)

    def test_after_a_split_a_strike_that_was_known_is_another_contract(self, bench: Bench) -> None:
        bench.discover(MONDAY)
        listing = bench.gateway.listings["AAPL"]
        listing.close /= 1.5
        listing.conids = {series: conid + 5_000 for series, conid in listing.conids.items()}
        bench.at(TUESDAY)
        outcome = bench.discover(TUESDAY)
        assert (outcome.verify_reason, outcome.carried) == (VerifyReason.PRICE_JUMPED, 0)
        assert all(c.conid == listing.conids[c.series] for c in outcome.contract_set.contracts)

    def test_a_verification_without_an_answer_keeps_the_old_conid_and_stays_due(self, bench: Bench) -> None:
        monday = bench.discover(MONDAY).contract_set
        quiet = Series("AAPL", DEC_19, 270.0, "C")
        bench.gateway.silent[quiet] = (9, RequestTimedOut("no answer"))
        bench.at(NEXT_MONDAY)
        outcome = bench.discover(NEXT_MONDAY)
        assert (outcome.unverified, outcome.failed) == (1, {})
        old = {c.series: c.conid for c in monday.contracts}
        assert {c.series: c.conid for c in outcome.contract_set.contracts}[quiet] == old[quiet]
        assert outcome.contract_set.verified_on == MONDAY

    def test_a_set_rebuilt_from_rows_is_no_verification(self, bench: Bench) -> None:
        monday = bench.discover(MONDAY).contract_set
        bench.stored[MONDAY, "AAPL"] = monday.contracts
        bench.cache.path("AAPL", MONDAY).unlink()
        bench.at(TUESDAY)
        bench.discover(MONDAY)
        outcome = bench.discover(TUESDAY)
        assert outcome.verify_reason is VerifyReason.FIRST
        assert outcome.asked == 24


class TestSingleSeriesFailing:
    def test_one_silence_is_asked_once_more(self, bench: Bench) -> None:
        bench.gateway.silent[Series("AAPL", DEC_19, 270.0, "C")] = (1, RequestTimedOut("no answer"))
        outcome = bench.discover(MONDAY)
        assert (len(outcome.contract_set.contracts), outcome.asked, outcome.failed) == (24, 25, {})

    def test_failures_are_counted_and_the_rest_is_kept(self, bench: Bench) -> None:
        quiet, several = Series("AAPL", DEC_19, 270.0, "C"), Series("AAPL", DEC_19, 270.0, "P")
        bench.gateway.silent[quiet] = (9, RequestTimedOut("no answer"))
        bench.gateway.silent[several] = (9, AmbiguousContract("two of them"))
        outcome = bench.discover(MONDAY)
        assert outcome.failed == {"RequestTimedOut": 1, "AmbiguousContract": 1}
        assert {quiet, several}.isdisjoint(c.series for c in outcome.contract_set.contracts)
        assert len(outcome.contract_set.contracts) == 22
        assert bench.log(MONDAY)[0]["failed"] == outcome.failed
        bench.gateway.silent.clear()
        bench.at(TUESDAY)
        assert bench.discover(TUESDAY).asked == 2

    def test_too_many_failures_freeze_nothing(self, bench: Bench) -> None:
        for strike in (265.0, 270.0):
            bench.gateway.silent[Series("AAPL", DEC_19, strike, "C")] = (9, RequestTimedOut("no answer"))
            bench.gateway.silent[Series("AAPL", DEC_19, strike, "P")] = (9, RequestTimedOut("no answer"))
        with pytest.raises(RequestTimedOut, match="4 of 24 contracts of AAPL got no answer"):
            bench.discover(MONDAY)
        assert bench.cache.load("AAPL", MONDAY).status is CacheStatus.MISSING

    def test_too_many_ambiguous_ones_are_a_matter_for_a_person(self, bench: Bench) -> None:
        for series in bench.gateway.listings["AAPL"].conids:
            bench.gateway.silent[series] = (9, AmbiguousContract("two of them"))
        with pytest.raises(ContractSetMissing, match="24 of 24"):
            bench.discover(MONDAY)

    def test_one_conid_for_two_series_is_an_error_of_the_second(self, bench: Bench) -> None:
        conids = bench.gateway.listings["AAPL"].conids
        call, put = Series("AAPL", DEC_19, 270.0, "C"), Series("AAPL", DEC_19, 270.0, "P")
        conids[put] = conids[call]
        outcome = bench.discover(MONDAY)
        assert outcome.failed == {"AmbiguousContract": 1}
        assert call in {c.series for c in outcome.contract_set.contracts}


class TestGatewayFailing:
    @pytest.mark.parametrize("method", ["resolve_underlying", "previous_close", "option_params", "qualify"])
    def test_yesterdays_set_stands_in_marked_stale(self, bench: Bench, method: str) -> None:
        monday = bench.discover(MONDAY).contract_set
        bench.gateway.failing[method] = DOWN
        if method == "qualify":
            bench.gateway.listings["AAPL"].close = 276.97
        bench.at(TUESDAY)
        outcome = bench.discover(TUESDAY)
        stale = outcome.contract_set
        assert outcome.action is DiscoveryAction.CARRIED_OVER
        assert stale.stale
        assert (stale.trade_date, stale.source) == (TUESDAY, "carried_over_from_2025-11-24")
        assert stale.contracts == monday.contracts
        assert "nothing listens on 127.0.0.1:4002" in outcome.problem
        assert bench.cache.load("AAPL", TUESDAY).contract_set == stale
        assert bench.log(TUESDAY)[0]["stale"] is True

    def test_no_history_is_the_gateways_failure_too(self, bench: Bench) -> None:
        bench.discover(MONDAY)
        bench.gateway.failing["previous_close"] = RequestRejected("no daily bar", code=162)
        bench.at(TUESDAY)
        assert bench.discover(TUESDAY).contract_set.stale

    def test_without_an_earlier_set_the_failure_is_raised(self, bench: Bench) -> None:
        bench.gateway.failing["resolve_underlying"] = DOWN
        with pytest.raises(GatewayUnavailable, match="nothing listens"):
            bench.discover(MONDAY)
        line = bench.log(MONDAY)[0]
        assert (line["action"], line["error_type"]) == ("failed", "GatewayUnavailable")
        assert bench.cache.load("AAPL", MONDAY).status is CacheStatus.MISSING

    def test_expired_contracts_do_not_stand_in(self, bench: Bench) -> None:
        bench.variables["OPT_DATA__DISCOVERY__MONTHS_AHEAD"] = "0"
        bench.gateway.listings["AAPL"] = aapl(chains=[("AAPL", (MONDAY,), STRIKES)])
        bench.discover(MONDAY)
        bench.gateway.failing["resolve_underlying"] = DOWN
        bench.at(TUESDAY)
        with pytest.raises(GatewayUnavailable):
            bench.discover(TUESDAY)

    def test_a_set_that_is_too_old_does_not_stand_in_not_even_through_a_stale_one(self, bench: Bench) -> None:
        bench.discover(MONDAY)
        bench.gateway.failing["resolve_underlying"] = DOWN
        bench.at(NEXT_MONDAY)
        assert bench.discover(NEXT_MONDAY).contract_set.source == "carried_over_from_2025-11-24"
        day_after = NEXT_MONDAY + timedelta(days=1)
        bench.at(day_after)
        with pytest.raises(GatewayUnavailable):
            bench.discover(day_after)

    def test_a_stale_set_is_replaced_before_the_open(self, bench: Bench) -> None:
        bench.discover(MONDAY)
        bench.gateway.failing["resolve_underlying"] = DOWN
        bench.at(TUESDAY, 9, 25)
        bench.discover(TUESDAY)
        bench.gateway.failing.clear()
        bench.gateway.listings["AAPL"].close = 276.97
        bench.at(TUESDAY, 9, 27)
        outcome = bench.discover(TUESDAY)
        assert outcome.action is DiscoveryAction.BUILT
        assert not outcome.contract_set.stale
        assert {c.strike for c in outcome.contract_set.contracts} == {270.0, 275.0, 280.0, 285.0}
        assert bench.cache.load("AAPL", TUESDAY).contract_set == outcome.contract_set

    def test_during_the_session_a_stale_set_only_grows(self, bench: Bench) -> None:
        bench.discover(MONDAY)
        bench.gateway.failing["resolve_underlying"] = DOWN
        bench.at(TUESDAY, 9, 25)
        stale = bench.discover(TUESDAY).contract_set
        bench.gateway.failing.clear()
        bench.gateway.listings["AAPL"].close = 276.97
        bench.at(TUESDAY, 10, 5)
        outcome = bench.discover(TUESDAY)
        assert (outcome.action, outcome.added) == (DiscoveryAction.REFRESHED, 6)
        assert not outcome.contract_set.stale
        assert outcome.contract_set.reference_price == 276.97
        assert outcome.contract_set.expected_at(1) == stale.contracts
        # 10:05 lies in slot 1 (10:00); what is added counts from 10:30 on.
        added = [c for c in outcome.contract_set.contracts if c.first_seen_slot]
        assert {(c.strike, c.first_seen_slot) for c in added} == {(285.0, 2)}

    def test_a_stale_set_is_kept_while_the_gateway_goes_on_failing(self, bench: Bench) -> None:
        bench.discover(MONDAY)
        bench.gateway.failing["resolve_underlying"] = DOWN
        bench.at(TUESDAY)
        stale = bench.discover(TUESDAY).contract_set
        outcome = bench.at(TUESDAY, 12).discover(TUESDAY)
        assert (outcome.action, outcome.contract_set) == (DiscoveryAction.UNCHANGED, stale)
        assert "GatewayUnavailable" in outcome.problem

    def test_a_caller_that_cannot_connect_carries_over_by_itself(self, bench: Bench) -> None:
        monday = bench.discover(MONDAY).contract_set
        bench.at(TUESDAY)

        def carry_over(failure: OptDataError) -> DiscoveryOutcome:
            return carry_over_contract_set(
                AAPL, TUESDAY, failure, cache=bench.cache, settings=bench.settings, clock=bench.clock
            )

        first = carry_over(DOWN)
        assert (first.action, first.contract_set.contracts) == (DiscoveryAction.CARRIED_OVER, monday.contracts)
        assert carry_over(DOWN).action is DiscoveryAction.UNCHANGED
        assert [line["action"] for line in bench.log(TUESDAY)] == ["carried_over", "unchanged"]

    def test_a_full_disk_is_no_failure_of_the_gateway(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        bench.discover(MONDAY)
        bench.gateway.listings["AAPL"].close = 276.97
        bench.at(TUESDAY)

        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(StorageUnavailable, match="the disk is full"):
            bench.discover(TUESDAY)
        assert bench.cache.load("AAPL", TUESDAY).status is CacheStatus.MISSING


class TestRefresh:
    def test_contracts_listed_since_are_added_from_the_next_slot_on(self, bench: Bench) -> None:
        gaps = [Series("AAPL", DEC_19, 275.0, right) for right in ("C", "P")]
        bench.gateway.listings["AAPL"] = aapl(missing=gaps)
        frozen = bench.discover(MONDAY).contract_set
        bench.gateway.listings["AAPL"] = aapl()
        outcome = bench.at(MONDAY, 12).discover(MONDAY, refresh=True)
        assert (outcome.action, outcome.added) == (DiscoveryAction.REFRESHED, 2)
        assert outcome.contract_set.contracts[: len(frozen.contracts)] == frozen.contracts
        added = outcome.contract_set.contracts[len(frozen.contracts) :]
        # 12:00 is slot 5 and has begun; 12:30 is slot 6.
        assert {(c.series, c.first_seen_slot) for c in added} == {(series, 6) for series in gaps}
        assert outcome.contract_set.nonexistent == frozenset()
        assert bench.cache.load("AAPL", MONDAY).contract_set == outcome.contract_set

    def test_nothing_is_taken_away(self, bench: Bench) -> None:
        frozen = bench.discover(MONDAY).contract_set
        bench.gateway.listings["AAPL"] = aapl(chains=[("AAPL", (DEC_19,), (270.0,))])
        outcome = bench.at(MONDAY, 12).discover(MONDAY, refresh=True)
        assert outcome.action is DiscoveryAction.UNCHANGED
        assert outcome.contract_set.contracts == frozen.contracts

    def test_after_the_close_nothing_is_added(self, bench: Bench) -> None:
        frozen = bench.discover(MONDAY).contract_set
        outcome = bench.at(MONDAY, 16).discover(MONDAY, refresh=True)
        assert (outcome.contract_set, bench.gateway.calls) == (frozen, [])

    def test_a_failing_gateway_changes_nothing(self, bench: Bench) -> None:
        frozen = bench.discover(MONDAY).contract_set
        bench.gateway.failing["option_params"] = DOWN
        outcome = bench.at(MONDAY, 12).discover(MONDAY, refresh=True)
        assert (outcome.action, outcome.contract_set) == (DiscoveryAction.UNCHANGED, frozen)
        assert "GatewayUnavailable" in outcome.problem


class TestPastAndFutureDays:
    def test_a_past_day_is_rebuilt_from_its_rows_and_never_from_todays_chain(self, bench: Bench) -> None:
        monday = bench.discover(MONDAY).contract_set
        bench.cache.path("AAPL", MONDAY).unlink()
        first, second, *_ = monday.contracts
        bench.stored[MONDAY, "AAPL"] = (replace(second, first_seen_slot=6), first, second)
        bench.at(WEDNESDAY)
        outcome = bench.discover(MONDAY)
        assert outcome.action is DiscoveryAction.REBUILT_FROM_ROWS
        assert outcome.contract_set.contracts == (first, second)
        assert (outcome.contract_set.source, outcome.contract_set.reference_price) == ("stored_rows", 0.0)
        assert outcome.contract_set.underlying.conid == 265598
        assert bench.gateway.calls == []
        assert bench.discover(MONDAY).action is DiscoveryAction.UNCHANGED

    def test_a_past_day_without_rows_says_what_can_be_done(self, bench: Bench) -> None:
        bench.at(WEDNESDAY)
        with pytest.raises(ContractSetMissing, match=r"bring AAPL_2025-11-24\.json back from a backup"):
            bench.discover(MONDAY)
        assert bench.gateway.calls == []

    def test_today_is_new_yorks_not_utcs(self, bench: Bench) -> None:
        # 20:30 in New York on Monday is Tuesday in UTC.
        assert bench.at(MONDAY, 20, 30).discover(MONDAY).action is DiscoveryAction.BUILT

    def test_tomorrow_waits_for_todays_close(self, bench: Bench) -> None:
        bench.at(MONDAY, 15)
        with pytest.raises(SlotNotBegun, match="close of 2025-11-24, which is not over yet"):
            bench.discover(TUESDAY)
        assert bench.at(MONDAY, 16).discover(TUESDAY).action is DiscoveryAction.BUILT

    def test_a_day_without_a_session(self, bench: Bench) -> None:
        bench.at(THANKSGIVING)
        with pytest.raises(NotASession):
            bench.discover(THANKSGIVING)
        assert bench.gateway.calls == []


class TestUniverseMistakes:
    def test_a_symbol_ib_does_not_know(self, bench: Bench) -> None:
        bench.discover(MONDAY)
        with pytest.raises(ContractUnknown, match="ZZZZ; correct the universe file"):
            bench.discover(MONDAY, Underlying("ZZZZ"))
        assert bench.log(MONDAY)[-1]["error_type"] == "ContractUnknown"

    def test_a_symbol_that_vanished_is_not_carried_over(self, bench: Bench) -> None:
        bench.discover(MONDAY)
        bench.gateway.listings.clear()
        bench.at(TUESDAY)
        with pytest.raises(ContractUnknown):
            bench.discover(TUESDAY)

    def test_a_symbol_without_options(self, bench: Bench) -> None:
        bench.gateway.listings["AAPL"] = aapl(chains=[])
        with pytest.raises(ContractUnknown, match="lists no options of AAPL"):
            bench.discover(MONDAY)

    def test_a_class_that_the_symbol_does_not_have(self, bench: Bench) -> None:
        with pytest.raises(ConfigInvalid, match="AAPL has no trading class AAPLW, only AAPL"):
            bench.discover(MONDAY, replace(AAPL, trading_class="AAPLW"))

    def test_a_filter_that_nothing_passes(self, bench: Bench) -> None:
        bench.gateway.listings["AAPL"].close = 1000.0
        with pytest.raises(ContractSetMissing, match=r"no listed option passes the filter; widen \[discovery\]"):
            bench.discover(MONDAY)

    def test_a_chain_of_which_nothing_exists(self, bench: Bench) -> None:
        bench.gateway.listings["AAPL"].conids.clear()
        with pytest.raises(ContractSetMissing, match="IB knows none of the"):
            bench.discover(MONDAY)
        assert bench.cache.load("AAPL", MONDAY).status is CacheStatus.MISSING


class TestEnsure:
    def test_a_good_file_is_used_as_it_is(self, bench: Bench) -> None:
        frozen = bench.discover(MONDAY).contract_set
        bench.at(MONDAY, 10)
        outcome = bench.ensure(MONDAY)
        assert (outcome.action, outcome.contract_set) == (DiscoveryAction.UNCHANGED, frozen)
        assert bench.gateway.calls == []
        assert len(bench.log(MONDAY)) == 1

    @pytest.mark.parametrize("content", [None, "", "{broken"])
    def test_a_missing_empty_or_corrupt_one_is_rebuilt_first(self, bench: Bench, content: str | None) -> None:
        if content is not None:
            path = bench.cache.path("AAPL", MONDAY)
            path.parent.mkdir(parents=True)
            path.write_text(content)
        outcome = bench.at(MONDAY, 10).ensure(MONDAY)
        assert outcome.action is DiscoveryAction.BUILT
        assert {c.first_seen_slot for c in outcome.contract_set.contracts} == {0}
        assert bench.cache.load("AAPL", MONDAY).contract_set == outcome.contract_set
        kept = [path.read_text() for path in bench.cache.directory.glob("*.corrupt-*")]
        assert kept == ([] if content is None else [content])
        assert bool(outcome.problem) is (content is not None)

    @pytest.mark.parametrize(("content", "status"), [(None, "missing"), ("", "empty"), ("{broken", "corrupt")])
    def test_or_the_symbol_fails_clearly_where_the_setting_says_so(
        self, bench: Bench, content: str | None, status: str
    ) -> None:
        bench.variables["OPT_DATA__CAPTURE__FAIL_ON_MISSING_CACHE"] = "true"
        path = bench.cache.path("AAPL", MONDAY)
        if content is not None:
            path.parent.mkdir(parents=True)
            path.write_text(content)
        with pytest.raises(ContractSetMissing, match=f"contracts cache of AAPL for 2025-11-24 is {status}") as caught:
            bench.ensure(MONDAY)
        assert "run opt_data_discovery for that day" in str(caught.value)
        assert bench.gateway.calls == []
        assert path.exists() is (content is not None)

    def test_yesterdays_set_while_the_gateway_fails(self, bench: Bench) -> None:
        monday = bench.discover(MONDAY).contract_set
        bench.gateway.failing["resolve_underlying"] = DOWN
        path = bench.cache.path("AAPL", TUESDAY)
        path.write_text("{broken")
        outcome = bench.at(TUESDAY, 10).ensure(TUESDAY)
        assert outcome.contract_set.stale
        assert outcome.contract_set.contracts == monday.contracts
        assert "no valid JSON" in outcome.problem
        assert "nothing listens" in outcome.problem

    def test_another_task_froze_the_day_meanwhile(self, bench: Bench) -> None:
        other = Bench(bench.root)
        other.gateway.listings["AAPL"].close = 276.97

        class Overtaken(FakeContractGateway):
            async def qualify(self, *arguments: Any) -> Any:
                answer = await super().qualify(*arguments)
                await asyncio.to_thread(other.discover, MONDAY)
                return answer

        bench.gateway = Overtaken({"AAPL": aapl()})
        outcome = bench.ensure(MONDAY)
        assert outcome.action is DiscoveryAction.UNCHANGED
        assert {c.strike for c in outcome.contract_set.contracts} == {270.0, 275.0, 280.0, 285.0}
