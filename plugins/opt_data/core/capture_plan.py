"""Decisions of a capture, made before and after the gateway is asked; nothing here asks it."""

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime, timedelta

from opt_data.core.contracts import OptionContract
from opt_data.core.quotes import MarketDataType
from opt_data.core.slots import CaptureMode, Slot, SlotPhase, slot_phase

_SILENT = frozenset({"timed_out", "no_quote", "unknown_contract", "no_permission"})
"""Reasons for which another exchange may have the quote."""


def requested_market_data_type(configured: int, *, allow_delayed: bool, is_close: bool) -> MarketDataType:
    """Which market data type to ask for, once per connection and before any request.

    Asking for delayed data still gives live data wherever the login is entitled to it, so a login with gaps needs one
    pass, not a second one for what was refused. After the bell the closing quote is the frozen one.

    Examples
    --------
    >>> requested_market_data_type(1, allow_delayed=True, is_close=False)
    <MarketDataType.DELAYED: 3>
    >>> requested_market_data_type(1, allow_delayed=False, is_close=True)
    <MarketDataType.FROZEN: 2>
    """
    wanted = MarketDataType(configured)
    delayed = allow_delayed or wanted.is_delayed
    frozen = is_close or wanted.is_frozen
    if delayed:
        return MarketDataType.DELAYED_FROZEN if frozen else MarketDataType.DELAYED
    return MarketDataType.FROZEN if frozen else MarketDataType.LIVE


def capture_mode(slot: Slot, asof: datetime, served: MarketDataType | None, grace: timedelta) -> CaptureMode | None:
    """Under which mode a quote sampled at ``asof`` may be stored for ``slot``; None if it may not.

    Only the close's slot accepts frozen values: after the bell they are the closing quote, at any other slot they
    are an older one.
    """
    phase = slot_phase(slot, asof, grace)
    if phase in (SlotPhase.BEFORE, SlotPhase.OVER):
        return None
    if served is not None and served.is_frozen:
        return CaptureMode.FROZEN if slot.is_last else None
    return CaptureMode.ON_TIME if phase is SlotPhase.ON_TIME else CaptureMode.LATE


def close_capture_mode(close: Slot, asof: datetime, served: MarketDataType | None) -> CaptureMode | None:
    """Whether what was sampled at ``asof`` is the closing quote; None if it is not.

    Only values that the gateway calls frozen are: live ones after the bell come from trading after hours or overnight.
    """
    is_frozen = served is not None and served.is_frozen
    return CaptureMode.FROZEN if is_frozen and close.instant_utc <= asof < close.ends_utc else None


def nearest_first(contracts: Iterable[OptionContract], reference_price: float) -> list[OptionContract]:
    """Order contracts so that what matters most is sampled closest to the slot's instant: near the money, then near
    expiry. Ties are broken by conid, so the order is always the same."""

    def distance(contract: OptionContract) -> tuple[float, date, int]:
        moneyness = abs(contract.strike / reference_price - 1) if reference_price > 0 else 0.0
        return round(moneyness, 2), contract.expiry, contract.conid

    return sorted(contracts, key=distance)


def within_strikes(
    contracts: Sequence[OptionContract], reference_price: float, per_side: int | None
) -> list[OptionContract]:
    """Only ``per_side`` strikes on each side of the money, per class and expiry; all of them if it is None.

    A strike at the reference price counts as one above it.
    """
    if per_side is None:
        return list(contracts)
    kept: list[OptionContract] = []
    groups = sorted({(contract.trading_class, contract.expiry) for contract in contracts})
    for group in groups:
        members = [contract for contract in contracts if (contract.trading_class, contract.expiry) == group]
        strikes = sorted({contract.strike for contract in members})
        below = [strike for strike in strikes if strike < reference_price][-per_side:]
        above = [strike for strike in strikes if strike >= reference_price][:per_side]
        near = {*below, *above}
        kept += [contract for contract in members if contract.strike in near]
    return kept


def contracts_left(contracts: Sequence[OptionContract], settled: Collection[int]) -> list[OptionContract]:
    """The contracts still worth asking for: those without a row that could not be made better."""
    return [contract for contract in contracts if contract.conid not in settled]


def is_settled(
    *, snapshot_error: bool, mode: str | None, flags: Collection[str], require_greeks: bool
) -> bool:  # fmt: skip
    """Whether a stored row cannot be improved by sampling again: on time (or frozen at the close), and complete."""
    if snapshot_error or mode not in (CaptureMode.ON_TIME, CaptureMode.FROZEN):
        return False
    return not (require_greeks and "missing_greeks" in flags) and "delayed_fallback" not in flags


def worth_another_exchange(error_type: str) -> bool:
    """Whether a contract that gave nothing at one exchange should be tried at the next."""
    return error_type in _SILENT
