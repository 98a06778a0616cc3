"""What is stored, as rows that can be compared: through our readers, and as a plain reader of Parquet files sees it."""

import io
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from opt_data.errors import FileUnreadable
from opt_data.storage.layout import ChainView
from opt_data.tables.arrow_rows import rows_from_table
from tests.storage.weeks import DAYS, SYMBOLS
from tests.storage.writers import OLD_WEEK, port_in, stores_in

# who wrote a row, and how many tried: differs between a run and its repetition
VOLATILE = {"ingest_id", "attempt", "attempts", "known_at", "updated_at", "dag_run_id"}
PLACE = ("underlying", "exchange", "trade_date", "slot_30m", "conid", "read_number")

Place = tuple[str, ...]


@dataclass(slots=True)
class Facts:
    """Rows by their place (view, then what is unique there); a place that is there twice has two.

    ``unreadable`` are files that cannot be read, ``refused`` those our readers refused.
    """

    rows: dict[Place, list[tuple[str, ...]]] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    plain: Counter[Place] = field(default_factory=Counter)
    is_swapping: bool = False

    def doubled(self) -> set[Place]:
        return {place for place, rows in self.rows.items() if len(rows) > 1}


def look(root: Path) -> Facts:
    """Everything that is stored below one installation."""
    facts = Facts()
    stores, port = stores_in(root), port_in(root)
    for day in (*DAYS, *OLD_WEEK.days[:2]):
        for symbol in SYMBOLS:
            for view in (ChainView.INTRADAY, ChainView.CLOSE):
                try:
                    _take(facts, view, [stores.reader.read_chain(day, symbol, view=view)])
                except FileUnreadable as error:
                    facts.refused.append(error.path)
            for store, view in ((stores.daily, ChainView.DAILY_CLEAN), (stores.adjusted, ChainView.DAILY_ADJUSTED)):
                _take(facts, view, [store.read(day, symbol)])
            _take(facts, ChainView.ENRICHMENT, [stores.open_interest.reads(day, symbol)])
        _take(facts, "ledger", [stores.ledger.read(day)])
    for key in port.list(""):
        if key.endswith(".parquet") and not key.startswith("_"):
            try:
                file = pq.ParquetFile(io.BytesIO(port.read(key).data))
                if key.startswith("raw/"):  # clean is read by our readers and by DuckDB
                    names = [name for name in (*PLACE, "ingest_id") if name in file.schema_arrow.names]
                    _take(facts, "raw", [file.read(names, use_threads=False)], with_id=True)
            except (pa.ArrowException, OSError) as error:
                facts.unreadable.append(f"{key}: {error}")
    facts.plain = plain_places(root)
    facts.is_swapping = any(key.endswith(".json") for key in port.list("_swaps/"))
    return facts


def cold_rows(root: Path) -> set[Place]:
    """The places of all rows on the cold path, raw and intraday, in files that can be read."""
    found: set[Place] = set()
    for path in (root / "cold").rglob("*.parquet"):
        table = pq.ParquetFile(path).read(use_threads=False)
        is_raw = "/raw/" in path.as_posix()
        found |= {_place("raw" if is_raw else ChainView.INTRADAY, row, is_raw) for row in rows_from_table(table)}
    return found


def plain_places(root: Path) -> Counter[Place]:
    """How often DuckDB finds each place in a plain glob over ``clean``, by view; damaged files are left out."""
    found: Counter[Place] = Counter()
    with duckdb.connect(config={"threads": 1}) as engine:
        for view in ChainView:
            folder = root / "data" / "clean" / "ib" / "chain" / f"view={view}"
            files = [str(path) for path in folder.rglob("*.parquet") if _is_whole(path)]
            if files:
                relation = engine.read_parquet(files)
                names = [name for name in PLACE if name in relation.columns]
                rows = relation.select(*names).fetchall()
                found.update(_place(view, dict(zip(names, row, strict=True)), False) for row in rows)
    return found


def left_over(root: Path) -> list[str]:
    """What upkeep should have cleared away."""
    keys = port_in(root).list("_")
    return [key for key in keys if not key.startswith("_quarantine/") and not key.endswith(".done")]


def _is_whole(path: Path) -> bool:
    """Whether the file ends as a Parquet file does."""
    return path.read_bytes()[-4:] == b"PAR1"


def _take(facts: Facts, view: str, tables: Iterable[pa.Table], *, with_id: bool = False) -> None:
    for table in tables:
        for row in rows_from_table(table):
            values = tuple(str(value) for name, value in row.items() if name not in VOLATILE)
            facts.rows.setdefault(_place(view, row, with_id), []).append(values)


def _place(view: str, row: dict[str, object], with_id: bool) -> Place:
    # a day has one row a contract, of whichever slot
    is_of_a_day = view in (ChainView.DAILY_CLEAN, ChainView.DAILY_ADJUSTED)
    names = [name for name in PLACE if name in row and not (is_of_a_day and name == "slot_30m")]
    return (str(view), *(str(row[name]) for name in names), *([str(row["ingest_id"])] if with_id else []))


def is_of_week(place: Place, dates: Iterable[str]) -> bool:
    """Whether a place is of intraday chains of one of the dates."""
    return place[0] in (ChainView.INTRADAY, "raw") and not set(place).isdisjoint(dates)
