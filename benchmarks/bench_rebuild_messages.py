"""A day's missed slots rebuilt from bars: messages used ÷ fewest possible.

The fewest possible are three requests per contract (BID, ASK, TRADES: IB has no bars that hold both sides of a quote)
and one for the underlying, however many slots of the day were missed. Every slot of a session is rebuilt, some of them
side by side, as a backfill would. Counted are the gateway's own counters. Prints used ÷ fewest (bar 1.00); fails as
well if a row is missing.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from uuid import uuid4

from record import record

ROOT = Path(__file__).resolve().parents[1]
BAR = 1.00
DAY = date(2025, 11, 24)
SIDE_BY_SIDE = 3
LINES = 400


def environment(folder: Path) -> dict[str, str]:
    return {
        "OPT_DATA_CONFIG": "include/config/demo.toml",
        "OPT_DATA__PATHS__DATA_ROOT": str(folder / "data"),
        "OPT_DATA__PATHS__STATE_ROOT": str(folder / "state"),
        "OPT_DATA__GATEWAY__MARKET_DATA_LINES": str(LINES),
    }


async def rebuild_day(port: int, symbol: str) -> tuple[int, int, int]:
    """Rebuild every slot; how many contracts the set has, how many rows were rebuilt, how many were expected."""
    from opt_data.bootstrap import gateway_limits, history_rules, intraday_universe, open_stores, sampling_rules
    from opt_data.config.load import load_settings
    from opt_data.core.clock import SystemClock
    from opt_data.core.quotes import MarketDataType
    from opt_data.core.slots import slot_grid
    from opt_data.gateway.session import GatewayAddress, open_session
    from opt_data.pipelines.capture_slot import CaptureJob
    from opt_data.pipelines.contract_sets import contract_set_of_day
    from opt_data.pipelines.rebuild_slot import rebuild_slot
    from opt_data.storage.chain_rows import IngestRun

    settings = load_settings()
    (underlying,) = intraday_universe(settings, (symbol,))
    address, limits = GatewayAddress(port=port), gateway_limits(settings)
    running = asyncio.Semaphore(SIDE_BY_SIDE)

    async def rebuild(index: int) -> tuple[int, int, int]:
        async with running, open_session(address, limits, first_choice=index, clock_source="gateway") as session:
            stores = open_stores(settings, session.clock)
            contract_set = await contract_set_of_day(underlying, DAY, session=session, stores=stores)
            slot = slot_grid(stores.calendar.session(DAY))[index]
            run = IngestRun(uuid4().hex, 1, dag_run_id="benchmark")
            job = CaptureJob(slot, underlying, "SMART", "SMART", (), sampling_rules(settings), MarketDataType.LIVE, run)
            outcome = await rebuild_slot(job, contract_set, history_rules(settings), session=session, stores=stores)
            return len(contract_set.contracts), outcome.account.rebuilt, outcome.account.expected

    slots = len(slot_grid(open_stores(settings, SystemClock()).calendar.session(DAY)))
    done = await asyncio.gather(*(rebuild(index) for index in range(slots)))
    return done[0][0], sum(rebuilt for _, rebuilt, _ in done), sum(expected for _, _, expected in done)


async def freeze(port: int, symbol: str) -> None:
    from opt_data.bootstrap import gateway_limits, intraday_universe, open_stores
    from opt_data.config.load import load_settings
    from opt_data.core.clock import SystemClock
    from opt_data.gateway.session import GatewayAddress
    from opt_data.pipelines.contract_sets import freeze_contract_set

    settings = load_settings()
    (underlying,) = intraday_universe(settings, (symbol,))
    await freeze_contract_set(
        underlying,
        DAY,
        address=GatewayAddress(port=port),
        limits=gateway_limits(settings),
        stores=open_stores(settings, SystemClock()),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbol", default="AAPL")
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT / "plugins"))
    from ibsim.launch import running_gateway

    with tempfile.TemporaryDirectory(prefix="bench-rebuild-") as folder:
        os.environ.update(environment(Path(folder)))
        scenario = {"limits": {"lines": LINES}, "market": {"no_bid_fraction": 0.0}}
        with running_gateway(scenario, clock="2025-11-24T09:25:00-05:00") as gateway:
            asyncio.run(freeze(gateway.port, arguments.symbol))
            gateway.control.set_clock("2025-11-24T17:00:00-05:00")
            gateway.control.reset_counters()
            started = time.monotonic()
            contracts, rebuilt, expected = asyncio.run(rebuild_day(gateway.port, arguments.symbol))
            seconds = time.monotonic() - started
            stats = gateway.control.stats()
    used = sum(count for kind, count in stats["requests"].items() if "istorical" in kind)
    other = {kind: count for kind, count in stats["requests"].items() if "istorical" not in kind}
    fewest = 3 * contracts + 1
    print(f"{contracts} contracts, {rebuilt} of {expected} rows rebuilt in {seconds:.1f} s; besides: {other}")
    print(f"history messages used / fewest possible = {used} / {fewest}")
    figures = {
        "contracts": contracts,
        "rows_rebuilt": rebuilt,
        "rows_expected": expected,
        "messages": used,
        "fewest_messages": fewest,
        "seconds": round(seconds, 1),
    }
    return record("rebuild_messages", used / fewest, figures, bar=BAR, keeps_limits=rebuilt == expected)


if __name__ == "__main__":
    sys.exit(main())
