"""Which of a symbol's listed options belong to the day's set: pure decisions on IB's option parameters."""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from opt_data.core.contracts import Series, Underlying
from opt_data.core.expiries import (
    QUARTER_MONTHS,
    ExpiryKind,
    expiry_kinds,
    is_monthly_index_class,
    months_later,
)

RIGHTS = ("C", "P")


@dataclass(frozen=True, slots=True)
class OptionParams:
    """One row of IB's option parameters: one exchange and one trading class.

    ``expirations`` and ``strikes`` (USD) are unions over the class: a given pair of the two need not exist.
    ``multiplier`` is shares (or index units) per contract.
    """

    exchange: str
    trading_class: str
    multiplier: int
    expirations: tuple[date, ...]
    strikes: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ChainFilter:
    """What to keep. Every limit of 0 means no limit; ``months_ahead`` 0 keeps expiries of the trade date only.

    ``moneyness_pct`` is the greatest distance of a strike from the reference price, in percent of it, both sides.
    """

    moneyness_pct: float
    expiry_kinds: frozenset[ExpiryKind]
    months_ahead: int
    max_expiries_per_class: int = 0
    strikes_per_side: int = 0
    max_strikes_per_expiry: int = 0
    include_adjusted: bool = False


class ClassKind(StrEnum):
    """Whether a trading class holds the ordinary contracts of its underlying."""

    STANDARD = "standard"
    ADJUSTED = "adjusted"
    FLEX = "flex"


def class_kind(symbol: str, trading_class: str) -> ClassKind:
    """Tell ordinary classes from adjusted ones (``AAPL1``: the deliverable changed) and FLEX (``2AAPL``).

    A digit that belongs to the symbol itself is no mark. A class that merely has another name than its symbol
    (``BRKB`` for ``BRK B``, ``SPXW`` for ``SPX``) is ordinary.
    """
    root = symbol.replace(" ", "")
    if trading_class.startswith(root) and trading_class[len(root) :].isdigit():
        return ClassKind.ADJUSTED
    if trading_class.endswith(root) and trading_class[: -len(root)].isdigit():
        return ClassKind.FLEX
    return ClassKind.STANDARD


def chains_at(params: Iterable[OptionParams], exchange: str) -> tuple[OptionParams, ...]:
    """One row per trading class: that of ``exchange``; where no class has one, the union over all exchanges."""
    rows = list(params)
    at_exchange = [row for row in rows if row.exchange == exchange]
    merged: dict[str, OptionParams] = {}
    for row in at_exchange or rows:
        known = merged.get(row.trading_class)
        merged[row.trading_class] = OptionParams(
            exchange=exchange,
            trading_class=row.trading_class,
            multiplier=row.multiplier,
            expirations=tuple(sorted({*row.expirations, *(known.expirations if known else ())})),
            strikes=tuple(sorted({*row.strikes, *(known.strikes if known else ())})),
        )
    return tuple(merged[name] for name in sorted(merged))


def select_classes(
    underlying: Underlying, chains: Iterable[OptionParams], include_adjusted: bool
) -> tuple[OptionParams, ...]:
    """The classes to record: the one the universe names, else all ordinary ones (and adjusted ones if wanted)."""
    if underlying.trading_class:
        return tuple(chain for chain in chains if chain.trading_class == underlying.trading_class)
    return tuple(
        chain
        for chain in chains
        if include_adjusted or class_kind(underlying.symbol, chain.trading_class) is ClassKind.STANDARD
    )


def select_expiries(
    expirations: Iterable[date],
    trade_date: date,
    chain_filter: ChainFilter,
    holidays: Set[date],
    *,
    monthly_class: bool = False,
) -> tuple[date, ...]:
    """The expiries to record, in order: from the trade date (included) to ``months_ahead`` later (included).

    With ``max_expiries_per_class`` the monthly and quarterly ones are kept first, nearest first, then the nearest
    weekly ones. ``monthly_class`` says that the class holds standard expiries only, whatever their weekday.
    """
    last = months_later(trade_date, chain_filter.months_ahead)
    candidates: list[tuple[bool, date]] = []
    for expiry in set(expirations):
        if not trade_date <= expiry <= last:
            continue
        kinds = _class_expiry_kinds(expiry) if monthly_class else expiry_kinds(expiry, holidays)
        if not kinds.isdisjoint(chain_filter.expiry_kinds):
            candidates.append((kinds == {ExpiryKind.WEEKLY}, expiry))
    candidates.sort()
    limit = chain_filter.max_expiries_per_class or len(candidates)
    return tuple(sorted(expiry for _, expiry in candidates[:limit]))


def _class_expiry_kinds(expiry: date) -> frozenset[ExpiryKind]:
    quarterly = {ExpiryKind.QUARTERLY} if expiry.month in QUARTER_MONTHS else set()
    return frozenset({ExpiryKind.MONTHLY, *quarterly})


def select_strikes(
    strikes: Iterable[float],
    reference_price: float,
    chain_filter: ChainFilter,
    missing: Collection[float] = frozenset(),
) -> tuple[float, ...]:
    """The strikes to record for one expiry, in ascending order.

    A strike equal to the reference price counts as one below it. With ``max_strikes_per_expiry`` the nearest are
    kept; of two equally near the lower.

    Parameters
    ----------
    strikes
        USD; all strikes of the class.
    reference_price
        USD per share.
    missing
        Strikes known not to exist for this expiry: the next nearest takes their place.

    Raises
    ------
    ValueError
        If the reference price is not positive.
    """
    if not reference_price > 0:
        raise ValueError(f"reference price {reference_price} is not positive")
    width = reference_price * chain_filter.moneyness_pct / 100.0
    listed = sorted({strike for strike in strikes if abs(strike - reference_price) <= width}.difference(missing))
    if chain_filter.strikes_per_side:
        middle = bisect_right(listed, reference_price)
        listed = listed[max(0, middle - chain_filter.strikes_per_side) : middle + chain_filter.strikes_per_side]
    if chain_filter.max_strikes_per_expiry:
        nearest = sorted(listed, key=lambda strike: (abs(strike - reference_price), strike))
        listed = sorted(nearest[: chain_filter.max_strikes_per_expiry])
    return tuple(listed)


def select_series(
    underlying: Underlying,
    params: Sequence[OptionParams],
    exchange: str,
    trade_date: date,
    reference_price: float,
    chain_filter: ChainFilter,
    holidays: Set[date],
    nonexistent: Set[Series] = frozenset(),
) -> tuple[Series, ...]:
    """The day's wanted series in order of class, expiry, strike, right; classes never share an expiry or a strike.

    Parameters
    ----------
    params
        IB's answer, all exchanges and classes.
    holidays
        Weekdays without trading; must cover ``trade_date`` to ``months_ahead`` later.
    nonexistent
        Series IB does not know. A strike is skipped when neither of its rights exists.

    Returns
    -------
    tuple of Series
        Empty when nothing passes the filter. Never contains a nonexistent series.
    """
    chains = chains_at(params, exchange)
    all_classes = {chain.trading_class for chain in chains}
    wanted: list[Series] = []
    for chain in select_classes(underlying, chains, chain_filter.include_adjusted):
        monthly_class = is_monthly_index_class(underlying.symbol, chain.trading_class, all_classes)
        expiries = select_expiries(chain.expirations, trade_date, chain_filter, holidays, monthly_class=monthly_class)
        for expiry in expiries:
            missing = _missing_strikes(chain, expiry, nonexistent)
            strikes = select_strikes(chain.strikes, reference_price, chain_filter, missing)
            wanted.extend(_both_rights(chain.trading_class, expiry, strikes))
    return tuple(series for series in wanted if series not in nonexistent)


def _missing_strikes(chain: OptionParams, expiry: date, nonexistent: Set[Series]) -> frozenset[float]:
    if not nonexistent:
        return frozenset()
    return frozenset(
        strike
        for strike in chain.strikes
        if all(Series(chain.trading_class, expiry, strike, right) in nonexistent for right in RIGHTS)
    )


def _both_rights(trading_class: str, expiry: date, strikes: Iterable[float]) -> Iterator[Series]:
    for strike in strikes:
        for right in RIGHTS:
            yield Series(trading_class, expiry, strike, right)
