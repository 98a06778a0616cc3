"""The instruments of the simulated market: well-known symbols with IB's own conids, and a family of made-up ones."""

from collections.abc import Iterator
from dataclasses import dataclass

#: Conids of made-up stocks: this plus their number. The range below 2**23 + 2**22 holds no option (see ``chains``).
SYNTHETIC_CONID_BASE = 10_000_000
SYNTHETIC_MAX = 850


@dataclass(frozen=True, slots=True)
class OptionClass:
    """One trading class of a symbol's options.

    ``cycle`` is ``weekly`` (Fridays and monthly ones), ``monthly``, ``daily`` (every session of two weeks, then as
    weekly) or ``vix`` (Wednesdays). ``am_settled`` classes stop trading the session before they expire.
    """

    name: str
    cycle: str
    am_settled: bool = False


@dataclass(frozen=True, slots=True)
class Instrument:
    """A stock, fund or index.

    ``base_price`` (USD) is its price on the reference day, ``volatility`` its yearly standard deviation,
    ``day_volume`` shares of a usual session, ``slot`` the place of its options in the space of conids.
    """

    symbol: str
    conid: int
    sec_type: str
    primary_exchange: str
    long_name: str
    base_price: float
    volatility: float
    day_volume: int
    classes: tuple[OptionClass, ...]
    slot: int
    stock_type: str = "COMMON"
    industry: str = "Technology"

    def __hash__(self) -> int:
        return self.conid

    @property
    def is_index(self) -> bool:
        return self.sec_type == "IND"


# New rows go to the end: an instrument's place decides the conids of its options.
# symbol, conid, primary exchange, name, price (USD), volatility, shares a day, stock type, industry
_STOCKS = (
    ("AAPL", 265598, "NASDAQ", "APPLE INC", 272.0, 0.27, 52_000_000, "COMMON", "Technology"),
    ("MSFT", 272093, "NASDAQ", "MICROSOFT CORP", 478.0, 0.24, 21_000_000, "COMMON", "Technology"),
    ("NVDA", 4815747, "NASDAQ", "NVIDIA CORP", 181.0, 0.44, 190_000_000, "COMMON", "Technology"),
    ("AMZN", 3691937, "NASDAQ", "AMAZON.COM INC", 223.0, 0.31, 42_000_000, "COMMON", "Communications"),
    ("GOOGL", 208813719, "NASDAQ", "ALPHABET INC-CL A", 300.0, 0.30, 35_000_000, "COMMON", "Communications"),
    ("GOOG", 208813720, "NASDAQ", "ALPHABET INC-CL C", 301.0, 0.30, 22_000_000, "COMMON", "Communications"),
    ("META", 107113386, "NASDAQ", "META PLATFORMS INC-CLASS A", 594.0, 0.35, 15_000_000, "COMMON", "Communications"),
    ("TSLA", 76792991, "NASDAQ", "TESLA INC", 395.0, 0.55, 85_000_000, "COMMON", "Consumer, Cyclical"),
    ("AMD", 4391, "NASDAQ", "ADVANCED MICRO DEVICES", 206.0, 0.50, 45_000_000, "COMMON", "Technology"),
    ("INTC", 270639, "NASDAQ", "INTEL CORP", 34.5, 0.48, 90_000_000, "COMMON", "Technology"),
    ("IBM", 8314, "NYSE", "INTL BUSINESS MACHINES CORP", 297.0, 0.26, 4_500_000, "COMMON", "Technology"),
    ("JPM", 1520593, "NYSE", "JPMORGAN CHASE & CO", 298.0, 0.23, 9_000_000, "COMMON", "Financial"),
    ("XOM", 13977, "NYSE", "EXXON MOBIL CORP", 117.0, 0.24, 14_000_000, "COMMON", "Energy"),
    ("KO", 8894, "NYSE", "COCA-COLA CO/THE", 72.0, 0.16, 14_000_000, "COMMON", "Consumer, Non-cyclical"),
    ("F", 9599491, "NYSE", "FORD MOTOR CO", 12.9, 0.36, 60_000_000, "COMMON", "Consumer, Cyclical"),
    ("SPY", 756733, "ARCA", "SS SPDR S&P 500 ETF TRUST-US", 659.0, 0.15, 75_000_000, "ETF", "Funds"),
    ("QQQ", 320227571, "NASDAQ", "INVESCO QQQ TRUST SERIES 1", 590.0, 0.20, 55_000_000, "ETF", "Funds"),
    ("IWM", 9579970, "ARCA", "ISHARES RUSSELL 2000 ETF", 235.0, 0.21, 35_000_000, "ETF", "Funds"),
    ("AVGO", 313130367, "NASDAQ", "BROADCOM INC", 340.0, 0.45, 25_000_000, "COMMON", "Technology"),
    ("BRK B", 72063691, "NYSE", "BERKSHIRE HATHAWAY INC-CL B", 504.0, 0.17, 4_000_000, "COMMON", "Financial"),
    ("LLY", 9160, "NYSE", "ELI LILLY & CO", 1060.0, 0.32, 4_000_000, "COMMON", "Consumer, Non-cyclical"),
    ("V", 49462172, "NYSE", "VISA INC-CLASS A SHARES", 328.0, 0.20, 6_500_000, "COMMON", "Financial"),
    ("UNH", 13272, "NYSE", "UNITEDHEALTH GROUP INC", 320.0, 0.34, 8_000_000, "COMMON", "Consumer, Non-cyclical"),
    ("COST", 272997, "NASDAQ", "COSTCO WHOLESALE CORP", 899.0, 0.20, 2_500_000, "COMMON", "Consumer, Cyclical"),
    ("NFLX", 15124833, "NASDAQ", "NETFLIX INC", 104.0, 0.33, 40_000_000, "COMMON", "Communications"),
    ("WMT", 13824, "NYSE", "WALMART INC", 105.0, 0.21, 17_000_000, "COMMON", "Consumer, Cyclical"),
    ("BAC", 10098, "NYSE", "BANK OF AMERICA CORP", 51.6, 0.24, 38_000_000, "COMMON", "Financial"),
)
_INDICES = (
    ("SPX", 416904, "CBOE", "S&P 500 Stock Index", 6600.0, 0.15,
     (OptionClass("SPX", "monthly", am_settled=True), OptionClass("SPXW", "daily"))),
    ("NDX", 416843, "NASDAQ", "NASDAQ 100 Stock Index", 24200.0, 0.20,
     (OptionClass("NDX", "monthly", am_settled=True), OptionClass("NDXP", "weekly"))),
    ("VIX", 13455763, "CBOE", "CBOE Volatility Index", 20.5, 0.90, (OptionClass("VIX", "vix", am_settled=True),)),
)  # fmt: skip

#: Slots are 2**21 conids wide; those that hold one of the conids above are left out.
_SLOT_BITS = 21
_FIRST_SLOT = 8
_FIRST_SYNTHETIC_SLOT = 128


def _free_slots(taken_conids: set[int]) -> list[int]:
    taken = {conid >> _SLOT_BITS for conid in taken_conids}
    return [slot for slot in range(_FIRST_SLOT, 1 << (31 - _SLOT_BITS)) if slot not in taken]


def _well_known() -> tuple[list[Instrument], list[int], list[int]]:
    """The real instruments, the slots left for options after a split, and those left for made-up instruments."""
    slots = _free_slots({row[1] for row in _STOCKS} | {row[1] for row in _INDICES})
    places = iter(slots)
    found = [
        Instrument(symbol, conid, "IND", exchange, name, price, volatility, 0, classes, next(places), "", "Indices")
        for symbol, conid, exchange, name, price, volatility, classes in _INDICES
    ]
    for symbol, conid, exchange, name, price, volatility, volume, stock_type, industry in _STOCKS:
        cycle = "daily" if stock_type == "ETF" else "weekly"
        own = (OptionClass(symbol.replace(" ", ""), cycle),)
        found.append(
            Instrument(symbol, conid, "STK", exchange, name, price, volatility, volume, own, next(places),
                       stock_type, industry)
        )  # fmt: skip
    spare = [slot for slot in places if slot < _FIRST_SYNTHETIC_SLOT]
    return found, spare, [slot for slot in slots if slot >= _FIRST_SYNTHETIC_SLOT]


class Universe:
    """Finds instruments by symbol, conid or slot.

    Parameters
    ----------
    synthetic_prefix
        Symbols made of this prefix and a number (``SYN001``) exist too.
    synthetic_count
        How many of them, at most 850.

    Attributes
    ----------
    spare_slots
        Places in the space of conids that no instrument has: options get one with each split.
    """

    def __init__(self, synthetic_prefix: str = "SYN", synthetic_count: int = 600) -> None:
        if not 0 <= synthetic_count <= SYNTHETIC_MAX:
            raise ValueError(f"synthetic_count must be between 0 and {SYNTHETIC_MAX}, not {synthetic_count}")
        found, self.spare_slots, slots = _well_known()
        self._by_symbol = {instrument.symbol: instrument for instrument in found}
        for number in range(1, synthetic_count + 1):
            symbol = f"{synthetic_prefix}{number:03d}"
            self._by_symbol[symbol] = _made_up(symbol, number, slots[number - 1])
        self._by_conid = {instrument.conid: instrument for instrument in self._by_symbol.values()}
        self._by_slot = {instrument.slot: instrument for instrument in self._by_symbol.values()}

    def __iter__(self) -> Iterator[Instrument]:
        return iter(self._by_symbol.values())

    def by_symbol(self, symbol: str) -> Instrument | None:
        return self._by_symbol.get(symbol)

    def by_conid(self, conid: int) -> Instrument | None:
        return self._by_conid.get(conid)

    def by_slot(self, slot: int) -> Instrument | None:
        return self._by_slot.get(slot)


def _made_up(symbol: str, number: int, slot: int) -> Instrument:
    price = 20.0 + (number * 37 % 400)
    volatility = 0.18 + (number * 13 % 40) / 100
    volume = 500_000 * (1 + number * 7 % 30)
    name = f"SYNTHETIC COMPANY {number}"
    classes = (OptionClass(symbol, "weekly"),)
    conid = SYNTHETIC_CONID_BASE + number
    return Instrument(symbol, conid, "STK", "NYSE", name, price, volatility, volume, classes, slot)
