"""Everything that writes chains and their days, as runs that can be killed: what each finds, does, and does beside it.

A writer's ``run`` is what its task does and what Airflow's retry would do again; ``beside`` is another task on the same
partitions at the same time. Each takes an installation below a folder of its own, without a gateway.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from opt_data.bootstrap import open_stores
from opt_data.config.models import CorporateActionSettings, MaintenanceSettings, PathSettings, Settings
from opt_data.core.contracts import Underlying
from opt_data.core.file_sizes import SizeLimits
from opt_data.core.sessions import TradingSession
from opt_data.core.slot_account import Expectation
from opt_data.core.slots import Slot, close_slot
from opt_data.errors import AlreadyRunning
from opt_data.pipelines.adjust_corporate_actions import adjust_corporate_actions
from opt_data.pipelines.maintain import maintain
from opt_data.pipelines.merge_open_interest import merge_open_interest, read_open_interest
from opt_data.pipelines.roll_up_session import roll_up_session
from opt_data.pipelines.stores import Stores
from opt_data.storage.chain_rows import IngestRun
from opt_data.storage.layout import ChainPartition, ChainWeek
from opt_data.storage.local import LocalObjectStore
from opt_data.storage.part_writer import PackRules
from opt_data.storage.unpacking import unpack_symbol
from tests.fakes.chain import ingest, quote_row
from tests.fakes.clock import FixedClock
from tests.storage.weeks import DAYS, SYMBOLS, WEEK, fill, slots_of

SATURDAY, COLD_DAY, LATER = date(2025, 11, 29), date(2025, 12, 13), date(2025, 12, 6)
OLD = date(2025, 9, 22)
OLD_WEEK = ChainWeek(OLD)
NOW = datetime(2025, 11, 29, 14, 0, tzinfo=UTC)
SMALL_FILES = PackRules(SizeLimits(6_000, 12_000), 9, "snappy")
SPLIT = "symbol,ex_date,kind,ratio,memo,known_at,entered_by\nAAPL,2025-11-28,split,4:1,OCC 1,2025-11-10T09:00-05:00,\n"
NO_ACTIONS = SPLIT.splitlines(keepends=True)[0]

Run = Callable[[Path], None]


@dataclass(frozen=True, slots=True)
class Writer:
    """One kind of work.

    ``prepare`` makes what it finds. ``takes`` is the day whose week it may take away, ``damaged`` the file it finds
    damaged: what lies in it cannot be read before it has run.
    """

    name: str
    prepare: Run
    run: Run
    beside: Run
    takes: date | None = None
    damaged: str = ""


def stores_in(root: Path, retire: str = "delete") -> Stores:
    """An installation with the roots ``data``, ``state`` and ``cold``, on a Saturday."""
    settings = Settings(
        paths=PathSettings(data_root=root / "data", state_root=root / "state"),
        maintenance=MaintenanceSettings(cold_root=root / "cold", retire=retire),
        corporate_actions=CorporateActionSettings(table_file=root / "actions.csv"),
    )
    return open_stores(settings, FixedClock(NOW))


def port_in(root: Path) -> LocalObjectStore:
    return LocalObjectStore(root / "data")


def _session(day: date) -> TradingSession:
    return slots_of(day)[0].session


# What the writers find


def slots_of_a_week(root: Path) -> None:
    (root / "actions.csv").write_text(NO_ACTIONS)
    fill(stores_in(root).chains)


def compacted_week(root: Path) -> None:
    slots_of_a_week(root)
    stores_in(root).weeks.pack(WEEK.monday, SMALL_FILES)


def damaged_week(root: Path) -> None:
    compacted_week(root)
    path = root / "data" / WEEK.part_key(1)
    path.write_bytes(path.read_bytes()[:-100])


def closed_days(root: Path) -> None:
    """Days that were rolled up from their slots before their closing snapshots came."""
    slots_of_a_week(root)
    roll_up(root)
    for day in DAYS:
        following = _session(day + timedelta(days=1))
        close = close_slot(_session(day), following)
        for symbol in SYMBOLS:
            rows = [
                quote_row(conid, close, 5400.0, capture_mode="frozen", market_data_type=2, bid=2.25, ask=2.35)
                for conid in (1, 2)
            ]
            run = replace(ingest(f"close-{symbol[:3]}-{day}"), run_type="close")
            stores_in(root).closes.commit_attempt(close, symbol, "SMART", rows, run)


def adjusted_days(root: Path) -> None:
    closed_days(root)
    roll_up(root)
    adjust(root)


def split_days(root: Path) -> None:
    adjusted_days(root)
    (root / "actions.csv").write_text(SPLIT)


def old_week(root: Path) -> None:
    """A week older than it is kept, rolled up, beside one that is not."""
    slots_of_a_week(root)
    stores = stores_in(root)
    for day in (OLD, OLD + timedelta(days=1)):
        for slot in (slots_of(day)[0], slots_of(day)[1]):
            stores.chains.commit_attempt(
                slot, "AAPL", "SMART", [quote_row(1, slot), quote_row(2, slot)], ingest(f"old-{day}-{slot.index}")
            )
        roll_up_session(_session(day), Underlying("AAPL"), "SMART", is_intraday=True, stores=stores)


def old_compacted_week(root: Path) -> None:
    """The same, compacted, and with a slot that came after."""
    old_week(root)
    stores = stores_in(root)
    stores.weeks.pack(OLD, SMALL_FILES)
    slot = slots_of(OLD)[2]
    stores.chains.commit_attempt(slot, "AAPL", "SMART", [quote_row(1, slot)], ingest("old-after"))


# What they do


def commit(root: Path) -> None:
    """Capture: answers for contracts that had none or a late one, and for a new one; then the ledger."""
    slot = slots_of(DAYS[0])[3]
    _commit(root, slot, [quote_row(conid, slot, bid=1.27) for conid in (1, 2, 4)], 2)


def commit_beside(root: Path) -> None:
    """Another attempt at the same slot, for other contracts, and a slot nobody had."""
    missed, slot = slots_of(DAYS[0])[5], slots_of(DAYS[0])[3]
    _commit(root, missed, [quote_row(1, missed)], 2)
    _commit(root, slot, [quote_row(7, slot, bid=1.26)], 2)


def _commit(root: Path, slot: Slot, rows: list[dict[str, object]], attempt: int) -> None:
    run = IngestRun(uuid4().hex, attempt, dag_run_id="test")
    stores = stores_in(root)
    stores.chains.commit_attempt(slot, "AAPL", "SMART", rows, run)
    stores.ledger.update(slot, [Expectation("AAPL", "SMART", frozenset(range(1, 9)))])


def roll_up(root: Path) -> None:
    stores = stores_in(root)
    for symbol in SYMBOLS:
        roll_up_session(_session(DAYS[0]), Underlying(symbol), "SMART", is_intraday=True, stores=stores)
    for day in DAYS[1:]:
        roll_up_session(_session(day), Underlying("AAPL"), "SMART", is_intraday=True, stores=stores)


def adjust(root: Path) -> None:
    stores = stores_in(root)
    for symbol, day in (("SPY", DAYS[0]), ("AAPL", DAYS[0]), ("AAPL", DAYS[1]), ("AAPL", DAYS[2])):
        adjust_corporate_actions(symbol, day, stores=stores)


def open_interest(root: Path) -> None:
    """The morning's task: read what is not on file, then bring the day up to date with what is."""
    stores = stores_in(root)
    for symbol in ("AAPL", "SPY"):
        if not read_open_interest(stores, DAYS[0], symbol).accepted:
            rows = [
                {
                    "conid": conid, "symbol": f"AAPL  251219C{conid:08d}", "right": "C", "open_interest": 100 * conid,
                    "absence": None, "verdict": "rolled", "is_accepted": True, "market_data_type": 1,
                    "observed_at": NOW - timedelta(minutes=1),
                }
                for conid in (1, 2, 3)
            ]  # fmt: skip
            run = IngestRun(uuid4().hex, 1, "enrichment", "test")
            stores.open_interest.commit_read(DAYS[0], symbol, "SMART", 1, rows, run)
        merge_open_interest(stores, DAYS[0], symbol, "SMART")


def compact(root: Path) -> None:
    maintain(SATURDAY, stores=stores_in(root))


def change_codec(root: Path) -> None:
    """As upkeep does it two weeks later, into several files, as in a week too large for one."""
    stores = stores_in(root)
    with stores.weeks.alone():
        stores.weeks.clean_up()
        stores.weeks.pack(WEEK.monday, replace(SMALL_FILES, codec="zstd"))


def second_upkeep(root: Path) -> None:
    try:
        maintain(SATURDAY, stores=stores_in(root))
    except AlreadyRunning:
        return


def retire(root: Path) -> None:
    maintain(LATER, stores=stores_in(root))


def retire_to_cold_path(root: Path) -> None:
    maintain(LATER, stores=stores_in(root, "move"))


def unpack(root: Path) -> None:
    unpack_symbol(port_in(root), WEEK, "BRK B")


def refresh(root: Path) -> None:
    """What the ledger does before it counts."""
    stores = stores_in(root)
    for slot in (0, 3):
        stores.chains.refresh(ChainPartition(DAYS[0], "AAPL", "SMART"), slot)


WRITERS = (
    Writer("commit", slots_of_a_week, commit, commit_beside),
    Writer("commit to a compacted week", compacted_week, commit, commit_beside),
    Writer("rollup", closed_days, roll_up, open_interest),
    Writer("adjust", split_days, adjust, open_interest),
    Writer("open interest", adjusted_days, open_interest, roll_up),
    Writer("compaction", slots_of_a_week, compact, commit_beside),
    Writer("codec change", compacted_week, change_codec, refresh),
    Writer("retention", old_week, retire, second_upkeep, takes=OLD),
    Writer("retention to the cold path", old_compacted_week, retire_to_cold_path, commit_beside, takes=OLD),
    Writer("unpacking", compacted_week, unpack, commit_beside),
    Writer("compaction of a damaged week", damaged_week, compact, second_upkeep, damaged=WEEK.part_key(1)),
)
