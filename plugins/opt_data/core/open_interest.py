"""Open interest: when IB shows which session's, and whether what it shows has really moved on. Pure decisions.

IB tells a number and not the session it belongs to. Published about 06:30 New York, it describes the close of the
session before, and replaces the number of one session earlier; during the first half hour feeds were seen to flap
between the two. So a number is believed when it is new, and when a second look minutes later shows it again.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, time
from enum import StrEnum

from opt_data.core.sessions import NEW_YORK, SessionCalendar, TradingSession

NOT_ROLLED_SHARE = 0.95
"""From this share of unchanged values on, the numbers are still the earlier session's."""
ROLLED_SHARE = 0.5
"""More than this share of the values must have changed before the numbers count as the session's own."""
AGREEING_SHARE = 0.95
"""At least this share of the values must be the same in two reads."""
COMPARED_MIN = 5
"""With fewer contracts to compare, nothing can be said: one contract may well stand still."""

Values = Mapping[int, int | None]
"""Open interest by conid, None where the gateway gave none."""


class ReadVerdict(StrEnum):
    """What one read of a symbol's open interest is worth; stored with it."""

    NOTHING = "nothing"
    FIRST_READ = "first_read"
    NOT_ROLLED = "not_rolled"
    MIXED = "mixed"
    UNSTABLE = "unstable"
    ROLLED = "rolled"
    UNCHECKED = "unchecked"

    @property
    def is_trusted(self) -> bool:
        return self in (ReadVerdict.ROLLED, ReadVerdict.UNCHECKED)

    @property
    def may_be_confirmed(self) -> bool:
        """Whether a later read that agrees would prove the values; those of an earlier session prove nothing."""
        return self not in (ReadVerdict.NOTHING, ReadVerdict.NOT_ROLLED, ReadVerdict.MIXED)


VERDICT_SENTENCES: dict[ReadVerdict, str] = {
    ReadVerdict.NOTHING: "no contract gave a value",
    ReadVerdict.FIRST_READ: "new values, seen once: a second read must agree",
    ReadVerdict.NOT_ROLLED: "the values are still those of an earlier session",
    ReadVerdict.MIXED: "too many values of contracts that traded did not change",
    ReadVerdict.UNSTABLE: "two reads differ",
    ReadVerdict.ROLLED: "the values are new, and two reads agree",
    ReadVerdict.UNCHECKED: "two reads agree, and there was nothing to compare them with",
}


@dataclass(frozen=True, slots=True)
class Baseline:
    """The newest values accepted for an earlier session; ``is_previous`` if that is the session just before."""

    values: Mapping[int, int] = field(default_factory=dict)
    is_previous: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """``accepted`` are the contracts whose values now count as the session's."""

    verdict: ReadVerdict
    accepted: frozenset[int] = frozenset()


def judge_read(
    latest: Values, earlier: Values | None, *, baseline: Baseline, traded: Collection[int], is_proven: bool
) -> Judgement:
    """Say what a read is worth.

    Parameters
    ----------
    latest
        The read.
    earlier
        The read before it, long enough ago; None if there is none that may be confirmed.
    baseline
        What the values are compared with.
    traded
        Contracts that traded in the session: only their open interest is expected to move.
    is_proven
        An earlier pair of reads of this session was already accepted: what is still missing need only agree.
    """
    values = {conid: value for conid, value in latest.items() if value is not None}
    if not values:
        return Judgement(ReadVerdict.NOTHING)
    trust = ReadVerdict.ROLLED if is_proven else _compare(values, baseline, traded)
    if not trust.is_trusted:
        return Judgement(trust)
    if earlier is None:
        return Judgement(ReadVerdict.FIRST_READ)
    seen_twice = [conid for conid in values if earlier.get(conid) is not None]
    agreeing = frozenset(conid for conid in seen_twice if earlier[conid] == values[conid])
    if len(agreeing) < AGREEING_SHARE * len(seen_twice):
        return Judgement(ReadVerdict.UNSTABLE)
    return Judgement(trust if agreeing else ReadVerdict.FIRST_READ, agreeing)


def _compare(values: Mapping[int, int], baseline: Baseline, traded: Collection[int]) -> ReadVerdict:
    compared = [conid for conid in values if conid in baseline.values and conid in traded]
    if len(compared) < COMPARED_MIN:
        return ReadVerdict.UNCHECKED
    same = sum(values[conid] == baseline.values[conid] for conid in compared) / len(compared)
    if same >= NOT_ROLLED_SHARE:
        return ReadVerdict.NOT_ROLLED
    if not baseline.is_previous:
        # Something moved since then, but a feed that is one session behind would show that too.
        return ReadVerdict.UNCHECKED
    return ReadVerdict.ROLLED if 1 - same > ROLLED_SHARE else ReadVerdict.MIXED


class NextStep(StrEnum):
    """What a task does after a read."""

    DONE = "done"
    READ_AGAIN = "read_again"
    GIVE_UP = "give_up"


def next_step(
    *,
    asked: Collection[int],
    accepted: Collection[int],
    silent_twice: Collection[int],
    is_first: bool,
    is_past_deadline: bool,
    filled_min: float,
) -> NextStep:
    """Whether a symbol needs another read.

    Parameters
    ----------
    asked
        All contracts of the symbol that can have open interest.
    accepted
        Those whose value is accepted by now.
    silent_twice
        Those that gave nothing in this read and in the one before.
    is_first
        There is only one read so far, which proves nothing: there is always a second, also after the deadline.
    is_past_deadline
        It is later than the time until which reads are repeated.
    filled_min
        Share of contracts, 0 … 1, that must be filled before those that stay silent are let go: contracts that nobody
        holds may never be reported.
    """
    left = set(asked) - set(accepted)
    is_enough = len(accepted) >= filled_min * len(asked)
    if not left or (is_enough and left <= set(silent_twice)):
        return NextStep.DONE
    if is_first or not is_past_deadline:
        return NextStep.READ_AGAIN
    return NextStep.DONE if is_enough else NextStep.GIVE_UP


@dataclass(frozen=True, slots=True)
class OpenInterestWindow:
    """When IB shows the open interest of one session: from ``opens`` until before ``closes``; aware instants.

    ``deadline`` is until when reads are repeated.
    """

    session: TradingSession
    opens: datetime
    deadline: datetime
    closes: datetime


def open_interest_window(
    session: TradingSession, calendar: SessionCalendar, *, published_at: time, deadline_at: time
) -> OpenInterestWindow:
    """The window of a session: it ends when the next session's numbers may be out.

    Parameters
    ----------
    session
        The finished session.
    calendar
        Names the two sessions after it.
    published_at, deadline_at
        New York times on a session's morning.
    """
    morning = calendar.next_session(session.day).day
    morning_after = calendar.next_session(morning).day
    return OpenInterestWindow(
        session,
        opens=datetime.combine(morning, published_at, NEW_YORK),
        deadline=datetime.combine(morning, deadline_at, NEW_YORK),
        closes=datetime.combine(morning_after, published_at, NEW_YORK),
    )
