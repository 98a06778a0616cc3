"""One try of a capture in a process of its own, so that a scenario can kill it: ``worker.py HOST PORT SLOT``.

Settings come from the environment, the slot's instant as ISO text.
"""

import asyncio
import sys
from datetime import datetime
from uuid import uuid4

from opt_data.bootstrap import allowance_share, gateway_limits, intraday_universe, open_stores, sampling_rules
from opt_data.config.load import load_settings
from opt_data.core.allowance import Priority
from opt_data.core.quotes import MarketDataType
from opt_data.core.sessions import NEW_YORK
from opt_data.core.slots import slot_of_instant
from opt_data.gateway.session import GatewayAddress, open_session
from opt_data.pipelines.capture_slot import CaptureJob, capture_slot
from opt_data.pipelines.contract_sets import contract_set_of_day
from opt_data.storage.chain_rows import IngestRun


async def capture(address: GatewayAddress, instant: datetime) -> None:
    settings = load_settings()
    (underlying,) = intraday_universe(settings, ("AAPL",))
    share = allowance_share(settings, address, Priority.SLOT)
    async with open_session(address, gateway_limits(settings), clock_source="gateway", share=share) as session:
        stores = open_stores(settings, session.clock)
        trading = stores.calendar.session(instant.astimezone(NEW_YORK).date())
        job = CaptureJob(
            slot=slot_of_instant(trading, instant),
            underlying=underlying,
            exchange="SMART",
            ask_first="SMART",
            fallback_exchanges=(),
            rules=sampling_rules(settings),
            requested_type=MarketDataType.LIVE,
            run=IngestRun(uuid4().hex, 1, dag_run_id="killed"),
        )
        contract_set = await contract_set_of_day(underlying, trading.day, session=session, stores=stores)
        await capture_slot(job, contract_set, session=session, stores=stores)


if __name__ == "__main__":
    asyncio.run(capture(GatewayAddress(sys.argv[1], int(sys.argv[2])), datetime.fromisoformat(sys.argv[3])))
