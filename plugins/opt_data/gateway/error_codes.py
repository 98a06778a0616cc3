"""IB's message codes, each once: what it means, whom it concerns, and what a capture makes of it.

Sources: IBKR's published table of message codes, its text on market-data errors, and public field reports on those
codes the table leaves out (10089, 10090, 10091, 10167, 10168).
"""

from dataclasses import dataclass
from enum import StrEnum

from opt_data.errors import (
    CompetingSession,
    ContractUnknown,
    GatewayUnavailable,
    NoBars,
    NotEntitled,
    OptDataError,
    PacingViolated,
    RequestRejected,
)


class Effect(StrEnum):
    """What a code does to the request it names, or to the whole connection if it names none."""

    NOTICE = "notice"  # information; the request goes on
    ENDS_REQUEST = "ends_request"  # no data will follow for this request
    NO_LINE = "no_line"  # the request waits for a market-data line: cancel it, ask again later
    SLOW_DOWN = "slow_down"  # messages come too fast
    STOPS_ALL = "stops_all"  # nothing on this connection can be trusted any more


@dataclass(frozen=True, slots=True)
class CodeMeaning:
    """One row of the table. ``error_type`` is the word stored in a row's ``error_type`` column."""

    code: int
    sentence: str
    effect: Effect
    error_type: str = ""
    error: type[OptDataError] | None = None


_TABLE = (
    CodeMeaning(0, "close to the message limit", Effect.SLOW_DOWN),
    CodeMeaning(100, "message limit exceeded; the third time disconnects", Effect.SLOW_DOWN, "pacing", PacingViolated),
    CodeMeaning(101, "no market-data line left", Effect.NO_LINE, "no_line"),
    CodeMeaning(162, "historical data request failed", Effect.ENDS_REQUEST, "ib_error", RequestRejected),
    CodeMeaning(166, "history of an expired contract", Effect.ENDS_REQUEST, "expired", RequestRejected),
    CodeMeaning(200, "no such contract", Effect.ENDS_REQUEST, "unknown_contract", ContractUnknown),
    CodeMeaning(203, "contract not allowed for this account", Effect.ENDS_REQUEST, "no_permission", NotEntitled),
    CodeMeaning(300, "cancel raced with the end of the request", Effect.NOTICE),
    CodeMeaning(320, "request could not be read", Effect.ENDS_REQUEST, "rejected", RequestRejected),
    CodeMeaning(321, "request is not valid", Effect.ENDS_REQUEST, "rejected", RequestRejected),
    CodeMeaning(322, "request could not be processed", Effect.ENDS_REQUEST, "ib_error", RequestRejected),
    CodeMeaning(323, "server error", Effect.ENDS_REQUEST, "ib_error", GatewayUnavailable),
    CodeMeaning(326, "client id in use", Effect.STOPS_ALL, "gateway_lost", GatewayUnavailable),
    CodeMeaning(354, "market data not subscribed", Effect.ENDS_REQUEST, "no_permission", NotEntitled),
    CodeMeaning(366, "cancel raced with the end of the history request", Effect.NOTICE),
    CodeMeaning(420, "request not allowed", Effect.ENDS_REQUEST, "ib_error", RequestRejected),
    CodeMeaning(504, "not connected", Effect.STOPS_ALL, "gateway_lost", GatewayUnavailable),
    CodeMeaning(1300, "socket port was reset", Effect.STOPS_ALL, "gateway_lost", GatewayUnavailable),
    CodeMeaning(10089, "needs a subscription for the API", Effect.ENDS_REQUEST, "no_permission", NotEntitled),
    CodeMeaning(10090, "part of the data is not subscribed; the rest follows", Effect.NOTICE),
    CodeMeaning(10091, "part of the data needs a subscription; the rest follows", Effect.NOTICE),
    CodeMeaning(10167, "not subscribed; delayed data follow", Effect.NOTICE),
    CodeMeaning(10168, "not subscribed, delayed not enabled", Effect.ENDS_REQUEST, "no_permission", NotEntitled),
    CodeMeaning(10182, "live updates lost with the connection", Effect.ENDS_REQUEST, "ib_error", GatewayUnavailable),
    CodeMeaning(10186, "not subscribed, delayed not enabled", Effect.ENDS_REQUEST, "no_permission", NotEntitled),
    CodeMeaning(
        10197, "a competing live session has the data", Effect.STOPS_ALL, "competing_session", CompetingSession
    ),
)

CODES: dict[int, CodeMeaning] = {meaning.code: meaning for meaning in _TABLE}

_DATA_FOLLOW_ON_DELAYED = frozenset({10089})
"""Ends a live request; when delayed data was asked for, the data follow all the same."""


def code_meaning(code: int, *, delayed_requested: bool = False) -> CodeMeaning:
    """Look a code up; codes 2100-2199 and 1100-1102 are notices, any other unknown code ends its request.

    Parameters
    ----------
    code
        IB's code.
    delayed_requested
        The connection asked for market data type 3 or 4, under which some codes only announce delayed data.
    """
    meaning = CODES.get(code)
    if meaning is None:
        if 2100 <= code < 2200 or 1100 <= code <= 1102 or code in {110, 165, 202, 399, 404, 434, 492}:
            return CodeMeaning(code, "notice", Effect.NOTICE)
        return CodeMeaning(code, "error not in the table", Effect.ENDS_REQUEST, "ib_error", RequestRejected)
    if delayed_requested and code in _DATA_FOLLOW_ON_DELAYED:
        return CodeMeaning(code, meaning.sentence, Effect.NOTICE)
    return meaning


def error_from_code(code: int, text: str) -> OptDataError:
    """The exception that stands for an IB error which ended a request.

    Pacing complaints hide behind 162 and 420, and 162 says four things more: there the text decides.
    """
    said = text.lower()
    if "pacing violation" in said:
        return PacingViolated(f"IB {code}: {text}", retry_after_s=30.0)
    if code == 162 and "no market data permissions" in said:
        return NotEntitled(f"IB {code}: {text}")
    if code == 162 and "returned no data" in said:
        return NoBars(f"IB {code}: {text}", code=code)
    if code == 162 and "different ip address" in said:
        return CompetingSession(f"IB {code}: {text}")
    if code == 322 and "simultaneous api historical" in said:
        return PacingViolated(f"IB {code}: {text}", retry_after_s=30.0)
    error = code_meaning(code).error or RequestRejected
    if error is RequestRejected:
        return RequestRejected(f"IB {code}: {text}", code=code)
    return error(f"IB {code}: {text}")
