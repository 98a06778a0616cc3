"""Read one symbol's open interest of a finished session once, judge it by what was read before, and store it.

Between two reads lie minutes. A task does not wait them out: everything it has to remember is in the stored reads, so
it ends, tells when to come again, and gives its place in the pool to others.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

from opt_data.core.contracts import ContractSet, OptionContract, Underlying
from opt_data.core.open_interest import (
    VERDICT_SENTENCES,
    Baseline,
    Judgement,
    NextStep,
    OpenInterestWindow,
    ReadVerdict,
    judge_read,
    next_step,
    open_interest_window,
)
from opt_data.core.quotes import MarketDataType
from opt_data.core.sessions import NEW_YORK, TradingSession
from opt_data.errors import GatewayUnavailable, OpenInterestGone, OpenInterestMissing, OpenInterestNotOut
from opt_data.gateway.market_data import Sample, Sampler, SamplingRules
from opt_data.gateway.session import GatewaySession
from opt_data.pipelines.merge_open_interest import merge_open_interest, read_open_interest
from opt_data.pipelines.stores import Stores
from opt_data.storage.chain_rows import IngestRun
from opt_data.tables.open_interest_columns import NOT_LIVE
from opt_data.transforms.open_interest import DayOpenInterest, LastRead

BASELINE_SESSIONS = 5
"""How many sessions back earlier values are looked for."""
NOT_AN_ANSWER = frozenset({"gateway_lost", "interrupted", "competing_session", "out_of_time"})
"""Samples that say nothing of the contract, only of the connection or the clock."""
READING_SHARE = 0.9
"""Share of the task's time after which nothing more is asked, so that what was read is stored."""


@dataclass(frozen=True, slots=True)
class OpenInterestJob:
    """What one task is to read; ``rules`` must want open interest."""

    session: TradingSession
    underlying: Underlying
    exchange: str
    rules: SamplingRules
    run: IngestRun


@dataclass(frozen=True, slots=True)
class OpenInterestOutcome:
    """Where a symbol stands: fit for a log line or an XCom.

    ``wait_s`` is how long to wait before the next read; None when there is nothing left to do.
    """

    symbol: str
    trade_date: date
    expected: int
    filled: int
    verdict: ReadVerdict | None
    reads: int
    asked: int = 0
    wait_s: float | None = None
    absences: Mapping[str, int] = field(default_factory=dict)
    messages_sent: int = 0

    def summary(self) -> dict[str, object]:
        """Plain values, no rows."""
        return {
            "symbol": self.symbol,
            "trade_date": self.trade_date.isoformat(),
            "expected": self.expected,
            "filled": self.filled,
            "missing": self.expected - self.filled,
            "verdict": self.verdict and str(self.verdict),
            "reads": self.reads,
            "asked": self.asked,
            "wait_s": self.wait_s,
            "absences": dict(self.absences),
            "messages_sent": self.messages_sent,
        }


async def enrich_open_interest(
    job: OpenInterestJob, contract_set: ContractSet, *, session: GatewaySession, stores: Stores
) -> OpenInterestOutcome:
    """Read what the symbol still lacks, store the read, and bring ``daily_clean`` up to date with what was accepted.

    Nothing is asked if nothing is missing, or if the last read is too fresh to be confirmed.

    Parameters
    ----------
    job
        What to read.
    contract_set
        The finished session's set of the symbol.
    session
        A connected session; its clock decides what is too early and too late.
    stores
        Where reads and days are.

    Raises
    ------
    OpenInterestNotOut
        It is not published yet.
    OpenInterestGone
        A newer session's is out, and too much of this one's is missing; nothing was asked.
    OpenInterestMissing
        The time for reading again is over and too much is missing; what was read is stored.
    TransientError
        The connection failed on the way: the read does not count.
    """
    day, symbol = job.session.day, job.underlying.symbol
    on_file = read_open_interest(stores, day, symbol)
    expected = contracts_with_open_interest(contract_set)
    left = [contract for contract in expected if contract.conid not in on_file.accepted]
    window = window_of(job.session, stores)
    now = session.clock.now()
    if on_file.accepted or not left or now >= window.closes:
        # also what a run stored that was killed before it got here
        merge_open_interest(stores, day, symbol, job.exchange)
    if not left:
        return _outcome(job, expected, on_file)
    if now >= window.closes and is_enough(len(expected), len(left), stores):
        return _outcome(job, expected, on_file)
    _check_window(window, now)
    if (fresh_s := _seconds_until_confirmable(on_file, now, stores)) > 0:
        return _outcome(job, expected, on_file, wait_s=fresh_s)

    samples = await _sample(job, left, window, session, stores.settings.open_interest.task_timeout_min)
    values = {sample.contract.conid: live_open_interest(sample) for sample in samples}
    before = on_file.last
    judgement = judge_read(
        values,
        before.values if before and before.verdict.may_be_confirmed else None,
        baseline=_baseline(stores, job.session, symbol),
        traded=_traded(stores, day, symbol, values),
        is_proven=bool(on_file.accepted),
    )
    number = before.number + 1 if before else 1
    rows = [_row(sample, judgement) for sample in samples]
    stores.open_interest.commit_read(day, symbol, job.exchange, number, rows, job.run)
    on_file = read_open_interest(stores, day, symbol)
    step = next_step(
        asked={contract.conid for contract in expected},
        accepted=on_file.accepted,
        silent_twice=_silent_twice(samples, before),
        is_first=before is None or judgement.verdict is ReadVerdict.FIRST_READ,
        is_past_deadline=now >= window.deadline,
        filled_min=stores.settings.open_interest.min_filled_pct / 100,
    )
    if judgement.accepted or step is NextStep.GIVE_UP:
        merge_open_interest(stores, day, symbol, job.exchange)
    outcome = _outcome(
        job, expected, on_file,
        asked=len(samples),
        wait_s=stores.settings.open_interest.reread_after_s if step is NextStep.READ_AGAIN else None,
        absences=Counter(str(row["absence"]) for row in rows if row["absence"]),
        messages_sent=session.ib.client.messages_sent,
    )  # fmt: skip
    stores.run_log.append("open_interest", day, outcome.summary())
    if step is NextStep.GIVE_UP:
        raise _given_up(outcome, stores)
    return outcome


def contracts_with_open_interest(contract_set: ContractSet) -> list[OptionContract]:
    """The contracts of the day's set that still exist the next morning; of expired ones nothing is published."""
    return [contract for contract in contract_set.contracts if contract.expiry > contract_set.trade_date]


def window_of(session: TradingSession, stores: Stores) -> OpenInterestWindow:
    """When the session's open interest can be read, by the settings."""
    settings = stores.settings.open_interest
    return open_interest_window(
        session,
        stores.calendar,
        published_at=time.fromisoformat(settings.published_at),
        deadline_at=time.fromisoformat(settings.reread_until),
    )


def is_enough(expected: int, left: int, stores: Stores) -> bool:
    """Whether so few contracts without a value are no reason to worry."""
    return expected - left >= stores.settings.open_interest.min_filled_pct / 100 * expected


def _check_window(window: OpenInterestWindow, now: datetime) -> None:
    day = window.session.day
    if now < window.opens:
        raise OpenInterestNotOut(
            f"open interest of {day} is published at {window.opens:%Y-%m-%d %H:%M} New York; before that IB shows the "
            "session before"
        )
    if now >= window.closes:
        raise OpenInterestGone(
            f"it is {now.astimezone(NEW_YORK):%Y-%m-%d %H:%M} New York, and since {window.closes:%Y-%m-%d %H:%M} IB "
            f"may show the open interest of a session after {day}. IB keeps no history of it: what is missing stays "
            "missing (flag missing_oi)"
        )


def _seconds_until_confirmable(on_file: DayOpenInterest, now: datetime, stores: Stores) -> float:
    if on_file.last is None or on_file.last.verdict is ReadVerdict.NOTHING:
        return 0.0
    due = on_file.last.observed_at + timedelta(seconds=stores.settings.open_interest.reread_after_s)
    return (due - now).total_seconds()


async def _sample(
    job: OpenInterestJob, contracts: list[OptionContract], window: OpenInterestWindow, session: GatewaySession,
    task_timeout_min: float,
) -> list[Sample]:  # fmt: skip
    """Ask for live data whatever the settings say: a delayed feed does not carry open interest."""
    session.request_market_data_type(int(MarketDataType.LIVE))
    reading = timedelta(minutes=task_timeout_min * READING_SHARE)
    stop_at = min(window.closes, session.clock.now() + reading)
    async with Sampler(session, job.rules, stop_at=stop_at) as sampler:
        samples = await sampler.sample(contracts, job.exchange)
    if session.lost.done():
        raise session.lost.result()
    if samples and all(sample.error_type in NOT_AN_ANSWER for sample in samples):
        address = session.address
        raise GatewayUnavailable(
            f"{job.underlying.symbol} could not be read: {samples[0].message}", host=address.host, port=address.port
        )
    return samples


def _silent_twice(samples: Collection[Sample], before: LastRead | None) -> set[int]:
    """Contracts that were asked in this read and in the one before, and had nothing to say."""
    if before is None:
        return set()
    return {
        sample.contract.conid
        for sample in samples
        if live_open_interest(sample) is None
        and sample.error_type not in NOT_AN_ANSWER
        and before.values.get(sample.contract.conid, 0) is None
    }


def live_open_interest(sample: Sample) -> int | None:
    """The value of a sample if the gateway said that it served live or frozen data, else None."""
    served = sample.quote.served_type
    if not sample.is_kept or served is None or served.is_delayed:
        return None
    return sample.quote.open_interest


def _row(sample: Sample, judgement: Judgement) -> dict[str, object]:
    contract, value = sample.contract, live_open_interest(sample)
    served = sample.quote.market_data_type
    absence = None if value is not None else sample.error_type or NOT_LIVE
    return {
        "conid": contract.conid,
        "symbol": contract.symbol,
        "right": contract.right,
        "open_interest": value,
        "absence": absence,
        "verdict": judgement.verdict,
        "is_accepted": contract.conid in judgement.accepted,
        "observed_at": sample.asof,
        "market_data_type": None if served is None else int(served),
        "error_message": sample.message or None,
        "ib_error_code": sample.ib_error_code,
    }


def _baseline(stores: Stores, session: TradingSession, symbol: str) -> Baseline:
    """The newest accepted values of an earlier session."""
    day = session.day
    for back in range(1, BASELINE_SESSIONS + 1):
        day = stores.calendar.previous_session(day).day
        if accepted := read_open_interest(stores, day, symbol).accepted:
            values = {conid: observed.contracts for conid, observed in accepted.items()}
            return Baseline(values, is_previous=back == 1)
    return Baseline()


def _traded(stores: Stores, day: date, symbol: str, conids: Collection[int]) -> Collection[int]:
    """The contracts that traded in the session; all, if nothing is stored of its volumes."""
    tables = (stores.daily.read(day, symbol), stores.reader.read_chain(day, symbol))
    volumes = [
        (conid, volume)
        for table in tables
        for conid, volume in zip(
            table.column("conid").to_pylist(), table.column("volume").to_pylist(), strict=True
        )
        if volume is not None
    ]  # fmt: skip
    return {conid for conid, volume in volumes if volume > 0} if volumes else conids


def _given_up(outcome: OpenInterestOutcome, stores: Stores) -> OpenInterestMissing:
    assert outcome.verdict is not None
    until = stores.settings.open_interest.reread_until
    why = ", ".join(f"{count} {absence}" for absence, count in outcome.absences.items())
    return OpenInterestMissing(
        f"{outcome.symbol} has open interest of {outcome.filled} of {outcome.expected} contracts for "
        f"{outcome.trade_date}, and it is past {until} New York. Last read: {VERDICT_SENTENCES[outcome.verdict]}"
        f"{f' ({why})' if why else ''}. The rows are flagged missing_oi; cleared today, the task reads again",
        symbols=(outcome.symbol,),
    )


def _outcome(
    job: OpenInterestJob, expected: Collection[OptionContract], on_file: DayOpenInterest, *, asked: int = 0,
    wait_s: float | None = None, absences: Mapping[str, int] | None = None, messages_sent: int = 0,
) -> OpenInterestOutcome:  # fmt: skip
    return OpenInterestOutcome(
        symbol=job.underlying.symbol,
        trade_date=job.session.day,
        expected=len(expected),
        filled=sum(contract.conid in on_file.accepted for contract in expected),
        verdict=on_file.last.verdict if on_file.last else None,
        reads=on_file.last.number if on_file.last else 0,
        asked=asked,
        wait_s=wait_s,
        absences=dict(absences or {}),
        messages_sent=messages_sent,
    )
