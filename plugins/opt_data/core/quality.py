"""Flags of a single row: what a reader should know about a quote before trusting it. Nothing is deleted for a flag."""

from dataclasses import dataclass

from opt_data.core.chain_filter import ClassKind, class_kind
from opt_data.core.contracts import OptionContract
from opt_data.core.quotes import Quote
from opt_data.core.slots import CaptureMode

IV_MIN, IV_MAX = 0.01, 5.0
WIDE_RATIO, WIDE_MID_MIN_USD = 10.0, 1.0
DELTA_TOLERANCE = 1e-6
UND_AGE_MAX_S, UND_GAP_MAX = 60.0, 0.005


@dataclass(frozen=True, slots=True)
class RowContext:
    """What is known of a row besides its quote; ``und_age_s`` is how long before the sample the underlying ticked."""

    contract: OptionContract
    capture_mode: CaptureMode | None
    und_price: float | None
    und_age_s: float | None = None
    used_fallback_exchange: bool = False
    discovery_stale: bool = False
    snapshot_error: bool = False
    farm_outage: bool = False
    clock_skew: bool = False


def row_flags(quote: Quote, context: RowContext) -> list[str]:
    """All flags of one row, in a fixed order.

    ``und_price`` is the underlying's price sampled in the same pass; without it nothing is said about intrinsic
    value. A row without a quote carries the flags of its circumstances only. Bars have neither IB's model nor a market
    data type, so a rebuilt row is not flagged for lacking them.
    """
    flags = _circumstances(quote, context)
    if not context.snapshot_error:
        flags += _spread(quote) + _model(quote, context)
    return flags


def _circumstances(quote: Quote, context: RowContext) -> list[str]:
    served = quote.served_type
    is_rebuilt = context.capture_mode is CaptureMode.REBUILT
    found = {
        "snapshot_error": context.snapshot_error,
        "late_capture": context.capture_mode is CaptureMode.LATE,
        "rebuilt_from_bars": is_rebuilt,
        "frozen": context.capture_mode is CaptureMode.FROZEN,
        "delayed_fallback": served is not None and served.is_delayed,
        "md_type_unconfirmed": not (context.snapshot_error or is_rebuilt) and quote.market_data_type is None,
        "farm_outage": context.farm_outage,
        "clock_skew": context.clock_skew,
        "fallback_exchange": context.used_fallback_exchange,
        "discovery_stale": context.discovery_stale,
        "adjusted_contract": is_adjusted(context.contract),
    }
    return [name for name, holds in found.items() if holds]


def _spread(quote: Quote) -> list[str]:
    bid, ask = quote.bid, quote.ask
    if bid is None:
        return ["no_bid"]
    if ask is None:
        return []
    if bid > ask:
        return ["crossed"]
    if bid == ask:
        return ["locked"]
    return ["wide"] if ask > WIDE_RATIO * bid and (bid + ask) / 2 > WIDE_MID_MIN_USD else []


def _model(quote: Quote, context: RowContext) -> list[str]:
    flags = []
    if not quote.has_model and context.capture_mode is not CaptureMode.REBUILT:
        flags.append("missing_greeks")
    if quote.iv is not None and not IV_MIN <= quote.iv <= IV_MAX:
        flags.append("iv_out_of_range")
    if quote.delta is not None and not _delta_fits(quote.delta, context.contract.right):
        flags.append("delta_out_of_range")
    ask, und_price = quote.ask, context.und_price
    if ask is not None and und_price is not None and ask < intrinsic(context.contract, und_price):
        flags.append("below_intrinsic")
    if _is_asynchronous(quote, context):
        flags.append("und_async")
    return flags


def _is_asynchronous(quote: Quote, context: RowContext) -> bool:
    """Whether the underlying's price is from another moment: by its age, or by what the option's model used."""
    if context.und_age_s is not None and context.und_age_s > UND_AGE_MAX_S:
        return True
    if quote.und_price_model is None or not context.und_price:
        return False
    return abs(quote.und_price_model / context.und_price - 1) > UND_GAP_MAX


def _delta_fits(delta: float, right: str) -> bool:
    low, high = (0.0, 1.0) if right == "C" else (-1.0, 0.0)
    return low - DELTA_TOLERANCE <= delta <= high + DELTA_TOLERANCE


def intrinsic(contract: OptionContract, und_price: float) -> float:
    """What exercising now would give, USD per share, never negative.

    European style index puts may trade below it, deep in the money; the flag says so, it does not judge.
    """
    gain = und_price - contract.strike if contract.right == "C" else contract.strike - und_price
    return max(0.0, gain)


def is_adjusted(contract: OptionContract) -> bool:
    """A class with a digit behind the symbol (``AMD1``), or a multiplier that is not 100, marks a non-standard
    contract after a corporate action."""
    return contract.multiplier != 100 or (class_kind(contract.underlying, contract.trading_class) is ClassKind.ADJUSTED)
