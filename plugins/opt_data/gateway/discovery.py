"""The questions of contract discovery, asked of IB: who is the underlying, where did it close, which options exist."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, time
from typing import TYPE_CHECKING

from opt_data.core.contracts import OptionContract, SecType, Series, Underlying
from opt_data.core.sessions import NEW_YORK
from opt_data.errors import (
    AmbiguousContract,
    ContractUnknown,
    GatewayUnavailable,
    OptDataError,
    RequestRejected,
)
from opt_data.gateway.port import OptionParams, Qualified, ReferencePrice, ResolvedUnderlying
from opt_data.gateway.session import GatewaySession

if TYPE_CHECKING:
    from ib_insync import Contract, ContractDetails

DAILY_BARS_ASKED = "10 D"
"""Enough to hold the last session before any day, holidays and long weekends included."""


class IbContractGateway:
    """:class:`opt_data.gateway.port.ContractGateway` over one IB session."""

    def __init__(self, session: GatewaySession) -> None:
        self._session = session

    async def resolve_underlying(self, underlying: Underlying) -> ResolvedUnderlying:
        """See the port. The fingerprint is made of IB's conid, names, class and validity of the underlying."""
        details = await self._details(_underlying_query(underlying), f"contract of {underlying.symbol}")
        if underlying.conid:
            details = [d for d in details if d.contract is not None and d.contract.conId == underlying.conid]
        if not details:
            raise ContractUnknown(
                f"IB has no {underlying.sec_type} {underlying.symbol} at {underlying.exchange}"
                + (f" with conid {underlying.conid}" if underlying.conid else "")
                + "; correct symbol, conid, exchange or sec_type in the universe file"
            )
        if len(details) > 1:
            conids = ", ".join(str(d.contract.conId) for d in details if d.contract is not None)
            raise AmbiguousContract(
                f"{underlying.symbol} at {underlying.exchange} matches conids {conids}; name one in the universe file"
            )
        found = details[0]
        contract = found.contract
        if contract is None or contract.symbol != underlying.symbol:
            raise ContractUnknown(
                f"conid {underlying.conid} belongs to {contract.symbol if contract else 'nothing'}, not to "
                f"{underlying.symbol}; correct the universe file"
            )
        parts = (contract.conId, contract.symbol, contract.localSymbol, contract.tradingClass, contract.primaryExchange,
                 found.longName, found.stockType, found.secIdList)  # fmt: skip
        return ResolvedUnderlying(
            replace(underlying, conid=contract.conId, currency=contract.currency), "|".join(map(str, parts))
        )

    async def previous_close(self, underlying: Underlying, day: date) -> ReferencePrice:
        """See the port. From daily TRADES bars, which exist for stocks and indices alike."""
        end = datetime.combine(day, time(0), NEW_YORK)
        bars = await self._session.ask(
            f"daily bars of {underlying.symbol}",
            self._session.ib.reqHistoricalDataAsync(
                _underlying_query(underlying), end, DAILY_BARS_ASKED, "1 day", "TRADES", True, 2, timeout=0
            ),
        )
        closes = [(_bar_day(bar.date), bar.close) for bar in bars if _bar_day(bar.date) < day and bar.close > 0]
        if not closes:
            raise RequestRejected(
                f"IB gave no daily bar of {underlying.symbol} before {day}: is its market data subscribed?"
            )
        last_day, close = max(closes)
        return ReferencePrice(close, f"close of {last_day}")

    async def option_params(self, underlying: Underlying) -> tuple[OptionParams, ...]:
        chains = await self._session.ask(
            f"option parameters of {underlying.symbol}",
            self._session.ib.reqSecDefOptParamsAsync(underlying.symbol, "", str(underlying.sec_type), underlying.conid),
        )
        return tuple(
            OptionParams(
                chain.exchange,
                chain.tradingClass,
                int(float(chain.multiplier or 100)),
                tuple(sorted(datetime.strptime(e, "%Y%m%d").date() for e in chain.expirations)),  # noqa: DTZ007
                tuple(sorted(float(strike) for strike in chain.strikes)),
            )
            for chain in chains
        )

    async def qualify(
        self, underlying: Underlying, series: Sequence[Series], exchange: str, batch_size: int
    ) -> Qualified:
        found: list[OptionContract] = []
        unknown: set[Series] = set()
        failed: dict[Series, OptDataError] = {}
        for start in range(0, len(series), batch_size):
            batch = series[start : start + batch_size]
            answers = await asyncio.gather(*(self._qualify_one(underlying, one, exchange) for one in batch))
            for one, answer in zip(batch, answers, strict=True):
                if isinstance(answer, OptionContract):
                    found.append(answer)
                elif isinstance(answer, ContractUnknown):
                    unknown.add(one)
                elif isinstance(answer, GatewayUnavailable):
                    raise answer
                else:
                    failed[one] = answer
        return Qualified(tuple(found), frozenset(unknown), failed)

    async def _qualify_one(
        self, underlying: Underlying, series: Series, exchange: str
    ) -> OptionContract | OptDataError:
        what = f"{series.trading_class} {series.expiry} {series.strike:g} {series.right}"
        query = _option_query(underlying, series, exchange)
        try:
            contracts = await self._session.ask(what, self._session.ib.qualifyContractsAsync(query))
        except OptDataError as error:
            return error
        if not contracts:
            return AmbiguousContract(f"more than one contract matches {what}")
        return _option_contract(contracts[0], underlying, series, exchange)

    async def _details(self, query: "Contract", what: str) -> "list[ContractDetails]":
        try:
            return list(await self._session.ask(what, self._session.ib.reqContractDetailsAsync(query)))
        except ContractUnknown:
            return []


def _option_contract(contract: "Contract", underlying: Underlying, series: Series, exchange: str) -> OptionContract:
    return OptionContract(
        conid=contract.conId,
        symbol=contract.localSymbol,
        underlying=underlying.symbol,
        und_conid=underlying.conid,
        expiry=series.expiry,
        right=series.right,
        strike=series.strike,
        multiplier=int(float(contract.multiplier or 100)),
        exchange=exchange,
        trading_class=contract.tradingClass,
        currency=contract.currency,
    )


def _underlying_query(underlying: Underlying) -> "Contract":
    from ib_insync import Contract

    exchange = underlying.exchange
    if underlying.sec_type is SecType.INDEX and exchange == "SMART":
        exchange = "CBOE"
    return Contract(
        secType=str(underlying.sec_type),
        conId=underlying.conid,
        symbol=underlying.symbol,
        exchange=exchange,
        currency=underlying.currency,
    )


def _option_query(underlying: Underlying, series: Series, exchange: str) -> "Contract":
    from ib_insync import Contract

    return Contract(
        secType="OPT",
        symbol=underlying.symbol,
        lastTradeDateOrContractMonth=series.expiry.strftime("%Y%m%d"),
        strike=series.strike,
        right=series.right,
        exchange=exchange,
        currency=underlying.currency,
        tradingClass=series.trading_class,
    )


def _bar_day(stamp: object) -> date:
    return stamp.date() if isinstance(stamp, datetime) else stamp  # type: ignore[return-value]
