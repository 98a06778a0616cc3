"""One slot of 500 symbols x 48 contracts through ``opt_data_intraday``: real Airflow, 100 lines, 50 messages a second.

The market has contracts without greeks and without bids as in the demo; first values come after 1 to 4 s. Counted is
the run, from its start to the end of its report. Prints minutes ÷ 20 (bar 1.0); fails as well if a contract is not
accounted for, a task is not green, or the gateway saw a limit broken or a line left open. Other sizes are recorded
under names of their own, to see how the time grows and what limits it:

    python benchmarks/bench_full_slot.py --symbols 50
    python benchmarks/bench_full_slot.py --symbols 50 --lines 200 --parallel 8
"""

import argparse
import sys

from real_airflow import see_the_project
from record import record
from slot_in_airflow import SlotPlan, run_slot

BAR_MIN = 20.0
SYMBOLS, CONTRACTS, LINES, PARALLEL, PER_TASK = 500, 48, 100, 6, 10
# Some more than wanted, because not every strike exists at every expiry; the nearest 48 are kept.
DISCOVERY = {
    "months_ahead": 3, "max_expiries_per_class": 8, "strikes_per_side": 5, "max_strikes_per_expiry": 10,
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--symbols", type=int, default=SYMBOLS, help="SYN001 and following, at most 600")
    parser.add_argument("--lines", type=int, default=LINES, help="of the login; half as many messages a second")
    parser.add_argument("--parallel", type=int, default=PARALLEL, help="tasks at once")
    parser.add_argument("--symbols-per-task", type=int, default=PER_TASK)
    chosen = parser.parse_args()
    see_the_project()
    symbols = tuple(f"SYN{number:03}" for number in range(1, chosen.symbols + 1))
    plan = SlotPlan(symbols, CONTRACTS, chosen.lines, chosen.parallel, chosen.symbols_per_task, discovery=DISCOVERY)
    result = run_slot(plan)
    print(result.told())
    share = result.expected / result.capture_s / plan.best_rate_per_s
    minutes = result.run_s / 60
    print(
        f"{minutes:.1f} minutes; {share:.3f} of the best possible rate of {plan.best_rate_per_s:g} contracts a second"
    )
    figures = {
        "symbols": len(symbols),
        "symbols_per_task": chosen.symbols_per_task,
        "parallel_tasks": chosen.parallel,
        "lines": chosen.lines,
        "minutes": round(minutes, 2),
        "share_of_best_rate": round(share, 3),
        **result.figures(),
    }
    everything = CONTRACTS * len(symbols)
    options = (f"_{name.strip('-').replace('-', '_')}" for name in sys.argv[1:])
    return record(
        "full_slot" + "".join(options).replace("=", "_"),
        minutes / BAR_MIN,
        figures,
        bar=1.0,
        keeps_limits=result.keeps_limits and result.is_green and result.accounted == everything,
    )


if __name__ == "__main__":
    sys.exit(main())
