"""Desks on which a day's contracts are already known, so that a scenario begins with its fault."""

from collections.abc import Callable
from typing import Any

import pytest

from ibsim.launch import running_gateway
from opt_data.core.contracts import ContractSet
from tests.gateway.conftest import start  # noqa: F401
from tests.pipelines.conftest import Desk, desk, desk_settings  # noqa: F401


@pytest.fixture(scope="session")
def contract_set(tmp_path_factory: pytest.TempPathFactory) -> ContractSet:
    """What discovery freezes of AAPL on the morning; the same in every scenario, as the market is."""
    import asyncio

    with running_gateway({"limits": {"lines": 400}}, clock="2025-11-24T09:25:00-05:00") as gateway:
        one = Desk(desk_settings(tmp_path_factory.mktemp("morning")), gateway)
        return asyncio.run(one.discover()).contract_set


@pytest.fixture
def prepared(desk: Callable[..., Desk], contract_set: ContractSet) -> Callable[..., Desk]:  # noqa: F811
    """A desk as ``desk`` makes it, that has discovered."""

    def make(*args: Any, **settings: Any) -> Desk:
        made = desk(*args, **settings)
        made.stores.cache.save(contract_set)
        return made

    return make
