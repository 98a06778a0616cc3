"""Who is asked first, who last, and how long the last may hold a line."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opt_data.core.contracts import OptionContract
from opt_data.core.dwell import DwellKnowledge, Experience
from opt_data.core.sampling_plan import is_time_short, nearest_on_time, plan_sampling

DAY = date(2025, 11, 24)
SOON, LATER = date(2025, 11, 28), date(2026, 1, 16)


def contract(conid, strike, expiry=SOON, right="C"):
    return OptionContract(conid, f"X{conid}", "AAPL", 265598, expiry, right, strike, 100, "SMART", "AAPL")


def plan(contracts, knowledge):
    return plan_sampling(contracts, reference_price=100.0, day=DAY, knowledge=knowledge, ready_timeout_s=12.0)


CHAIN = [
    contract(1, 130.0), contract(2, 100.0, LATER), contract(3, 100.0), contract(4, 95.0), contract(5, 105.0, LATER),
]  # fmt: skip
NEVER, ALWAYS = Experience(3, 0.0), Experience(3, 1.0, 0.5, 1.5)


def test_without_knowledge_near_the_money_and_near_expiry_come_first():
    planned = plan(CHAIN, DwellKnowledge())

    assert [one.conid for one in planned.order] == [3, 2, 4, 5, 1]
    assert planned.patience_s == {}


def test_what_gives_nothing_comes_last_however_near_it_is():
    knowledge = DwellKnowledge({"AAPL at0 d1": Experience(20, 0.9, 0.5, 1.5)}, {3: NEVER, 1: NEVER, 2: ALWAYS})

    planned = plan(CHAIN, knowledge)

    assert [one.conid for one in planned.order] == [2, 4, 5, 3, 1]
    # twice the slowest quote seen, 1.5 s
    assert planned.patience_s == {3: 3.0, 1: 3.0}
    assert [planned.is_unlikely(one) for one in planned.order] == [False, False, False, True, True]


def test_among_the_unlikely_the_likelier_come_first():
    sometimes = Experience(3, 0.4, 0.5, 1.5)

    planned = plan(CHAIN, DwellKnowledge({}, {3: NEVER, 1: sometimes}))

    assert [one.conid for one in planned.order] == [2, 4, 5, 1, 3]


def test_a_first_pass_is_the_beginning_of_the_plan():
    planned = plan(CHAIN, DwellKnowledge({}, {3: NEVER}))

    first = planned.first(2)

    assert [one.conid for one in first.order] == [2, 4]
    assert first.patience_s == {}
    assert planned.first(4) is planned  # for one contract more, the underlying is not watched and stored twice
    assert planned.first(None) is planned


@pytest.mark.parametrize(
    ("symbols", "left_s", "per_s", "nearest"),
    [
        (84, 120.0, 4.0, 4),  # 480 requests for 84 underlyings and four contracts of each: 420
        (84, 12.0, 4.0, 1),  # not one each, but of as many as possible the one that matters most
        (84, 0.0, 4.0, None),
        (84, -30.0, 4.0, None),
        (1, 120.0, 4.0, None),
    ],
)
def test_what_can_be_on_time_is_divided_evenly_among_symbols(symbols, left_s, per_s, nearest):
    assert nearest_on_time(symbols, left_s, per_s) == nearest


experiences = st.builds(Experience, st.integers(0, 64), st.floats(0, 1), st.just(0.5), st.floats(0.5, 60.0))


@given(
    st.lists(st.tuples(st.floats(50, 150), st.sampled_from([SOON, LATER])), max_size=30),
    st.dictionaries(st.integers(0, 30), experiences),
)
def test_every_contract_once_and_the_likely_in_front(chain, known):
    contracts = [contract(conid, strike, expiry) for conid, (strike, expiry) in enumerate(chain)]

    planned = plan(contracts, DwellKnowledge({}, known))

    assert sorted(one.conid for one in planned.order) == list(range(len(chain)))
    unlikely = [planned.is_unlikely(one) for one in planned.order]
    assert unlikely == sorted(unlikely)
    assert all(2.0 <= patience_s <= 12.0 for patience_s in planned.patience_s.values())


@pytest.mark.parametrize(
    ("on_time_left_s", "waiting", "pace_per_s", "rest_s", "expected"),
    [
        pytest.param(60.0, 0, 0.0, 9.0, False, id="the last one, and plenty of time"),
        pytest.param(5.0, 0, 10.0, 9.0, True, id="its own deadline is too late"),
        pytest.param(60.0, 480, 10.0, 9.0, False, id="48 s for the others fit"),
        pytest.param(60.0, 520, 10.0, 9.0, True, id="52 s for the others do not"),
        pytest.param(0.0, 0, 10.0, 0.1, True, id="late already"),
    ],
)
def test_when_time_is_short(on_time_left_s, waiting, pace_per_s, rest_s, expected):
    assert is_time_short(on_time_left_s, waiting=waiting, pace_per_s=pace_per_s, rest_s=rest_s) is expected
