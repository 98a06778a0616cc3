"""A day of 14 slots against one gateway process: what it and our process keep of it in memory, lines and files.

Captures follow each other with a short dwell and an ample allowance, one connection each as tasks make them, in one
process, so that whatever a capture leaves behind adds up. Prints memory of both processes together after the last slot
÷ after the third (bar 1.25), and fails as well if a line, a client id, a file or a name in the shared allowance was
left behind.
"""

import argparse
import asyncio
import gc
import os
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

from record import record

ROOT = Path(__file__).resolve().parents[1]
GROWTH_BAR = 1.25
SYMBOLS, AT_ONCE, LINES = 20, 4, 1000
DAY = date(2025, 11, 24)


def environment(folder: Path) -> dict[str, str]:
    return {
        "OPT_DATA_CONFIG": "include/config/demo.toml",
        "OPT_DATA__PATHS__DATA_ROOT": str(folder / "data"),
        "OPT_DATA__PATHS__STATE_ROOT": str(folder / "state"),
        "OPT_DATA__UNIVERSE__INTRADAY_FILE": str(folder / "universe.csv"),
        "OPT_DATA__GATEWAY__MARKET_DATA_LINES": str(LINES),
        "OPT_DATA__CAPTURE__LINGER_S": "0.02",
    }


async def live_through(gateway: Any, symbols: int, folder: Path) -> dict[str, Any]:
    """Freeze the contracts, capture every slot, and count after each what is held."""
    from uuid import uuid4

    import psutil

    from opt_data.bootstrap import allowance_share, gateway_limits, intraday_universe, open_stores, sampling_rules
    from opt_data.config.load import load_settings
    from opt_data.core.allowance import Priority
    from opt_data.core.capture_plan import requested_market_data_type
    from opt_data.core.clock import SystemClock
    from opt_data.core.slots import Slot, slot_grid
    from opt_data.gateway.session import GatewayAddress, open_session
    from opt_data.pipelines.capture_slot import CaptureJob, capture_slot
    from opt_data.pipelines.contract_sets import contract_set_of_day, freeze_contract_set
    from opt_data.storage.chain_rows import IngestRun

    names = [f"SYN{number:03}" for number in range(1, symbols + 1)]
    lines = [f"{name},,,," for name in names]
    (folder / "universe.csv").write_text("\n".join(["symbol,conid,exchange,trading_class,sec_type", *lines, ""]))
    settings = load_settings(environ=environment(folder))
    address, limits = GatewayAddress(gateway.host, gateway.port), gateway_limits(settings)
    universe = intraday_universe(settings)
    stores = open_stores(settings, SystemClock())
    turns = asyncio.Semaphore(AT_ONCE)

    async def freeze(underlying: Any) -> int:
        async with turns:
            share = allowance_share(settings, address, Priority.DISCOVERY)
            outcome = await freeze_contract_set(
                underlying, DAY, address=address, limits=limits, stores=stores, share=share
            )
            return len(outcome.contract_set.contracts)

    async def capture(underlying: Any, slot: Slot) -> int:
        async with (
            turns,
            open_session(
                address, limits, clock_source="gateway", share=allowance_share(settings, address, Priority.SLOT)
            ) as session,
        ):
            own = open_stores(settings, session.clock)
            contract_set = await contract_set_of_day(underlying, DAY, session=session, stores=own)
            requested = requested_market_data_type(1, allow_delayed=True, is_close=slot.is_last)
            job = CaptureJob(
                slot, underlying, "SMART", "SMART", (), sampling_rules(settings), requested,
                IngestRun(uuid4().hex, 1, dag_run_id="benchmark"),
            )  # fmt: skip
            return (await capture_slot(job, contract_set, session=session, stores=own)).account.kept

    expected = sum(await asyncio.gather(*(freeze(one) for one in universe)))
    processes = {"ours": psutil.Process(os.getpid()), "gateway": psutil.Process(gateway.pid)}
    held: list[dict[str, float]] = []
    kept = 0
    for slot in slot_grid(stores.calendar.session(DAY)):
        gateway.control.set_clock(slot.instant_utc)
        kept += sum(await asyncio.gather(*(capture(one, slot) for one in universe)))
        while gateway.control.stats()["clients"]:
            await asyncio.sleep(0.01)
        gc.collect()
        held.append(
            {f"{name}_mb": one.memory_info().rss / 1e6 for name, one in processes.items()}
            | {f"{name}_files": one.num_fds() for name, one in processes.items()}
        )
    stats = gateway.control.stats()
    (state,) = settings.paths.allowance.iterdir()
    return {
        "held": held,
        "kept": kept,
        "expected": expected * len(held),
        "lines_open": stats["lines_open"],
        "connections": stats["connections"],
        "strikes": stats["strikes"],
        "names_left": state.read_bytes().partition(b"\0")[0].count(b'"') // 2,
        "state_bytes": state.stat().st_size,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=SYMBOLS, help="SYN001 and following, at most 600")
    chosen = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT / "plugins"))
    from ibsim.launch import running_gateway

    scenario = {
        "limits": {"lines": LINES},
        "dwell": {"kind": "fixed", "low_s": 0.05},
        "feed": {"journal_requests": 0, "update_s": 60.0},
        "market": {"greeks_late_fraction": 0.0, "greeks_never_fraction": 0.0, "no_bid_fraction": 0.0},
    }
    with (
        tempfile.TemporaryDirectory() as folder,
        running_gateway(scenario, clock="2025-11-24T09:25:00-05:00") as gateway,
    ):
        began = time.monotonic()
        day = asyncio.run(live_through(gateway, chosen.symbols, Path(folder)))
        seconds = time.monotonic() - began
    third, last = day["held"][2], day["held"][-1]
    both = [one["ours_mb"] + one["gateway_mb"] for one in (third, last)]
    left_behind = {
        "lines_left_open": day["lines_open"],
        "names_left": day["names_left"],
        "files_more": sum(last[f"{name}_files"] - third[f"{name}_files"] for name in ("ours", "gateway")),
        "contracts_not_kept": day["expected"] - day["kept"],
        "strikes": day["strikes"],
    }
    figures = {
        "symbols": chosen.symbols,
        "captures": chosen.symbols * len(day["held"]),
        "contracts_kept": day["kept"],
        **left_behind,
        "connections": day["connections"],
        "allowance_file_bytes": day["state_bytes"],
        "ours_mb_by_slot": [round(one["ours_mb"], 1) for one in day["held"]],
        "gateway_mb_by_slot": [round(one["gateway_mb"], 1) for one in day["held"]],
        "seconds": round(seconds, 1),
    }
    print(figures)
    return record(
        "long_day", both[1] / both[0], figures, bar=GROWTH_BAR, keeps_limits=not any(left_behind.values()),
        is_full_size=chosen.symbols >= SYMBOLS,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
