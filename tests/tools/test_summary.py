"""The table at the end of the demo, and when it calls a slot accounted for."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest

from opt_data.core.sessions import TradingSession
from opt_data.core.slots import slot_grid
from tools.demo.summary import SymbolResult, problems, questions, read_results, table

SESSION = TradingSession(
    date(2025, 11, 24), datetime(2025, 11, 24, 14, 30, tzinfo=UTC), datetime(2025, 11, 24, 21, 0, tzinfo=UTC)
)
SLOT = slot_grid(SESSION)[1]
GOOD = SymbolResult("AAPL", 24, 22, 2, 0, 14.24, "{}", 24, 22, "no_bid 2", "clean/…/slot_01.parquet")


@pytest.mark.parametrize(
    ("result", "words"),
    [
        pytest.param(GOOD, [], id="adds up"),
        pytest.param(replace(GOOD, expected=25), ["25 expected, but 22 + 2 + 0 accounted"], id="does not add up"),
        pytest.param(replace(GOOD, rows=23), ["24 contracts expected, 23 rows stored"], id="a row is not stored"),
        pytest.param(replace(GOOD, quotes=21), ["22 quotes, the file holds 21"], id="a quote is not stored"),
        pytest.param(replace(GOOD, kept=0, quotes=0, missing=24), ["not one quote was kept"], id="nothing but absence"),
        pytest.param(replace(GOOD, expected=0, kept=0, missing=0, rows=0, quotes=0), ["no contract set"], id="no set"),
    ],
)
def test_problems_of_one_symbol(result: SymbolResult, words: list[str]) -> None:
    found = problems([result], ["AAPL"])

    assert len(found) == len(words)
    assert all(expected in problem for expected, problem in zip(words, found, strict=True))


def test_a_symbol_that_is_not_in_the_ledger_is_a_problem() -> None:
    assert problems([GOOD], ["AAPL", "SPY"]) == ["SPY: not in the slot ledger"]


def test_the_table_is_aligned() -> None:
    lines = table([GOOD, replace(GOOD, symbol="SPX", expected=144, lag_s=None)]).splitlines()

    assert lines[0].split() == ["symbol", "expected", "kept", "missing", "error", "flags", "lag", "s", "file"]
    assert lines[1].split()[:5] == ["AAPL", "24", "22", "2", "0"]
    assert {line.index("clean/") for line in lines[1:]} == {lines[0].index("file")}


def test_ledger_and_files_are_read_as_they_lie_in_the_store(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger/date=2025-11-24"
    chain = tmp_path / "clean/ib/chain/view=intraday/date=2025-11-24/underlying=SPY/exchange=SMART"
    ledger.mkdir(parents=True)
    chain.mkdir(parents=True)
    duckdb.sql(
        "select 'SPY' underlying, 3 expected, 1 on_time, 1 late, 0 rebuilt, 1 missing, 0 error, 7.5 lag_max_s, "
        "'{\"timed_out\": 1}' reasons union all select 'AAPL', 2, 0, 0, 0, 0, 2, null, '{\"gateway_lost\": 2}'"
    ).write_parquet(str(ledger / "slot_01.parquet"))
    duckdb.sql(
        "select 'SPY' underlying, false snapshot_error, ['no_bid'] data_quality_flag union all "
        "select 'SPY', false, ['no_bid', 'late_capture'] union all select 'SPY', true, ['snapshot_error']"
    ).write_parquet(str(chain / "slot_01.parquet"))

    aapl, spy = read_results(tmp_path, SLOT)

    assert (aapl.symbol, aapl.kept, aapl.error, aapl.rows, aapl.file, aapl.lag_s) == ("AAPL", 0, 2, 0, "none", None)
    assert (spy.expected, spy.kept, spy.missing, spy.rows, spy.quotes, spy.lag_s) == (3, 2, 1, 3, 2, 7.5)
    assert spy.flags == "no_bid 2, late_capture 1"
    assert spy.file == str((chain / "slot_01.parquet").relative_to(tmp_path))


def test_a_slot_nobody_captured_has_no_results(tmp_path: Path) -> None:
    assert read_results(tmp_path, SLOT) == []


def test_the_questions_name_the_files() -> None:
    assert all("'/somewhere/" in question for question in questions(Path("/somewhere")))
