"""Capture one symbol at one slot: ask for what is still missing, store every answer, account for every contract."""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from opt_data.core.capture_plan import contracts_left, is_settled, within_strikes, worth_another_exchange
from opt_data.core.contracts import ContractSet, Underlying
from opt_data.core.dwell import DwellAnswer, DwellKnowledge, learn
from opt_data.core.quotes import MarketDataType
from opt_data.core.sampling_plan import SamplingPlan, plan_sampling
from opt_data.core.sessions import NEW_YORK
from opt_data.core.slot_account import ContractSetStatus, Expectation, SlotAccount, account_slot
from opt_data.core.slots import Slot, SlotPhase, slot_phase
from opt_data.errors import SlotExpired, SlotNotBegun
from opt_data.gateway.market_data import Sample, Sampler, SamplingRules
from opt_data.gateway.session import GatewaySession
from opt_data.pipelines.capture_failure import CUT_SHORT, capture_failure
from opt_data.pipelines.quote_rows import CaptureContext, quote_rows
from opt_data.pipelines.stores import Stores
from opt_data.storage.chain_rows import IngestRun
from opt_data.storage.layout import ChainPartition, ChainView
from opt_data.storage.ledger import stored_answers

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

WAIT_FOR_SLOT_S = 30.0
"""How early a run may be: the scheduler's clock and the gateway's are not the same."""
UNDERLYING_WAIT_S = 2.0
"""How long options wait for the underlying's first price; afterwards they are sampled without it."""
RUN_LOGS = {ChainView.INTRADAY: "capture", ChainView.CLOSE: "close_snapshot"}
NOT_ANSWERED = CUT_SHORT | {"out_of_time"}
"""Ends of a sample in a first pass for which the second one asks again: what is wrong then, it says."""
TEACHES = frozenset({"", "timed_out", "no_quote"})
"""Ends of a sample that say something about its contract, and not about the connection or the login."""


@dataclass(frozen=True, slots=True)
class CaptureJob:
    """What one task is to capture.

    ``exchange`` is the route of the day's set, and the partition. ``ask_first`` is asked first, then each of
    ``fallback_exchanges`` for contracts it had nothing for. ``strikes`` narrows an attempt to so many strikes per side
    of the money; the other contracts stay as they are. ``finish_within_s`` ends the asking early, so that what was
    sampled is stored before the task is. In the view ``CLOSE`` the slot is the close's own (``close_slot``).
    """

    slot: Slot
    underlying: Underlying
    exchange: str
    ask_first: str
    fallback_exchanges: tuple[str, ...]
    rules: SamplingRules
    requested_type: MarketDataType
    run: IngestRun
    strikes: int | None = None
    nearest: int | None = None
    answered_before: frozenset[int] = frozenset()
    finish_within_s: float = float("inf")
    view: ChainView = ChainView.INTRADAY


@dataclass(frozen=True, slots=True)
class CaptureOutcome:
    """What a capture did: fit for a log line or an XCom.

    ``asked`` counts contracts this attempt was about; ``improved`` those of them that have a quote now which they did
    not have, or had in a worse way; ``account`` is what became of every expected contract: the symbol's line of the
    slot ledger; a closing snapshot has one of its own, which is in no ledger. ``messages_sent`` is what the connection
    has sent by then, also for other symbols of the same task. ``answered_conids`` are the contracts that
    asking again in this try would not change, ``put_off`` counts those that were left for a second pass.
    """

    symbol: str
    asked: int
    account: SlotAccount
    stale: bool
    raw_key: str = ""
    won: int = 0
    improved: int = 0
    flags: Mapping[str, int] = field(default_factory=dict)
    messages_sent: int = 0
    answered_conids: frozenset[int] = frozenset()
    put_off: int = 0

    def after(self, first: "CaptureOutcome") -> "CaptureOutcome":
        """This second pass and the first one as a single capture."""
        return replace(
            self,
            asked=first.asked + self.asked,
            won=first.won + self.won,
            improved=first.improved + self.improved,
            raw_key=self.raw_key or first.raw_key,
            flags=self.flags or first.flags,
            answered_conids=first.answered_conids | self.answered_conids,
        )

    @property
    def unchanged(self) -> int:
        """Contracts whose quote was there before and stayed as it was."""
        return self.account.kept - self.improved

    @property
    def still_missing(self) -> int:
        """Contracts without a quote, whatever the reason."""
        return self.account.missing + self.account.error

    def sentence(self) -> str:
        """What the attempt changed, for the log."""
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.account.reasons.items())
        return (
            f"{self.symbol}: of {self.account.expected} contracts {self.improved} improved, {self.unchanged} "
            f"unchanged, {self.still_missing} still missing" + (f" ({reasons})" if reasons else "")
        )

    def summary(self) -> dict[str, object]:
        """Plain values, no rows."""
        account = self.account
        return {
            "symbol": self.symbol,
            "asked": self.asked,
            "expected": account.expected,
            "kept": account.kept,
            "on_time": account.on_time,
            "late": account.late,
            "rebuilt": account.rebuilt,
            "missing": account.missing,
            "error": account.error,
            "reasons": dict(account.reasons),
            "lag_max_s": account.lag_max_s,
            "flags": dict(self.flags),
            "discovery_stale": self.stale,
            "raw_key": self.raw_key,
            "rows_won": self.won,
            "improved": self.improved,
            "unchanged": self.unchanged,
            "still_missing": self.still_missing,
            "put_off": self.put_off,
            "messages_sent": self.messages_sent,
        }


async def capture_slot(
    job: CaptureJob, contract_set: ContractSet, *, session: GatewaySession, stores: Stores
) -> CaptureOutcome:
    """Capture what the slot still lacks of one symbol, commit it, and bring the ledger up to date.

    One contract's failure never fails the symbol. What was sampled before the connection broke is stored before the
    error is raised. A first pass that put something off raises nothing once it is stored: the second one will.

    Parameters
    ----------
    job
        What to capture.
    contract_set
        The day's frozen set of the symbol.
    session
        A connected session; its clock decides what is on time.
    stores
        Where rows and the ledger go.

    Raises
    ------
    SlotExpired
        The slot is over; nothing was asked.
    SlotNotBegun
        The slot lies in the future.
    NothingCaptured
        Not one contract of the symbol has a quote at this slot.
    RequestRejected, NotEntitled, ContractUnknown
        The same, and IB refused every contract for good.
    TransientError
        The connection failed on the way, IB was away, or the task's time is up: a rerun goes on with what is left.
    """
    await wait_for_slot(job.slot, session)
    expected = contract_set.expected_at(job.slot.index)
    wanted = within_strikes(expected, contract_set.reference_price, job.strikes)
    left = contracts_left(wanted, _settled_conids(job, stores) | job.answered_before)
    grace = timedelta(seconds=stores.settings.capture.slot_grace_s)
    knowledge = stores.dwell.load(job.underlying.symbol)
    whole = plan_sampling(
        left,
        reference_price=contract_set.reference_price,
        day=job.slot.session.day,
        knowledge=knowledge,
        ready_timeout_s=job.rules.ready_timeout_s,
    )
    plan = whole.first(job.nearest)
    samples = await _sample(job, plan, contract_set, session, grace)
    context = CaptureContext(job.slot, contract_set, job.exchange, grace, job.requested_type, job.view)
    sent = session.ib.client.messages_sent
    outcome = replace(
        commit_rows(job, contract_set, quote_rows(samples, context), stores, messages_sent=sent),
        answered_conids=frozenset(one.contract.conid for one in samples if one.error_type not in NOT_ANSWERED),
        put_off=len(whole.order) - len(plan.order),
    )
    stores.run_log.append(RUN_LOGS[job.view], job.slot.session.day, {"slot": job.slot.label, **outcome.summary()})
    if job.view is ChainView.INTRADAY:
        _learn_dwell(samples, knowledge, contract_set, stores)
    failure = capture_failure(job, samples, outcome, session)
    if failure is not None and not outcome.put_off:
        raise failure
    return outcome


async def wait_for_slot(slot: Slot, session: GatewaySession) -> None:
    """Return when the slot has begun; a run may be some seconds early.

    Raises
    ------
    SlotNotBegun
        The slot begins later than that.
    SlotExpired
        The slot is over.
    """
    await wait_until_begun(slot, session)
    check_not_over(slot, session.clock.now())


async def wait_until_begun(slot: Slot, session: GatewaySession) -> None:
    """Return when the slot has begun, also if it is over.

    Raises
    ------
    SlotNotBegun
        The slot begins later than a run may be early.
    """
    early_s = (slot.instant_utc - session.clock.now()).total_seconds()
    if early_s > WAIT_FOR_SLOT_S:
        raise SlotNotBegun(f"slot {slot.label} of {slot.session.day} begins in {early_s:.0f} s")
    if early_s > 0:
        await asyncio.sleep(early_s)


def check_not_over(slot: Slot, now: datetime) -> None:
    """Refuse a slot that is over: a live quote is never stored under it.

    Raises
    ------
    SlotExpired
        With the recovery.
    """
    if slot_phase(slot, now, timedelta(0)) is SlotPhase.OVER:
        ended = slot.ends_utc.astimezone(NEW_YORK)
        raise SlotExpired(
            f"slot {slot.label} of {slot.session.day} ended at {ended:%H:%M} New York and it is "
            f"{now.astimezone(NEW_YORK):%Y-%m-%d %H:%M}: a live quote is never stored under a slot that is over. "
            "Recovery: clear its capture, or backfill the day; the slot is then rebuilt from IB's one-minute bars"
        )


async def _sample(
    job: CaptureJob, plan: SamplingPlan, contract_set: ContractSet, session: GatewaySession, grace: timedelta
) -> list[Sample]:
    """Ask the exchanges in turn; each later one only for what the earlier ones had nothing for.

    While time is short, what probably gives nothing anywhere is asked at the first exchange only.
    """
    if not plan.order:
        return []
    if plan.patience_s:
        last, planned = len(plan.patience_s), len(plan.order)
        log.info("%d of %d contracts gave no complete quote lately and come last", last, planned)
    session.request_market_data_type(int(job.requested_type))
    answers: dict[int, Sample] = {}
    on_time_until = job.slot.instant_utc + grace if job.view is ChainView.INTRADAY else None
    stop_at = _stop_at(job, session)
    async with Sampler(session, job.rules, stop_at, plan.patience_s, on_time_until) as sampler:
        await sampler.watch_underlying(contract_set.underlying, UNDERLYING_WAIT_S)
        left = list(plan.order)
        for exchange in dict.fromkeys((job.ask_first, *job.fallback_exchanges)):
            for sample in await sampler.sample(left, exchange):
                if sample.is_kept or sample.contract.conid not in answers:
                    answers[sample.contract.conid] = sample
            left = [c for c in left if worth_another_exchange(answers[c.conid].error_type)]
            if sampler.is_time_short(job.rules.ready_timeout_s):
                left = [contract for contract in left if not plan.is_unlikely(contract)]
            if not left:
                break
    return [answers[contract.conid] for contract in plan.order]


def _learn_dwell(
    samples: Sequence[Sample], knowledge: DwellKnowledge, contract_set: ContractSet, stores: Stores
) -> None:
    """Remember how long contracts took, for the next slot's plan."""
    telling = [sample for sample in samples if sample.error_type in TEACHES and not sample.farm_outage]
    learned = learn(
        knowledge,
        [DwellAnswer(sample.contract, sample.dwell_s) for sample in telling],
        reference_price=contract_set.reference_price,
        day=contract_set.trade_date,
        listed=contract_set.contracts,
    )
    if learned != knowledge:
        stores.dwell.save(contract_set.underlying.symbol, learned)


def _stop_at(job: CaptureJob, session: GatewaySession) -> datetime:
    left_s = (job.slot.ends_utc - session.clock.now()).total_seconds()
    return session.clock.now() + timedelta(seconds=min(left_s, job.finish_within_s))


def commit_rows(
    job: CaptureJob,
    contract_set: ContractSet,
    rows: Sequence[Mapping[str, object]],
    stores: Stores,
    *,
    messages_sent: int = 0,
) -> CaptureOutcome:
    """Commit an attempt's rows, if there are any, and bring the symbol's line of the slot ledger up to date."""
    symbol = job.underlying.symbol
    raw_key, won, improved, flags = "", 0, 0, Counter[str]()
    if rows:
        committed = stores.chains_of(job.view).commit_attempt(job.slot, symbol, job.exchange, rows, job.run)
        raw_key, won, improved = committed.raw_key, committed.won, committed.quotes_won
        for names in committed.clean.rows.column("data_quality_flag").to_pylist():
            flags.update(names)
    return CaptureOutcome(
        symbol=symbol,
        asked=len(rows),
        account=_account(job, contract_set, stores),
        stale=contract_set.stale,
        raw_key=raw_key,
        won=won,
        improved=improved,
        flags=dict(sorted(flags.items())),
        messages_sent=messages_sent,
    )


def _account(job: CaptureJob, contract_set: ContractSet, stores: Stores) -> SlotAccount:
    expected = expectation(job.underlying.symbol, job.exchange, contract_set, job.slot)
    if job.view is ChainView.INTRADAY:
        (account,) = stores.ledger.update(job.slot, [expected], job.run.dag_run_id)
        return account
    return account_slot(expected, stored_answers(_clean_rows(job, stores)))


def expectation(symbol: str, exchange: str, contract_set: ContractSet | None, slot: Slot) -> Expectation:
    """What a symbol must account for at a slot, from its contract set, or from none."""
    if contract_set is None:
        return Expectation(symbol, exchange, frozenset(), ContractSetStatus.MISSING)
    status = ContractSetStatus.STALE if contract_set.stale else ContractSetStatus.OK
    return Expectation(symbol, exchange, frozenset(c.conid for c in contract_set.expected_at(slot.index)), status)


def _settled_conids(job: CaptureJob, stores: Stores) -> frozenset[int]:
    """Contracts whose stored row another sample could not make better."""
    wanted = (
        _clean_rows(job, stores).select(["conid", "snapshot_error", "capture_mode", "data_quality_flag"]).to_pylist()
    )
    return frozenset(
        row["conid"]
        for row in wanted
        if is_settled(
            snapshot_error=row["snapshot_error"],
            mode=row["capture_mode"],
            flags=row["data_quality_flag"],
            require_greeks=job.rules.require_greeks,
        )
    )


def _clean_rows(job: CaptureJob, stores: Stores) -> "pa.Table":
    partition = ChainPartition(job.slot.session.day, job.underlying.symbol, job.exchange, job.view)
    return stores.chains_of(job.view).refresh(partition, job.slot.index).rows
