"""Open interest on file, and the day's rows brought up to date with it."""

from datetime import date
from typing import TYPE_CHECKING

from opt_data.pipelines.adjust_corporate_actions import adjust_corporate_actions
from opt_data.pipelines.stores import Stores
from opt_data.transforms.open_interest import (
    FAILED_SESSIONS_MAX,
    DayOpenInterest,
    day_open_interest,
    with_open_interest,
)

if TYPE_CHECKING:
    import pyarrow as pa


def read_open_interest(stores: Stores, day: date, symbol: str) -> DayOpenInterest:
    """What is on file of one symbol's open interest for one session."""
    return day_open_interest(day, stores.open_interest.reads(day, symbol))


def failed_sessions(stores: Stores, on_file: DayOpenInterest, symbol: str) -> int:
    """How many sessions in a row, this one included, were tried and have nothing; counted up to three."""
    count = 0
    while on_file.is_failed and (count := count + 1) < FAILED_SESSIONS_MAX:
        on_file = read_open_interest(stores, stores.calendar.previous_session(on_file.day).day, symbol)
    return count


def take_in_open_interest(stores: Stores, rows: "pa.Table", day: date, symbol: str) -> "pa.Table":
    """The rows of a symbol-day of ``daily_clean`` with what is on file of its open interest, and the flags it brings.

    Depends on stored observations only, so that a rollup repeated later gives the rows that the morning's task left.
    """
    on_file = read_open_interest(stores, day, symbol)
    return with_open_interest(rows, on_file, failed_sessions(stores, on_file, symbol))


def merge_open_interest(stores: Stores, day: date, symbol: str, exchange: str) -> bool:
    """Bring the symbol-day of ``daily_clean`` up to date with the observations; True if that changed it.

    So is ``daily_adjusted``, where the day has been adjusted. A day that is not rolled up yet stays so: its rollup
    takes the observations in.
    """
    if not stores.daily.read(day, symbol).num_rows:
        return False
    commit = stores.daily.derive(
        day, symbol, exchange, lambda: take_in_open_interest(stores, stores.daily.read(day, symbol), day, symbol)
    )
    if stores.adjusted.read(day, symbol).num_rows:
        adjust_corporate_actions(symbol, day, stores=stores)
    return commit.is_changed
