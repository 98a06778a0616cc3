"""One capture task beside the best possible rate: 2,000 contracts, 100 lines (or others), dwell 1-4 s.

The login may send half as many messages a second as it has lines.

The best possible rate is min(lines / dwell, messages / 2) contracts a second. Counted is the whole capture: from the
first request to the committed rows, in a process as warm as the executor's workers are. Prints capture rate ÷ best
rate (bar 0.90) and the task's peak memory (bar 300 MB); fails as well if the gateway saw its limit broken or a line
left open.
"""

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime
from pathlib import Path

from record import record

ROOT = Path(__file__).resolve().parents[1]
RATE_BAR, MEMORY_BAR_MB = 0.90, 300
LINES = 100
DWELL_MIN_S, DWELL_MAX_S = 1.0, 4.0
CONTRACTS = 2000
DAY, SLOT = date(2025, 11, 24), datetime(2025, 11, 24, 15, 0, tzinfo=UTC)


def environment(folder: Path, lines: int) -> dict[str, str]:
    """One task that may use every line, and a chain wide enough."""
    return {
        "OPT_DATA_CONFIG": "include/config/demo.toml",
        "OPT_DATA__PATHS__DATA_ROOT": str(folder / "data"),
        "OPT_DATA__PATHS__STATE_ROOT": str(folder / "state"),
        "OPT_DATA__GATEWAY__MARKET_DATA_LINES": str(lines),
        "OPT_DATA__CAPTURE__PARALLEL_TASKS": "1",
        "OPT_DATA__DISCOVERY__MONTHS_AHEAD": "12",
        "OPT_DATA__DISCOVERY__MAX_EXPIRIES_PER_CLASS": "0",
        "OPT_DATA__DISCOVERY__STRIKES_PER_SIDE": "0",
        "OPT_DATA__DISCOVERY__MAX_STRIKES_PER_EXPIRY": "0",
        "OPT_DATA__DISCOVERY__MONEYNESS_PCT": "30",
        "PYTHONPATH": str(ROOT / "plugins"),
    }


async def prepare(port: int, contracts: int) -> None:
    """Freeze a contract set of that many contracts of SPY."""
    from dataclasses import replace

    from opt_data.bootstrap import gateway_limits, intraday_universe, open_stores
    from opt_data.config.load import load_settings
    from opt_data.core.capture_plan import nearest_first
    from opt_data.core.clock import SystemClock
    from opt_data.gateway.session import GatewayAddress
    from opt_data.pipelines.contract_sets import freeze_contract_set

    settings = load_settings()
    stores = open_stores(settings, SystemClock())
    (spy,) = intraday_universe(settings, ("SPY",))
    outcome = await freeze_contract_set(
        spy, DAY, address=GatewayAddress(port=port), limits=gateway_limits(settings), stores=stores
    )
    found = outcome.contract_set
    if len(found.contracts) < contracts:
        raise SystemExit(f"the chain has {len(found.contracts)} contracts, fewer than {contracts}")
    chosen = tuple(nearest_first(found.contracts, found.reference_price)[:contracts])
    stores.cache.save(replace(found, contracts=chosen), replace=True)


async def capture(port: int) -> dict[str, float]:
    """Capture the slot once, as the operator does, and time it."""
    from uuid import uuid4

    from opt_data.bootstrap import gateway_limits, intraday_universe, open_stores, sampling_rules
    from opt_data.config.load import load_settings
    from opt_data.core.capture_plan import requested_market_data_type
    from opt_data.core.slots import slot_of_instant
    from opt_data.gateway.session import GatewayAddress, open_session
    from opt_data.pipelines.capture_slot import CaptureJob, capture_slot
    from opt_data.pipelines.contract_sets import contract_set_of_day
    from opt_data.storage.chain_rows import IngestRun

    settings = load_settings()
    (spy,) = intraday_universe(settings, ("SPY",))
    async with open_session(
        GatewayAddress(port=port), gateway_limits(settings), clock_source=settings.clock.source
    ) as session:
        stores = open_stores(settings, session.clock)
        contract_set = await contract_set_of_day(spy, DAY, session=session, stores=stores)
        slot = slot_of_instant(stores.calendar.session(DAY), SLOT)
        requested = requested_market_data_type(1, allow_delayed=True, is_close=False)
        rules = sampling_rules(settings)
        job = CaptureJob(
            slot, spy, "SMART", "SMART", (), rules, requested, IngestRun(uuid4().hex, 1, dag_run_id="benchmark")
        )
        started = time.monotonic()
        outcome = await capture_slot(job, contract_set, session=session, stores=stores)
        seconds = time.monotonic() - started
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "kept": outcome.account.kept, "expected": outcome.account.expected, "mb": memory_mb}


def run_part(part: str, port: int, contracts: int, env: dict[str, str]) -> str:
    command = [sys.executable, __file__, "--part", part, "--port", str(port), "--contracts", str(contracts)]
    return subprocess.run(command, env=os.environ | env, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contracts", type=int, default=CONTRACTS)
    parser.add_argument("--lines", type=int, default=LINES, help="of the login")
    parser.add_argument("--part", choices=["prepare", "capture"])
    parser.add_argument("--port", type=int)
    arguments = parser.parse_args()
    if arguments.part == "prepare":
        asyncio.run(prepare(arguments.port, arguments.contracts))
        return 0
    if arguments.part == "capture":
        from opt_data.executors.warm_local import import_ahead

        import_ahead()  # as the executor's workers have, before they fork a task
        print(json.dumps(asyncio.run(capture(arguments.port))))
        return 0

    sys.path.insert(0, str(ROOT / "plugins"))
    from ibsim.launch import running_gateway

    lines, messages_per_s = arguments.lines, arguments.lines / 2
    scenario = {
        "limits": {"lines": lines},
        # Every contract becomes ready: what is measured is the sampler, not how long it waits for those that never do.
        "market": {"greeks_late_fraction": 0.0, "greeks_never_fraction": 0.0},
        "feed": {"journal_requests": 0},
        "dwell": {"kind": "uniform", "low_s": DWELL_MIN_S, "high_s": DWELL_MAX_S},
    }
    with (
        tempfile.TemporaryDirectory() as folder,
        running_gateway(scenario, clock="2025-11-24T09:25:00-05:00") as gateway,
    ):
        env = environment(Path(folder), lines)
        run_part("prepare", gateway.port, arguments.contracts, env)
        gateway.control.set_clock(SLOT.isoformat())
        gateway.control.reset_counters()
        result = json.loads(run_part("capture", gateway.port, arguments.contracts, env).splitlines()[-1])
        seen = gateway.control.stats()
    best = min(lines / ((DWELL_MIN_S + DWELL_MAX_S) / 2), messages_per_s / 2)
    rate = result["expected"] / result["seconds"]
    print(
        f"{result['expected']} contracts in {result['seconds']:.1f} s, {result['kept']} kept; gateway saw at most "
        f"{seen['greatest_rate']} messages in a second, {seen['strikes']} strikes, {seen['lines_peak']} lines at once, "
        f"{seen['lines_open']} left open"
    )
    print(f"peak memory {result['mb']:.0f} MB (bar {MEMORY_BAR_MB})")
    broken = seen["strikes"] or seen["lines_open"] or seen["greatest_rate"] > messages_per_s
    figures = {
        "contracts": result["expected"],
        "kept": result["kept"],
        "seconds": round(result["seconds"], 2),
        "best_rate_per_s": best,
        "greatest_rate_messages_per_s": seen["greatest_rate"],
        "strikes": seen["strikes"],
        "lines_peak": seen["lines_peak"],
        "lines_left_open": seen["lines_open"],
        "peak_memory_mb": round(result["mb"]),
    }
    return record(
        "capture_rate" if lines == LINES else f"capture_rate_{lines}_lines",
        rate / best,
        figures,
        bar=RATE_BAR,
        at_least=True,
        keeps_limits=result["mb"] <= MEMORY_BAR_MB and not broken,
        is_full_size=arguments.contracts == CONTRACTS,
    )


if __name__ == "__main__":
    sys.exit(main())
