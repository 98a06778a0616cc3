"""A gateway inside the test's own event loop, with a quiet market and its clock at 11:00 on a normal Monday."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest

from ibsim.clock import MarketClock, parse_instant
from ibsim.scenario import patched, scenario_of
from ibsim.server import GatewayServer, serve
from tests.ibsim.raw_client import RawClient

MONDAY_11 = "2025-11-24T11:00:00-05:00"
QUIET: dict[str, Any] = {
    "seed": 5,
    "dwell": {"kind": "fixed", "low_s": 0.0},
    "feed": {"update_s": 0.0},
    "market": {
        "no_bid_fraction": 0.0,
        "greeks_late_fraction": 0.0,
        "greeks_never_fraction": 0.0,
        "oi_late_fraction": 0.0,
        "oi_never_fraction": 0.0,
    },
}


class Bench:
    """Starts gateways and clients; all end with the test."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack

    async def gateway(self, changes: Mapping[str, Any] | None = None, at: str = MONDAY_11) -> GatewayServer:
        scenario = scenario_of(patched(QUIET, changes or {}))
        return await self._stack.enter_async_context(serve(scenario, clock=MarketClock(parse_instant(at))))

    async def client(self, server: GatewayServer, client_id: int = 7) -> RawClient:
        """A client that has finished connecting."""
        client = await self._stack.enter_async_context(RawClient("127.0.0.1", server.port))
        await client.start(client_id)
        return client

    async def unstarted_client(self, server: GatewayServer) -> RawClient:
        return await self._stack.enter_async_context(RawClient("127.0.0.1", server.port))


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        yield Bench(stack)


@pytest.fixture
def option_conids() -> Callable[[GatewayServer], list[int]]:
    """Conids of the calls of AAPL that expire on 2025-12-19, by strike."""

    def find(server: GatewayServer) -> list[int]:
        market = server.gateway.market
        apple = market.universe.by_symbol("AAPL")
        assert apple is not None
        day = market.hours.latest_begun(server.gateway.clock.now_s()).day
        return [o.conid for o in market.chains.find(apple, day, last_trade="20251219", right="C")]

    return find
