"""Which options exist: expiries, strikes and conids, as pure functions of the contract's own terms.

A conid is put together from the underlying's slot, the expiry and the place on the expiry's strike ladder, so that it
is unique, stable over days and restarts, and can be read back. It repeats after 1024 weekdays (four years). A split of
the underlying replaces all options that are listed by new ones: other slot, same place, strike divided by the ratio.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

from ibsim.market.hours import MarketHours
from ibsim.market.noise import uniform
from ibsim.market.paths import PricePaths, weekday_index, weekday_of_index
from ibsim.market.splits import Split, Splits
from ibsim.market.universe import Instrument, OptionClass, Universe

_EXPIRY_CODES = 1024
_MAX_STRIKES = 512
_LISTED_BEFORE_WEEKDAYS = 60
_DECODE_BACK_WEEKDAYS = 200
RIGHTS = ("C", "P")
#: Up to which price (USD) strikes are how far apart, near the money and further out.
_STEPS = (
    (25.0, 0.5, 1.0), (60.0, 1.0, 2.5), (600.0, 2.5, 5.0), (2000.0, 5.0, 10.0), (12000.0, 5.0, 25.0),
    (float("inf"), 10.0, 50.0),
)  # fmt: skip


@dataclass(frozen=True, slots=True, order=True)
class Expiry:
    """An expiry of one class.

    ``expiration`` is the day on which it settles, ``last_trade`` the last day on which it trades: the same day, or for
    AM-settled classes the session before. IB names the contract by ``last_trade``. ``kind`` is ``weekly``,
    ``monthly`` or ``quarterly``.
    """

    expiration: date
    last_trade: date
    kind: str


@dataclass(frozen=True, slots=True)
class ListedOption:
    """One option; ``expires_s`` is the settlement instant, seconds since 1970.

    ``generation`` counts the underlying's splits before it, ``factor`` is the product of their ratios, ``made_by`` the
    last of them.
    """

    underlying: Instrument
    option_class: OptionClass
    expiry: Expiry
    strike: float
    right: str
    conid: int
    expires_s: int
    ends_trading_s: int
    multiplier: int = 100
    generation: int = 0
    factor: int = 1
    made_by: Split | None = None

    def __hash__(self) -> int:
        return self.conid

    @property
    def is_call(self) -> bool:
        return self.right == "C"

    @property
    def local_symbol(self) -> str:
        """The 21 characters of the OSI standard."""
        root = self.option_class.name
        return f"{root:<6}{self.expiry.expiration:%y%m%d}{self.right}{round(self.strike * 1000):08d}"

    def exists_on(self, day: date) -> bool:
        """Whether the underlying's splits before it have happened."""
        return self.made_by is None or self.made_by.ex_date <= day


@dataclass(frozen=True, slots=True)
class ChainParameters:
    """What reqSecDefOptParams says of one class: the union over its expiries, not every pair of which exists."""

    option_class: OptionClass
    expirations: tuple[date, ...]
    strikes: tuple[float, ...]
    multiplier: int = 100


def third_friday(year: int, month: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(4 - first.weekday()) % 7 + 14)


def _months_from(day: date, count: int) -> Iterator[tuple[int, int]]:
    for i in range(count):
        years, month = divmod(day.month - 1 + i, 12)
        yield day.year + years, month + 1


class OptionChains:
    """The listed options of every instrument.

    Parameters
    ----------
    missing_pair_fraction
        Share of the expiry × strike pairs of an expiry's own ladder that were never listed.
    splits
        Whole-number splits of the underlyings.

    Raises
    ------
    ValueError
        If a split is of no stock or fund of the universe.
    """

    def __init__(
        self,
        seed: int,
        universe: Universe,
        hours: MarketHours,
        paths: PricePaths,
        missing_pair_fraction: float = 0.04,
        splits: Splits | None = None,
    ) -> None:
        self._seed = seed
        self._universe = universe
        self._hours = hours
        self._paths = paths
        self._missing = missing_pair_fraction
        self._splits = splits or Splits()
        self._slots: dict[tuple[str, int], int] = {}
        self._of_slot: dict[int, tuple[Instrument, int]] = {}
        self._give_slots()
        self._ladder = lru_cache(maxsize=4096)(self._make_ladder)
        self._shown_ladder = lru_cache(maxsize=4096)(self._make_shown_ladder)
        self._expiries = lru_cache(maxsize=4096)(self._find_expiries)
        self._strikes = lru_cache(maxsize=8192)(self._find_strikes)

    def _give_slots(self) -> None:
        spare = self._universe.spare_slots
        if len(self._splits.in_order) > len(spare):
            raise ValueError(f"at most {len(spare)} splits can be simulated")
        for slot, split in zip(spare, self._splits.in_order, strict=False):
            instrument = self._universe.by_symbol(split.symbol)
            if instrument is None or instrument.is_index:
                raise ValueError(f"{split.symbol} is no stock or fund of this market and cannot be split")
            generation = self._splits.of(split.symbol).index(split) + 1
            self._slots[split.symbol, generation] = slot
            self._of_slot[slot] = (instrument, generation)

    # ---- expiries -------------------------------------------------------------------------------------------------

    def expiries(self, instrument: Instrument, option_class: OptionClass, as_of: date) -> tuple[Expiry, ...]:
        """Expiries that still trade on ``as_of``, in order."""
        return self._expiries(instrument, option_class, as_of)

    def _find_expiries(self, instrument: Instrument, option_class: OptionClass, as_of: date) -> tuple[Expiry, ...]:
        candidates: set[date] = set()
        monthlies = [third_friday(*month) for month in _months_from(as_of, 27)]
        if option_class.cycle == "vix":
            candidates = {friday - timedelta(days=30) for friday in monthlies[1:8]}
        elif option_class.cycle == "monthly" or not instrument.is_index:
            candidates |= {d for i, d in enumerate(monthlies) if i < 5 or (i < 13 and d.month % 3 == 0)}
            candidates |= {d for d in monthlies if d.month == 1}
        if option_class.cycle in {"weekly", "daily"}:
            next_friday = as_of + timedelta(days=(4 - as_of.weekday()) % 7)
            candidates |= {next_friday + timedelta(weeks=i) for i in range(7)}
        if option_class.cycle == "daily":
            candidates |= {as_of + timedelta(days=i) for i in range(14)}
        found = {e for d in candidates if (e := self._expiry_of_day(option_class, d)) and e.last_trade >= as_of}
        return tuple(sorted(found))

    def _expiry_of_day(self, option_class: OptionClass, day: date) -> Expiry | None:
        """The expiry that falls on ``day``; a holiday Friday (or VIX Wednesday) moves to the session before."""
        session = self._hours.trading_day(day)
        if session is None:
            if day.weekday() >= 5 or (day.weekday() != 4 and option_class.cycle != "vix"):
                return None
            day = self._hours.session_before(day).day
        last_trade = self._hours.session_before(day).day if option_class.am_settled else day
        return Expiry(day, last_trade, self._kind(option_class, day))

    def _kind(self, option_class: OptionClass, day: date) -> str:
        friday = third_friday(day.year, day.month)
        monthly = option_class.cycle == "vix" or self._hours.session_on_or_before(friday).day == day
        if not monthly:
            return "weekly"
        return "quarterly" if day.month % 3 == 0 else "monthly"

    # ---- strikes --------------------------------------------------------------------------------------------------

    def _make_shown_ladder(self, instrument: Instrument, expiration: date, generation: int) -> tuple[float, ...]:
        """The ladder in the terms of a generation: divided by each split's ratio, to OCC's whole cent."""
        ladder = self._ladder(instrument, expiration)
        for split in self._splits.of(instrument.symbol)[:generation]:
            ladder = tuple(int(strike * 1000 / split.ratio / 10 + 0.5) / 100 for strike in ladder)
        return ladder

    def _make_ladder(self, instrument: Instrument, expiration: date) -> tuple[float, ...]:
        """Every strike an expiry could ever have, around the price 60 weekdays before it expires, before all splits."""
        listed = weekday_of_index(weekday_index(expiration) - _LISTED_BEFORE_WEEKDAYS)
        centre = self._paths.close(instrument, listed)
        fine, coarse = next((near, far) for limit, near, far in _STEPS if centre < limit)
        while True:
            strikes = {k * coarse for k in range(int(0.5 * centre / coarse), int(1.7 * centre / coarse) + 1)}
            strikes |= {k * fine for k in range(int(0.85 * centre / fine), int(1.15 * centre / fine) + 1)}
            ladder = tuple(sorted(round(s, 3) for s in strikes if s > 0))
            if len(ladder) <= _MAX_STRIKES:
                return ladder
            fine, coarse = fine * 2, coarse * 2

    def strikes(
        self, instrument: Instrument, option_class: OptionClass, expiry: Expiry, as_of: date
    ) -> tuple[float, ...]:
        """Strikes listed for one expiry on a day, ascending."""
        generation = self._splits.generation(instrument.symbol, as_of)
        return self._strikes(instrument, option_class, expiry, generation)

    def _find_strikes(
        self, instrument: Instrument, option_class: OptionClass, expiry: Expiry, generation: int
    ) -> tuple[float, ...]:
        ladder = self._ladder(instrument, expiry.expiration)
        shown = self._shown_ladder(instrument, expiry.expiration, generation)
        pairs = zip(ladder, shown, strict=True)
        return tuple(now for listed, now in pairs if self._is_pair_listed(instrument, option_class, expiry, listed))

    def _is_pair_listed(self, instrument: Instrument, option_class: OptionClass, expiry: Expiry, strike: float) -> bool:
        ladder = self._ladder(instrument, expiry.expiration)
        centre = ladder[len(ladder) // 2]
        if expiry.kind == "weekly" and not 0.7 * centre <= strike <= 1.3 * centre:
            return False
        key = (self._seed, "pair", instrument.symbol, option_class.name, expiry.expiration, strike)
        return uniform(*key) >= self._missing

    # ---- contracts ------------------------------------------------------------------------------------------------

    def parameters(self, instrument: Instrument, as_of: date) -> tuple[ChainParameters, ...]:
        """The chain grid of every class of a symbol."""
        found = []
        for option_class in instrument.classes:
            expiries = self.expiries(instrument, option_class, as_of)
            strikes = {s for expiry in expiries for s in self.strikes(instrument, option_class, expiry, as_of)}
            dates = tuple(sorted({expiry.last_trade for expiry in expiries}))
            found.append(ChainParameters(option_class, dates, tuple(sorted(strikes))))
        return tuple(found)

    def find(
        self,
        instrument: Instrument,
        as_of: date,
        *,
        last_trade: str = "",
        strike: float = 0.0,
        right: str = "",
        trading_class: str = "",
        include_expired: bool = False,
    ) -> Iterator[ListedOption]:
        """All options that fit; an empty or zero term fits everything, ``last_trade`` may be a month (``YYYYMM``)."""
        for option_class in instrument.classes:
            if trading_class not in {"", option_class.name}:
                continue
            for expiry in self._expiries_to_search(instrument, option_class, as_of, include_expired):
                if not f"{expiry.last_trade:%Y%m%d}".startswith(last_trade):
                    continue
                listed = self.strikes(instrument, option_class, expiry, as_of)
                wanted: Iterable[float] = listed
                if strike:
                    wanted = (strike,) if strike in listed else ()
                for one in wanted:
                    for side in RIGHTS if not right else (right,):
                        yield self._option_at(instrument, option_class, expiry, one, side, as_of)

    def _expiries_to_search(
        self, instrument: Instrument, option_class: OptionClass, as_of: date, include_expired: bool
    ) -> tuple[Expiry, ...]:
        current = self.expiries(instrument, option_class, as_of)
        if not include_expired:
            return current
        earlier = self.expiries(instrument, option_class, self._hours.session_before(as_of).day)
        return tuple(sorted(set(earlier) | set(current)))

    def _option_at(
        self, instrument: Instrument, option_class: OptionClass, expiry: Expiry, strike: float, right: str, as_of: date
    ) -> ListedOption:
        """The option of a strike in the terms of a day."""
        generation = self._splits.generation(instrument.symbol, as_of)
        place = self._shown_ladder(instrument, expiry.expiration, generation).index(strike)
        return self._option(instrument, option_class, expiry, place, right, generation)

    def before_split(self, option: ListedOption) -> ListedOption:
        """The option of which the last split made this one."""
        place = self._shown_ladder(option.underlying, option.expiry.expiration, option.generation).index(option.strike)
        return self._option(
            option.underlying, option.option_class, option.expiry, place, option.right, option.generation - 1
        )

    def _option(
        self,
        instrument: Instrument,
        option_class: OptionClass,
        expiry: Expiry,
        place: int,
        right: str,
        generation: int,
    ) -> ListedOption:
        """The option at a place on an expiry's ladder."""
        expiry_code = weekday_index(expiry.expiration) % _EXPIRY_CODES
        class_code = instrument.classes.index(option_class)
        local = (class_code << 10) | (place << 1) | RIGHTS.index(right)
        slot = self._slots.get((instrument.symbol, generation), instrument.slot)
        conid = (slot << 21) | (expiry_code << 11) | local
        settles = self._hours.trading_day(expiry.expiration)
        ends = self._hours.trading_day(expiry.last_trade)
        if settles is None or ends is None:
            raise ValueError(f"{expiry} does not fall on a session")
        expires_s = settles.open_s if option_class.am_settled else settles.close_s
        strike = self._shown_ladder(instrument, expiry.expiration, generation)[place]
        return ListedOption(
            instrument, option_class, expiry, strike, right, conid, expires_s, ends.close_s,
            generation=generation,
            factor=self._splits.factor(instrument.symbol, generation),
            made_by=self._splits.of(instrument.symbol)[generation - 1] if generation else None,
        )  # fmt: skip

    def by_conid(self, conid: int, as_of: date) -> ListedOption | None:
        """Read a conid back; None if it never was an option that trades, or stopped trading less than a year ago.

        After a split the conids from before it are nobody's, and before it those after it.
        """
        instrument, generation = self._of_slot.get(conid >> 21, (self._universe.by_slot(conid >> 21), 0))
        if instrument is None or generation != self._splits.generation(instrument.symbol, as_of):
            return None
        code, local = (conid >> 11) % _EXPIRY_CODES, conid & 0x7FF
        first = weekday_index(as_of) - _DECODE_BACK_WEEKDAYS
        day = weekday_of_index(first + (code - first) % _EXPIRY_CODES)
        class_code, place, right = local >> 10, (local >> 1) & 0x1FF, RIGHTS[local & 1]
        if class_code >= len(instrument.classes):
            return None
        option_class = instrument.classes[class_code]
        expiry = self._expiry_of_day(option_class, day)
        if expiry is None or expiry.expiration != day:
            return None
        ladder = self._ladder(instrument, day)
        if place >= len(ladder) or not self._is_pair_listed(instrument, option_class, expiry, ladder[place]):
            return None
        if expiry.last_trade >= as_of and expiry not in self.expiries(instrument, option_class, as_of):
            return None
        return self._option(instrument, option_class, expiry, place, right, generation)
