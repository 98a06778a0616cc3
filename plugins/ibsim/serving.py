"""What kind of data a request gets: entitlement × type asked for × market open or closed. Pure decisions."""

from dataclasses import dataclass

from ibsim.market.chains import ListedOption
from ibsim.market.model import Contract
from ibsim.messages.requests import MarketData

LIVE, FROZEN, DELAYED, DELAYED_FROZEN = 1, 2, 3, 4

#: Generic ticks that IB accepts for an option; one that is not here fails the whole request.
LEGAL_GENERIC_TICKS = frozenset((
    "100", "101", "104", "105", "106", "165", "220", "221", "225", "232", "233", "236", "258", "292", "293",
    "294", "295", "318", "375", "411", "456", "460", "577", "586", "587", "588", "595", "614", "619", "623",
))  # fmt: skip
LEGAL_TEXT = (
    "100(Option Volume),101(Option Open Interest),105(Average Opt Volume),106(impvolat),165(Misc. Stats),"
    "221/220(Creditman Mark Price),225(Auction),232/221(Pl Price),233(RTVolume),236(inventory),258/47(Fundamentals),"
    "292(Wide_news),293(TradeCount),294(TradeRate),295(VolumeRate),318(LastRTHTrade),375(RTTrdVolume),411(rthistvol),"
    "456/59(IBDividends),460(Bond Factor Multiplier),577(EtfNavLast(Frozen)),586(IPOHLMPRC),587(Pl Price Delayed),"
    "588(Futures Open Interest),595(Short-Term Volume X Mins),614(EtfNavMisc),619(Creditman Slow Mark Price),"
    "623(EtfFrozenNavLast)"
)


@dataclass(frozen=True, slots=True)
class Serving:
    """The decision. ``data_type`` None: no data at all. ``notices`` are (code, text) sent before any data."""

    data_type: int | None
    notices: tuple[tuple[int, str], ...] = ()
    hides_quotes: bool = False
    hides_underlying_price: bool = False

    @property
    def is_delayed(self) -> bool:
        return self.data_type in {DELAYED, DELAYED_FROZEN}


def contract_text(contract: Contract) -> str:
    """How IB names a contract in its messages: ``AAPL SEP 25 '26 320 Call``."""
    if not isinstance(contract, ListedOption):
        return f"{contract.symbol} {contract.primary_exchange}.NMS"
    day = contract.expiry.expiration
    side = "Call" if contract.is_call else "Put"
    return f"{contract.underlying.symbol} {day:%b %d} '{day:%y} {contract.strike:g} {side}".upper().replace(
        side.upper(), side
    )


def wrong_generic_ticks(generic_ticks: str) -> str | None:
    """The text of error 321 if a tick of the list is not legal."""
    asked = [token.strip().split(":")[0] for token in generic_ticks.split(",") if token.strip()]
    if all(token in LEGAL_GENERIC_TICKS for token in asked):
        return None
    return (
        f"Error validating request.-'bQ' : cause - Incorrect generic tick list of {generic_ticks}.  "
        f"Legal ones for (OPT) are: {LEGAL_TEXT}"
    )


def invalid_request_text(request: MarketData) -> str | None:
    """The text of error 321 for a request that IB refuses to try."""
    if request.snapshot and request.generic_ticks:
        return (
            "Error validating request.-'bQ' : cause - Snapshot market data subscription is not applicable to "
            "generic ticks"
        )
    return wrong_generic_ticks(request.generic_ticks)


def decide_serving(contract: Contract, entitlement: str, asked: int, *, is_open: bool) -> Serving:
    """What a login with ``entitlement`` gets for a request made under market data type ``asked``."""
    name = contract_text(contract)
    if entitlement in {"live", "part", "part_api"}:
        return _serve_entitled(contract, entitlement, asked, is_open=is_open)
    not_subscribed = (
        "Requested market data is not subscribed. Check API status by selecting the Account menu then under "
        "Management choose Market Data Subscription Manager and/or availability of delayed data."
    )
    if entitlement == "none":
        return Serving(None, ((354, f"{not_subscribed}Delayed market data is not available.{name}/TOP/ALL"),))
    if entitlement == "delayed_off":
        text = "Requested market data is not subscribed. Delayed market data is not enabled."
        return Serving(None, ((10168, f"{text}{name}/TOP/ALL"),))
    api_text = (
        "Requested market data requires additional subscription for API. See link in 'Market Data Connections' "
        f"dialog for more details.Delayed market data is available.{name}/TOP/ALL"
    )
    if asked in {LIVE, FROZEN}:
        if entitlement == "api_delayed":
            return Serving(None, ((10089, api_text),))
        return Serving(None, ((354, f"{not_subscribed}Delayed market data is available.{name}/TOP/ALL"),))
    notice = (
        (10089, api_text)
        if entitlement == "api_delayed"
        else (10167, "Requested market data is not subscribed. Displaying delayed market data.")
    )
    if is_open:
        return Serving(DELAYED, (notice,))
    return Serving(DELAYED_FROZEN if asked == DELAYED_FROZEN else DELAYED, (notice,), hides_quotes=asked == DELAYED)


def _serve_entitled(contract: Contract, entitlement: str, asked: int, *, is_open: bool) -> Serving:
    notices: tuple[tuple[int, str], ...] = ()
    partly = entitlement != "live" and isinstance(contract, ListedOption)
    if partly and isinstance(contract, ListedOption):
        underlying = contract_text(contract.underlying)
        if entitlement == "part":
            text = (
                "Part of requested market data is not subscribed. Subscription-independent ticks are still active."
                "Delayed market data is available."
            )
            notices = ((10090, f"{text}{underlying}/TOP/ALL"),)
        else:
            text = (
                "Part of requested market data requires additional subscription for API. See link in "
                "'Market Data Connections' dialog for more details."
            )
            notices = ((10091, f"{text}{underlying}/TOP/ALL"),)
    if is_open:
        return Serving(LIVE, notices, hides_underlying_price=partly)
    frozen = asked in {FROZEN, DELAYED_FROZEN}
    return Serving(FROZEN if frozen else LIVE, notices, hides_quotes=not frozen, hides_underlying_price=partly)
