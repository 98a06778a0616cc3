"""What all connections of one simulated gateway share: market, clock, allowance, faults, journal."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from typing import Any, Protocol

from ibsim.allowance import MarketDataLines, MessageRate
from ibsim.clock import MarketClock
from ibsim.journal import Journal
from ibsim.market.bars import BarCutter
from ibsim.market.chains import ListedOption
from ibsim.market.model import Contract, Market
from ibsim.market.quotes import Computation, Quote
from ibsim.scenario import ErrorRule, Excess, Scenario, ScenarioError, patched, scenario_of

#: Notices of broken and mended connections to IB's farms, by farm.
FARM_BROKEN = {"usopt": 2103, "usfarm": 2103, "ushmds": 2105, "secdefnj": 2157}
FARM_MENDED = {"usopt": 2104, "usfarm": 2104, "ushmds": 2106, "secdefnj": 2158}
_FARM_KINDS = {"usopt": "Market data", "usfarm": "Market data", "ushmds": "HMDS data", "secdefnj": "Sec-def data"}
_COMPUTATIONS = frozenset({"model", "bid_model", "ask_model", "last_model"})
QUOTE_COLUMNS = frozenset(f.name for f in fields(Quote)) - {"conid", "instant_s"}


class Client(Protocol):
    """What the gateway may do with a connected client."""

    client_id: int

    def notify(self, code: int, text: str) -> None: ...
    def refresh(self) -> None: ...
    def lose_subscriptions(self) -> None: ...
    def close(self) -> None: ...


class Gateway:
    """The shared state; everything runs in one event loop.

    Parameters
    ----------
    scenario
        Settings and faults to start with; ``patch`` changes them while clients are connected.
    clock
        The market's clock.
    """

    def __init__(self, scenario: Scenario, clock: MarketClock) -> None:
        self.scenario = scenario
        self.clock = clock
        self.market = Market(scenario.seed, scenario.hours.market_hours(), scenario.market)
        self.bars = BarCutter(self.market)
        self.journal = Journal(scenario.feed.journal_requests)
        self.lines = MarketDataLines()
        self.shared_rate = MessageRate()
        self.greatest_rate = 0
        self.clients: dict[int, Client] = {}
        self.broken_farms: set[str] = set()
        self.outage_since_s: float | None = None
        self.on_listening_changed: Callable[[], None] = lambda: None
        self._overrides = _parse_overrides(scenario.quotes)
        self._rule_uses: Counter[ErrorRule] = Counter()
        self._excess_seen: Counter[Excess] = Counter()
        self._restarting = False

    # ---- settings -------------------------------------------------------------------------------------------------

    def patch(self, changes: Mapping[str, Any]) -> None:
        """Lay changes over the scenario; a changed seed, hours or market makes a new market.

        Raises
        ------
        ValueError
            If a key or value is wrong (``ScenarioError``) or a split cannot be; nothing is changed then.
        """
        new = scenario_of(patched(asdict(self.scenario), changes))
        overrides = _parse_overrides(new.quotes)
        old, market = self.scenario, self.market
        if (old.seed, old.hours, old.market) != (new.seed, new.hours, new.market):
            market = Market(new.seed, new.hours.market_hours(), new.market)
        self.scenario, self._overrides = new, overrides
        if market is not self.market:
            self.market, self.bars = market, BarCutter(market)
        if old.faults.errors != new.faults.errors:
            self._rule_uses.clear()
        if old.faults.excess != new.faults.excess:
            self._excess_seen.clear()
        if old.faults.refuse != new.faults.refuse:
            self.on_listening_changed()
        self.refresh_all()

    @property
    def is_listening(self) -> bool:
        return not (self.scenario.faults.refuse or self._restarting)

    def set_clock(self, now_s: float) -> None:
        """Move the market's clock; open subscriptions show the new instant at once."""
        self.clock.set(now_s)
        self.refresh_all()

    def set_quote(self, conid: int, columns: Mapping[str, Any] | None) -> None:
        """Override columns of a contract's quote, or (None) stop overriding it."""
        quotes = {key: dict(value) for key, value in self.scenario.quotes.items() if key != str(conid)}
        if columns is not None:
            quotes[str(conid)] = dict(columns)
        self._overrides = _parse_overrides(quotes)
        self.scenario = replace(self.scenario, quotes=quotes)
        self.refresh_all()

    def refresh_all(self) -> None:
        for client in list(self.clients.values()):
            client.refresh()

    # ---- the market as clients see it -----------------------------------------------------------------------------

    def quote(self, contract: Contract, instant_s: float) -> Quote:
        """The market's quote with the scenario's overrides."""
        quote = self.market.quote(contract, instant_s)
        override = self._overrides.get(contract.conid)
        return quote if override is None else _overridden(quote, override)

    def quoted_instant(self, contract: Contract, delayed: bool) -> float:
        """The instant whose quote is served now: earlier when delayed, held when the line to IB is down."""
        now = self.outage_since_s if self.is_frozen(contract) else None
        instant = self.clock.now_s() if now is None else now
        return instant - self.scenario.feed.delayed_by_s if delayed else instant

    def is_frozen(self, contract: Contract) -> bool:
        """Whether the connection to IB that this contract's quotes come over is down."""
        farm = "usopt" if isinstance(contract, ListedOption) else "usfarm"
        return self.outage_since_s is not None and (not self.broken_farms or farm in self.broken_farms)

    def is_silent(self, kind: str, contract: Contract, exchange: str) -> bool:
        """Whether a request is to get no answer at all."""
        faults = self.scenario.faults
        symbol = contract.underlying.symbol if isinstance(contract, ListedOption) else contract.symbol
        return (
            kind in faults.silent_requests
            or contract.conid in faults.silent_conids
            or symbol in faults.silent_symbols
            or exchange in faults.silent_exchanges
        )

    def error_for(self, kind: str, contract: Contract | None, exchange: str) -> ErrorRule | None:
        """The first error rule that a request meets; counts its use."""
        for rule in self.scenario.faults.errors:
            if _rule_fits(rule, kind, contract, exchange) and not (rule.times and self._rule_uses[rule] >= rule.times):
                self._rule_uses[rule] += 1
                return rule
        return None

    def is_excess(self, kind: str) -> bool:
        """Whether a message is taken for one above the rate; counts it."""
        found = False
        for rule in self.scenario.faults.excess:
            if rule.request == kind:
                self._excess_seen[rule] += 1
                found = found or rule.after < self._excess_seen[rule] <= rule.after + rule.times
        return found

    # ---- things that happen ---------------------------------------------------------------------------------------

    def notify_all(self, code: int, text: str) -> None:
        for client in list(self.clients.values()):
            client.notify(code, text)

    def begin_outage(self, code: int = 1100) -> None:
        """The line to IB breaks (1100 or 2110): sockets stay up and every quote freezes."""
        if self.outage_since_s is None:
            self.outage_since_s = self.clock.now_s()
        self.broken_farms.clear()
        self.notify_all(
            code,
            "Connectivity between IBKR and Trader Workstation has been lost."
            if code == 1100
            else "Connectivity between Trader Workstation and server is broken. It will be restored automatically.",
        )

    def end_outage(self, *, data_lost: bool) -> None:
        """The line is back: 1101 drops every subscription, 1102 keeps them."""
        self.outage_since_s = None
        self.broken_farms.clear()
        text = "Connectivity between IBKR and Trader Workstation has been restored"
        if data_lost:
            for client in list(self.clients.values()):
                client.lose_subscriptions()
            self.notify_all(1101, f"{text} - data lost.")
            return
        self.notify_all(1102, f"{text} - data maintained. All data farms are connected: usfarm; usopt; ushmds.")
        self.refresh_all()

    def break_farm(self, farm: str) -> None:
        """One farm's connection breaks: what comes over it freezes (``usopt``, ``usfarm``) or is not answered."""
        _check_farm(farm)
        self.broken_farms.add(farm)
        if farm in {"usopt", "usfarm"} and self.outage_since_s is None:
            self.outage_since_s = self.clock.now_s()
        self.notify_all(*self.farm_state(farm))

    def mend_farm(self, farm: str) -> None:
        _check_farm(farm)
        self.broken_farms.discard(farm)
        if not self.broken_farms & {"usopt", "usfarm"}:
            self.outage_since_s = None
        self.notify_all(*self.farm_state(farm))
        self.refresh_all()

    def farm_state(self, farm: str) -> tuple[int, str]:
        """Code and text that tell how a farm is, as at the end of a handshake."""
        is_broken = farm in self.broken_farms
        code = (FARM_BROKEN if is_broken else FARM_MENDED)[farm]
        return code, f"{_FARM_KINDS[farm]} farm connection is {'broken' if is_broken else 'OK'}:{farm}"

    def drop(self, client_id: int | None = None) -> int:
        """Close the socket of one client, or of all; returns how many."""
        chosen = [c for c in self.clients.values() if client_id in {None, c.client_id}]
        for client in chosen:
            client.close()
        return len(chosen)

    def restart(self, refuse_s: float) -> None:
        """The daily restart: every socket closes and the port refuses for a while."""
        self._restarting = True
        self.drop()
        self.outage_since_s = None
        self.broken_farms.clear()
        self.on_listening_changed()
        asyncio.get_running_loop().call_later(refuse_s, self._restarted)

    def _restarted(self) -> None:
        self._restarting = False
        self.on_listening_changed()

    # ---- counts ---------------------------------------------------------------------------------------------------

    def note_rate(self, rate: MessageRate) -> None:
        self.greatest_rate = max(self.greatest_rate, rate.second.greatest)

    def stats(self) -> dict[str, Any]:
        """Counts since the start or the last reset."""
        journal = self.journal
        return {
            "requests": dict(journal.kinds),
            "messages": sum(journal.kinds.values()),
            "contracts_subscribed": len(journal.asked),
            "subscriptions": sum(journal.asked.values()),
            "lines_open": self.lines.open,
            "lines_peak": self.lines.peak,
            "greatest_rate": self.greatest_rate,
            "warnings": journal.warnings,
            "strikes": journal.strikes,
            "rejected": journal.rejected,
            "errors_sent": {str(code): count for code, count in journal.errors_sent.items()},
            "clients": sorted(self.clients),
            "connections": journal.connections,
        }

    def reset_counters(self) -> None:
        self.journal.reset()
        self.lines.reset_peak()
        self.greatest_rate = 0
        self.shared_rate.second.greatest = 0


def _check_farm(farm: str) -> None:
    if farm not in FARM_BROKEN:
        raise ScenarioError(f"no farm {farm!r}; farms: {', '.join(FARM_BROKEN)}")


def _rule_fits(rule: ErrorRule, kind: str, contract: Contract | None, exchange: str) -> bool:
    if contract is None:
        return not (rule.symbol or rule.conid or rule.exchange) and rule.request == kind
    symbol = contract.underlying.symbol if isinstance(contract, ListedOption) else contract.symbol
    return (
        rule.request in {"", kind}
        and rule.symbol in {"", symbol}
        and rule.conid in {0, contract.conid}
        and rule.exchange in {"", exchange}
    )


def _parse_overrides(quotes: Mapping[str, Mapping[str, Any]]) -> dict[int, dict[str, Any]]:
    parsed: dict[int, dict[str, Any]] = {}
    for conid, columns in quotes.items():
        for column, value in columns.items():
            if column not in QUOTE_COLUMNS:
                raise ScenarioError(f"quotes.{conid}: unknown column {column}")
            if column in _COMPUTATIONS and isinstance(value, Mapping):
                unknown = set(value) - {f.name for f in fields(Computation)}
                if unknown:
                    raise ScenarioError(f"quotes.{conid}.{column}: unknown {', '.join(sorted(unknown))}")
        parsed[int(conid)] = dict(columns)
    return parsed


def _overridden(quote: Quote, columns: Mapping[str, Any]) -> Quote:
    """Columns replaced; a table for a set of model values replaces only the values it names."""
    values: dict[str, Any] = {}
    for column, value in columns.items():
        if column in _COMPUTATIONS and isinstance(value, Mapping):
            value = replace(getattr(quote, column) or Computation(), **value)
        values[column] = value
    return replace(quote, **values)
