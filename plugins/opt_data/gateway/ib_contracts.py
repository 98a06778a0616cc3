"""Our contracts as the client library's."""

from typing import TYPE_CHECKING

from opt_data.core.contracts import OptionContract, Underlying

if TYPE_CHECKING:
    from ib_insync import Contract


def option_contract(contract: OptionContract, exchange: str) -> "Contract":
    """An option at an exchange; its conid decides, the rest must agree."""
    from ib_insync import Contract

    return Contract(
        secType="OPT",
        conId=contract.conid,
        symbol=contract.underlying,
        lastTradeDateOrContractMonth=contract.expiry.strftime("%Y%m%d"),
        strike=contract.strike,
        right=contract.right,
        multiplier=str(contract.multiplier),
        exchange=exchange,
        currency=contract.currency,
        tradingClass=contract.trading_class,
    )


def underlying_contract(underlying: Underlying) -> "Contract":
    """A stock or an index."""
    from ib_insync import Contract

    return Contract(
        secType=str(underlying.sec_type),
        conId=underlying.conid,
        symbol=underlying.symbol,
        exchange=underlying.exchange,
        currency=underlying.currency,
    )
