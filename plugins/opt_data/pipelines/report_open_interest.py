"""Say how complete a finished session's open interest is, over all symbols, whatever became of their reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

from opt_data.core.contracts import ContractSet, Underlying
from opt_data.core.open_interest import ReadVerdict
from opt_data.core.sessions import TradingSession
from opt_data.pipelines.enrich_open_interest import contracts_with_open_interest, is_enough
from opt_data.pipelines.merge_open_interest import failed_sessions, merge_open_interest, read_open_interest
from opt_data.pipelines.stores import Stores
from opt_data.storage.chain_rows import IngestRun
from opt_data.tables.open_interest_columns import NOT_READ
from opt_data.transforms.open_interest import FAILED_SESSIONS_MAX


@dataclass(frozen=True, slots=True)
class SymbolOpenInterest:
    """One symbol: how many of the contracts that can have open interest have it; ``verdict`` is of the last read.

    ``failed_sessions`` counts sessions in a row without any, up to three.
    """

    symbol: str
    expected: int
    filled: int
    reads: int
    verdict: ReadVerdict | None
    is_enough: bool
    failed_sessions: int


@dataclass(frozen=True, slots=True)
class OpenInterestReport:
    """All symbols of one session, in the order of the universe; those without a contract set expect nothing."""

    session: TradingSession
    symbols: tuple[SymbolOpenInterest, ...]

    @property
    def incomplete(self) -> tuple[str, ...]:
        """Symbols that lack too much."""
        return tuple(one.symbol for one in self.symbols if not one.is_enough)

    @property
    def failed_for_days(self) -> tuple[str, ...]:
        """Symbols without any open interest for three sessions in a row: flag ``oi_enrichment_failed``."""
        return tuple(one.symbol for one in self.symbols if one.failed_sessions >= FAILED_SESSIONS_MAX)

    def summary(self) -> dict[str, object]:
        """Plain values for the run log and an XCom."""
        return {
            "trade_date": self.session.day.isoformat(),
            "symbols": len(self.symbols),
            "expected": sum(one.expected for one in self.symbols),
            "filled": sum(one.filled for one in self.symbols),
            "incomplete": list(self.incomplete),
            "failed_for_days": list(self.failed_for_days),
        }


def report_open_interest(
    session: TradingSession, underlyings: Sequence[Underlying], exchange: str, *, stores: Stores,
    dag_run_id: str | None,
) -> OpenInterestReport:  # fmt: skip
    """Count every symbol, write the run log, and bring ``daily_clean`` up to date with what is on file.

    A symbol that nobody got as far as asking for gets a read that says so, so that a morning without a gateway counts
    as tried and failed.

    Parameters
    ----------
    session
        The finished session.
    underlyings
        The symbols that were planned.
    exchange
        The route of their contract sets.
    stores
        Where sets, reads and days are.
    dag_run_id
        Who asks.
    """
    found = []
    for underlying in underlyings:
        held = stores.cache.load(underlying.symbol, session.day).contract_set
        found.append(_symbol(session, underlying.symbol, exchange, held, stores, dag_run_id))
    report = OpenInterestReport(session, tuple(found))
    stores.run_log.append("open_interest_report", session.day, report.summary())
    return report


def _symbol(
    session: TradingSession, symbol: str, exchange: str, held: ContractSet | None, stores: Stores,
    dag_run_id: str | None,
) -> SymbolOpenInterest:  # fmt: skip
    expected = contracts_with_open_interest(held) if held else []
    on_file = read_open_interest(stores, session.day, symbol)
    if on_file.last is None and expected:
        now = stores.clock.now()
        rows = [
            {
                "conid": contract.conid,
                "symbol": contract.symbol,
                "right": contract.right,
                "absence": NOT_READ,
                "verdict": ReadVerdict.NOTHING,
                "is_accepted": False,
                "observed_at": now,
            }
            for contract in expected
        ]
        stores.open_interest.commit_read(
            session.day, symbol, exchange, 1, rows, IngestRun(uuid4().hex, 1, "enrichment", dag_run_id)
        )
        on_file = read_open_interest(stores, session.day, symbol)
    merge_open_interest(stores, session.day, symbol, exchange)
    left = [contract for contract in expected if contract.conid not in on_file.accepted]
    return SymbolOpenInterest(
        symbol=symbol,
        expected=len(expected),
        filled=len(expected) - len(left),
        reads=on_file.last.number if on_file.last else 0,
        verdict=on_file.last.verdict if on_file.last else None,
        is_enough=held is not None and is_enough(len(expected), len(left), stores),
        failed_sessions=failed_sessions(stores, on_file, symbol),
    )
