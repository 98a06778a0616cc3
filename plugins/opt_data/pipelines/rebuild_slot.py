"""Rebuild one symbol at one slot that is over: ask IB for the day's bars once, store what they say of the slot."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from opt_data.core.allowance import Priority
from opt_data.core.bars import BarFailure
from opt_data.core.capture_plan import contracts_left, nearest_first, within_strikes
from opt_data.core.contracts import ContractSet, OptionContract
from opt_data.core.rebuild_plan import Known, bars_until, has_underlying, kinds_left, merged
from opt_data.errors import OptDataError, SlotExpired
from opt_data.gateway.history import BarHistory, BarRequest, HistoryRules, option_request, underlying_request
from opt_data.gateway.session import GatewaySession
from opt_data.pipelines.capture_slot import CaptureJob, CaptureOutcome, capture_slot, commit_rows
from opt_data.pipelines.stores import Stores
from opt_data.storage.layout import ChainPartition
from opt_data.transforms.bars import RebuildContext, rebuilt_rows

RUN_TYPE = "rebuild"


@dataclass(frozen=True, slots=True)
class _Bars:
    """What is known of the day after asking, and what went wrong on the way."""

    known: Known
    failures: dict[int, BarFailure] = field(default_factory=dict)
    stopped_by: OptDataError | None = None


async def capture_or_rebuild(
    job: CaptureJob, contract_set: ContractSet, rules: HistoryRules, *, session: GatewaySession, stores: Stores
) -> CaptureOutcome:
    """Capture the slot while it lasts, by the session's clock; rebuild it once it is over.

    Raises
    ------
    OptDataError
        Everything that ``capture_slot`` and ``rebuild_slot`` raise.
    """
    try:
        return await capture_slot(job, contract_set, session=session, stores=stores)
    except SlotExpired:
        session.share.priority = Priority.REBUILD
        return await rebuild_slot(job, contract_set, rules, session=session, stores=stores)


async def rebuild_slot(
    job: CaptureJob, contract_set: ContractSet, rules: HistoryRules, *, session: GatewaySession, stores: Stores
) -> CaptureOutcome:
    """Fill what a slot that is over still lacks of one symbol from 1-minute bars, commit it, and update the ledger.

    Contracts that have a quote are left alone, whatever its mode: bars give none that is better. Bars asked for once
    are kept for the day's other slots. One contract's failure never fails the symbol. A contract that stays without a
    quote for the reason that is stored already gets no new row: rebuilding again changes nothing.

    Parameters
    ----------
    job
        What to rebuild.
    contract_set
        The day's frozen set of the symbol.
    rules
        How to ask for bars.
    session
        A connected session; nothing is asked of it if the bars are known.
    stores
        Where rows, bars and the ledger go.

    Raises
    ------
    SlotExpired
        Not one contract of the symbol has a quote at this slot, and its bars gave none.
    TransientError
        IB stopped answering on the way, or refused for pacing; what came is stored, a rerun goes on with what is left.
    """
    wanted = within_strikes(contract_set.expected_at(job.slot.index), contract_set.reference_price, job.strikes)
    stored = _stored_reasons(job, stores)
    left = contracts_left(wanted, {conid for conid, reason in stored.items() if reason is None})
    bars = _Bars({})
    rows: list[dict[str, object]] = []
    run = replace(job.run, run_type=RUN_TYPE)
    if left:
        ordered = nearest_first(left, contract_set.reference_price)
        bars = await _bars(replace(job, run=run), ordered, contract_set, rules, session, stores)
        rate = stores.settings.rebuild.rate_pct / 100
        context = RebuildContext(job.slot, contract_set, job.exchange, rate, bars.failures)
        answers = zip(ordered, rebuilt_rows(ordered, bars.known, context), strict=True)
        rows = [row for one, row in answers if not row["snapshot_error"] or row["error_type"] != stored.get(one.conid)]
    sent = session.ib.client.messages_sent
    outcome = commit_rows(replace(job, run=run), contract_set, rows, stores, messages_sent=sent)
    stores.run_log.append("rebuild", job.slot.session.day, {"slot": job.slot.label, **outcome.summary()})
    if bars.stopped_by is not None:
        raise bars.stopped_by
    if not outcome.account.kept:
        raise SlotExpired(_nothing(job, outcome))
    return outcome


async def _bars(
    job: CaptureJob,
    contracts: Sequence[OptionContract],
    contract_set: ContractSet,
    rules: HistoryRules,
    session: GatewaySession,
    stores: Stores,
) -> _Bars:
    """The bars of the contracts: those kept, and those that had to be asked for, which are kept now.

    Only one task at a time does this for a symbol and day: of several slots rebuilt side by side the first asks.
    """
    trading, symbol = job.slot.session, job.underlying.symbol
    async with stores.locks.held(RUN_TYPE, symbol, trading.day):
        known = stores.bars.load(trading.day, symbol)
        requests = _requests(job, contracts, contract_set, known, session, stores)
        if not requests:
            return _Bars(known)
        history = BarHistory(session, trading, bars_until(trading, session.clock.now()), rules)
        found = await history.ask(requests, job.finish_within_s)
        if found.series:
            stores.bars.keep(trading, symbol, found.series, job.run)
    failures = {one.conid: one for one in found.failures}
    return _Bars(merged(known, found.series), failures, found.stopped_by)


def _requests(
    job: CaptureJob,
    contracts: Sequence[OptionContract],
    contract_set: ContractSet,
    known: Known,
    session: GatewaySession,
    stores: Stores,
) -> list[BarRequest]:
    instant, now = job.slot.instant_utc, session.clock.now()
    again = timedelta(minutes=stores.settings.rebuild.ask_again_after_min)
    requests = [
        option_request(contract, job.exchange, kinds)
        for contract in contracts
        if (kinds := kinds_left(contract.conid, known, instant, now, again))
    ]
    if not has_underlying(contract_set.underlying.conid, known, instant):
        requests.insert(0, underlying_request(contract_set.underlying))
    return requests


def _stored_reasons(job: CaptureJob, stores: Stores) -> dict[int, str | None]:
    """Why each stored contract has no quote, by conid; None where it has one."""
    partition = ChainPartition(job.slot.session.day, job.underlying.symbol, job.exchange)
    clean = stores.chains.refresh(partition, job.slot.index).rows.select(["conid", "snapshot_error", "error_type"])
    return {row["conid"]: row["error_type"] if row["snapshot_error"] else None for row in clean.to_pylist()}


def _nothing(job: CaptureJob, outcome: CaptureOutcome) -> str:
    reasons = ", ".join(f"{count} {why}" for why, count in outcome.account.reasons.items())
    return (
        f"slot {job.slot.label} of {job.slot.session.day} is over and nothing of {job.underlying.symbol} could be "
        f"rebuilt from IB's one-minute bars; of {outcome.account.expected} contracts: {reasons}. They are counted so "
        "in the ledger. IB drops the bars of expired options after about a day; a later clear asks again for the rest"
    )
