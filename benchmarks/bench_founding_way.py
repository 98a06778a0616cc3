"""The same contracts the founding system's way and ours, one after the other, on one simulated gateway.

The founding way: batches of 50 snapshots through the client library's ``reqTickers``, the next batch when all of the
last have ended. Ours: the capture of ``opt_data_intraday``, in one process. 10 symbols x 48 contracts, 100 lines, 50
messages a second, first values after 1 to 4 s. Ours also stores what it got and keeps the ledger; the founding way is
only timed while it asks. Prints founding seconds ÷ ours (bar 4); fails as well if ours breaks a limit of the gateway.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from bench_full_slot import CONTRACTS, DISCOVERY
from real_airflow import ROOT, freeze_sets, lay_out, see_the_project
from record import record
from slot_in_airflow import DAY, SLOT, SlotPlan

if TYPE_CHECKING:
    from opt_data.config.models import Settings
    from opt_data.core.contracts import OptionContract

BAR = 4.0
SYMBOLS, LINES, BATCH = 10, 100, 50


async def founding_way(port: int, contracts: "Sequence[OptionContract]") -> dict[str, float]:
    """Seconds, and how many contracts had a price and greeks when their batch ended."""
    from ib_insync import IB, Contract, util

    asked = [
        Contract(secType="OPT", conId=one.conid, symbol=one.underlying, exchange="SMART", currency="USD")
        for one in contracts
    ]
    ib = IB()
    await ib.connectAsync("127.0.0.1", port, clientId=31, readonly=True)
    started = time.monotonic()
    tickers = []
    for first in range(0, len(asked), BATCH):
        tickers += await ib.reqTickersAsync(*asked[first : first + BATCH])
    seconds = time.monotonic() - started
    ib.disconnect()
    priced = [one for one in tickers if not util.isNan(one.bid) or not util.isNan(one.last)]
    return {
        "seconds": seconds,
        "priced": len(priced),
        "with_greeks": sum(one.modelGreeks is not None for one in priced),
    }


async def our_way(port: int, settings: "Settings") -> dict[str, float]:
    """Seconds, and how many contracts were kept, from the first request to the last committed row."""
    from opt_data.bootstrap import SYMBOLS_AT_ONCE, gateway_limits, intraday_universe, open_stores, sampling_rules
    from opt_data.core.capture_plan import requested_market_data_type
    from opt_data.core.slots import slot_of_instant
    from opt_data.gateway.session import GatewayAddress, open_session
    from opt_data.pipelines.capture_group import capture_group
    from opt_data.pipelines.capture_slot import CaptureJob, CaptureOutcome, capture_slot
    from opt_data.pipelines.contract_sets import contract_set_of_day
    from opt_data.storage.chain_rows import IngestRun

    universe = {underlying.symbol: underlying for underlying in intraday_universe(settings)}
    requested = requested_market_data_type(1, allow_delayed=True, is_close=False)
    async with open_session(GatewayAddress(port=port), gateway_limits(settings), clock_source="gateway") as session:
        stores = open_stores(settings, session.clock)
        slot = slot_of_instant(stores.calendar.session(DAY), SLOT)

        async def capture(symbol: str, _: CaptureOutcome | None) -> CaptureOutcome:
            job = CaptureJob(
                slot, universe[symbol], "SMART", "SMART", settings.capture.fallback_exchanges,
                sampling_rules(settings), requested, IngestRun(uuid4().hex, 1, dag_run_id="benchmark"),
            )  # fmt: skip
            contract_set = await contract_set_of_day(universe[symbol], DAY, session=session, stores=stores)
            return await capture_slot(job, contract_set, session=session, stores=stores)

        started = time.monotonic()
        group = await capture_group(list(universe), capture, at_once=SYMBOLS_AT_ONCE)
        seconds = time.monotonic() - started
    if (failure := group.failure()) is not None:
        raise failure
    kept = [outcome.account.kept for outcome in group.outcomes.values()]
    without = sum(outcome.flags.get("missing_greeks", 0) for outcome in group.outcomes.values())
    return {"seconds": seconds, "priced": sum(kept), "with_greeks": sum(kept) - without}


def told(name: str, found: Mapping[str, float], contracts: int, seen: Mapping[str, Any]) -> dict[str, object]:
    figures: dict[str, object] = {
        "seconds": round(found["seconds"], 1),
        "contracts_per_s": round(contracts / found["seconds"], 2),
        "priced": found["priced"],
        "with_greeks": found["with_greeks"],
        "messages": seen["messages"],
        "greatest_rate_messages_per_s": seen["greatest_rate"],
        "strikes": seen["strikes"],
    }
    print(f"{name}: {figures}", flush=True)
    return {f"{name}_{key}": value for key, value in figures.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--symbols", type=int, default=SYMBOLS)
    count = parser.parse_args().symbols
    see_the_project()
    from ibsim.launch import running_gateway
    from opt_data.bootstrap import intraday_universe, open_stores
    from opt_data.config.load import load_settings
    from opt_data.core.clock import SystemClock
    from opt_data.executors.warm_local import import_ahead

    import_ahead()
    plan = SlotPlan([f"SYN{number:03}" for number in range(1, count + 1)], CONTRACTS, LINES, 1, discovery=DISCOVERY)
    with tempfile.TemporaryDirectory() as folder:
        checkout = Path(folder) / "checkout"
        lay_out(checkout, {}, plan.symbols)
        own = plan.environment(checkout) | {"OPT_DATA_CONFIG": str(ROOT / "include" / "config" / "demo.toml")}
        settings = load_settings(environ=own)
        ample = load_settings(environ=own | {"OPT_DATA__GATEWAY__MARKET_DATA_LINES": "10000"})
        with running_gateway(plan.scenario(10_000), clock="2025-11-24T09:25:00-05:00") as rich:
            total = asyncio.run(freeze_sets(rich.port, DAY, CONTRACTS, ample))
        stores = open_stores(settings, SystemClock())
        sets = [stores.cache.load(one.symbol, DAY).contract_set for one in intraday_universe(settings)]
        contracts = [one for held in sets if held is not None for one in held.contracts]
        figures: dict[str, object] = {"contracts": total, "lines": LINES}
        with running_gateway(plan.scenario(LINES), clock=SLOT) as gateway:
            theirs = asyncio.run(founding_way(gateway.port, contracts))
            figures |= told("founding", theirs, total, gateway.control.stats())
            gateway.control.set_clock(SLOT)
            gateway.control.reset_counters()
            ours = asyncio.run(our_way(gateway.port, settings))
            seen = gateway.control.stats()
            figures |= told("ours", ours, total, seen)
    return record(
        "founding_way",
        theirs["seconds"] / ours["seconds"],
        figures,
        bar=BAR,
        at_least=True,
        keeps_limits=not seen["strikes"] and not seen["lines_open"] and seen["greatest_rate"] <= LINES // 2,
        is_full_size=count == SYMBOLS,
    )


if __name__ == "__main__":
    sys.exit(main())
