"""What each code does, against IBKR's published meanings."""

import pytest

from opt_data.errors import (
    CompetingSession,
    ContractUnknown,
    NoBars,
    NotEntitled,
    PacingViolated,
    PermanentError,
    RequestRejected,
    TransientError,
)
from opt_data.gateway.error_codes import CODES, Effect, code_meaning, error_from_code


@pytest.mark.parametrize(
    ("code", "effect"),
    [
        (101, Effect.NO_LINE), (200, Effect.ENDS_REQUEST), (321, Effect.ENDS_REQUEST), (354, Effect.ENDS_REQUEST),
        (10090, Effect.NOTICE), (10091, Effect.NOTICE), (10167, Effect.NOTICE), (10168, Effect.ENDS_REQUEST),
        (2104, Effect.NOTICE), (1100, Effect.NOTICE), (10197, Effect.STOPS_ALL), (100, Effect.SLOW_DOWN),
        (99999, Effect.ENDS_REQUEST),
    ],
)  # fmt: skip
def test_effects(code, effect):
    assert code_meaning(code).effect is effect


def test_10089_only_announces_when_delayed_was_asked_for():
    assert code_meaning(10089).effect is Effect.ENDS_REQUEST
    assert code_meaning(10089, delayed_requested=True).effect is Effect.NOTICE


@pytest.mark.parametrize(
    ("code", "text", "error"),
    [
        (200, "No security definition has been found for the request", ContractUnknown),
        (321, "Error validating request", RequestRejected),
        (354, "Requested market data is not subscribed.", NotEntitled),
        (10197, "No market data during competing live session", CompetingSession),
        (162, "Historical Market Data Service error message:HMDS query returned no data", NoBars),
        (162, "Historical Market Data Service error message:No data of type EODChart is available", RequestRejected),
        (
            162,
            "Historical Market Data Service error message:Trading TWS session is connected from a different IP address",
            CompetingSession,
        ),
        (322, "Only 50 simultaneous API historical data requests allowed.", PacingViolated),
        (162, "Historical Market Data Service error message:Historical data request pacing violation", PacingViolated),
        (162, "Historical Market Data Service error message:No market data permissions for NYSE STK", NotEntitled),
    ],
)
def test_errors(code, text, error):
    assert isinstance(error_from_code(code, text), error)


def test_every_error_belongs_to_one_family():
    families = [issubclass(m.error, TransientError) + issubclass(m.error, PermanentError) for m in CODES.values()
                if m.error]  # fmt: skip

    assert set(families) == {1}
