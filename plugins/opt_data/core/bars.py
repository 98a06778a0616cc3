"""One-minute bars as IB serves them, and what an answer to a request for them can be."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

BAR_LENGTH = timedelta(minutes=1)


class BarKind(StrEnum):
    """What bars are made of: IB's ``whatToShow``."""

    BID = "BID"
    ASK = "ASK"
    TRADES = "TRADES"


OPTION_KINDS = (BarKind.BID, BarKind.ASK, BarKind.TRADES)
"""One request set of an option: BID_ASK bars are time averages, no quotes, so the sides are asked one by one."""


class BarAnswer(StrEnum):
    """How a request for bars ended, where it ended for good."""

    BARS = "bars"
    NO_BARS = "no_bars"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar from ``start`` (aware UTC) to a minute later.

    Prices in USD per share. ``volume`` (contracts), ``average`` and ``trades`` only for TRADES.
    """

    start: datetime
    open: float
    high: float
    low: float
    close: float
    volume: int | None = None
    average: float | None = None
    trades: int | None = None


@dataclass(frozen=True, slots=True)
class BarSeries:
    """The definite answer to one request: one contract's bars of one kind from the session's open to ``until``.

    No bars is an answer too: then ``answer`` says why, and ``message`` and ``ib_error_code`` are IB's words.
    """

    conid: int
    kind: BarKind
    answer: BarAnswer
    asked_at: datetime
    until: datetime
    bars: tuple[Bar, ...] = ()
    message: str = ""
    ib_error_code: int | None = None


@dataclass(frozen=True, slots=True)
class BarFailure:
    """Why a contract's set is not complete: an ``ErrorType``, and IB's words. Asking again may help."""

    conid: int
    error_type: str
    message: str
    ib_error_code: int | None = None
