"""What must still be asked for, and what bars say about an instant."""

from datetime import UTC, date, datetime, timedelta

import pytest

from opt_data.core.bars import OPTION_KINDS, Bar, BarAnswer, BarKind, BarSeries
from opt_data.core.contracts import OptionContract
from opt_data.core.rebuild_plan import bars_until, is_gone, kinds_left, quote_at, underlying_at, years_to_expiry
from tests.fakes.chain import SESSION, SLOTS

TEN = SLOTS[1].instant_utc
NOON = TEN + timedelta(hours=2)
HOUR = timedelta(hours=1)


def bar(minutes_before: int, close: float, *, opens: float = 1.0, at: datetime = TEN, volume: int | None = None) -> Bar:
    """The bar that begins so many minutes before an instant."""
    return Bar(at - timedelta(minutes=minutes_before), opens, 9.0, 0.5, close, volume)


def series(
    kind: BarKind, *bars: Bar, until: datetime = NOON, asked_at: datetime = NOON, answer: BarAnswer | None = None
) -> BarSeries:
    return BarSeries(
        7, kind, answer or (BarAnswer.BARS if bars else BarAnswer.NO_BARS), asked_at, until, bars, "as IB said it", 200
    )


def known(*all_series: BarSeries) -> dict[tuple[int, BarKind], BarSeries]:
    return {(one.conid, one.kind): one for one in all_series}


def test_bars_are_asked_for_up_to_the_last_whole_minute_and_never_past_the_close() -> None:
    assert bars_until(SESSION, TEN + timedelta(seconds=59, microseconds=1)) == TEN
    assert bars_until(SESSION, SESSION.close_utc + HOUR) == SESSION.close_utc


def test_everything_is_asked_for_first_and_nothing_twice() -> None:
    assert kinds_left(7, {}, TEN, NOON, HOUR) == OPTION_KINDS
    held = known(series(BarKind.BID, bar(1, 1.0)), series(BarKind.TRADES))
    assert kinds_left(7, held, TEN, NOON, HOUR) == (BarKind.ASK,)
    held |= known(series(BarKind.ASK, bar(1, 1.0)))
    assert kinds_left(7, held, TEN, NOON, HOUR) == ()


def test_an_answer_that_ends_before_the_slot_is_none() -> None:
    held = known(*(series(kind, bar(1, 1.0), until=TEN) for kind in OPTION_KINDS))
    assert kinds_left(7, held, TEN, NOON, HOUR) == ()
    assert kinds_left(7, held, TEN + timedelta(minutes=30), NOON, HOUR) == OPTION_KINDS


def test_no_bars_at_all_are_asked_for_again_after_a_while() -> None:
    held = known(*(series(kind) for kind in OPTION_KINDS))
    assert kinds_left(7, held, TEN, NOON + HOUR - timedelta(seconds=1), HOUR) == ()
    assert kinds_left(7, held, TEN, NOON + HOUR, HOUR) == OPTION_KINDS


def test_a_contract_that_is_gone_is_not_asked_for_again() -> None:
    held = known(series(BarKind.BID, answer=BarAnswer.EXPIRED))
    assert kinds_left(7, held, TEN, NOON + 24 * HOUR, HOUR) == ()
    assert is_gone(7, held) == held[7, BarKind.BID]
    assert is_gone(8, held) is None


def test_the_quote_is_that_of_the_bars_ending_at_the_instant() -> None:
    held = known(
        series(BarKind.BID, bar(2, 1.1), bar(1, 1.2), bar(0, 1.3)),
        series(BarKind.ASK, bar(1, 1.4), bar(0, 1.5)),
        series(BarKind.TRADES, bar(25, 1.25, volume=3), bar(1, 1.35, volume=4), bar(0, 9.9, volume=100)),
    )
    quote = quote_at(7, held, SLOTS[1])
    assert quote is not None
    assert (quote.bid, quote.ask, quote.last, quote.volume) == (1.2, 1.4, 1.35, 7.0)


def test_a_side_without_a_bar_at_the_instant_is_absent() -> None:
    held = known(
        series(BarKind.BID, bar(2, 1.1), bar(0, 1.3)), series(BarKind.ASK, bar(1, 1.4)), series(BarKind.TRADES)
    )
    quote = quote_at(7, held, SLOTS[1])
    assert quote is not None
    assert (quote.bid, quote.ask, quote.last, quote.volume) == (None, 1.4, None, 0.0)


def test_at_the_open_the_first_bars_open_counts_and_no_trade_yet() -> None:
    at = SESSION.open_utc
    held = known(
        series(BarKind.BID, bar(0, 1.9, opens=1.1, at=at)),
        series(BarKind.ASK, bar(-1, 1.9, at=at)),
        series(BarKind.TRADES, bar(0, 1.9, at=at, volume=5)),
    )
    quote = quote_at(7, held, SLOTS[0])
    assert quote is not None
    assert (quote.bid, quote.ask, quote.last, quote.volume) == (1.1, None, None, 0.0)


def test_without_all_three_answers_there_is_no_quote() -> None:
    assert quote_at(7, known(series(BarKind.BID, bar(1, 1.2)), series(BarKind.ASK, bar(1, 1.3))), SLOTS[1]) is None


def test_the_underlying_is_its_last_trade_and_says_when() -> None:
    held = known(series(BarKind.TRADES, bar(9, 270.0), bar(0, 280.0)))
    found = underlying_at(7, held, SLOTS[1])
    assert found is not None
    assert (found.last, found.last_tick_at) == (270.0, TEN - timedelta(minutes=8))
    assert underlying_at(8, held, SLOTS[1]) is None
    assert underlying_at(7, held, SLOTS[0]) is None


def test_the_underlying_at_the_open_is_the_first_price() -> None:
    held = known(series(BarKind.TRADES, bar(0, 280.0, opens=275.0, at=SESSION.open_utc)))
    found = underlying_at(7, held, SLOTS[0])
    assert found is not None
    assert (found.last, found.last_tick_at) == (275.0, SESSION.open_utc)


@pytest.mark.parametrize(
    ("trading_class", "last_day", "fixed_at"),
    [
        ("AAPL", date(2025, 12, 19), "2025-12-19T16:00-05:00"),
        ("SPXW", date(2025, 12, 19), "2025-12-19T16:00-05:00"),
        ("SPX", date(2025, 12, 18), "2025-12-19T09:30-05:00"),
        ("SPX", date(2025, 12, 19), "2025-12-22T09:30-05:00"),
    ],
)
def test_time_to_expiry_ends_when_the_value_is_fixed(trading_class: str, last_day: date, fixed_at: str) -> None:
    contract = OptionContract(7, "x", "X", 1, last_day, "C", 100.0, 100, "SMART", trading_class)
    at = datetime.fromisoformat(fixed_at).astimezone(UTC) - timedelta(days=73, hours=0)
    assert years_to_expiry(contract, at) == pytest.approx(0.2)
    assert years_to_expiry(contract, at + timedelta(days=73)) == 0
