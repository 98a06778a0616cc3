"""What a backfill is said to have changed: stores before and after, and the lines a person reads."""

from pathlib import Path

import pytest

from tools.backfill import installation
from tools.backfill.__main__ import main
from tools.backfill.changes import Part, changes
from tools.backfill.errors import BackfillRefused
from tools.backfill.window import EOD, INTRADAY, MAINTENANCE

TEN, HALF_PAST = "2025-11-24 10:00", "2025-11-24 10:30"


def slot(rebuilt: int, reasons: dict[str, int], on_time: int = 0) -> Part:
    counts = {"on_time": on_time, "late": 0, "rebuilt": rebuilt}
    return Part(24, on_time + rebuilt, counts, reasons, counts)


def test_each_slot_says_what_was_missing_what_is_there_and_why_the_rest_is_not() -> None:
    before = {(TEN, "AAPL"): slot(0, {}, on_time=24), (TEN, "SPY"): slot(0, {"no_row": 24})}
    after = {
        (TEN, "AAPL"): before[TEN, "AAPL"],
        (TEN, "SPY"): slot(23, {"no_bars": 1}),
        (HALF_PAST, "AAPL"): slot(24, {}),
    }

    assert changes(INTRADAY, before, after) == [
        "2025-11-24 10:00  quotes missing: 24 before, 1 now; improved: SPY +23; without: 1 no_bars; "
        "24 on_time, 23 rebuilt",
        "2025-11-24 10:30  quotes missing: 24 before, 0 now; improved: AAPL +24; 24 rebuilt",
    ]


def test_a_backfill_that_changes_nothing_says_so() -> None:
    kept = {(TEN, "AAPL"): slot(20, {"expired": 4})}

    assert changes(INTRADAY, kept, kept) == [
        "2025-11-24 10:00  quotes missing: 4 before, 4 now; nothing changed; without: 4 expired; 20 rebuilt"
    ]


def test_a_day_rolled_up_from_better_slots_is_named_though_no_quote_was_added() -> None:
    before = {("2025-11-24", "AAPL"): Part(24, 24, "old", words={"last_good": 24})}
    after = {("2025-11-24", "AAPL"): Part(24, 24, "new", words={"slot_1600": 24})}

    (line,) = changes(EOD, before, after)

    assert "0 before, 0 now; rolled up anew: AAPL; 24 slot_1600" in line


def test_upkeep_says_whether_files_changed_and_how_many_there_are() -> None:
    def store(count: int) -> dict[tuple[str, str], Part]:
        return {("the store", "compacted"): Part(0, 0, count, words={"files": count})}

    assert changes(MAINTENANCE, store(14), store(2)) == ["the store; files: compacted; 2 files"]
    assert changes(MAINTENANCE, store(2), store(2)) == ["the store; nothing changed; 2 files"]


def test_a_long_universe_is_cut_on_the_screen() -> None:
    after = {(TEN, f"SYN{number:03}"): slot(24, {}) for number in range(1, 501)}

    (line,) = changes(INTRADAY, {}, after)

    assert "SYN006 +24 and 494 more" in line


def test_the_demo_is_used_where_no_airflow_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_HOME", raising=False)
    monkeypatch.setenv("OPT_DATA_CONFIG", "restored afterwards")
    environment = tmp_path / "env.sh"

    with pytest.raises(BackfillRefused, match="AIRFLOW_HOME is not set and no demo was started"):
        installation.choose(environment)
    environment.write_text("# a comment\nexport AIRFLOW_HOME='/a place/airflow'\nexport OPT_DATA_CONFIG=demo.toml\n")

    assert installation.choose(environment) == "/a place/airflow"
    monkeypatch.setenv("AIRFLOW_HOME", "/mine")
    assert installation.choose(environment) == "/mine"


@pytest.mark.parametrize("arguments", [["--from", "2025-11-31", "--to", "2025-12-01"], ["--from", "", "--to", ""]])
def test_what_is_no_date_is_refused_with_an_example(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert "is no date like 2025-11-24 (make backfill FROM=… TO=…)" in capsys.readouterr().err
