"""Bring one symbol's days to today's terms: the day of the run, and every earlier one that an action has changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import TYPE_CHECKING

from opt_data.config.corporate_actions import load_corporate_actions
from opt_data.core.corporate_actions import Adjustment, CorporateAction, adjustment
from opt_data.core.sessions import NEW_YORK
from opt_data.errors import DayNotRolledUp, FileUnreadable
from opt_data.pipelines.stores import Stores
from opt_data.tables.arrow_rows import column_array, rows_from_table
from opt_data.tables.column import ColumnType
from opt_data.transforms.corporate_actions import adjusted_rows

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
    is_changed = _derive(symbol, day, found, stores)
    outcome = AdjustOutcome(
        symbol, day, as_of, found, rows, is_changed, _adjust_earlier_days(symbol, day, own, as_of, stores)
    )
    stores.run_log.append("adjust", day, {**outcome.summary(), "dag_run_id": dag_run_id})
    return outcome


def _adjust_earlier_days(
    symbol: str, day: date, own: tuple[CorporateAction, ...], as_of: date, stores: Stores
) -> tuple[date, ...]:
    """Derive again what an action changed since: only days before an ex-date can be, most symbols have none."""
    last_ex_date = max((action.ex_date for action in own), default=None)
    if last_ex_date is None:
        return ()
    again = []
    for earlier in stores.daily.days(symbol):
        if earlier == day or earlier >= min(last_ex_date, as_of):
            continue
        found = adjustment(own, symbol, earlier, as_of)
        if _is_current(symbol, earlier, found, stores):
            continue
        if _derive(symbol, earlier, found, stores):
            again.append(earlier)
    return tuple(again)


def _is_current(symbol: str, day: date, found: Adjustment, stores: Stores) -> bool:
    """Whether the stored day was adjusted in this way."""
    try:
        stored = stores.adjusted.read(day, symbol)
    except FileUnreadable:
        return False
    names = ("adj_method", "split_factor", "factor_asof", "corporate_actions")
    expected = (str(found.method), float(found.factor), found.factor_asof, found.label)
    return [tuple(row.values()) for row in rows_from_table(stored.slice(0, 1), names)] == [expected]


def _derive(symbol: str, day: date, found: Adjustment, stores: Stores) -> bool:
    """Write a symbol-day, one file a route; whether a file changed."""
    routes = {row["exchange"] for row in rows_from_table(stores.daily.read(day, symbol), ("exchange",))}
    commits = [
        stores.adjusted.derive(day, symbol, route, partial(_adjusted, symbol, day, route, found, stores))
        for route in sorted(routes)
    ]
    return any(commit.is_changed for commit in commits)


def _adjusted(symbol: str, day: date, exchange: str, found: Adjustment, stores: Stores) -> "pa.Table":
    import pyarrow.compute as pc

    rows = stores.daily.read(day, symbol)
    route = column_array(ColumnType.STRING, [exchange] * rows.num_rows)
    return adjusted_rows(rows.filter(pc.equal(rows.column("exchange"), route)), found)
