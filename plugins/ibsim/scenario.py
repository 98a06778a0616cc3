"""Scenarios: everything that can be set about a simulated gateway, read from TOML and changed while it runs."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from datetime import date, datetime, time
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from ibsim.market.hours import MarketHours
from ibsim.market.noise import number_stream
from ibsim.market.quotes import MarketSettings

T = TypeVar("T")


class ScenarioError(ValueError):
    """A key nobody knows or a value of the wrong kind; the message names it."""


@dataclass(frozen=True, slots=True)
class HoursSettings:
    """Sessions, New York wall time; the lists add to (or, ``open_days``, take from) the built-in NYSE table."""

    open_at: str = "09:30"
    close_at: str = "16:00"
    early_close_at: str = "13:00"
    closed: tuple[date, ...] = ()
    early_closes: tuple[date, ...] = ()
    open_days: tuple[date, ...] = ()

    def market_hours(self) -> MarketHours:
        return MarketHours(
            open_at=time.fromisoformat(self.open_at),
            close_at=time.fromisoformat(self.close_at),
            early_close_at=time.fromisoformat(self.early_close_at),
            closed=self.closed,
            early_closes=self.early_closes,
            open_days=self.open_days,
        )


@dataclass(frozen=True, slots=True)
class Dwell:
    """Seconds between a market-data request and its first values.

    ``kind``: ``fixed`` (``low_s``), ``uniform`` (``low_s`` to ``high_s``) or ``lognormal`` (``median_s``, ``sigma``,
    cut at ``high_s``). Drawn per (seed, conid, how often it was asked).
    """

    kind: str = "lognormal"
    low_s: float = 0.2
    high_s: float = 4.0
    median_s: float = 0.4
    sigma: float = 0.5

    def __post_init__(self) -> None:
        if self.kind not in {"fixed", "uniform", "lognormal"}:
            raise ScenarioError(f"dwell.kind must be fixed, uniform or lognormal, not {self.kind!r}")

    def draw(self, seed: int, conid: int, request_number: int) -> float:
        numbers = number_stream(seed, "dwell", conid, request_number)
        if self.kind == "fixed":
            return self.low_s
        if self.kind == "uniform":
            return numbers.uniform(self.low_s, self.high_s)
        return min(self.median_s * numbers.lognormvariate(0.0, self.sigma), self.high_s)


@dataclass(frozen=True, slots=True)
class Limits:
    """IB's allowance.

    ``max_messages_per_s`` 0 means half the lines; ``warn_messages_per_s`` 0 means nine tenths of that.
    ``rate_scope`` is ``connection`` or ``all``. ``excess``: ``reject`` loses the messages above the rate, ``accept``
    serves them; error 100 and the strikes come either way. A strike is counted at most once a second.
    """

    lines: int = 100
    max_messages_per_s: int = 0
    warn_messages_per_s: int = 0
    strikes: int = 3
    clients: int = 32
    rate_scope: str = "connection"
    excess: str = "reject"
    historical_open: int = 50
    snapshots_per_s: int = 100
    snapshots_use_lines: bool = True

    def __post_init__(self) -> None:
        if self.rate_scope not in {"connection", "all"}:
            raise ScenarioError(f"limits.rate_scope must be connection or all, not {self.rate_scope!r}")
        if self.excess not in {"reject", "accept"}:
            raise ScenarioError(f"limits.excess must be reject or accept, not {self.excess!r}")

    @property
    def message_rate(self) -> int:
        return self.max_messages_per_s or max(1, self.lines // 2)

    @property
    def warning_rate(self) -> int:
        return self.warn_messages_per_s or max(1, self.message_rate * 9 // 10)


@dataclass(frozen=True, slots=True)
class Feed:
    """How data are served. ``update_s`` is the pause between two updates of a subscription (0: none).

    The journal keeps the last ``journal_requests`` market-data requests with their last ``journal_ticks`` ticks each.
    """

    update_s: float = 1.5
    delayed_by_s: float = 900.0
    oi_on_delayed: bool = False
    snapshot_timeout_s: float = 11.0
    history_delay_s: float = 0.02
    journal_requests: int = 20_000
    journal_ticks: int = 2_000


ENTITLEMENTS = (
    "live", "delayed", "delayed_off", "api_delayed", "none", "part", "part_api",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entitlements:
    """What the login may see.

    Each value is one of: ``live``; ``delayed`` (354 under types 1 and 2, 10167 and delayed data under 3 and 4);
    ``api_delayed`` (10089 instead); ``delayed_off`` (10168 and nothing); ``none`` (354, nothing); ``part`` and
    ``part_api`` (live data after 10090 or 10091, model values without the underlying's price).
    ``symbols`` goes by underlying and stands before ``options`` and ``underlyings``.
    """

    underlyings: str = "live"
    options: str = "live"
    symbols: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for value in (self.underlyings, self.options, *self.symbols.values()):
            if value not in ENTITLEMENTS:
                raise ScenarioError(f"an entitlement is one of {', '.join(ENTITLEMENTS)}, not {value!r}")

    def of(self, symbol: str, *, is_option: bool) -> str:
        return self.symbols.get(symbol) or (self.options if is_option else self.underlyings)


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """Answer matching requests with an error instead of data; ``times`` 0 means always.

    Empty ``request`` (IB's name, ``reqMktData``), ``symbol``, ``exchange`` and zero ``conid`` match all.
    """

    code: int
    text: str
    request: str = ""
    symbol: str = ""
    conid: int = 0
    exchange: str = ""
    times: int = 0


@dataclass(frozen=True, slots=True)
class Excess:
    """Take messages of one kind (IB's name, ``cancelMktData``) for ones above the rate, whatever the rate is.

    The first ``after`` of them pass, the next ``times`` do not; counted over all connections, from the start or the
    last change of the list.
    """

    request: str
    after: int = 0
    times: int = 1


@dataclass(frozen=True, slots=True)
class Faults:
    """What is broken.

    ``refuse`` closes the listening port; ``accept_silent`` takes connections and never answers. ``silent_*`` name
    contracts, symbols, exchanges (of the request) or kinds of request that get no answer at all.
    ``drop_after_messages`` closes each connection after so many. ``late_tick_after_cancel_s`` above 0 sends one more
    bid that long after a cancel. ``competing_session`` answers every market-data request with 10197. ``excess`` names
    messages that break the rate. ``clock_ahead_s`` is added to the answer of reqCurrentTime; below 0 the gateway's
    clock is behind.
    """

    refuse: bool = False
    accept_silent: bool = False
    drop_after_messages: int = 0
    client_ids_in_use: tuple[int, ...] = ()
    silent_conids: tuple[int, ...] = ()
    silent_symbols: tuple[str, ...] = ()
    silent_exchanges: tuple[str, ...] = ()
    silent_requests: tuple[str, ...] = ()
    errors: tuple[ErrorRule, ...] = ()
    excess: tuple[Excess, ...] = ()
    competing_session: bool = False
    late_tick_after_cancel_s: float = 0.0
    clock_ahead_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens at an instant of the market's clock: a control command with its arguments."""

    at: datetime
    op: str
    args: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise ScenarioError(f"event {self.op}: {self.at} has no offset; write 2025-11-24T10:00:00-05:00")


@dataclass(frozen=True, slots=True)
class Scenario:
    """One simulated gateway. ``quotes`` overrides quote columns per conid (as text, TOML keys being text)."""

    seed: int = 20251124
    account: str = "DU1234567"
    time_zone: str = "US/Eastern"
    hours: HoursSettings = field(default_factory=HoursSettings)
    market: MarketSettings = field(default_factory=MarketSettings)
    dwell: Dwell = field(default_factory=Dwell)
    limits: Limits = field(default_factory=Limits)
    feed: Feed = field(default_factory=Feed)
    entitlements: Entitlements = field(default_factory=Entitlements)
    faults: Faults = field(default_factory=Faults)
    events: tuple[Event, ...] = ()
    quotes: dict[str, dict[str, Any]] = field(default_factory=dict)


def read_scenario(path: Path) -> Scenario:
    """Read a ``.toml`` (or ``.json``) file.

    Raises
    ------
    ScenarioError
        For unknown keys and wrong kinds of values, with the file's name.
    """
    text = path.read_text(encoding="utf-8")
    try:
        data = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
        return scenario_of(data)
    except (ScenarioError, ValueError) as error:
        raise ScenarioError(f"{path}: {error}") from error


def scenario_of(data: Mapping[str, Any]) -> Scenario:
    """A scenario from plain data."""
    return _build(Scenario, data, "")


def patched(data: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Plain data with a patch laid over it: tables are merged, everything else replaced."""
    merged = dict(data)
    for key, value in patch.items():
        old = merged.get(key)
        merged[key] = patched(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def _build(cls: type[T], data: Mapping[str, Any], where: str) -> T:
    known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
    for key in data:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(known)}"
            raise ScenarioError(f"unknown key {where}{key}{hint}")
    hints = get_type_hints(cls)
    values = {key: _convert(hints[key], value, f"{where}{key}") for key, value in data.items()}
    missing = [name for name, f in known.items() if name not in values and _is_required(f)]
    if missing:
        raise ScenarioError(f"{where or 'scenario: '}{missing[0]} is missing")
    try:
        return cls(**values)
    except ScenarioError:
        raise
    except ValueError as error:
        raise ScenarioError(f"{where[:-1]}: {error}") from error


def _is_required(f: "Field[Any]") -> bool:
    return f.default is MISSING and f.default_factory is MISSING


def _convert(kind: Any, value: Any, where: str) -> Any:
    if is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(value, Mapping):
            raise ScenarioError(f"{where} must be a table")
        return _build(kind, value, f"{where}.")
    origin = get_origin(kind)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ScenarioError(f"{where} must be a list")
        return tuple(_convert(get_args(kind)[0], one, f"{where}[{i}]") for i, one in enumerate(value))
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ScenarioError(f"{where} must be a table")
        return {str(k): _convert(get_args(kind)[1], one, f"{where}.{k}") for k, one in value.items()}
    if kind is Any or origin in {Union, UnionType}:
        return value
    return _convert_scalar(kind, value, where)


def _convert_scalar(kind: Any, value: Any, where: str) -> Any:
    if kind in {date, datetime} and isinstance(value, str):
        try:
            return kind.fromisoformat(value)
        except ValueError as error:
            raise ScenarioError(f"{where}: {error}") from error
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ScenarioError(f"{where} must be {kind.__name__}, not {value!r}")
    return value
