"""Say of a symbol that its slot is given up: the last try has failed, nothing will ask by itself any more."""

from collections.abc import Mapping

from opt_data.core.contracts import ContractSet
from opt_data.errors import CompetingSession, GatewayUnavailable, PacingViolated, TransientError
from opt_data.pipelines.capture_slot import CaptureJob, CaptureOutcome, commit_rows
from opt_data.pipelines.stores import Stores
from opt_data.storage.layout import ChainPartition

RUN_LOG = "given_up"
FLAG = "slot_retry_exceeded"
SAID_MAX = 300
"""Characters of the last error that a row repeats; the whole is in the task's log."""

_WORDS: Mapping[type[TransientError], str] = {
    GatewayUnavailable: "gateway_lost", CompetingSession: "competing_session", PacingViolated: "pacing",
}  # fmt: skip


def give_up_slot(job: CaptureJob, contract_set: ContractSet, error: TransientError, stores: Stores) -> CaptureOutcome:
    """Flag every contract of the slot that has no quote, bring the ledger up to date, and note it in the run log.

    A contract keeps the reason that an earlier try found; one that no try reached gets the last error's. Quotes are
    left alone, and a later capture or rebuild replaces the flagged rows as any row without a quote.

    Parameters
    ----------
    job
        What the last try was to capture.
    contract_set
        The day's frozen set of the symbol.
    error
        What the last try ended with.
    stores
        Where rows and the ledger go.

    Raises
    ------
    StorageUnavailable
        Nothing can be written.
    """
    partition = ChainPartition(job.slot.session.day, job.underlying.symbol, job.exchange)
    columns = ["conid", "snapshot_error", "error_type", "ib_error_code"]
    clean = stores.chains.refresh(partition, job.slot.index).rows.select(columns)
    stored = {row["conid"]: row for row in clean.to_pylist()}
    word = next((word for family, word in _WORDS.items() if isinstance(error, family)), "not_asked")
    rows: list[dict[str, object]] = []
    for contract in contract_set.expected_at(job.slot.index):
        known = stored.get(contract.conid)
        if known is not None and not known["snapshot_error"]:
            continue
        rows.append(
            {
                **contract.identity(),
                "reference_price": contract_set.reference_price or None,
                "first_seen_slot": contract.first_seen_slot,
                "snapshot_error": True,
                "error_type": known["error_type"] if known is not None else word,
                "error_message": str(error)[:SAID_MAX],
                "ib_error_code": known["ib_error_code"] if known is not None else None,
                "data_quality_flag": [FLAG, *(["discovery_stale"] if contract_set.stale else [])],
            }
        )
    outcome = commit_rows(job, contract_set, rows, stores)
    record = {"slot": job.slot.label, "symbol": job.underlying.symbol, "contracts": len(rows), "error": str(error)}
    stores.run_log.append(RUN_LOG, job.slot.session.day, record)
    return outcome
