"""What slots teach about how long contracts take, and how fast it is forgotten."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opt_data.core.contracts import OptionContract
from opt_data.core.dwell import DwellAnswer, DwellKnowledge, Experience, kind_of, learn

DAY = date(2025, 11, 24)
DWELLS = st.none() | st.floats(0.01, 60.0)


def contract(conid, strike=100.0, expiry=date(2025, 12, 19), right="C", trading_class="AAPL"):
    return OptionContract(conid, f"X{conid}", "AAPL", 265598, expiry, right, strike, 100, "SMART", trading_class)


def taught(*slots, listed=None):
    """Knowledge after slots, each a mapping from contract to dwell."""
    knowledge = DwellKnowledge()
    for slot in slots:
        answers = [DwellAnswer(one, dwell_s) for one, dwell_s in slot.items()]
        knowledge = learn(knowledge, answers, reference_price=100.0, day=DAY, listed=slot if listed is None else listed)
    return knowledge


def chance(knowledge, one):
    return knowledge.chance(one.conid, kind_of(one, 100.0, DAY))


def patience_s(knowledge, one, deadline_s=12.0):
    return knowledge.patience_s(one.conid, kind_of(one, 100.0, DAY), deadline_s)


@pytest.mark.parametrize(
    ("strike", "right", "expiry", "expected"),
    [
        (101.0, "C", date(2025, 11, 24), "AAPL at0 d0"),
        (102.0, "P", date(2025, 11, 25), "AAPL at0 d0"),
        (104.0, "C", date(2025, 11, 26), "AAPL out1 d1"),
        (104.0, "P", date(2025, 12, 1), "AAPL in1 d1"),
        (91.0, "P", date(2025, 12, 2), "AAPL out2 d2"),
        (85.0, "C", date(2026, 1, 16), "AAPL in3 d3"),
        (140.0, "C", date(2026, 12, 18), "AAPL out4 d4"),
    ],
)
def test_kinds(strike, right, expiry, expected):
    assert kind_of(contract(1, strike, expiry, right), 100.0, DAY) == expected


def test_without_knowledge_everything_is_likely_and_has_its_deadline():
    assert chance(DwellKnowledge(), contract(1)) == 1.0
    assert patience_s(DwellKnowledge(), contract(1), 12.0) == 12.0


def test_a_contract_that_never_answered_is_unlikely_after_one_slot():
    good, silent = contract(1), contract(2)

    knowledge = taught({good: 0.5, silent: None})

    assert chance(knowledge, silent) < 0.5 < chance(knowledge, good)


def test_a_contract_that_used_to_answer_is_forgiven_two_slots():
    good, moody = contract(1), contract(2)
    slots = [{good: 0.5, moody: 0.5}] * 3

    assert chance(taught(*slots, {good: 0.5, moody: None}), moody) > 0.5
    assert chance(taught(*slots, *[{good: 0.5, moody: None}] * 3), moody) < 0.5


def test_a_contract_that_answers_again_is_soon_trusted_again():
    good, moody = contract(1), contract(2)
    knowledge = taught(*[{good: 0.5, moody: None}] * 5, *[{good: 0.5, moody: 0.5}] * 2)

    assert chance(knowledge, moody) > 0.5


def test_a_new_contract_of_a_kind_that_hardly_answers_is_unlikely():
    quiet = {contract(conid, 150.0): None for conid in range(10, 30)}

    knowledge = taught({**quiet, contract(1): 0.5}, {**quiet, contract(1): 0.5})

    assert chance(knowledge, contract(99, 150.0)) < 0.5 < chance(knowledge, contract(98))


def test_a_slot_without_a_single_answer_teaches_nothing():
    before = taught({contract(1): 0.5, contract(2): 0.6})
    answers = [DwellAnswer(contract(1), None), DwellAnswer(contract(2), None)]

    assert learn(before, answers, reference_price=100.0, day=DAY, listed=[contract(1)]) == before


def test_what_is_no_longer_listed_is_forgotten():
    gone, there = contract(1, trading_class="AAPL1"), contract(2)

    knowledge = taught({gone: 0.5, there: 0.5}, listed=[there])

    assert set(knowledge.contracts) == {2}
    assert set(knowledge.kinds) == {"AAPL at0 d2"}


def test_patience_is_twice_the_slowest_of_the_kind():
    kind = {contract(conid): dwell_s for conid, dwell_s in enumerate([0.5] * 11 + [2.5], start=10)}

    assert patience_s(taught({**kind, contract(1): None}), contract(1)) == pytest.approx(5.0, abs=0.2)


def test_a_kind_without_quotes_goes_by_the_slowest_of_all():
    knowledge = taught({contract(1): 3.0, contract(2, 150.0): None})

    assert patience_s(knowledge, contract(2, 150.0)) == 6.0


@given(st.lists(DWELLS, max_size=30), st.sampled_from([3, 64]))
def test_experience_stays_within_what_was_seen(dwells, memory):
    one = Experience()
    for dwell_s in dwells:
        one = one.with_answer(dwell_s, memory)

    seen = [dwell_s for dwell_s in dwells if dwell_s is not None]
    assert one.asked == min(len(dwells), memory)
    assert 0.0 <= one.ready_share <= 1.0
    if seen:
        assert min(seen) - 1e-9 <= one.dwell_s <= one.slowest_s + 1e-9 <= max(seen) + 2e-9
    else:
        assert (one.dwell_s, one.slowest_s) == (None, None)


@given(st.lists(DWELLS, min_size=1, max_size=30), st.floats(0.1, 30.0))
def test_an_honest_chance_is_never_cut(dwells, deadline_s):
    """Whatever was learned, a contract gets its deadline, or two seconds and twice what its own newest quote took."""
    one = contract(1)
    knowledge = taught(*({one: dwell_s, contract(2): 0.5} for dwell_s in dwells))

    given_s = patience_s(knowledge, one, deadline_s)

    assert min(deadline_s, 2.0) <= given_s <= deadline_s
    if dwells[-1] is not None:
        assert given_s >= min(deadline_s, 2 * dwells[-1]) - 1e-9
