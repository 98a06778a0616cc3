"""The slot report: every symbol of the plan has its line, whatever became of its capture."""

from opt_data.bootstrap import intraday_universe
from opt_data.pipelines.report_slot import report_slot

TEN_ET = "2025-11-24T10:00:00-05:00"


def report(desk, *symbols):
    universe = intraday_universe(desk.settings, symbols)
    return report_slot(desk.slot(), universe, "SMART", stores=desk.stores, dag_run_id="report")


async def test_a_symbol_never_captured_counts_as_nothing_not_as_absent(desk):
    desk = desk()
    for symbol in ("AAPL", "MSFT"):
        await desk.discover(symbol)
    desk.gateway.control.set_clock(TEN_ET)
    await desk.capture("AAPL")

    found = report(desk, "AAPL", "MSFT", "NVDA")

    assert found.without_quotes == ("MSFT", "NVDA")
    ledger = desk.ledger()
    assert (ledger["AAPL"]["on_time"], ledger["AAPL"]["coverage"]) == (24, 1.0)
    assert (ledger["MSFT"]["expected"], ledger["MSFT"]["missing"], ledger["MSFT"]["coverage"]) == (24, 24, 0.0)
    assert (ledger["NVDA"]["expected"], ledger["NVDA"]["contract_set"]) == (0, "missing")
    assert found.summary()["coverage"] == 0.5


async def test_reporting_again_changes_nothing(desk):
    desk = desk()
    await desk.discover()
    desk.gateway.control.set_clock(TEN_ET)
    await desk.capture()
    report(desk, "AAPL")
    before = desk.ledger()

    report(desk, "AAPL")

    assert desk.ledger() == before


async def test_a_gateway_that_goes_down_at_the_very_end_costs_nothing(desk):
    desk = desk()
    await desk.discover()
    desk.gateway.control.set_clock(TEN_ET)
    # start, time, market data type, then subscribe and cancel for 24 options and their underlying
    desk.gateway.control.faults(drop_after_messages=3 + 2 * 25)

    outcome = await desk.capture()

    assert outcome.account.on_time == 24
    assert report(desk, "AAPL").without_quotes == ()
