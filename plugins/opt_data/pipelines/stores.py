"""What stages store into and read back from, handed to them as one argument."""

from dataclasses import dataclass

from opt_data.config.models import Settings
from opt_data.core.clock import Clock
from opt_data.core.sessions import SessionCalendar
from opt_data.storage.bar_store import BarStore
from opt_data.storage.chain_reader import ChainReader
from opt_data.storage.chain_store import ChainStore
from opt_data.storage.contract_cache import ContractCache
from opt_data.storage.daily_store import DailyStore
from opt_data.storage.day_locks import DayLocks
from opt_data.storage.dwell_store import DwellStore
from opt_data.storage.layout import ChainView
from opt_data.storage.ledger import SlotLedger
from opt_data.storage.open_interest_store import OpenInterestStore
from opt_data.storage.run_log import RunLog
from opt_data.storage.week_store import WeekStore


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores under the configured roots, all with the same clock. ``opt_data.bootstrap.open_stores`` makes them.

    ``chains`` holds the slots, ``closes`` the closing snapshots, ``daily`` the rolled-up days, ``adjusted``
    the same on the terms of now, ``open_interest`` what was read on the mornings after, ``weeks`` the slots as
    upkeep handles them, ``dwell`` what they taught about how long contracts take.
    """

    settings: Settings
    clock: Clock
    calendar: SessionCalendar
    cache: ContractCache
    chains: ChainStore
    closes: ChainStore
    daily: DailyStore
    adjusted: DailyStore
    open_interest: OpenInterestStore
    bars: BarStore
    locks: DayLocks
    reader: ChainReader
    ledger: SlotLedger
    run_log: RunLog
    weeks: WeekStore
    dwell: DwellStore

    def chains_of(self, view: ChainView) -> ChainStore:
        """The store of a view that is captured: slots or closing snapshots."""
        return {ChainView.INTRADAY: self.chains, ChainView.CLOSE: self.closes}[view]
