"""The catalogue of faults: one file each in tests/faults/scenarios, read by the test and by the page made from them.

A file says what the gateway does, step by step, and what must come of it; whatever can be checked is in the data, the
sentences only say what it means. Nothing here touches a gateway.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

SCENARIOS = Path(__file__).resolve().parents[1] / "tests" / "faults" / "scenarios"

SECTIONS = {
    "connection": "The connection",
    "outages": "Between the gateway and IB",
    "allowance": "The allowance",
    "refusals": "Refusals",
    "values": "Values",
    "history": "Bars of a slot that is over",
    "open_interest": "Open interest",
    "own_side": "On our side",
}
"""Folder of the scenarios and heading of the page, in the page's order."""


class ScenarioInvalid(ValueError):
    """A scenario file has a key nobody knows, or lacks one."""


@dataclass(frozen=True, slots=True)
class During:
    """What happens while a try is running: once so many requests of a kind have arrived, the steps ``then``."""

    request: str
    count: int
    then: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is stored and counted after a try, of the symbol's expected contracts.

    ``kept``: ``all``, ``none``, ``some`` or a number of quotes. ``reasons``: why the others have none, each with its
    number or ``rest``; nothing else may stand there. ``flags``: how many rows carry a flag, a number, ``kept`` (every
    quote) or ``rest`` (every row without one). ``modes``: the capture modes of the quotes.
    """

    kept: str | int
    reasons: Mapping[str, str | int] = field(default_factory=dict)
    flags: Mapping[str, str | int] = field(default_factory=dict)
    modes: tuple[str, ...] = ("on_time",)
    contract_set: str = "ok"


@dataclass(frozen=True, slots=True)
class RowCheck:
    """Rows that equal ``where``: how many, what they must hold, which columns must be null, and which must not."""

    where: Mapping[str, Any]
    count: int | None = None
    are: Mapping[str, Any] = field(default_factory=dict)
    null: tuple[str, ...] = ()
    filled: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Try:
    """One run of a task: what is done before and while it runs, and what it ends with.

    ``work`` is ``slot``, or ``open_interest`` of the session, of which ``filled`` contracts have a value afterwards and
    which then ``waits`` for another read or not. ``slot`` is its New York wall time; once it is over it is rebuilt.
    ``raises`` names the error, ``says`` is a pattern its message holds; without them the task succeeds. ``is_last``:
    nothing tries again by itself after it. ``is_killed``: its process is, after ``during``. ``asked`` is how many
    contracts it was about.
    """

    work: str = "slot"
    slot: str = "10:00"
    before: tuple[Mapping[str, Any], ...] = ()
    during: During | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    raises: str = ""
    says: str = ""
    is_last: bool = False
    is_killed: bool = False
    asked: int | None = None
    filled: str | int = ""
    waits: bool = False
    after: Outcome | None = None
    rows: tuple[RowCheck, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """One scenario. ``gateway``, ``stored`` and ``do`` are sentences for the page; ``name`` is the file's.

    ``scenario`` is laid over the simulated gateway's, ``settings`` over ours. ``at`` is the market's clock at the
    start. ``codes`` are messages the gateway must really have sent. ``reported`` is what the slot report finds at the
    end.
    """

    name: str
    section: str
    title: str
    gateway: str
    stored: str
    do: str
    tries: tuple[Try, ...]
    scenario: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    codes: tuple[int, ...] = ()
    at: str = "2025-11-24T10:00:00-05:00"
    reported: Outcome | None = None


def load_faults() -> list[Fault]:
    """Every scenario, in the order of sections and names."""
    return [
        _read(path) for section in SECTIONS for path in sorted((SCENARIOS / section).glob("*.toml"))
    ]  # fmt: skip


def _read(path: Path) -> Fault:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        tries = tuple(_try(one) for one in data.pop("try", ({},)))
        if "reported" in data:
            data["reported"] = _made(Outcome, data["reported"])
        return _made(Fault, {**data, "name": path.stem, "section": path.parent.name, "tries": tries})
    except (ValueError, TypeError) as error:
        raise ScenarioInvalid(f"{path}: {error}") from error


def _try(data: Mapping[str, Any]) -> Try:
    values = dict(data)
    if "during" in values:
        values["during"] = _made(During, values["during"])
    if "after" in values:
        values["after"] = _made(Outcome, values["after"])
    values["rows"] = tuple(_made(RowCheck, one) for one in values.get("rows", ()))
    return _made(Try, values)


def _made(cls: Any, data: Mapping[str, Any]) -> Any:
    unknown = set(data) - {one.name for one in fields(cls)}
    if unknown:
        raise ScenarioInvalid(f"{cls.__name__} knows no {', '.join(sorted(unknown))}")
    return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in data.items()})
