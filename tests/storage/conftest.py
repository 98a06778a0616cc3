"""Stores over a folder of the test's own, and over memory: what holds for one must hold for the other."""

from datetime import timedelta
from pathlib import Path

import pytest

from opt_data.storage.chain_reader import ChainReader
from opt_data.storage.chain_store import ChainStore
from opt_data.storage.ledger import SlotLedger
from opt_data.storage.local import LocalObjectStore
from opt_data.storage.port import ObjectStore
from tests.fakes.chain import SLOT
from tests.fakes.clock import FixedClock
from tests.fakes.object_store import MemoryObjectStore


@pytest.fixture
def clock() -> FixedClock:
    """Ten seconds after the slot's instant."""
    return FixedClock(SLOT.instant_utc + timedelta(seconds=10))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture(params=["folder", "memory"])
def port(request: pytest.FixtureRequest, root: Path) -> ObjectStore:
    return LocalObjectStore(root) if request.param == "folder" else MemoryObjectStore()


@pytest.fixture
def chains(port: ObjectStore, clock: FixedClock) -> ChainStore:
    return ChainStore(port, clock)


@pytest.fixture
def reader(port: ObjectStore) -> ChainReader:
    return ChainReader(port)


@pytest.fixture
def ledger(port: ObjectStore, clock: FixedClock, chains: ChainStore) -> SlotLedger:
    return SlotLedger(port, clock, chains)
