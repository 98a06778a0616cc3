"""The operator that adjusts a session: which symbols, which day, and when it fails."""

from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from opt_data.bootstrap import open_stores
from opt_data.config.load import load_settings
from opt_data.core.clock import SystemClock
from opt_data.errors import AdjustmentIncomplete
from opt_data.operators.adjust import AdjustSessionOperator
from opt_data.pipelines.stores import Stores
from opt_data.tables.arrow_rows import table_from_rows
from opt_data.tables.datasets import DAILY_CLEAN
from opt_data.tables.row_check import checked_rows
from tests.fakes.chain import daily_row

DAY = date(2025, 11, 24)
OPEN = datetime(2025, 11, 24, 14, 30, tzinfo=UTC)
CONTEXT = {"run_id": "test", "data_interval_start": OPEN, "dag_run": SimpleNamespace(data_interval_start=OPEN)}


@pytest.fixture
def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stores:
    """An installation of two symbols, both rolled up."""
    (tmp_path / "universe.csv").write_text("symbol\nAAPL\nMSFT\n")
    for name, path in {
        "PATHS__DATA_ROOT": "data",
        "PATHS__STATE_ROOT": "state",
        "UNIVERSE__INTRADAY_FILE": "universe.csv",
        "UNIVERSE__CLOSE_FILE": "universe.csv",
    }.items():
        monkeypatch.setenv(f"OPT_DATA__{name}", str(tmp_path / path))
    found = open_stores(load_settings(), SystemClock())
    for symbol in ("AAPL", "MSFT"):
        row = daily_row(800, underlying=symbol)
        found.daily.derive(
            DAY, symbol, "SMART", lambda row=row: table_from_rows(checked_rows(DAILY_CLEAN, [row]), DAILY_CLEAN)
        )
    return found


def test_all_symbols_of_the_universe_on_the_runs_session(stores: Stores) -> None:
    summary = AdjustSessionOperator(task_id="adjust", symbols=None).execute(CONTEXT)
    assert (summary["trade_date"], summary["symbols"], summary["rows"]) == ("2025-11-24", 2, 2)
    assert stores.adjusted.read(DAY, "MSFT").num_rows == 1


def test_only_the_symbols_asked_for(stores: Stores) -> None:
    assert AdjustSessionOperator(task_id="adjust", symbols=["AAPL"]).execute(CONTEXT)["symbols"] == 1
    assert stores.adjusted.read(DAY, "MSFT").num_rows == 0


def test_a_symbol_without_a_day_makes_it_red_so_that_clearing_what_is_red_adjusts_it_later(
    stores: Stores, tmp_path: Path
) -> None:
    (day,) = (tmp_path / "data").rglob("underlying=AAPL/*/day.parquet")
    day.unlink()
    with pytest.raises(AdjustmentIncomplete, match=r"^not adjusted on 2025-11-24: AAPL: it has no day, clear"):
        AdjustSessionOperator(task_id="adjust").execute(CONTEXT)
    assert stores.adjusted.read(DAY, "MSFT").num_rows == 1


def test_it_fails_after_the_others_were_adjusted(stores: Stores, tmp_path: Path) -> None:
    (damaged,) = (tmp_path / "data").rglob("underlying=AAPL/*/day.parquet")
    damaged.write_bytes(b"no parquet")
    with pytest.raises(AdjustmentIncomplete, match=r"^not adjusted on 2025-11-24: AAPL: .*no readable"):
        AdjustSessionOperator(task_id="adjust").execute(CONTEXT)
    assert stores.adjusted.read(DAY, "MSFT").num_rows == 1
