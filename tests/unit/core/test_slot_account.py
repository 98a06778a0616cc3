"""The account of a slot adds up, whatever is stored; counts by hand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opt_data.core.outcomes import ErrorType
from opt_data.core.slot_account import ContractSetStatus, Expectation, SlotAccount, StoredAnswer, account_slot
from opt_data.core.slots import CaptureMode
from opt_data.errors import LedgerUnbalanced


def expectation(*conids: int) -> Expectation:
    return Expectation("AAPL", "SMART", frozenset(conids))


def test_every_kind_of_answer_is_counted_once() -> None:
    answers = [
        StoredAnswer(1, CaptureMode.ON_TIME, lag_s=2.0),
        StoredAnswer(2, CaptureMode.ON_TIME, lag_s=4.0),
        StoredAnswer(3, CaptureMode.FROZEN, lag_s=90.0),
        StoredAnswer(4, CaptureMode.LATE, lag_s=300.0),
        StoredAnswer(5, CaptureMode.REBUILT, lag_s=0.0),
        StoredAnswer(6, None, "no_quote"),
        StoredAnswer(7, None, "no_quote"),
        StoredAnswer(8, None, "unknown_contract"),
        StoredAnswer(99, CaptureMode.ON_TIME, lag_s=1.0),
    ]
    account = account_slot(expectation(*range(1, 11)), answers)
    assert account == SlotAccount(
        symbol="AAPL",
        expected=10,
        on_time=3,
        late=1,
        rebuilt=1,
        missing=4,
        error=1,
        frozen=1,
        unexpected=1,
        reasons={"no_quote": 2, "no_row": 2, "unknown_contract": 1},
        lag_p50_s=4.0,
        lag_max_s=300.0,
    )
    assert account.kept == 5
    assert account.coverage == 0.5


def test_a_symbol_with_nothing_stored_misses_everything() -> None:
    account = account_slot(expectation(1, 2, 3), [])
    assert (account.expected, account.missing, account.reasons) == (3, 3, {"no_row": 3})
    assert account.coverage == 0.0
    assert account.lag_p50_s is None


def test_a_symbol_without_a_contract_set_expects_nothing() -> None:
    account = account_slot(Expectation("AAPL", "SMART", frozenset(), ContractSetStatus.MISSING), [])
    assert (account.expected, account.missing, account.coverage) == (0, 0, None)


def test_a_contract_with_two_rows_is_refused() -> None:
    twice = [StoredAnswer(1, CaptureMode.ON_TIME), StoredAnswer(1, None, "no_quote")]
    with pytest.raises(LedgerUnbalanced, match="AAPL: contract 1 has two rows"):
        account_slot(expectation(1), twice)


@pytest.mark.parametrize(
    "counts",
    [
        {"expected": 3, "on_time": 2},
        {"expected": 2, "on_time": 3},
        {"expected": 2, "on_time": 3, "missing": -1},
        {"expected": 2, "on_time": 1, "missing": 1},
        {"expected": 1, "late": 1, "frozen": 1},
    ],
)
def test_counts_that_do_not_add_up_cannot_exist(counts: dict[str, int]) -> None:
    with pytest.raises(LedgerUnbalanced) as raised:
        SlotAccount("AAPL", **counts)
    assert raised.value.symbol == "AAPL"


stored = st.builds(
    StoredAnswer,
    conid=st.integers(1, 20),
    mode=st.none() | st.sampled_from(CaptureMode),
    error_type=st.sampled_from(ErrorType),
    lag_s=st.none() | st.floats(0, 1800),
)


@settings(deadline=None)
@given(conids=st.frozensets(st.integers(1, 20)), answers=st.lists(stored, unique_by=lambda answer: answer.conid))
def test_it_always_adds_up_to_what_was_expected(conids: frozenset[int], answers: list[StoredAnswer]) -> None:
    account = account_slot(Expectation("AAPL", "SMART", conids), answers)
    counted = account.on_time + account.late + account.rebuilt + account.missing + account.error
    assert counted == account.expected == len(conids)
    assert sum(account.reasons.values()) == account.missing + account.error
    assert account.unexpected == len({answer.conid for answer in answers} - conids)
