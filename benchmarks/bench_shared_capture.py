"""Eight capture tasks that share one gateway, through Airflow's executor: 8 symbols x 500 contracts in one slot.

100 lines, and 50 messages a second counted over all connections; every contract becomes ready 1 to 4 s after it was
asked for. Counted is the time from the first task's start to the last one's end, connecting and storing included.
Prints contracts a second ÷ the best possible rate, min(lines / dwell, messages / 2) (bar 0.90); fails as well if a task
is not green, or the gateway saw a limit broken or a line left open.
"""

import argparse
import sys

from real_airflow import see_the_project
from record import record
from slot_in_airflow import SlotPlan, run_slot

BAR = 0.90
SYMBOLS = ("AAPL", "AMZN", "GOOGL", "META", "MSFT", "NVDA", "QQQ", "SPY")
CONTRACTS, LINES = 500, 100
DISCOVERY = {
    "months_ahead": 12, "max_expiries_per_class": 0, "strikes_per_side": 0, "max_strikes_per_expiry": 0,
}  # fmt: skip
MARKET = {"greeks_late_fraction": 0.0, "greeks_never_fraction": 0.0}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contracts", type=int, default=CONTRACTS, help="a symbol")
    contracts = parser.parse_args().contracts
    see_the_project()
    plan = SlotPlan(SYMBOLS, contracts, LINES, len(SYMBOLS), discovery=DISCOVERY, market=MARKET)
    result = run_slot(plan)
    print(result.told())
    return record(
        "shared_capture",
        result.expected / result.capture_s / plan.best_rate_per_s,
        {"best_rate_per_s": plan.best_rate_per_s, **result.figures()},
        bar=BAR,
        at_least=True,
        keeps_limits=result.keeps_limits and result.is_green,
        is_full_size=contracts == CONTRACTS,
    )


if __name__ == "__main__":
    sys.exit(main())
