"""Quality flags, each once. A flag marks a row; it never deletes one."""

FLAGS: dict[str, str] = {
    "delayed_fallback": "Delayed data: the login has no live data for the contract and the configuration allows this.",
    "late_capture": "Sampled after the grace period of its slot.",
    "rebuilt_from_bars": "Rebuilt from 1-minute bars after its slot was over.",
    "frozen": "The closing values that IB froze, sampled after the bell.",
    "md_type_unconfirmed": "The gateway did not say which kind of market data it served.",
    "missing_greeks": "The model gave no implied volatility or no delta in time.",
    "no_bid": "Nobody bids.",
    "crossed": "Bid above ask.",
    "locked": "Bid equals ask.",
    "wide": "The spread is wide for its price.",
    "iv_out_of_range": "Implied volatility is outside the plausible range.",
    "delta_out_of_range": "Delta is outside -1 … 1, or has the wrong sign for its right.",
    "below_intrinsic": "The offer is below the intrinsic value.",
    "und_async": "The underlying's values are from another moment than the option's.",
    "stale_quote": "The quote did not change for longer than is plausible.",
    "missing_oi": "No open interest of the session: not yet, or not by its deadline.",
    "oi_not_rolled": "By its deadline, open interest still showed an earlier session.",
    "oi_enrichment_failed": "Open interest failed on three days in a row.",
    "discovery_stale": "The contract set is an earlier day's, because discovery failed.",
    "slot_retry_exceeded": "The slot was given up: the last try of its capture failed too, and nothing asks by itself.",
    "slot_coverage_breach": "The slot has fewer quotes than the configuration demands.",
    "snapshot_error": "The row has no quote; error_type says why.",
    "adjusted_contract": "A corporate action changed what the contract delivers.",
    "ca_suspect": "Prices as after a split that is not on file (only in `daily_adjusted`).",
    "volume_decrease": "Volume is smaller than at an earlier slot of the session.",
    "farm_outage": "A market-data farm of IB was down while the contract was sampled, though maybe not the options'.",
    "clock_skew": "The gateway's clock and ours differ by more than a second.",
    "fallback_exchange": "The quote comes from a fallback exchange; see quote_exchange.",
    "fallback_intraday": "The day's quote comes from a slot, because the close had none.",
    "eod_rollup_fallback": "The day's quote comes from a slot before the one at the close.",
    "eod_rollup_stale": "The day's quote is the last good one of an earlier slot.",
    "derived_from_intraday_samples": "Derived from slots, not from trades.",
    "derived_incomplete": "Derived from fewer slots than wanted.",
}
"""Name and meaning of every flag a row may carry, in the order in which a row lists them."""

IMPLIED_BY_CAPTURE_MODE: dict[str, str] = {"late": "late_capture", "rebuilt": "rebuilt_from_bars", "frozen": "frozen"}
"""The flag that each capture mode other than on time brings with it."""

_ORDER = {name: position for position, name in enumerate(FLAGS)}


def unknown_flags(flags: list[str]) -> tuple[str, ...]:
    """The flags that are not in the catalogue, in their order."""
    return tuple(flag for flag in flags if flag not in FLAGS)


def ordered_flags(flags: set[str]) -> list[str]:
    """Known flags in the catalogue's order, so that equal sets are stored as equal lists."""
    return sorted(flags, key=_ORDER.__getitem__)
