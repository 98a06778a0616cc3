"""What is asked again and what is carried over."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from opt_data.core.contracts import ContractSet, Series, Underlying
from opt_data.core.discovery_plan import (
    VerifyReason,
    added_contracts,
    carry_over,
    only_adds,
    open_asks,
    recall,
    verification_reason,
)
from tests.fakes.gateway import option

AAPL = Underlying("AAPL", 265598)
FRIDAY, MONDAY = date(2025, 11, 21), date(2025, 11, 24)
ENDS_FRIDAY = Series("AAPL", FRIDAY, 270.0, "C")
LIVES_ON = Series("AAPL", date(2025, 12, 19), 270.0, "C")
OTHER_CLASS = Series("AAPL1", date(2025, 12, 19), 270.0, "C")
GONE = Series("AAPL", FRIDAY, 271.0, "C")
NEVER = Series("AAPL", date(2025, 12, 19), 271.0, "C")
PREVIOUS = ContractSet(
    underlying=AAPL,
    trade_date=FRIDAY,
    reference_price=266.25,
    reference_source="previous_close",
    contracts=(
        option(ENDS_FRIDAY, 1, AAPL),
        replace(option(LIVES_ON, 2, AAPL), first_seen_slot=6),
        option(OTHER_CLASS, 3, AAPL),
    ),
    created_at=datetime(2025, 11, 21, 14, 25, tzinfo=UTC),
    verified_on=date(2025, 11, 18),
    und_fingerprint="same",
    nonexistent=frozenset({GONE, NEVER}),
)


@pytest.mark.parametrize(
    ("day", "fingerprint", "price", "reason"),
    [
        (MONDAY, "same", 266.25, None),
        (MONDAY, "same", 240.0, None),  # a tenth down
        (date(2025, 11, 25), "same", 266.25, VerifyReason.DUE),
        (MONDAY, "other", 266.25, VerifyReason.UNDERLYING_CHANGED),
        (date(2025, 11, 25), "other", 66.5, VerifyReason.UNDERLYING_CHANGED),
        (MONDAY, "same", 66.5, VerifyReason.PRICE_JUMPED),  # 4:1
        (MONDAY, "same", 177.5, VerifyReason.PRICE_JUMPED),  # 3:2
        (MONDAY, "same", 2662.5, VerifyReason.PRICE_JUMPED),  # 1:10
    ],
)
def test_reasons_to_verify(day: date, fingerprint: str, price: float, reason: VerifyReason | None) -> None:
    assert verification_reason(PREVIOUS, day, fingerprint, price, verify_every_days=7) is reason


def test_the_first_day_and_a_set_from_stored_rows_are_verified() -> None:
    assert verification_reason(None, MONDAY, "same", 266.25, 7) is VerifyReason.FIRST
    rebuilt = replace(PREVIOUS, und_fingerprint="")
    assert verification_reason(rebuilt, MONDAY, "same", 266.25, 7) is VerifyReason.FIRST


def test_known_contracts_are_recalled_without_the_expired_and_counted_from_the_first_slot() -> None:
    memory = recall(PREVIOUS, MONDAY, None)
    assert {series: (c.conid, c.first_seen_slot) for series, c in memory.known.items()} == {
        LIVES_ON: (2, 0),
        OTHER_CLASS: (3, 0),
    }
    assert memory.nonexistent == {NEVER}
    assert memory.expired == 1
    assert memory.fallback == {}


def test_a_due_verification_forgets_what_does_not_exist_and_keeps_old_conids_as_a_fallback() -> None:
    memory = recall(PREVIOUS, MONDAY, VerifyReason.DUE)
    assert (memory.known, memory.nonexistent) == ({}, frozenset())
    assert set(memory.fallback) == {LIVES_ON, OTHER_CLASS}


def test_after_a_change_of_the_underlying_nothing_is_trusted() -> None:
    memory = recall(PREVIOUS, MONDAY, VerifyReason.UNDERLYING_CHANGED)
    assert (memory.known, memory.nonexistent, memory.fallback) == ({}, frozenset(), {})


def test_open_asks_are_what_nobody_knows_in_the_order_wanted() -> None:
    assert open_asks((NEVER, LIVES_ON, OTHER_CLASS, GONE), {LIVES_ON}, {GONE}) == (NEVER, OTHER_CLASS)


def test_carry_over_drops_expired_and_unwanted_classes() -> None:
    assert [c.conid for c in carry_over(PREVIOUS, MONDAY, AAPL)] == [2, 3]
    assert [c.conid for c in carry_over(PREVIOUS, MONDAY, replace(AAPL, trading_class="AAPL1"))] == [3]
    assert [c.conid for c in carry_over(PREVIOUS, FRIDAY, AAPL)] == [1, 2, 3]


def test_added_contracts_are_new_both_by_conid_and_by_name() -> None:
    found = [option(LIVES_ON, 99, AAPL), option(NEVER, 2, AAPL), option(NEVER, 4, AAPL)]
    added = added_contracts(PREVIOUS.contracts, found, first_seen_slot=6)
    assert [(c.conid, c.first_seen_slot) for c in added] == [(4, 6)]


def test_only_adds() -> None:
    grown = replace(PREVIOUS, contracts=(*PREVIOUS.contracts, option(NEVER, 4, AAPL)), stale=True)
    assert only_adds(PREVIOUS, PREVIOUS)
    assert only_adds(PREVIOUS, grown)
    assert not only_adds(grown, PREVIOUS)
    first, *others = PREVIOUS.contracts
    assert not only_adds(PREVIOUS, replace(PREVIOUS, contracts=(replace(first, first_seen_slot=1), *others)))
    assert not only_adds(PREVIOUS, replace(PREVIOUS, trade_date=MONDAY))
