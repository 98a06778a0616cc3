"""The operator of weekly upkeep: what a run's date and its dry run mean."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from opt_data.storage.chain_store import ChainStore
from opt_data.storage.local import LocalObjectStore
from tests.fakes.clock import FixedClock
from tests.storage.weeks import WEEK, fill


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalObjectStore:
    monkeypatch.setenv("OPT_DATA__PATHS__DATA_ROOT", str(tmp_path / "data"))
    monkeypatch.setenv("OPT_DATA__PATHS__STATE_ROOT", str(tmp_path / "state"))
    port = LocalObjectStore(tmp_path / "data")
    fill(ChainStore(port, FixedClock(datetime(2025, 11, 28, 22, tzinfo=UTC))), ("AAPL",))
    return port


def run(logical_date: datetime | None, *, is_dry_run: bool | str = False) -> dict[str, object]:
    from opt_data.operators.maintenance import MaintainOperator

    operator = MaintainOperator(task_id="maintain", is_dry_run=is_dry_run)
    return operator.execute({"dag_run": SimpleNamespace(logical_date=logical_date)})


@pytest.mark.parametrize("is_dry_run", [True, "true", "True"])
def test_a_dry_run_returns_the_plan_and_changes_nothing(port: LocalObjectStore, is_dry_run: bool | str) -> None:
    before = list(port.list(""))
    summary = run(datetime(2025, 11, 29, 14, tzinfo=UTC), is_dry_run=is_dry_run)
    assert (summary["dry_run"], summary["compacted"]) == (True, ["2025-11-24"])
    assert list(port.list("")) == before


def test_a_run_counts_by_its_own_date(port: LocalObjectStore) -> None:
    # Saturday 00:30 in New York, Friday 23:30 an hour earlier
    assert run(datetime(2025, 11, 29, 4, 30, tzinfo=UTC))["compacted"] == []
    assert run(datetime(2025, 11, 29, 5, 30, tzinfo=UTC))["compacted"] == ["2025-11-24"]
    assert list(port.list("clean/")) == [WEEK.part_key(0)]


def test_a_date_to_come_is_today(port: LocalObjectStore) -> None:
    from opt_data.core.clock import SystemClock
    from opt_data.core.sessions import NEW_YORK

    today = SystemClock().now().astimezone(NEW_YORK).date().isoformat()
    assert run(datetime(2999, 1, 5, 14, tzinfo=UTC), is_dry_run=True)["day"] == today
    assert run(None, is_dry_run=True)["day"] == today
