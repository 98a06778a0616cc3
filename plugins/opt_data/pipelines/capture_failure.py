"""What a capture ends with once all it got is stored: nothing, or the error that says whose move it is."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from opt_data.errors import (
    CaptureUnfinished,
    ContractUnknown,
    GatewayUnavailable,
    NotEntitled,
    NothingCaptured,
    OptDataError,
    PermanentError,
    RequestRejected,
)
from opt_data.gateway.market_data import Sample
from opt_data.gateway.session import GatewaySession

if TYPE_CHECKING:
    from opt_data.pipelines.capture_slot import CaptureJob, CaptureOutcome

CUT_SHORT = frozenset({"gateway_lost", "interrupted", "competing_session"})
"""Samples that a rerun over a new connection would get."""
REFUSED: Mapping[str, type[PermanentError]] = {
    "rejected": RequestRejected, "no_permission": NotEntitled, "unknown_contract": ContractUnknown,
}  # fmt: skip
"""What IB would say again, however often it is asked."""
SAID_MAX = 400
"""Characters of IB's own text that an error repeats; the whole is in the rows."""


def capture_failure(
    job: "CaptureJob", samples: Sequence[Sample], outcome: "CaptureOutcome", session: GatewaySession
) -> OptDataError | None:
    """What the attempt ends with, once all it got is stored; None if it did what there was to do."""
    symbol, label, ended = job.underlying.symbol, job.slot.label, Counter(sample.error_type for sample in samples)
    if session.lost.done() and CUT_SHORT & ended.keys():
        return session.lost.result()
    if ended["interrupted"]:
        return GatewayUnavailable(
            f"{symbol}: the gateway has lost IB, and was without it until the time was up; what was sampled before is "
            f"stored, {ended['interrupted']} contracts of slot {label} were not sampled. The retry asks for them; once "
            "the slot is over they are rebuilt from bars",
            host=session.address.host,
            port=session.address.port,
        )
    if ended["out_of_time"] and session.clock.now() < job.slot.ends_utc:
        return CaptureUnfinished(
            f"{symbol}: the task's time is up before every contract of slot {label} was asked for; what was sampled is "
            "stored, the retry asks for the rest. If this recurs, raise capture.task_timeout_min or lower the number "
            "of contracts"
        )
    return None if outcome.account.kept else _nothing(job, samples, outcome)


def _nothing(job: "CaptureJob", samples: Sequence[Sample], outcome: "CaptureOutcome") -> OptDataError:
    """The error of a symbol without one quote: IB may have refused it for good."""
    symbol, reasons = job.underlying.symbol, dict(outcome.account.reasons)
    nothing = (
        f"{symbol} has not one quote at {job.slot.label} of {job.slot.session.day}; of {outcome.account.expected} "
        "contracts: " + ", ".join(f"{count} {why}" for why, count in reasons.items())
    )
    if reasons and reasons.keys() <= REFUSED.keys():
        said = next((sample.message for sample in samples if sample.message), "")
        return REFUSED[max(reasons, key=reasons.__getitem__)](f"{nothing}. {said[:SAID_MAX]}")
    return NothingCaptured(nothing, symbol=symbol, reasons=reasons)
