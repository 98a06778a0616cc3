"""Reconcile one slot over all symbols of its plan, whatever became of their captures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from opt_data.core.contracts import Underlying
from opt_data.core.slot_account import SlotAccount
from opt_data.core.slots import Slot
from opt_data.pipelines.capture_slot import expectation
from opt_data.pipelines.stores import Stores

RUN_LOG = "slot_report"


@dataclass(frozen=True, slots=True)
class SlotReport:
    """The accounts of one slot, in the order of the universe.

    ``without_quotes`` are symbols with not one quote, ``below_coverage`` those under the configured coverage.
    ``gained`` says how many quotes each symbol has more than at the slot's last report; symbols with no more are left
    out, so that a rerun which found nothing to improve gains nothing.
    """

    slot: Slot
    accounts: tuple[SlotAccount, ...]
    without_quotes: tuple[str, ...]
    below_coverage: tuple[str, ...]
    gained: Mapping[str, int] = field(default_factory=dict)

    def summary(self) -> dict[str, object]:
        """Plain values for the run log and an XCom."""
        totals = {
            name: sum(getattr(account, name) for account in self.accounts)
            for name in ("expected", "on_time", "late", "rebuilt", "missing", "error")
        }
        kept = totals["on_time"] + totals["late"] + totals["rebuilt"]
        return {
            "trade_date": self.slot.session.day.isoformat(),
            "slot": self.slot.label,
            "symbols": len(self.accounts),
            **totals,
            "coverage": kept / totals["expected"] if totals["expected"] else None,
            "without_quotes": list(self.without_quotes),
            "below_coverage": list(self.below_coverage),
            "gained": dict(self.gained),
        }


def report_slot(
    slot: Slot, underlyings: Sequence[Underlying], exchange: str, *, stores: Stores, dag_run_id: str | None
) -> SlotReport:
    """Give every symbol its line of the slot ledger, also those whose capture never ran, and write the run log.

    Parameters
    ----------
    slot
        The slot.
    underlyings
        The symbols that the slot was planned for.
    exchange
        The route whose partition is counted.
    stores
        Where sets, rows and the ledger are.
    dag_run_id
        Who asks.
    """
    day = slot.session.day
    sets = {one.symbol: stores.cache.load(one.symbol, day).contract_set for one in underlyings}
    accounts = stores.ledger.update(
        slot, [expectation(symbol, exchange, held, slot) for symbol, held in sets.items()], dag_run_id
    )
    before = _kept_at_last_report(slot, stores)
    kept = {account.symbol: account.kept for account in accounts}
    minimum = stores.settings.capture.min_coverage_pct / 100
    report = SlotReport(
        slot,
        accounts,
        without_quotes=tuple(account.symbol for account in accounts if not account.kept),
        below_coverage=tuple(account.symbol for account in accounts if (account.coverage or 0.0) < minimum),
        gained={symbol: more for symbol, now in kept.items() if (more := now - before.get(symbol, 0)) > 0},
    )
    stores.run_log.append(RUN_LOG, day, {**report.summary(), "kept": before | kept})
    return report


def _kept_at_last_report(slot: Slot, stores: Stores) -> dict[str, int]:
    """Quotes by symbol, as the slot's last report counted them; nothing if there was none."""
    for line in reversed(stores.run_log.read(RUN_LOG, slot.session.day)):
        kept = line.get("kept")
        if line.get("slot") == slot.label and isinstance(kept, dict):
            return kept
    return {}
