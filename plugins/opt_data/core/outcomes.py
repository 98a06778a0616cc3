"""What can become of one contract at one slot: kept, missing or error, and which of two answers is better."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from opt_data.core.slots import CaptureMode


class ErrorType(StrEnum):
    """Why a contract has no quote at a slot; stored in the column ``error_type``."""

    NO_QUOTE = "no_quote"
    TIMED_OUT = "timed_out"
    OUT_OF_TIME = "out_of_time"
    NOT_ASKED = "not_asked"
    EXPIRED = "expired"
    NO_BARS = "no_bars"

    IB_ERROR = "ib_error"
    NO_PERMISSION = "no_permission"
    UNKNOWN_CONTRACT = "unknown_contract"
    REJECTED = "rejected"
    NO_LINE = "no_line"
    PACING = "pacing"
    INTERRUPTED = "interrupted"
    GATEWAY_LOST = "gateway_lost"
    COMPETING_SESSION = "competing_session"
    INTERNAL_ERROR = "internal_error"


class Standing(StrEnum):
    """How the slot ledger counts one contract that has no quote."""

    MISSING = "missing"
    ERROR = "error"


_SENTENCES: dict[ErrorType, tuple[Standing, str]] = {
    ErrorType.NO_QUOTE: (Standing.MISSING, "ticks arrived, but neither bid, ask nor last"),
    ErrorType.TIMED_OUT: (Standing.MISSING, "nothing arrived before the contract's deadline"),
    ErrorType.OUT_OF_TIME: (Standing.MISSING, "the slot ended before the quote was complete"),
    ErrorType.NOT_ASKED: (Standing.MISSING, "the contract was not asked for in this attempt"),
    ErrorType.EXPIRED: (Standing.MISSING, "the contract has expired and IB no longer serves it"),
    ErrorType.NO_BARS: (Standing.MISSING, "the slot was over and IB has no bars to rebuild it from"),
    ErrorType.IB_ERROR: (Standing.ERROR, "IB ended the request with an error; see ib_error_code"),
    ErrorType.NO_PERMISSION: (Standing.ERROR, "the login has no right to the data"),
    ErrorType.UNKNOWN_CONTRACT: (Standing.ERROR, "IB has no such contract (code 200)"),
    ErrorType.REJECTED: (Standing.ERROR, "IB rejected the request as malformed (e.g. code 321)"),
    ErrorType.NO_LINE: (Standing.ERROR, "no market-data line became free (code 101)"),
    ErrorType.PACING: (Standing.ERROR, "IB refused the request because messages came too fast (code 100)"),
    ErrorType.INTERRUPTED: (Standing.ERROR, "the gateway lost IB; what had arrived was no quote of this slot"),
    ErrorType.GATEWAY_LOST: (Standing.ERROR, "the connection to the gateway broke"),
    ErrorType.COMPETING_SESSION: (Standing.ERROR, "another login of the same user took the data (code 10197)"),
    ErrorType.INTERNAL_ERROR: (Standing.ERROR, "our own fault; see error_message"),
}

NO_ROW = "no_row"
"""The ledger's reason for an expected contract of which nothing at all is stored; counted as missing."""

_NEVER_ANSWERED = frozenset({ErrorType.NOT_ASKED, ErrorType.OUT_OF_TIME})


def standing_of(error_type: str) -> Standing:
    """Whether the ledger counts a reason as missing or as error.

    Missing: nothing came, and nothing said why. Error: somebody said no, or something broke.

    Raises
    ------
    ValueError
        If the reason is not one of ``ErrorType``.
    """
    return _SENTENCES[ErrorType(error_type)][0]


def sentence_of(error_type: str) -> str:
    """What a reason means, for documents and messages."""
    return _SENTENCES[ErrorType(error_type)][1]


_MODE_RANK = {CaptureMode.ON_TIME: 3, CaptureMode.FROZEN: 3, CaptureMode.LATE: 2, CaptureMode.REBUILT: 1}
_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one attempt got for one contract at one slot: all that decides which of two attempts is kept.

    ``mode`` is None for an answer without a quote; ``error_type`` is empty for one with a quote.
    """

    mode: CaptureMode | None
    error_type: str = ""
    is_delayed: bool = False
    has_price: bool = False
    has_greeks: bool = False
    known_at: datetime = _BEGINNING
    attempt: int = 0
    ingest_id: str = ""

    def rank(self) -> tuple[int, bool, bool, bool, datetime, int, str]:
        """The greater rank wins; a total order, so that the winner never depends on the order of writing.

        A quote beats none. Then how near it is to the slot's instant: on time (and frozen, which only the close
        allows) before late before rebuilt. Then live before delayed, with a price before without, with greeks before
        without. Only among equals the newer wins. Among answers without a quote one that asked beats one that did
        not, then the newer.
        """
        if self.mode is None:
            answered = self.error_type not in _NEVER_ANSWERED
            return (0, answered, False, False, self.known_at, self.attempt, self.ingest_id)
        return (
            _MODE_RANK[self.mode],
            not self.is_delayed,
            self.has_price,
            self.has_greeks,
            self.known_at,
            self.attempt,
            self.ingest_id,
        )
