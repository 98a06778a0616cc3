"""What a backfill changed: the store before and after it, compared."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from opt_data.bootstrap import whole_universe
from opt_data.core.contracts import ContractSet
from opt_data.core.rollup import Strategy
from opt_data.errors import FileUnreadable
from opt_data.pipelines.stores import Stores
from opt_data.storage.daily_store import DailyStore
from tools.backfill.window import DISCOVERY, EOD, INTRADAY, MAINTENANCE, OPEN_INTEREST, Window

SYMBOLS_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Part:
    """One symbol at one slot or on one day: ``good`` of ``expected`` are there, ``reasons`` for the others.

    ``content`` differs if anything stored differs.
    """

    expected: int
    good: int
    content: object = None
    reasons: Mapping[str, int] = field(default_factory=dict)
    words: Mapping[str, int] = field(default_factory=dict)


Key = tuple[str, str]
"""A slot or a day as text, and a symbol."""
Snapshot = Mapping[Key, Part]


def snapshot(window: Window, stores: Stores) -> Snapshot:
    """What is stored now of everything the window's DAG could change."""
    parts: dict[Key, Part] = {}
    for day in window.days:
        parts.update(_READERS[window.dag_id](day, stores))
    return parts


def changes(dag_id: str, before: Snapshot, after: Snapshot) -> list[str]:
    """One line a slot or day: what was missing and is there now, what stayed, what is still missing and why."""
    noun, verb = _NOUNS[dag_id]
    lines = []
    for name in dict.fromkeys(name for name, _ in after):
        of_name = {symbol: part for (one, symbol), part in after.items() if one == name}
        earlier = {symbol: before.get((name, symbol), Part(part.expected, 0)) for symbol, part in of_name.items()}
        gained = {symbol: part.good - earlier[symbol].good for symbol, part in of_name.items()}
        changed = [symbol for symbol, part in of_name.items() if part.content != earlier[symbol].content]
        was_missing = sum(part.expected - part.good for part in earlier.values())
        now_missing = sum(part.expected - part.good for part in of_name.values())
        line = name if dag_id == MAINTENANCE else f"{name}  {noun} missing: {was_missing} before, {now_missing} now"
        if changed:
            line += f"; {verb}: {_listed([_gain(symbol, gained[symbol]) for symbol in changed])}"
        else:
            line += "; nothing changed"
        if reasons := _total(part.reasons for part in of_name.values()):
            line += f"; without: {_counted(reasons)}"
        if words := _total(part.words for part in of_name.values()):
            line += f"; {_counted(words)}"
        lines.append(line)
    return lines


def _gain(symbol: str, count: int) -> str:
    return f"{symbol} {count:+d}" if count else symbol


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:SYMBOLS_SHOWN])
    return shown if len(names) <= SYMBOLS_SHOWN else f"{shown} and {len(names) - SYMBOLS_SHOWN} more"


def _total(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return total


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()) if count)


def _of_slots(day: date, stores: Stores) -> dict[Key, Part]:
    modes = ("on_time", "late", "rebuilt")
    found = {}
    for row in stores.ledger.read(day).to_pylist():
        counts = {mode: row[mode] for mode in modes}
        found[f"{day} {row['sample_time_et'][11:16]}", row["underlying"]] = Part(
            row["expected"], sum(counts.values()), (counts, row["attempts"]), dict(row["reasons"]), counts
        )
    return found


def _of_days(day: date, stores: Stores) -> dict[Key, Part]:
    found = {}
    for symbol in _symbols(stores):
        rows = _day_rows(stores.daily, day, symbol)
        adjusted = _day_rows(stores.adjusted, day, symbol)
        ways = Counter(str(row["rollup_strategy"]) for row in rows)
        quotes = len(rows) - ways[Strategy.NONE]
        expected = max(len(rows), _contracts(stores, day, symbol))
        found[str(day), symbol] = Part(expected, quotes, (rows, adjusted), words=ways)
    return found


def _of_open_interest(day: date, stores: Stores) -> dict[Key, Part]:
    found = {}
    for symbol in _symbols(stores):
        rows = _day_rows(stores.daily, day, symbol)
        filled = {row["conid"]: row["open_interest"] for row in rows if row["open_interest"] is not None}
        found[str(day), symbol] = Part(max(len(rows), _contracts(stores, day, symbol)), len(filled), filled)
    return found


def _of_sets(day: date, stores: Stores) -> dict[Key, Part]:
    sets = {symbol: stores.cache.load(symbol, day).contract_set for symbol in _symbols(stores)}
    return {
        (str(day), symbol): Part(1, int(held is not None), None if held is None else held.conids(), words=_size(held))
        for symbol, held in sets.items()
    }


def _of_upkeep(day: date, stores: Stores) -> dict[Key, Part]:
    root: Path = stores.settings.paths.data_root
    files = {str(path.relative_to(root)): path.stat().st_size for path in root.rglob("*.parquet")}
    return {
        ("the store", "compacted, recoded or retired"): Part(
            0, 0, files, words={"files": len(files), "bytes": sum(files.values())}
        )
    }


def _size(held: ContractSet | None) -> dict[str, int]:
    return {} if held is None else {"contracts": len(held.contracts)}


def _symbols(stores: Stores) -> list[str]:
    return [one.symbol for one in whole_universe(stores.settings)]


def _contracts(stores: Stores, day: date, symbol: str) -> int:
    held = stores.cache.load(symbol, day).contract_set
    return 0 if held is None else len(held.contracts)


def _day_rows(daily: DailyStore, day: date, symbol: str) -> list[dict[str, object]]:
    try:
        rows: list[dict[str, object]] = daily.read(day, symbol).to_pylist()
    except FileUnreadable:
        return []
    return rows


_READERS: dict[str, Callable[[date, Stores], dict[Key, Part]]] = {
    DISCOVERY: _of_sets,
    INTRADAY: _of_slots,
    EOD: _of_days,
    OPEN_INTEREST: _of_open_interest,
    MAINTENANCE: _of_upkeep,
}
_NOUNS = {
    DISCOVERY: ("contract sets", "new or changed"),
    INTRADAY: ("quotes", "improved"),
    EOD: ("contracts with a quote of the day", "rolled up anew"),
    OPEN_INTEREST: ("contracts with open interest", "filled"),
    MAINTENANCE: ("files", "files"),
}
