"""Ask a gateway everything through the official client (ibapi) and print what it decoded, as JSON.

Argument: plan (JSON). Runs in the client's own environment; the plain names are those of ``probe_insync.py``.
"""

import json
import sys
import threading
from typing import Any

from ibapi.client import EClient
from ibapi.contract import Contract, ContractDetails
from ibapi.wrapper import EWrapper

PLAN = json.loads(sys.argv[1])
TIMEOUT_S = 15.0
PRICES = {1: "bid", 2: "ask", 4: "last", 6: "day_high", 7: "day_low", 9: "prev_close", 14: "day_open", 37: "mark"}
SIZES = {
    0: "bid_size", 3: "ask_size", 5: "last_size", 8: "volume", 27: "call_open_interest", 28: "put_open_interest",
    29: "call_volume", 30: "put_volume",
}  # fmt: skip
GENERICS = {23: "hist_volatility", 24: "underlying_iv", 49: "halted"}
STRINGS = {32: "bid_exchange", 33: "ask_exchange", 84: "last_exchange"}
MODELS = {10: "bid_model", 11: "ask_model", 12: "last_model", 13: "model"}
NAMES = sorted(
    {*PRICES.values(), *SIZES.values(), *GENERICS.values(), *STRINGS.values(), *MODELS.values(), "rt_volume"}
)


class Probe(EWrapper, EClient):
    """Collects answers; ``wait`` blocks until the one that ends a request has come."""

    def __init__(self) -> None:
        EClient.__init__(self, self)
        self.ready = threading.Event()
        self.done = threading.Event()
        self.model_seen = threading.Event()
        self.account_text = ""
        self.time_s = 0
        self.rows: list[Any] = []
        self.values: dict[str, Any] = {}
        self.errors: list[tuple[int, str]] = []
        self.head_text = ""

    def wait(self, event: threading.Event) -> None:
        if not event.wait(TIMEOUT_S):
            raise TimeoutError("no answer")
        event.clear()

    def nextValidId(self, order_id: int) -> None:  # noqa: N802
        self.ready.set()

    def managedAccounts(self, accounts: str) -> None:  # noqa: N802
        self.account_text = accounts

    def currentTime(self, time_s: int) -> None:  # noqa: N802
        self.time_s = time_s
        self.done.set()

    def error(self, req_id: int, *args: Any) -> None:
        # Newer versions put the time of the error first: the code is the number before the text.
        at = next(i for i, a in enumerate(args) if isinstance(a, str))
        code, text = args[at - 1], args[at]
        if req_id > -1:
            self.errors.append((code, text))
            self.done.set()

    def contractDetails(self, req_id: int, details: ContractDetails) -> None:  # noqa: N802
        self.rows.append(details)

    def contractDetailsEnd(self, req_id: int) -> None:  # noqa: N802
        self.done.set()

    def securityDefinitionOptionParameter(  # noqa: N802
        self, req_id: int, exchange: str, und_conid: int, trading_class: str, multiplier: str, expirations: Any,
        strikes: Any,
    ) -> None:  # fmt: skip
        row = [exchange, int(und_conid), trading_class, multiplier, sorted(expirations), sorted(strikes)]
        self.rows.append(row)

    def securityDefinitionOptionParameterEnd(self, req_id: int) -> None:  # noqa: N802
        self.done.set()

    def marketDataType(self, req_id: int, data_type: int) -> None:  # noqa: N802
        self.values["served_type"] = data_type

    def tickPrice(self, req_id: int, tick_type: int, price: float, attrib: Any) -> None:  # noqa: N802
        self.values[PRICES[tick_type]] = price
        if tick_type == 14:
            self.done.set()

    def tickSize(self, req_id: int, tick_type: int, size: Any) -> None:  # noqa: N802
        self.values[SIZES[tick_type]] = float(size)

    def tickGeneric(self, req_id: int, tick_type: int, value: float) -> None:  # noqa: N802
        self.values[GENERICS[tick_type]] = value

    def tickString(self, req_id: int, tick_type: int, value: str) -> None:  # noqa: N802
        if tick_type in STRINGS:
            self.values[STRINGS[tick_type]] = value
        elif tick_type == 48:
            self.values["rt_volume"] = float(value.split(";")[3])

    def tickOptionComputation(  # noqa: N802
        self, req_id: int, tick_type: int, attrib: int, iv: Any, delta: Any, price: Any, dividend: Any, gamma: Any,
        vega: Any, theta: Any, und_price: Any,
    ) -> None:  # fmt: skip
        self.values[MODELS[tick_type]] = [iv, delta, price, dividend, gamma, vega, theta, und_price]
        if tick_type == 13:
            self.model_seen.set()

    def historicalData(self, req_id: int, bar: Any) -> None:  # noqa: N802
        self.rows.append([
            bar.date, bar.open, bar.high, bar.low, bar.close, float(bar.volume), float(bar.wap), bar.barCount,
        ])  # fmt: skip

    def historicalDataEnd(self, req_id: int, start: str, end: str) -> None:  # noqa: N802
        self.done.set()

    def headTimestamp(self, req_id: int, text: str) -> None:  # noqa: N802
        self.head_text = text
        self.done.set()


def contract_of(fields: dict[str, Any]) -> Contract:
    contract = Contract()
    for name, value in fields.items():
        setattr(contract, name, value)
    return contract


def details_of(details: ContractDetails) -> dict[str, Any]:
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


def ticks_of(probe: Probe, data_type: int, first_id: int) -> dict[str, Any]:
    probe.reqMarketDataType(data_type)
    found = {}
    for number, (conid, wanted) in enumerate(PLAN["market_data"].items()):
        probe.values = dict.fromkeys(NAMES)
        probe.done.clear()
        probe.model_seen.clear()
        contract = contract_of({"conId": int(conid), "exchange": wanted["exchange"]})
        probe.reqMktData(first_id + number, contract, wanted["generic"], False, False, [])
        probe.wait(probe.model_seen if wanted["is_option"] else probe.done)
        threading.Event().wait(0.1)
        found[conid] = probe.values
        probe.cancelMktData(first_id + number)
    return found


def main() -> dict[str, Any]:
    probe = Probe()
    probe.connect(PLAN["host"], PLAN["port"], PLAN["client_id"])
    threading.Thread(target=probe.run, daemon=True).start()
    probe.wait(probe.ready)
    out: dict[str, Any] = {"server_version": probe.serverVersion(), "accounts": probe.account_text.split(",")}
    probe.reqCurrentTime()
    probe.wait(probe.done)
    out["current_time"] = probe.time_s
    out["details"] = {}
    for number, (name, query) in enumerate(PLAN["details"].items()):
        probe.rows = []
        probe.reqContractDetails(100 + number, contract_of(query))
        probe.wait(probe.done)
        out["details"][name] = sorted((details_of(row) for row in probe.rows), key=lambda row: row["conid"])
    probe.rows = []
    probe.reqSecDefOptParams(200, *PLAN["chain"])
    probe.wait(probe.done)
    out["chain"] = sorted(probe.rows)
    out["live"] = ticks_of(probe, 1, 300) if PLAN["phase"] == "live" else {}
    out["frozen"] = ticks_of(probe, 2, 400) if PLAN["phase"] == "frozen" else {}
    out["bars"] = {}
    for number, (name, wanted) in enumerate(PLAN["bars"].items()):
        probe.rows = []
        probe.done.clear()
        contract = contract_of({"conId": wanted["conid"], "exchange": wanted["exchange"]})
        probe.reqHistoricalData(
            500 + number, contract, wanted["end"], wanted["duration"], wanted["size"], wanted["what"], 1, 2, False, []
        )
        probe.wait(probe.done)
        out["bars"][name] = probe.rows
    probe.reqHeadTimeStamp(600, contract_of({"conId": PLAN["head"], "exchange": "SMART"}), "TRADES", 1, 2)
    probe.wait(probe.done)
    out["head"] = int(probe.head_text)
    probe.errors.clear()
    probe.reqContractDetails(700, contract_of(PLAN["unknown"]))
    probe.wait(probe.done)
    stock = contract_of({"conId": PLAN["head"], "exchange": "SMART"})
    probe.reqMktData(701, stock, PLAN["illegal_generic"], False, False, [])
    probe.wait(probe.done)
    out["errors"] = [list(error) for error in probe.errors]
    probe.disconnect()
    return out


print(json.dumps(main()))
