"""Bring one symbol's days to today's terms: the day of the run, and every earlier one that an action has changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import TYPE_CHECKING

from opt_data.config.corporate_actions import load_corporate_actions
from opt_data.core.corporate_actions import Adjustment, CorporateAction, adjustment, is_on_file, looks_split
from opt_data.core.sessions import NEW_YORK
from opt_data.errors import DayNotRolledUp, FileUnreadable
from opt_data.pipelines.stores import Stores
from opt_data.tables.arrow_rows import column_array, rows_from_table
from opt_data.tables.column import ColumnType
from opt_data.transforms.corporate_actions import SUSPECT, adjusted_rows

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class AdjustOutcome:
    """What became of one symbol: its rows on ``day``, and the earlier days that were adjusted again."""

    symbol: str
    day: date
    as_of: date
    found: Adjustment
    rows: int
    is_changed: bool
    adjusted_again: tuple[date, ...]
    is_suspect: bool = False

    def summary(self) -> dict[str, object]:
        """Plain values for the run log and an XCom."""
        return {
            "symbol": self.symbol,
            "trade_date": self.day.isoformat(),
            "as_of": self.as_of.isoformat(),
            "adj_method": str(self.found.method),
            "split_factor": self.found.factor,
            "factor_asof": self.found.factor_asof.isoformat(),
            "corporate_actions": [action.label for action in self.found.actions],
            "rows": self.rows,
            "changed": self.is_changed,
            "adjusted_again": [one.isoformat() for one in self.adjusted_again],
            "ca_suspect": self.is_suspect,
        }


def adjust_corporate_actions(
    symbol: str,
    day: date,
    *,
    stores: Stores,
    actions: Sequence[CorporateAction] | None = None,
    dag_run_id: str | None = None,
) -> AdjustOutcome:
    """Derive ``daily_adjusted`` of one symbol-day from ``daily_clean`` and the corporate-action table as known today.

    On the ex-date of a split, or when the table has learned of one late, earlier days are derived again; a day that is
    up to date is not written. Running again changes nothing, and a run that was cut off is completed by the next.
    A day that looks like the first after a split of which the table knows nothing is flagged ``ca_suspect``.

    Parameters
    ----------
    symbol
        IB's symbol of the underlying.
    day
        The session; it must have been rolled up.
    stores
        Where the rows are, and whose clock says what today is.
    actions
        The corporate-action table; read from its file if not given.
    dag_run_id
        Who asks.

    Raises
    ------
    ConfigInvalid
        The table of actions is wrong; nothing was written.
    DayNotRolledUp
        ``daily_clean`` has no rows of the symbol on that day.
    """
    now = stores.clock.now()
    if actions is None:
        actions = load_corporate_actions(stores.settings.corporate_actions.table_file, now=now)
    own = tuple(action for action in actions if action.symbol == symbol)
    # a simulated market may be ahead of this machine
    as_of = max(day, now.astimezone(NEW_YORK).date())
    rows = stores.daily.read(day, symbol).num_rows
    if not rows:
        raise DayNotRolledUp(
            f"{symbol} has no rolled-up rows on {day}; run the rollup of that day for it, then adjust again",
            symbol=symbol, day=day,
        )  # fmt: skip
    found = adjustment(own, symbol, day, as_of)
    is_suspect = _is_suspect(symbol, day, own, as_of, stores)
    is_changed = _derive(symbol, day, found, is_suspect, stores)
    again = _adjust_earlier_days(symbol, day, own, as_of, stores)
    outcome = AdjustOutcome(symbol, day, as_of, found, rows, is_changed, again, is_suspect)
    stores.run_log.append("adjust", day, {**outcome.summary(), "dag_run_id": dag_run_id})
    return outcome


def _adjust_earlier_days(
    symbol: str, day: date, own: tuple[CorporateAction, ...], as_of: date, stores: Stores
) -> tuple[date, ...]:
    """Derive again what an action changed since: only days up to an ex-date can be, most symbols have none.

    The ex-date's own rows are never rescaled, but they are no longer suspect once the action is on file.
    """
    last_ex_date = max((action.ex_date for action in own), default=None)
    if last_ex_date is None:
        return ()
    again = []
    for earlier in stores.daily.days(symbol):
        if earlier == day or earlier > min(last_ex_date, as_of):
            continue
        found = adjustment(own, symbol, earlier, as_of)
        is_suspect = _is_suspect(symbol, earlier, own, as_of, stores)
        if _is_current(symbol, earlier, found, is_suspect, stores):
            continue
        if _derive(symbol, earlier, found, is_suspect, stores):
            again.append(earlier)
    return tuple(again)


def _is_suspect(symbol: str, day: date, own: tuple[CorporateAction, ...], as_of: date, stores: Stores) -> bool:
    """Whether the close of the session before, as stored then, is told in other terms on this day, for no reason on
    file. Nothing is said where that session is not rolled up."""
    previous = stores.calendar.previous_session(day).day
    then = _first(stores, previous, symbol, "underlying_close")
    later = _first(stores, day, symbol, "reference_price")
    if then is None or later is None or not looks_split(then, later):
        return False
    return not is_on_file(own, symbol, previous, day, as_of)


def _first(stores: Stores, day: date, symbol: str, name: str) -> float | None:
    """A value that all rows of a symbol-day share; None without rows, or where their file is damaged."""
    try:
        values = stores.daily.read(day, symbol).column(name)
    except FileUnreadable:
        return None
    return next((value for value in values.to_pylist() if value is not None), None)


def _is_current(symbol: str, day: date, found: Adjustment, is_suspect: bool, stores: Stores) -> bool:
    """Whether the stored day was adjusted in this way."""
    try:
        stored = stores.adjusted.read(day, symbol)
    except FileUnreadable:
        return False
    names = ("adj_method", "split_factor", "factor_asof", "corporate_actions", "data_quality_flag")
    expected = (str(found.method), float(found.factor), found.factor_asof, found.label, is_suspect)
    rows = rows_from_table(stored.slice(0, 1), names)
    return [(*list(row.values())[:-1], SUSPECT in row["data_quality_flag"]) for row in rows] == [expected]


def _derive(symbol: str, day: date, found: Adjustment, is_suspect: bool, stores: Stores) -> bool:
    """Write a symbol-day, one file a route; whether a file changed."""
    routes = {row["exchange"] for row in rows_from_table(stores.daily.read(day, symbol), ("exchange",))}
    commits = [
        stores.adjusted.derive(day, symbol, route, partial(_adjusted, symbol, day, route, found, is_suspect, stores))
        for route in sorted(routes)
    ]
    return any(commit.is_changed for commit in commits)


def _adjusted(symbol: str, day: date, exchange: str, found: Adjustment, is_suspect: bool, stores: Stores) -> "pa.Table":
    import pyarrow.compute as pc

    rows = stores.daily.read(day, symbol)
    route = column_array(ColumnType.STRING, [exchange] * rows.num_rows)
    return adjusted_rows(rows.filter(pc.equal(rows.column("exchange"), route)), found, is_suspect=is_suspect)
