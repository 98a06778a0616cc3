"""From a contract as a client names it to contracts of the market, and from those to IB's contract details."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from ibsim.market.chains import ListedOption
from ibsim.market.hours import NEW_YORK, MarketHours, new_york_date
from ibsim.market.model import Contract, Market, min_tick
from ibsim.market.universe import Instrument
from ibsim.messages.replies import ContractDetailsReply, OptionParametersReply
from ibsim.messages.requests import ContractQuery

OPTION_EXCHANGES = (
    "SMART", "AMEX", "CBOE", "PHLX", "ISE", "PSE", "BOX", "BATS", "NASDAQOM", "CBOE2", "MIAX", "CBOEOPT",
)  # fmt: skip
STOCK_EXCHANGES = ("SMART", "AMEX", "NYSE", "CBOE", "ISE", "ARCA", "NASDAQ", "BATS", "IEX", "DRCTEDGE")
_ORDER_TYPES = "ACTIVETIM,AD,ADJUST,ALERT,ALGO,AVGCOST,BASKET,COND,DAY,GTC,LMT,MKT,SMARTSTG"
_HOURS_DAYS = 5


def find_contracts(
    market: Market, query: ContractQuery, instant_s: float, *, include_expired: bool = False
) -> Iterator[Contract]:
    """All contracts that a query fits; nothing where it names a wrong exchange or currency."""
    today = new_york_date(instant_s)
    if query.currency not in {"", "USD"}:
        return
    if query.conid:
        contract = market.by_conid(query.conid, instant_s)
        if (
            contract is not None
            and _trades_at(contract, query.exchange)
            and (isinstance(contract, Instrument) or _is_current(market, contract, today, include_expired))
        ):
            yield contract
        return
    if query.sec_type in {"STK", "IND"}:
        instrument = market.universe.by_symbol(query.symbol or query.local_symbol)
        if instrument is not None and instrument.sec_type == query.sec_type and _trades_at(instrument, query.exchange):
            yield instrument
    elif query.sec_type == "OPT" and query.exchange in {"", *OPTION_EXCHANGES}:
        yield from _find_options(market, query, today, include_expired)


def _find_options(market: Market, query: ContractQuery, today: date, include_expired: bool) -> Iterator[ListedOption]:
    instrument = _instrument_of_option(market, query)
    if instrument is None or query.multiplier not in {"", "100"}:
        return
    for option in market.chains.find(
        instrument,
        today,
        last_trade=query.last_trade,
        strike=query.strike,
        right=query.right,
        trading_class=query.trading_class,
        include_expired=include_expired,
    ):
        if query.local_symbol in {"", option.local_symbol}:
            yield option


def _instrument_of_option(market: Market, query: ContractQuery) -> Instrument | None:
    """By symbol, or by the class in the first six characters of an OSI name."""
    if query.symbol:
        return market.universe.by_symbol(query.symbol)
    root = query.local_symbol[:6].strip()
    return next((i for i in market.universe if any(c.name == root for c in i.classes)), None)


def _trades_at(contract: Contract, exchange: str) -> bool:
    if isinstance(contract, ListedOption):
        return exchange in {"", *OPTION_EXCHANGES}
    if contract.is_index:
        return exchange in {"", contract.primary_exchange}
    return exchange in {"", *STOCK_EXCHANGES}


def _is_current(market: Market, option: ListedOption, today: date, include_expired: bool) -> bool:
    """Expired options can be found for one more session, if asked for."""
    last = option.expiry.last_trade
    return last >= today or (include_expired and last >= market.hours.session_before(today).day)


def describe_contract(
    market: Market, contract: Contract, req_id: int, exchange: str, time_zone: str, instant_s: float
) -> ContractDetailsReply:
    """IB's details of a contract, at the exchange asked for (``SMART`` where none was)."""
    hours = trading_hours(market.hours, new_york_date(instant_s))
    if isinstance(contract, Instrument):
        return _describe_instrument(contract, req_id, exchange, time_zone, hours)
    expiry = contract.expiry
    ends = datetime.fromtimestamp(contract.ends_trading_s, NEW_YORK)
    underlying = contract.underlying
    return ContractDetailsReply(
        req_id=req_id,
        symbol=underlying.symbol,
        sec_type="OPT",
        last_trade=f"{expiry.last_trade:%Y%m%d} {ends:%H:%M:%S} {time_zone}",
        strike=contract.strike,
        right=contract.right,
        exchange=exchange or "SMART",
        currency="USD",
        local_symbol=contract.local_symbol,
        market_name=contract.option_class.name,
        trading_class=contract.option_class.name,
        conid=contract.conid,
        min_tick=min_tick(underlying, 0.0),
        multiplier=str(contract.multiplier),
        order_types=_ORDER_TYPES,
        valid_exchanges=",".join(OPTION_EXCHANGES),
        und_conid=underlying.conid,
        long_name=underlying.long_name,
        primary_exchange="",
        contract_month=f"{expiry.expiration:%Y%m}",
        industry="",
        category="",
        subcategory="",
        time_zone=time_zone,
        trading_hours=hours,
        liquid_hours=hours,
        sec_ids=(),
        agg_group=2,
        und_symbol=underlying.symbol,
        und_sec_type=underlying.sec_type,
        market_rules=",".join("32" for _ in OPTION_EXCHANGES),
        real_expiration=f"{expiry.expiration:%Y%m%d}",
        stock_type="",
    )


def _describe_instrument(
    instrument: Instrument, req_id: int, exchange: str, time_zone: str, hours: str
) -> ContractDetailsReply:
    index = instrument.is_index
    exchanges = (instrument.primary_exchange,) if index else STOCK_EXCHANGES
    return ContractDetailsReply(
        req_id=req_id,
        symbol=instrument.symbol,
        sec_type=instrument.sec_type,
        last_trade="",
        strike=0.0,
        right="",
        exchange=exchange or exchanges[0],
        currency="USD",
        local_symbol=instrument.symbol,
        market_name=instrument.symbol if index else "NMS",
        trading_class=instrument.symbol if index else "NMS",
        conid=instrument.conid,
        min_tick=0.01,
        multiplier="",
        order_types=_ORDER_TYPES,
        valid_exchanges=",".join(exchanges),
        und_conid=0,
        long_name=instrument.long_name,
        primary_exchange=instrument.primary_exchange,
        contract_month="",
        industry=instrument.industry,
        category=instrument.industry,
        subcategory=instrument.industry,
        time_zone=time_zone,
        trading_hours=hours,
        liquid_hours=hours,
        sec_ids=() if index else (("ISIN", f"US{instrument.conid:09d}0"),),
        agg_group=1,
        und_symbol="",
        und_sec_type="",
        market_rules=",".join("26" for _ in exchanges),
        real_expiration="",
        stock_type=instrument.stock_type,
    )


def describe_chains(
    market: Market, instrument: Instrument, req_id: int, instant_s: float
) -> list[OptionParametersReply]:
    """The chain grids of a symbol: every class at every option exchange."""
    return [
        OptionParametersReply(
            req_id,
            exchange,
            instrument.conid,
            chain.option_class.name,
            chain.multiplier,
            chain.expirations,
            chain.strikes,
        )
        for chain in market.chains.parameters(instrument, new_york_date(instant_s))
        for exchange in OPTION_EXCHANGES
    ]


def trading_hours(hours: MarketHours, first: date) -> str:
    """Five days as IB writes them: ``20260105:0930-20260105:1600;20260106:CLOSED``."""
    parts = []
    for day in (first + timedelta(days=i) for i in range(_HOURS_DAYS)):
        session = hours.trading_day(day)
        if session is None:
            parts.append(f"{day:%Y%m%d}:CLOSED")
            continue
        opens, closes = (datetime.fromtimestamp(s, NEW_YORK) for s in (session.open_s, session.close_s))
        parts.append(f"{opens:%Y%m%d:%H%M}-{closes:%Y%m%d:%H%M}")
    return ";".join(parts)
