"""Corporate actions: which of them stand between a stored day and the day from which it is looked at."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from math import prod

from opt_data.core.sessions import NEW_YORK

SPLIT_TOLERANCE = 0.01
"""How far two accounts of one close may be from a whole ratio: the underlying is sampled, IB's bar is the auction's."""


class ActionKind(StrEnum):
    """What a line of the corporate-action table says of its memo."""

    SPLIT = "split"
    REVERSE_SPLIT = "reverse_split"
    MERGER = "merger"
    SPIN_OFF = "spin_off"
    SPECIAL_CASH = "special_cash"
    OTHER = "other"
    WITHDRAWN = "withdrawn"


class AdjMethod(StrEnum):
    """How a row was brought to the terms of a later day."""

    NONE = "none"
    INTEGRAL_SPLIT = "integral_split"
    NOT_COMPARABLE = "not_comparable"


@dataclass(frozen=True, slots=True)
class CorporateAction:
    """One line of the table: what a memo says, and since when that was known.

    ``ex_date`` is the first session on the new terms. ``ratio_new`` shares replace ``ratio_old``; both are 0 where the
    memo has no ratio. ``known_at`` is an aware instant. A later line with the same ``symbol`` and ``memo`` replaces
    this one from its own ``known_at`` on; one of kind ``withdrawn`` calls it off. ``line`` is its place in the file.
    """

    symbol: str
    ex_date: date
    kind: ActionKind
    memo: str
    known_at: datetime
    ratio_new: int = 0
    ratio_old: int = 0
    entered_by: str = ""
    line: int = 0

    @property
    def known_on(self) -> date:
        """The New York day from which the line counts."""
        return self.known_at.astimezone(NEW_YORK).date()

    @property
    def split_factor(self) -> int | None:
        """Shares for one old share, if this is a split into a whole number of them; None for everything else."""
        if self.kind is not ActionKind.SPLIT or self.ratio_new % self.ratio_old:
            return None
        return self.ratio_new // self.ratio_old

    @property
    def label(self) -> str:
        """Short name for rows and logs, e.g. ``2020-08-31 split 4:1 [OCC 47369]``."""
        ratio = f" {self.ratio_new}:{self.ratio_old}" if self.ratio_new else ""
        return f"{self.ex_date} {self.kind}{ratio} [{self.memo}]"


@dataclass(frozen=True, slots=True)
class Adjustment:
    """How the rows of one symbol and day are brought to the terms of a later day.

    ``factor`` is new shares for one old share: prices are divided by it, numbers of contracts multiplied; 1 unless
    ``method`` is ``integral_split``. ``factor_asof`` is the day since which this adjustment holds: the same for every
    later point of view until another action takes effect or becomes known. ``known_from`` is the instant from which it
    could be known, None where nothing was ever adjusted. ``actions`` are those that it rests on, by ex-date.
    """

    method: AdjMethod
    factor: int
    factor_asof: date
    known_from: datetime | None
    actions: tuple[CorporateAction, ...]

    @property
    def label(self) -> str | None:
        """The actions in words, separated by ``; ``; None if there are none."""
        return "; ".join(action.label for action in self.actions) or None


def adjustment(actions: Iterable[CorporateAction], symbol: str, day: date, as_of: date) -> Adjustment:
    """How rows of ``day`` look from ``as_of``: through the actions with day < ex_date ≤ as_of, known by then.

    Splits into whole numbers multiply. One action of any other kind in between makes the row not comparable, whatever
    else happened: it is linked to the actions and never rescaled. A day on or after the ex-date is never touched.

    Parameters
    ----------
    actions
        The table, all symbols or some; lines in the order of the file.
    symbol
        IB's symbol of the underlying.
    day
        The session the rows belong to.
    as_of
        The New York day from which they are looked at, its end included; not before ``day``.

    Raises
    ------
    ValueError
        ``as_of`` is before ``day``.
    """
    if as_of < day:
        raise ValueError(f"rows of {day} cannot be looked at from {as_of}, before they existed")
    own = [action for action in actions if action.symbol == symbol]
    between = _in_between(own, day, as_of)
    asof = _unchanged_since(own, between, day, as_of)
    method, factor = _judge(between)
    return Adjustment(method, factor, asof, _known_from(own, asof) if asof > day else None, between)


def looks_split(close_then: float, same_close_later: float) -> bool:
    """Whether one and the same close (USD), told on its day and again later, differs by a whole ratio or its inverse.

    IB tells earlier closes in the terms of the day on which it is asked. A fall of the price is no reason: both are
    the same close.
    """
    low, high = sorted((close_then, same_close_later))
    if low <= 0:
        return False
    whole = round(high / low)
    return whole >= 2 and abs(high / low / whole - 1) <= SPLIT_TOLERANCE


def is_on_file(actions: Iterable[CorporateAction], symbol: str, before: date, day: date, as_of: date) -> bool:
    """Whether an action of the symbol, known by ``as_of``, took effect after the day ``before`` and by ``day``."""
    own = [action for action in actions if action.symbol == symbol]
    return any(action.ex_date <= day for action in _in_between(own, before, as_of))


def _in_between(own: Sequence[CorporateAction], day: date, as_of: date) -> tuple[CorporateAction, ...]:
    """The actions in force between two days, as they were known on the second one."""
    latest: dict[str, CorporateAction] = {}
    for action in own:
        if action.known_on <= as_of:
            earlier = latest.get(action.memo)
            if earlier is None or earlier.known_at < action.known_at:
                latest[action.memo] = action
    found = [
        action
        for action in latest.values()
        if action.kind is not ActionKind.WITHDRAWN and day < action.ex_date <= as_of
    ]
    return tuple(sorted(found, key=lambda action: (action.ex_date, action.memo)))


def _unchanged_since(
    own: Sequence[CorporateAction], between: tuple[CorporateAction, ...], day: date, as_of: date
) -> date:
    """The first day from which one sees the same actions without a break until ``as_of``."""
    turns = {turn for action in own for turn in (action.ex_date, action.known_on) if day < turn <= as_of}
    for turn in sorted(turns, reverse=True):
        if _in_between(own, day, turn - timedelta(days=1)) != between:
            return turn
    return day


def _judge(between: tuple[CorporateAction, ...]) -> tuple[AdjMethod, int]:
    if not between:
        return AdjMethod.NONE, 1
    factors = [action.split_factor for action in between]
    whole = [factor for factor in factors if factor is not None]
    if len(whole) < len(factors):
        return AdjMethod.NOT_COMPARABLE, 1
    return AdjMethod.INTEGRAL_SPLIT, prod(whole)


def _known_from(own: Sequence[CorporateAction], asof: date) -> datetime:
    """The start of the day in New York, or the last line that became known on it."""
    start = datetime.combine(asof, time(), NEW_YORK).astimezone(UTC)
    return max([start, *(action.known_at.astimezone(UTC) for action in own if action.known_on == asof)])
