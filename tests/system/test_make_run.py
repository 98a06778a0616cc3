"""``make run`` from a fresh clone: once, killed in the middle, and again. The real thing, nothing faked.

One story in three starts, because each costs a minute or two of a small machine: the first shows a shortened day and
ends by itself; the second goes on with the next week's day and is killed while it captures the first slot; the third
ends what was left, goes on from there, completes the day, stays up, and ends on Ctrl-C.
"""

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
UNIVERSE = ["AAPL", "MSFT", "NVDA", "SPX", "SPY"]
MONDAY, NEXT_MONDAY = "2025-11-24", "2025-12-01"
LIMIT_S = 480.0

pytestmark = pytest.mark.timeout(1500)


class Demo:
    """A running ``make run``, as a person has it in a terminal: its lines, and Ctrl-C."""

    def __init__(self, clone: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            ["make", "run", f"VENV={sys.prefix}", *arguments],
            cwd=clone,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.output = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line

    def wait_for(self, pattern: str) -> None:
        """Wait until the output matches, the demo ended, or it took too long."""
        deadline = time.monotonic() + LIMIT_S
        while not re.search(pattern, self.output):
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.05)

    def wait(self) -> int:
        """Wait for the end; the exit code of make."""
        code = self.process.wait(LIMIT_S)
        self._reader.join()
        return code

    def press_ctrl_c(self) -> None:
        """What a terminal does: a signal to make and the demo, not to what the demo started."""
        os.killpg(self.process.pid, signal.SIGINT)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("fresh") / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    yield folder
    for process in processes_of(folder):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def processes_of(clone: Path) -> list[psutil.Process]:
    """Every living process that works in the clone or names it; found another way than the demo finds them."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.status() == psutil.STATUS_ZOMBIE or process.pid == os.getpid():
                continue
            if Path(process.cwd()).is_relative_to(clone) or str(clone) in " ".join(process.cmdline()):
                found.append(process)
    return found


def ledger(clone: Path, day: str) -> list[tuple[Any, ...]]:
    return duckdb.sql(
        "select slot_30m, underlying, expected, on_time, late, rebuilt, frozen, missing, error "
        f"from '{clone}/.run/demo/data/ledger/date={day}/*.parquet' order by all"
    ).fetchall()


def chain(clone: Path, day: str, columns: str, view: str = "intraday", rest: str = "order by all") -> list[Any]:
    files = f"'{clone}/.run/demo/data/clean/ib/chain/view={view}/**/*.parquet'"
    source = f"read_parquet({files}, hive_partitioning = false, union_by_name = true)"
    return duckdb.sql(f"select {columns} from {source} where trade_date = '{day}' {rest}").fetchall()


def runs(clone: Path, dag_id: str) -> list[tuple[str, str, str]]:
    """Type, logical date and state of a DAG's runs, from Airflow's own database."""
    with contextlib.closing(sqlite3.connect(clone / ".run" / "airflow" / "airflow.db")) as database:
        query = "select run_type, substr(logical_date, 1, 16), state from dag_run where dag_id = ? order by 2"
        return database.execute(query, [dag_id]).fetchall()


def assert_accounted_for(clone: Path, day: str) -> None:
    """A shortened day: captured at the open, missed and rebuilt half an hour later, frozen at the close."""
    rows = ledger(clone, day)

    assert [(slot, symbol) for slot, symbol, *_ in rows] == [(s, u) for s in (0, 1, 13) for u in UNIVERSE]
    for slot, _, expected, on_time, late, rebuilt, frozen, missing, error in rows:
        assert expected >= 20
        assert expected == on_time + late + rebuilt + missing + error
        assert {0: on_time, 1: rebuilt, 13: frozen}[slot] >= 0.8 * expected
        assert (rebuilt == 0) == (slot != 1)
    quotes = chain(clone, day, "distinct slot_30m, capture_mode", rest="and not snapshot_error order by all")
    assert quotes == [(0, "on_time"), (1, "rebuilt"), (13, "frozen")]
    flagged = chain(clone, day, "distinct slot_30m", rest="and list_contains(data_quality_flag, 'rebuilt_from_bars')")
    assert flagged == [(1,)]
    keys = chain(clone, day, "slot_30m, conid")
    assert len(keys) == len(set(keys)) == sum(row[2] for row in rows)

    contracts = {conid for _, conid in keys}
    for view in ("daily_clean", "daily_adjusted"):
        days = [conid for (conid,) in chain(clone, day, "conid", view)]
        assert len(days) == len(contracts)
        assert set(days) == contracts
    strategies = chain(clone, day, "distinct rollup_strategy", "daily_clean")
    assert ("close",) in strategies
    ((living, filled),) = chain(
        clone, day, "count(*), count(open_interest) filter (oi_asof_date = trade_date)", "daily_clean",
        "and expiry > trade_date",
    )  # fmt: skip
    assert filled >= 0.9 * living > 0


def wait_until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not is_true():
        assert time.monotonic() < deadline, f"waited {LIMIT_S:.0f} s"
        time.sleep(0.1)


def test_make_run_from_a_fresh_clone_and_after_a_kill(clone: Path) -> None:
    first = Demo(clone, "ONCE=1", "SLOTS=3")
    assert first.wait() == 0, first.output
    assert "Everything expected is accounted for" in first.output
    assert "11 slots of this session were left out" in first.output
    assert_accounted_for(clone, MONDAY)
    assert runs(clone, "opt_data_intraday") == [
        ("manual", f"{MONDAY} 14:30", "success"),
        ("backfill", f"{MONDAY} 15:00", "success"),
        ("manual", f"{MONDAY} 21:00", "success"),
    ]
    assert runs(clone, "opt_data_maintenance") == [("manual", "2025-11-29 14:00", "success")]
    assert len(list(clone.glob(".run/demo/data/clean/ib/chain/view=intraday/week=2025-W48/*.parquet"))) == 1
    assert processes_of(clone) == []
    kept = "slot_30m, conid, bid, ask, asof_ts, known_at"
    first_day = chain(clone, MONDAY, kept)

    second = Demo(clone, "SLOTS=3")
    second.wait_for("Airflow's UI")
    rival = Demo(clone, "ONCE=1")
    assert rival.wait() != 0
    assert re.search(r"A demo of this checkout is running at http://127\.0\.0\.1:\d+", rival.output), rival.output
    wait_until(lambda: any(clone.glob(f".run/demo/data/raw/ib/chain/view=intraday/date={NEXT_MONDAY}/**/*.parquet")))
    runner = json.loads((clone / ".run" / "running.json").read_text())["pid"]
    os.kill(runner, signal.SIGKILL)
    assert second.wait() != 0
    assert processes_of(clone) != []

    third = Demo(clone, "SLOTS=3")
    third.wait_for("Press Ctrl-C")
    assert "An earlier start was killed" in third.output
    assert "Simulated Monday 2025-12-01" in third.output
    assert "the day's contracts are frozen: done before" in third.output
    assert "Everything expected is accounted for" in third.output, third.output
    assert_accounted_for(clone, NEXT_MONDAY)
    assert chain(clone, MONDAY, kept) == first_day
    assert [state for *_, state in runs(clone, "opt_data_intraday")] == ["success"] * 6
    third.press_ctrl_c()
    third.wait()
    assert "No process is left behind" in third.output
    wait_until(lambda: processes_of(clone) == [])
