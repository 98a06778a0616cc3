"""``make run`` from a fresh clone: once, killed in the middle, and again. The real thing, nothing faked.

One story in three starts, because each costs most of a minute of a small machine:
the first start captures the first slot and ends by itself; the second is killed while it captures the second slot; the
third finds what was left, repeats that slot, stays up, and ends on Ctrl-C.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
UNIVERSE = ["AAPL", "MSFT", "NVDA", "SPX", "SPY"]
LIMIT_S = 240.0

pytestmark = pytest.mark.timeout(600)


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


def ledger(clone: Path) -> list[tuple[object, ...]]:
    return duckdb.sql(
        "select slot_30m, underlying, expected, on_time, late, rebuilt, missing, error "
        f"from '{clone}/.run/demo/data/ledger/**/*.parquet' order by all"
    ).fetchall()


def chain(clone: Path, columns: str) -> list[tuple[object, ...]]:
    files = f"{clone}/.run/demo/data/clean/**/*.parquet"
    return duckdb.sql(f"select {columns} from '{files}' order by all").fetchall()


def assert_accounted_for(clone: Path, slots: int) -> None:
    """The ledger adds up for every symbol and slot, and the files hold exactly what it counts, each contract once."""
    rows = ledger(clone)

    assert [(slot, symbol) for slot, symbol, *_ in rows] == [(s, u) for s in range(slots) for u in UNIVERSE]
    for _, _, expected, *counts in rows:
        assert isinstance(expected, int)
        assert expected >= 20
        assert expected == sum(count for count in counts if isinstance(count, int))
    assert sum(int(str(row[2])) for row in rows) == len(chain(clone, "trade_date, sample_time, conid"))
    assert len(set(chain(clone, "trade_date, sample_time, conid"))) == len(chain(clone, "conid"))
    assert chain(clone, "count(*) filter (snapshot_error = (capture_mode is not null))") == [(0,)]


def wait_until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_true():
        assert time.monotonic() < deadline, "waited 30 s"
        time.sleep(0.1)


def test_make_run_from_a_fresh_clone_and_after_a_kill(clone: Path) -> None:
    first = Demo(clone, "ONCE=1")
    assert first.wait() == 0, first.output
    assert "All" in first.output
    assert_accounted_for(clone, slots=1)
    assert processes_of(clone) == []
    kept = "slot_30m, conid, bid, ask, asof_ts, known_at"
    slot_0 = chain(clone, kept)

    second = Demo(clone)
    second.wait_for(r"opt_data_intraday: capture \w+ running")
    rival = Demo(clone, "ONCE=1")
    assert rival.wait() != 0
    assert re.search(r"A demo of this checkout is running at http://127\.0\.0\.1:\d+", rival.output), rival.output
    runner = json.loads((clone / ".run" / "running.json").read_text())["pid"]
    os.kill(runner, signal.SIGKILL)
    assert second.wait() != 0
    assert processes_of(clone) != []

    third = Demo(clone)
    third.wait_for("Press Ctrl-C")
    assert "An earlier start was killed" in third.output
    assert re.search(r"2025-11-24 10:00 New York", third.output)
    assert_accounted_for(clone, slots=2)
    assert [row for row in chain(clone, kept) if row[0] == 0] == slot_0
    third.press_ctrl_c()
    third.wait()
    assert "No process is left behind" in third.output
    wait_until(lambda: processes_of(clone) == [])
