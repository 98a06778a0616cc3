"""Only what the gateway calls live or frozen counts as open interest."""

from datetime import UTC, date, datetime

import pytest

from opt_data.core.contracts import Series, Underlying
from opt_data.core.quotes import MarketDataType, Quote
from opt_data.gateway.market_data import Sample
from opt_data.pipelines.enrich_open_interest import live_open_interest
from tests.fakes.gateway import option

SERIES = Series("AAPL", date(2025, 12, 19), 250.0, "C")


@pytest.mark.parametrize(
    ("served", "has_delayed_ticks", "error_type", "expected"),
    [
        pytest.param(MarketDataType.LIVE, False, "", 40, id="live"),
        pytest.param(MarketDataType.FROZEN, False, "", 40, id="frozen"),
        pytest.param(MarketDataType.DELAYED, False, "", None, id="delayed"),
        pytest.param(MarketDataType.DELAYED_FROZEN, False, "", None, id="delayed frozen"),
        pytest.param(None, False, "", None, id="the gateway did not say"),
        pytest.param(None, True, "", None, id="delayed by its ticks"),
        pytest.param(MarketDataType.LIVE, False, "interrupted", None, id="before an outage"),
    ],
)
def test_which_values_count(
    served: MarketDataType | None, has_delayed_ticks: bool, error_type: str, expected: int | None
) -> None:
    quote = Quote(open_interest=40, market_data_type=served, has_delayed_ticks=has_delayed_ticks)
    contract = option(SERIES, 711, Underlying("AAPL"))
    sample = Sample(contract, "SMART", datetime(2025, 11, 25, 12, 30, tzinfo=UTC), quote, error_type=error_type)

    assert live_open_interest(sample) == expected
