"""Every writer of chains and days, killed at random or left without room: no row lost, doubled or unreadable."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).resolve().parents[1]
DRIVER = TESTS / "storage" / "random_kills.py"
# each prepares what its writers find and plays tens of processes: long where many share the cores
pytestmark = pytest.mark.timeout(900)
WRONGS = ("lost", "doubled", "unreadable", "wrong", "not_as_undisturbed")


def drive(work: Path, *arguments: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, str(DRIVER), str(work), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(TESTS.parent / "plugins")},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def wrongs(trials: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [trial for trial in trials if any(trial[name] for name in WRONGS) or trial["ended"] == "failed"]


def test_writers_killed_at_random_lose_double_and_spoil_nothing_and_the_next_run_ends_as_if_undisturbed(
    tmp_path: Path,
) -> None:
    other = random.randrange(10**6)
    print(f"seed of the last four: {other}")
    trials = drive(tmp_path, "kill", "11:20251129", f"4:{other}")
    assert sum(trial["ended"] == "killed" for trial in trials) == 15
    assert len({trial["writer"] for trial in trials}) == 11
    assert wrongs(trials) == []


@pytest.mark.parametrize("fault", ["no-space", "read-only"])
def test_a_disk_that_takes_nothing_from_some_call_on_loses_nothing(tmp_path: Path, fault: str) -> None:
    writers = ["commit", "rollup", "open interest", "compaction"]
    trials = drive(tmp_path, fault, *writers, "--at-most", "3")
    assert len(trials) == 12
    assert {trial["ended"] for trial in trials} == {"refused"}
    assert wrongs(trials) == []
