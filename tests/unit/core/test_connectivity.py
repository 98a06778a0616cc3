"""IB's notices, texts as its own table of system messages words them."""

import pytest

from opt_data.core.connectivity import Connectivity

LOST = (1100, "Connectivity between IB and Trader Workstation has been lost.")
DATA_LOST = (1101, "Connectivity between IB and Trader Workstation has been restored- data lost.")
DATA_KEPT = (1102, "Connectivity between IB and Trader Workstation has been restored- data maintained.")
BROKEN = (2103, "Market data farm connection is broken:usopt")
OK = (2104, "Market data farm connection is OK:usopt")
OTHER_OK = (2104, "Market data farm connection is OK:usfarm")
OTHER_BROKEN = (2103, "Market data farm connection is broken:usfarm")
UNKNOWN_BROKEN = (2103, "Market data farm connection is broken:newfarm")
INACTIVE = (2108, "Market data farm connection is inactive but should be available upon demand.usopt")
DEFINITIONS_BROKEN = (2157, "Sec-def data farm connection is broken:secdefnj")
HISTORY_BROKEN = (2105, "HMDS data farm connection is broken:ushmds")
TWS_LOST = (2110, "Connectivity between TWS and server is broken. It will be restored automatically.")


def after(*notices):
    state = Connectivity()
    stale = [state.note(code, text) for code, text in notices]
    return state, stale


@pytest.mark.parametrize(
    ("notices", "is_down"),
    [
        pytest.param([LOST], True, id="lost"),
        pytest.param([LOST, DATA_KEPT], False, id="restored"),
        pytest.param([LOST, DATA_LOST], False, id="restored-data-lost"),
        pytest.param([BROKEN], True, id="farm"),
        pytest.param([BROKEN, OTHER_OK], True, id="another-farm-is-no-comfort"),
        pytest.param([BROKEN, OK], False, id="farm-back"),
        pytest.param([HISTORY_BROKEN], False, id="history-feeds-no-quotes"),
        pytest.param([TWS_LOST], True, id="tws-lost"),
        pytest.param([OK], False, id="normal-at-connect"),
        pytest.param([DEFINITIONS_BROKEN], False, id="definitions-feed-no-quotes"),
        pytest.param([OTHER_BROKEN], True, id="options-may-come-over-it"),
        pytest.param([OK, OTHER_BROKEN], False, id="options-have-a-farm-of-their-own"),
        pytest.param([INACTIVE, OTHER_BROKEN], False, id="a-sleeping-farm-is-one"),
        pytest.param([OK, UNKNOWN_BROKEN], True, id="a-farm-nobody-knows-may-be-the-options"),
    ],
)
def test_state_after_notices(notices, is_down):
    state, _ = after(*notices)

    assert state.is_down is is_down


def test_values_are_stale_when_an_outage_begins_and_when_data_was_lost():
    _, stale = after(LOST, LOST, DATA_LOST, OK)

    assert stale == [True, False, True, False]


def test_outages_are_counted_once():
    state, _ = after(LOST, BROKEN, DATA_KEPT, LOST)

    assert state.outages == 2


def test_the_underlyings_farm_freezes_the_underlying_and_impairs_the_rest():
    state, stale = after(OK, OTHER_BROKEN)

    assert (state.is_down, state.is_underlying_down, state.is_impaired) == (False, True, True)
    assert stale == [False, False]  # no option value is
    assert (state.outages, state.impairments) == (0, 1)


def test_an_impairment_ends_when_every_farm_is_back():
    state, _ = after(OK, OTHER_BROKEN, BROKEN, OTHER_OK)
    assert state.is_impaired

    state.note(*OK)
    assert not state.is_impaired
    assert state.impairments == 1
