"""The flag catalogue against the design's list."""

from opt_data.core.slots import CaptureMode
from opt_data.tables.flags import FLAGS, IMPLIED_BY_CAPTURE_MODE, ordered_flags, unknown_flags

# design page, section 6, "Flags"
DESIGN = (
    "delayed_fallback late_capture rebuilt_from_bars frozen md_type_unconfirmed missing_greeks no_bid crossed locked "
    "wide iv_out_of_range delta_out_of_range below_intrinsic und_async stale_quote missing_oi oi_not_rolled "
    "oi_enrichment_failed discovery_stale slot_retry_exceeded slot_coverage_breach snapshot_error adjusted_contract "
    "ca_suspect volume_decrease farm_outage clock_skew fallback_exchange fallback_intraday eod_rollup_fallback "
    "eod_rollup_stale derived_from_intraday_samples derived_incomplete"
)


def test_the_catalogue_is_the_designs() -> None:
    assert list(FLAGS) == DESIGN.split()
    assert all(sentence.endswith(".") for sentence in FLAGS.values())


def test_unknown_flags_are_found() -> None:
    assert unknown_flags(["wide", "windy", "no_bid"]) == ("windy",)


def test_equal_sets_become_equal_lists() -> None:
    assert ordered_flags({"no_bid", "frozen"}) == ["frozen", "no_bid"]


def test_each_mode_but_on_time_brings_its_flag() -> None:
    assert set(IMPLIED_BY_CAPTURE_MODE) == set(CaptureMode) - {CaptureMode.ON_TIME}
    assert set(IMPLIED_BY_CAPTURE_MODE.values()) <= set(FLAGS)
