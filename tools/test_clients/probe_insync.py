"""Ask a gateway everything through ib_insync or ib_async and print what the client decoded, as JSON.

Arguments: module name, plan (JSON: host, port, client_id, conids, symbols, …). Runs in the client's own environment.
"""

import asyncio
import importlib
import json
import math
import sys
from typing import Any

ib_client = importlib.import_module(sys.argv[1])
PLAN = json.loads(sys.argv[2])
TIMEOUT_S = 15.0

FIELDS = {
    "bid": "bid", "bid_size": "bidSize", "ask": "ask", "ask_size": "askSize", "last": "last", "last_size": "lastSize",
    "volume": "volume", "day_open": "open", "day_high": "high", "day_low": "low", "prev_close": "close",
    "mark": "markPrice", "halted": "halted", "bid_exchange": "bidExchange", "ask_exchange": "askExchange",
    "last_exchange": "lastExchange", "call_open_interest": "callOpenInterest",
    "put_open_interest": "putOpenInterest", "call_volume": "callVolume", "put_volume": "putVolume",
    "underlying_iv": "impliedVolatility", "hist_volatility": "histVolatility", "rt_volume": "rtVolume",
}  # fmt: skip
MODELS = {"bid_model": "bidGreeks", "ask_model": "askGreeks", "last_model": "lastGreeks", "model": "modelGreeks"}


def plain(value: Any) -> Any:
    return None if value is None or (isinstance(value, float) and math.isnan(value)) or value == "" else value


def model_values(computation: Any) -> list[Any] | None:
    if computation is None:
        return None
    c = computation
    return [c.impliedVol, c.delta, c.optPrice, c.pvDividend, c.gamma, c.vega, c.theta, c.undPrice]


def details_of(details: Any) -> dict[str, Any]:
    c = details.contract
    return {
        "conid": c.conId, "symbol": c.symbol, "sec_type": c.secType, "last_trade": c.lastTradeDateOrContractMonth,
        "strike": c.strike, "right": c.right, "multiplier": c.multiplier, "exchange": c.exchange,
        "currency": c.currency, "local_symbol": c.localSymbol, "trading_class": c.tradingClass,
        "primary_exchange": c.primaryExchange, "market_name": details.marketName, "min_tick": details.minTick,
        "valid_exchanges": details.validExchanges, "und_conid": details.underConId, "long_name": details.longName,
        "contract_month": details.contractMonth, "time_zone": details.timeZoneId,
        "trading_hours": details.tradingHours, "und_symbol": details.underSymbol,
        "real_expiration": details.realExpirationDate, "stock_type": details.stockType,
        "last_trade_time": details.lastTradeTime, "sec_ids": [[t.tag, t.value] for t in details.secIdList or []],
    }  # fmt: skip


async def until(condition: Any) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():
            await asyncio.sleep(0.02)


async def ticks_of(ib: Any, data_type: int) -> dict[str, Any]:
    ib.reqMarketDataType(data_type)
    found = {}
    for conid, wanted in PLAN["market_data"].items():
        contract = ib_client.Contract(conId=int(conid), exchange=wanted["exchange"])
        ticker = ib.reqMktData(contract, wanted["generic"], False, False)
        await until(lambda ticker=ticker, wanted=wanted: _is_complete(ticker, wanted["is_option"]))
        await asyncio.sleep(0.1)
        values = {name: plain(getattr(ticker, attribute)) for name, attribute in FIELDS.items()}
        values |= {name: model_values(getattr(ticker, attribute)) for name, attribute in MODELS.items()}
        values["served_type"] = ticker.marketDataType
        found[conid] = values
        ib.cancelMktData(contract)
    return found


def _is_complete(ticker: Any, is_option: bool) -> bool:
    return ticker.modelGreeks is not None if is_option else plain(ticker.last) is not None


async def main() -> dict[str, Any]:
    ib = ib_client.IB()
    errors: list[tuple[int, str]] = []
    ib.errorEvent += lambda req_id, code, text, contract: errors.append((code, text)) if req_id > -1 else None
    await ib.connectAsync(PLAN["host"], PLAN["port"], clientId=PLAN["client_id"], timeout=TIMEOUT_S)
    out: dict[str, Any] = {"server_version": ib.client.serverVersion(), "accounts": ib.client.getAccounts()}
    out["current_time"] = int((await ib.reqCurrentTimeAsync()).timestamp())
    out["details"] = {}
    for name, query in PLAN["details"].items():
        rows = await asyncio.wait_for(ib.reqContractDetailsAsync(ib_client.Contract(**query)), TIMEOUT_S)
        out["details"][name] = sorted((details_of(row) for row in rows), key=lambda row: row["conid"])
    chain = await asyncio.wait_for(ib.reqSecDefOptParamsAsync(*PLAN["chain"]), TIMEOUT_S)
    out["chain"] = sorted(
        [c.exchange, int(c.underlyingConId), c.tradingClass, c.multiplier, sorted(c.expirations), sorted(c.strikes)]
        for c in chain
    )
    out["live"] = await ticks_of(ib, 1) if PLAN["phase"] == "live" else {}
    out["frozen"] = await ticks_of(ib, 2) if PLAN["phase"] == "frozen" else {}
    out["bars"] = {}
    for name, wanted in PLAN["bars"].items():
        contract = ib_client.Contract(conId=wanted["conid"], exchange=wanted["exchange"])
        rows = await ib.reqHistoricalDataAsync(
            contract, wanted["end"], wanted["duration"], wanted["size"], wanted["what"], True, formatDate=2
        )
        out["bars"][name] = [
            [label(b.date), b.open, b.high, b.low, b.close, b.volume, b.average, b.barCount] for b in rows
        ]
    stock = ib_client.Contract(conId=PLAN["head"], exchange="SMART")
    out["head"] = int((await ib.reqHeadTimeStampAsync(stock, "TRADES", True, 2)).timestamp())
    errors.clear()
    await asyncio.wait_for(ib.reqContractDetailsAsync(ib_client.Contract(**PLAN["unknown"])), TIMEOUT_S)
    ib.reqMktData(ib_client.Contract(conId=PLAN["head"], exchange="SMART"), PLAN["illegal_generic"], False, False)
    await until(lambda: len(errors) >= 2)
    out["errors"] = [list(error) for error in errors]
    ib.disconnect()
    return out


def label(when: Any) -> str:
    return str(int(when.timestamp())) if hasattr(when, "timestamp") else f"{when:%Y%m%d}"


print(json.dumps(asyncio.run(main())))
