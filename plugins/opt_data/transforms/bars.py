"""From a day's bars to the rebuilt rows of one slot: pure, one row per contract, whatever is known of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from opt_data.core.bars import BarFailure
from opt_data.core.contracts import ContractSet, OptionContract, SecType
from opt_data.core.outcomes import ErrorType
from opt_data.core.quality import RowContext, row_flags
from opt_data.core.quotes import Quote
from opt_data.core.rebuild_plan import Known, has_bars, is_gone, quote_at, underlying_at, years_to_expiry
from opt_data.core.slots import CaptureMode, Slot
from opt_data.transforms.pricing import OptionTerms, greeks_of_price

PRICED_OFF_FUTURES = frozenset({"VIX", "VIXW"})
"""Classes whose options follow a future, not the index: the index gives no volatility for them."""


@dataclass(frozen=True, slots=True)
class RebuildContext:
    """What all rows of one rebuilt slot share; ``rate`` is a fraction per year, continuously compounded."""

    slot: Slot
    contract_set: ContractSet
    exchange: str
    rate: float
    failures: dict[int, BarFailure]


def rebuilt_rows(contracts: Sequence[OptionContract], known: Known, context: RebuildContext) -> list[dict[str, object]]:
    """One row per contract, in column names: the quote at the slot's instant, or why there is none.

    What all rows share (slot, partition, ingest) is stamped by the store.
    """
    underlying = underlying_at(context.contract_set.underlying.conid, known, context.slot)
    return [_row(contract, known, underlying, context) for contract in contracts]


def _row(
    contract: OptionContract, known: Known, underlying: Quote | None, context: RebuildContext
) -> dict[str, object]:
    quote = quote_at(contract.conid, known, context.slot)
    is_error = quote is None or not quote.has_price
    why = _why_not(contract, known, context) if is_error else BarFailure(contract.conid, "", "")
    spot = None if underlying is None else underlying.last
    age_s = None
    if underlying is not None and underlying.last_tick_at is not None:
        age_s = (context.slot.instant_utc - underlying.last_tick_at).total_seconds()
    row_context = RowContext(
        contract=contract,
        capture_mode=None if is_error else CaptureMode.REBUILT,
        und_price=spot,
        und_age_s=age_s,
        discovery_stale=context.contract_set.stale,
        snapshot_error=is_error,
    )
    quoted = Quote() if quote is None else quote
    return {
        **contract.identity(),
        **({} if is_error else _quote(quoted)),
        **({} if is_error or spot is None else _calculated(contract, quoted, spot, context)),
        "und_last": spot,
        "und_asof_ts": None if underlying is None else underlying.last_tick_at,
        "reference_price": context.contract_set.reference_price or None,
        "quote_exchange": context.exchange,
        "first_seen_slot": contract.first_seen_slot,
        "asof_ts": None if is_error else context.slot.instant_utc,
        "capture_mode": row_context.capture_mode,
        "snapshot_error": is_error,
        "error_type": why.error_type or None,
        "error_message": why.message or None,
        "ib_error_code": why.ib_error_code,
        "data_quality_flag": row_flags(quoted, row_context),
    }


def _why_not(contract: OptionContract, known: Known, context: RebuildContext) -> BarFailure:
    conid = contract.conid
    if (gone := is_gone(conid, known)) is not None:
        return BarFailure(conid, ErrorType.EXPIRED, gone.message, gone.ib_error_code)
    if quote_at(conid, known, context.slot) is None:
        unreached = BarFailure(conid, ErrorType.NOT_ASKED, "the pass over IB's history ended before this contract")
        return context.failures.get(conid, unreached)
    if has_bars(conid, known):
        return BarFailure(conid, ErrorType.NO_BARS, "IB has bars of that day, but none of this slot's instant")
    return BarFailure(conid, ErrorType.NO_BARS, "IB has no bars of the contract on that day", 162)


def _quote(quote: Quote) -> dict[str, object]:
    return {
        "bid": quote.bid,
        "ask": quote.ask,
        "last": quote.last,
        "mid": quote.mid(),
        "volume": None if quote.volume is None else int(quote.volume),
    }


def _calculated(contract: OptionContract, quote: Quote, spot: float, context: RebuildContext) -> dict[str, object]:
    mid = quote.mid()
    if mid is None or contract.trading_class in PRICED_OFF_FUTURES:
        return {}
    terms = OptionTerms(
        right=contract.right,
        strike=contract.strike,
        years=years_to_expiry(contract, context.slot.instant_utc),
        is_american=context.contract_set.underlying.sec_type is not SecType.INDEX,
    )
    greeks = greeks_of_price(mid, spot, terms, context.rate)
    if greeks is None:
        return {}
    return {
        "calc_iv": greeks.iv,
        "calc_delta": greeks.delta,
        "calc_gamma": greeks.gamma,
        "calc_vega": greeks.vega,
        "calc_theta": greeks.theta,
        "calc_rho": greeks.rho,
        "calc_rate": context.rate,
        "calc_model": terms.model,
    }
