"""Decisions of a rebuild: which bars must still be asked for, and what the bars say about a slot's instant."""

from collections.abc import Iterable, Mapping
from datetime import datetime, time, timedelta

from opt_data.core.bars import BAR_LENGTH, OPTION_KINDS, BarAnswer, BarKind, BarSeries
from opt_data.core.contracts import OptionContract
from opt_data.core.quotes import Quote
from opt_data.core.sessions import NEW_YORK, TradingSession
from opt_data.core.slots import Slot

Known = Mapping[tuple[int, BarKind], BarSeries]
"""The answers held of a symbol-day, by contract and kind."""

AM_SETTLED_CLASSES = frozenset({"SPX", "NDX", "RUT", "DJX", "VIX", "VIXW"})
"""Index classes whose settlement is fixed by the opening prices of the day after their last trading day."""

ONE_DAY = timedelta(days=1)
SATURDAY = 5


def bars_until(session: TradingSession, now: datetime) -> datetime:
    """Up to when bars are asked for: the close, or the last whole minute, so that no bar is half a minute long."""
    return min(session.close_utc, now.replace(second=0, microsecond=0))


def kinds_left(
    conid: int, known: Known, instant: datetime, now: datetime, ask_again_after: timedelta
) -> tuple[BarKind, ...]:
    """The kinds of an option's bars to ask for: those without an answer that reaches the slot's instant.

    A contract that is gone is asked for no more. One of which IB had no bars of any kind is asked for again when that
    answer is older than ``ask_again_after``: IB's history sometimes comes late.
    """
    held = {kind: one for kind in OPTION_KINDS if (one := known.get((conid, kind))) and one.until >= instant}
    if any(one.answer is BarAnswer.EXPIRED for one in held.values()):
        return ()
    if len(held) == len(OPTION_KINDS) and all(one.answer is BarAnswer.NO_BARS for one in held.values()):
        return OPTION_KINDS if max(one.asked_at for one in held.values()) + ask_again_after <= now else ()
    return tuple(kind for kind in OPTION_KINDS if kind not in held)


def has_underlying(conid: int, known: Known, instant: datetime) -> bool:
    """Whether the underlying's trades up to the instant were answered for."""
    held = known.get((conid, BarKind.TRADES))
    return held is not None and held.until >= instant


def quote_at(conid: int, known: Known, slot: Slot) -> Quote | None:
    """What the bars say of a contract at the slot's instant; None unless every kind has an answer that reaches it.

    Bid and ask are the close of the bar that ends at the instant, and at the session's open the first bar's open: no
    bar ends there. Last and volume come from all trades before.
    """
    held = [known.get((conid, kind)) for kind in OPTION_KINDS]
    answered = [one for one in held if one is not None and one.until >= slot.instant_utc]
    if len(answered) < len(OPTION_KINDS):
        return None
    bid, ask, trades = answered
    before = [bar for bar in trades.bars if bar.start + BAR_LENGTH <= slot.instant_utc]
    return Quote(
        bid=_side_at(bid, slot),
        ask=_side_at(ask, slot),
        last=before[-1].close if before else None,
        volume=float(sum(bar.volume or 0 for bar in before)),
    )


def underlying_at(conid: int, known: Known, slot: Slot) -> Quote | None:
    """The underlying's last trade at the slot's instant, and when the bar that says so ended."""
    held = known.get((conid, BarKind.TRADES))
    if held is None or not held.bars:
        return None
    if slot.instant_utc == slot.session.open_utc:
        first = held.bars[0]
        return Quote(last=first.open, last_tick_at=first.start) if first.start == slot.instant_utc else None
    before = [bar for bar in held.bars if bar.start + BAR_LENGTH <= slot.instant_utc]
    return Quote(last=before[-1].close, last_tick_at=before[-1].start + BAR_LENGTH) if before else None


def is_gone(conid: int, known: Known) -> BarSeries | None:
    """IB's answer that it does not know the contract any more, if it gave that."""
    answers = (known.get((conid, kind)) for kind in OPTION_KINDS)
    return next((one for one in answers if one is not None and one.answer is BarAnswer.EXPIRED), None)


def has_bars(conid: int, known: Known) -> bool:
    """Whether IB had any bar of the contract on that day."""
    return any((one := known.get((conid, kind))) is not None and one.bars for kind in OPTION_KINDS)


def years_to_expiry(contract: OptionContract, at: datetime) -> float:
    """Time left until the option's value is fixed, in years of 365 days; not positive afterwards.

    16:00 New York on the last trading day; for classes settled in the morning, 09:30 on the next weekday.
    """
    day, hour = contract.expiry, time(16)
    if contract.trading_class in AM_SETTLED_CLASSES:
        day, hour = day + ONE_DAY, time(9, 30)
        while day.weekday() >= SATURDAY:
            day += ONE_DAY
    return (datetime.combine(day, hour, NEW_YORK) - at) / timedelta(days=365)


def _side_at(series: BarSeries, slot: Slot) -> float | None:
    if slot.instant_utc == slot.session.open_utc:
        return next((bar.open for bar in series.bars if bar.start == slot.instant_utc), None)
    return next((bar.close for bar in series.bars if bar.start + BAR_LENGTH == slot.instant_utc), None)


def merged(known: Known, found: Iterable[BarSeries]) -> dict[tuple[int, BarKind], BarSeries]:
    """What is known after a pass: its answers replace the older ones."""
    return {**known, **{(one.conid, one.kind): one for one in found}}
