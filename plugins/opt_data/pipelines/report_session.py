"""Look over a session's days once all symbols are rolled up: what each day rests on, and who has none."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from opt_data.core.contracts import Underlying
from opt_data.core.rollup import Strategy
from opt_data.pipelines.stores import Stores


@dataclass(frozen=True, slots=True)
class SessionReport:
    """The days of one session, in the order of the universe.

    ``strategies`` counts the rows of each symbol by strategy. ``without_day`` are symbols that have no day, or one
    without a quote; ``without_close`` those without a closing quote.
    """

    day: date
    strategies: Mapping[str, Mapping[str, int]]
    without_day: tuple[str, ...]
    without_close: tuple[str, ...]

    def summary(self) -> dict[str, object]:
        """Plain values for the run log and an XCom."""
        totals: Counter[str] = Counter()
        for counts in self.strategies.values():
            totals.update(counts)
        rows, fallen_back = totals.total(), totals.total() - totals[Strategy.CLOSE] - totals[Strategy.NONE]
        return {
            "trade_date": self.day.isoformat(),
            "symbols": len(self.strategies),
            "rows": rows,
            "strategies": dict(sorted(totals.items())),
            "fallback_rate": fallen_back / rows if rows else None,
            "without_day": list(self.without_day),
            "without_close": list(self.without_close),
        }


def report_session(day: date, underlyings: Sequence[Underlying], *, stores: Stores) -> SessionReport:
    """Count every symbol's day by strategy, and write the run log.

    Raises
    ------
    FileUnreadable
        A day's file is damaged: rolling its symbol up again replaces it.
    """
    strategies = {
        one.symbol: dict(sorted(Counter(_strategies(day, one.symbol, stores)).items())) for one in underlyings
    }
    report = SessionReport(
        day,
        strategies,
        without_day=tuple(symbol for symbol, counts in strategies.items() if not set(counts) - {Strategy.NONE}),
        without_close=tuple(symbol for symbol, counts in strategies.items() if Strategy.CLOSE not in counts),
    )
    stores.run_log.append("eod_report", day, report.summary())
    return report


def _strategies(day: date, symbol: str, stores: Stores) -> list[str]:
    names: list[str] = stores.daily.read(day, symbol).column("rollup_strategy").to_pylist()
    return names
