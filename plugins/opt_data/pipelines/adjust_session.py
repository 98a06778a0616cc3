"""Bring all symbols of a session to today's terms, one after the other, whatever becomes of one of them."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from opt_data.config.corporate_actions import load_corporate_actions
from opt_data.errors import DayNotRolledUp, PermanentError
from opt_data.pipelines.adjust_corporate_actions import AdjustOutcome, adjust_corporate_actions
from opt_data.pipelines.stores import Stores

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SessionAdjustment:
    """What became of each symbol.

    ``not_rolled_up`` have no day to adjust: the report of the session counts them. ``failed`` says why, by symbol.
    """

    day: date
    outcomes: tuple[AdjustOutcome, ...]
    not_rolled_up: tuple[str, ...]
    failed: dict[str, str]

    def summary(self) -> dict[str, object]:
        """Plain values for an XCom."""
        return {
            "trade_date": self.day.isoformat(),
            "symbols": len(self.outcomes),
            "rows": sum(outcome.rows for outcome in self.outcomes),
            "changed": sum(outcome.is_changed for outcome in self.outcomes),
            "adjusted_again": {
                outcome.symbol: len(outcome.adjusted_again) for outcome in self.outcomes if outcome.adjusted_again
            },
            "not_rolled_up": list(self.not_rolled_up),
            "failed": self.failed,
        }


def adjust_session(
    day: date, symbols: Sequence[str], *, stores: Stores, dag_run_id: str | None = None
) -> SessionAdjustment:
    """Derive ``daily_adjusted`` of every symbol that was rolled up on a day; see ``adjust_corporate_actions``.

    A symbol whose files are damaged does not keep the others from being adjusted; a store that cannot be reached does.

    Raises
    ------
    ConfigInvalid
        The corporate-action table is wrong; nothing was written.
    """
    actions = load_corporate_actions(stores.settings.corporate_actions.table_file, now=stores.clock.now())
    outcomes: list[AdjustOutcome] = []
    not_rolled_up: list[str] = []
    failed: dict[str, str] = {}
    for symbol in symbols:
        try:
            outcomes.append(
                adjust_corporate_actions(symbol, day, stores=stores, actions=actions, dag_run_id=dag_run_id)
            )
        except DayNotRolledUp as reason:
            log.warning("%s", reason)
            not_rolled_up.append(symbol)
        except PermanentError as reason:
            log.error("%s: %s", symbol, reason)
            failed[symbol] = str(reason)
    return SessionAdjustment(day, tuple(outcomes), tuple(not_rolled_up), failed)
