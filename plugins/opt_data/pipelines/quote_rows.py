"""From samples to the rows of ``raw`` and ``clean``: pure, one row per contract, whatever became of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from opt_data.core.capture_plan import capture_mode, close_capture_mode
from opt_data.core.contracts import ContractSet
from opt_data.core.outcomes import ErrorType
from opt_data.core.quality import RowContext, row_flags
from opt_data.core.quotes import MarketDataType, Quote
from opt_data.core.sessions import NEW_YORK
from opt_data.core.slots import CaptureMode, Slot
from opt_data.gateway.market_data import Sample
from opt_data.storage.layout import ChainView

DELAYED_QUOTE_AGE_S = 900.0
"""How old a delayed US option quote is by IB's description: 15 minutes at least."""

_QUOTE_COLUMNS = (
    "bid", "ask", "last", "bid_size", "ask_size", "last_size", "vwap", "prev_close", "day_open", "day_high", "day_low",
    "mark_price", "last_trade_time", "halted", "hist_volatility", "iv", "delta", "gamma", "theta", "vega", "opt_price",
    "pv_dividend", "und_price_model", "bid_iv", "ask_iv",
)  # fmt: skip

_OF_THE_RUNNING_DAY = ("volume", "vwap", "prev_close", "day_open", "day_high", "day_low")
"""What IB counts anew after its nightly reset: in a closing snapshot taken after midnight it may be the next day's."""


@dataclass(frozen=True, slots=True)
class CaptureContext:
    """What all rows of one attempt share.

    ``exchange`` is the route of the day's set, and the partition. In the view ``CLOSE`` the slot is the close's.
    """

    slot: Slot
    contract_set: ContractSet
    exchange: str
    grace: timedelta
    requested_type: MarketDataType
    view: ChainView = ChainView.INTRADAY


def quote_rows(samples: Sequence[Sample], context: CaptureContext) -> list[dict[str, object]]:
    """One row per sample, in column names; a sample that is no quote of this slot keeps its reason and no prices.

    What all rows share (slot, partition, ingest) is stamped by the store.
    """
    return [_row(sample, context) for sample in samples]


def _row(sample: Sample, context: CaptureContext) -> dict[str, object]:
    error_type, message = sample.error_type, sample.message
    mode: CaptureMode | None = None
    if not error_type:
        mode = _mode(sample, context)
        if mode is None:
            error_type, message = _why_not(sample, context)
    is_error = bool(error_type)
    row_context = RowContext(
        contract=sample.contract,
        capture_mode=mode,
        und_price=_underlying_price(sample.underlying),
        und_age_s=_underlying_age_s(sample),
        used_fallback_exchange=sample.exchange != context.exchange,
        discovery_stale=context.contract_set.stale,
        snapshot_error=is_error,
        farm_outage=sample.farm_outage,
        clock_skew=sample.clock_skew,
    )
    return {
        **sample.contract.identity(),
        **({} if is_error else _quote(sample, context)),
        **_underlying(sample.underlying),
        "reference_price": context.contract_set.reference_price or None,
        "quote_exchange": sample.exchange,
        "first_seen_slot": sample.contract.first_seen_slot,
        "asof_ts": sample.asof,
        "capture_mode": mode,
        "market_data_type": _served(sample.quote),
        "market_data_type_requested": int(context.requested_type),
        "delayed_quote_age_s": _delayed_age(sample.quote) if not is_error else None,
        "snapshot_error": is_error,
        "error_type": error_type or None,
        "error_message": message or None,
        "ib_error_code": sample.ib_error_code,
        "data_quality_flag": row_flags(sample.quote, row_context),
    }


def _mode(sample: Sample, context: CaptureContext) -> CaptureMode | None:
    served = sample.quote.served_type
    if context.view is ChainView.CLOSE:
        return close_capture_mode(context.slot, sample.asof, served)
    return capture_mode(context.slot, sample.asof, served, context.grace)


def _why_not(sample: Sample, context: CaptureContext) -> tuple[str, str]:
    served = sample.quote.served_type
    if context.view is ChainView.CLOSE and (served is None or not served.is_frozen):
        return ErrorType.NO_QUOTE, "the gateway did not serve frozen values: quotes after the bell are not the close"
    if served is not None and served.is_frozen and not context.slot.is_last:
        return ErrorType.NO_QUOTE, "the gateway served frozen values, which are an earlier quote than this slot's"
    return ErrorType.OUT_OF_TIME, "the slot ended before the quote was complete"


def _quote(sample: Sample, context: CaptureContext) -> dict[str, object]:
    quote = sample.quote
    values: dict[str, object] = {name: getattr(quote, name) for name in _QUOTE_COLUMNS}
    values["mid"] = quote.mid()
    values["volume"] = None if quote.volume is None else int(quote.volume)
    values["greeks_source"] = "ib_model" if quote.has_model else None
    if sample.asof.astimezone(NEW_YORK).date() > context.slot.session.day:
        values |= dict.fromkeys(_OF_THE_RUNNING_DAY)
    return values


def _underlying(quote: Quote | None) -> dict[str, object]:
    if quote is None:
        return {}
    return {
        "und_bid": quote.bid,
        "und_ask": quote.ask,
        "und_last": quote.last,
        "und_asof_ts": quote.last_tick_at,
    }


def _underlying_price(quote: Quote | None) -> float | None:
    if quote is None:
        return None
    mid = quote.mid()
    return mid if mid is not None else quote.last


def _underlying_age_s(sample: Sample) -> float | None:
    if sample.underlying is None or sample.underlying.last_tick_at is None:
        return None
    return (sample.asof - sample.underlying.last_tick_at).total_seconds()


def _served(quote: Quote) -> int | None:
    return None if quote.market_data_type is None else int(quote.market_data_type)


def _delayed_age(quote: Quote) -> float | None:
    served = quote.served_type
    return DELAYED_QUOTE_AGE_S if served is not None and served.is_delayed else None
