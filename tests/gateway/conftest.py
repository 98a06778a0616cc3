"""A simulated gateway in a process of its own for each test, and sessions over real sockets."""

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from ibsim.launch import GatewayProcess, start_gateway
from opt_data.gateway.session import GatewayAddress, GatewayLimits, GatewaySession, open_session

TEN_O_CLOCK = "2025-11-24T10:00:00-05:00"


@pytest.fixture
def start() -> Iterator[Callable[..., GatewayProcess]]:
    """Start gateways with a scenario; all are ended after the test."""
    started: list[GatewayProcess] = []

    def begin(scenario: dict[str, Any] | None = None, clock: str = TEN_O_CLOCK) -> GatewayProcess:
        gateway = start_gateway({"dwell": {"kind": "fixed", "low_s": 0.05}} | (scenario or {}), clock=clock)
        started.append(gateway)
        return gateway

    yield begin
    for gateway in started:
        gateway.stop()


@pytest.fixture
def connect() -> Callable[..., AbstractAsyncContextManager[GatewaySession]]:
    """Open a session to a gateway, its clock taken from there."""

    def to(gateway: GatewayProcess, *, count: int = 32, first_choice: int = 0, **limits: Any):
        address = GatewayAddress(gateway.host, gateway.port, 0, count)
        return open_session(
            address,
            GatewayLimits(**({"connect_timeout_s": 3.0, "request_timeout_s": 5.0} | limits)),
            first_choice=first_choice,
            clock_source="gateway",
        )

    return to
