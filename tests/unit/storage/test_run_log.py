"""Run logs: one JSON object a line, whoever else writes."""

import json
import os
import threading
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from opt_data.core.contracts import SecType
from opt_data.errors import StorageUnavailable
from opt_data.storage.run_log import RunLog
from tests.fakes.clock import FixedClock

DAY = date(2025, 11, 24)
CLOCK = FixedClock(datetime(2025, 11, 24, 14, 25, tzinfo=UTC))


def test_lines_are_appended_with_their_instant(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "run_logs", CLOCK)
    log.append("discovery", DAY, {"symbol": "AAPL", "day": DAY, "kind": SecType.STOCK, "text": "two\nlines"})
    path = log.append("discovery", DAY, {"symbol": "MSFT"})
    assert path == tmp_path / "run_logs" / "discovery" / "2025-11-24.jsonl"
    assert [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] == [
        {
            "logged_at": "2025-11-24T14:25:00+00:00",
            "symbol": "AAPL",
            "day": "2025-11-24",
            "kind": "STK",
            "text": "two\nlines",
        },
        {"logged_at": "2025-11-24T14:25:00+00:00", "symbol": "MSFT"},
    ]


def test_lines_are_read_back_without_the_one_a_kill_left_half_written(tmp_path: Path) -> None:
    log = RunLog(tmp_path, CLOCK)
    assert log.read("discovery", DAY) == []
    path = log.append("discovery", DAY, {"symbol": "AAPL"})
    with path.open("a", encoding="utf-8") as file:
        file.write('{"symbol": "MS\n')
    log.append("discovery", DAY, {"symbol": "NVDA"})
    assert [line["symbol"] for line in log.read("discovery", DAY)] == ["AAPL", "NVDA"]


def test_lines_of_many_writers_do_not_mix(tmp_path: Path) -> None:
    log = RunLog(tmp_path, CLOCK)

    def write(number: int) -> None:
        for _ in range(20):
            log.append("capture", DAY, {"n": number, "pad": "x" * 5000})

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = log.path("capture", DAY).read_text(encoding="utf-8").splitlines()
    assert sorted(json.loads(line)["n"] for line in lines) == [0] * 20 + [1] * 20 + [2] * 20 + [3] * 20


@pytest.mark.parametrize("task", ["../x", "", "A", "a/b"])
def test_a_task_cannot_leave_the_directory(tmp_path: Path, task: str) -> None:
    with pytest.raises(ValueError, match="cannot name a run log"):
        RunLog(tmp_path, CLOCK).append(task, DAY, {})


def test_an_unwritable_place(tmp_path: Path) -> None:
    (tmp_path / "run_logs").write_text("a file is in the way")
    with pytest.raises(StorageUnavailable):
        RunLog(tmp_path / "run_logs", CLOCK).append("discovery", DAY, {})


def test_what_has_no_json_form_is_an_error_and_writes_nothing(tmp_path: Path) -> None:
    log = RunLog(tmp_path, CLOCK)
    with pytest.raises(ValueError, match="JSON compliant"):
        log.append("discovery", DAY, {"price": float("nan")})
    with pytest.raises(TypeError, match="object has no JSON form"):
        log.append("discovery", DAY, {"thing": object()})
    assert not log.path("discovery", DAY).exists()


def test_a_line_that_was_cut_short_spoils_only_itself(tmp_path: Path) -> None:
    log = RunLog(tmp_path, CLOCK)
    path = log.append("discovery", DAY, {"symbol": "AAPL"})
    with path.open("a") as file:
        file.write('{"logged_at": "2025-11-24T14:25:00+00:00", "symb')
    log.append("discovery", DAY, {"symbol": "MSFT"})
    first, cut, last = path.read_text().splitlines()
    assert [json.loads(line)["symbol"] for line in (first, last)] == ["AAPL", "MSFT"]
    assert cut.endswith('"symb')


def test_a_line_that_finds_no_room_for_its_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = RunLog(tmp_path, CLOCK)
    write = os.write
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda file, data: write(file, data[:7]))
        with pytest.raises(StorageUnavailable, match="only 7 of"):
            log.append("discovery", DAY, {"symbol": "AAPL"})
    path = log.append("discovery", DAY, {"symbol": "MSFT"})
    assert json.loads(path.read_text().splitlines()[-1])["symbol"] == "MSFT"
