"""What the demo reads of a day, when it calls it accounted for, and the screen it shows."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time
from pathlib import Path

import duckdb
import pytest

from opt_data.core.sessions import TradingSession
from tools.demo.day_account import problems
from tools.demo.day_files import DayFiles, DayResult, SlotResult, read_day
from tools.demo.day_plan import DayPlan, Hours, plan_day
from tools.demo.day_screen import questions, screen


def session(day: int) -> TradingSession:
    at_open = datetime(2025, 11, day, 14, 30, tzinfo=UTC)
    return TradingSession(date(2025, 11, day), at_open, at_open.replace(hour=21, minute=0))


PLAN: DayPlan = plan_day(session(24), session(25), Hours(5, time(17, 30), time(7, 30)), 3)
FIRST, MISSED, LAST = 0, 1, 13

GOOD = SlotResult(24, 23, 0, 0, 1, 0, '{"timed_out": 1}', rows=24, modes={"on_time": 23})
REBUILT = SlotResult(24, 0, 0, 24, 0, 0, "{}", rows=24, modes={"rebuilt": 24})
FROZEN = replace(GOOD, modes={"frozen": 23})
DAY = DayResult(rows=24, captured=24, matching=24, adjusted=24, living=16, open_interest=15)
SLOTS = {(FIRST, "SPY"): GOOD, (MISSED, "SPY"): REBUILT, (LAST, "SPY"): FROZEN}
FILES = DayFiles(SLOTS, {"SPY": DAY}, {"close": 24}, {"no_bid": 3}, {"raw": (3, 40_000)})


def with_slot(slot: int, result: SlotResult) -> DayFiles:
    return replace(FILES, slots={**SLOTS, (slot, "SPY"): result})


def with_day(**changed: int) -> DayFiles:
    return replace(FILES, days={"SPY": replace(DAY, **changed)})


@pytest.mark.parametrize(
    ("files", "words"),
    [
        pytest.param(FILES, [], id="adds up"),
        pytest.param(with_slot(FIRST, replace(GOOD, late=1, on_time=22)), [], id="late is accounted for too"),
        pytest.param(
            with_slot(FIRST, replace(GOOD, expected=25)), ["slot 09:30 SPY: 25 expected, but 23 + 1 + 0"], id="ledger"
        ),
        pytest.param(with_slot(FIRST, replace(GOOD, rows=23)), ["24 contracts expected, 23 rows"], id="row not stored"),
        pytest.param(
            with_slot(FIRST, replace(GOOD, modes={"on_time": 22})), ["23 quotes, the files hold 22"], id="no quote"
        ),
        pytest.param(
            with_slot(FIRST, SlotResult(24, 0, 0, 0, 24, 0, "{}", rows=24)), ["not one quote"], id="nothing but absence"
        ),
        pytest.param(with_slot(FIRST, SlotResult(0, 0, 0, 0, 0, 0, "{}")), ["no contract set"], id="no set"),
        pytest.param(with_slot(FIRST, REBUILT), ["was captured, but has rebuilt quotes"], id="captured too late"),
        pytest.param(
            with_slot(MISSED, GOOD), ["slot 10:00 SPY: was missed and must be rebuilt, but"], id="not a backfill's rows"
        ),
        pytest.param(replace(FILES, slots={}), ["not in the slot ledger"] * 3, id="no ledger"),
        pytest.param(replace(FILES, days={}), ["day SPY: no row per contract"], id="no day"),
        pytest.param(with_day(matching=23), ["24 rows in daily_clean, 23 of them the same"], id="other contracts"),
        pytest.param(with_day(rows=25, adjusted=25), ["24 contracts in its slots, 25 rows"], id="a row too many"),
        pytest.param(with_day(adjusted=23), ["23 in daily_adjusted"], id="not adjusted"),
        pytest.param(with_day(open_interest=14), ["for 14 of 16 contracts only"], id="open interest below nine tenths"),
    ],
)
def test_what_is_not_accounted_for(files: DayFiles, words: list[str]) -> None:
    found = problems(PLAN, files, ["SPY"], 90.0)

    assert len(found) == len(words)
    assert all(expected in problem for expected, problem in zip(words, found, strict=True))


def write(folder: Path, rows: str, name: str = "part.parquet") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    duckdb.sql(rows).write_parquet(str(folder / name))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Three contracts of SPY: slot 0 compacted, slot 1 loose; the third expires on the day and has no quote."""
    chain = tmp_path / "clean/ib/chain"
    day, another = "date '2025-11-24' trade_date, 'SPY' underlying", "date '2025-11-25' trade_date, 'SPY' underlying"
    write(
        tmp_path / "ledger/date=2025-11-24",
        f"select {day}, slot::tinyint slot_30m, 3 expected, 2 - 2 * slot on_time, 0 late, 2 * slot rebuilt, 1 missing, "
        "0 error, '{}' reasons from range(2) slots(slot)",
    )
    quotes = (
        "conid, conid = 3 snapshot_error, case when conid < 3 then '{mode}' end capture_mode, "
        "case when conid = 1 then ['no_bid'] else []::varchar[] end data_quality_flag from range(1, 4) c(conid)"
    )
    rows = f"select {day}, 0 slot_30m, {quotes.format(mode='on_time')}"
    write(
        chain / "view=intraday/week=2025-W48",
        f"{rows} union all select {another}, 0 slot_30m, {quotes.format(mode='late')}",
    )
    write(
        chain / "view=intraday/date=2025-11-24/underlying=SPY/exchange=SMART",
        f"select {day}, 1 slot_30m, {quotes.format(mode='rebuilt')}",
    )
    write(
        chain / "view=daily_clean/date=2025-11-24/underlying=SPY/exchange=SMART",
        f"select {day}, conid, case when conid < 3 then 'close' else 'none' end rollup_strategy, "
        "date '2025-11-24' + (3 - conid)::int expiry, case when conid = 1 then 100 end open_interest, "
        "case when conid = 1 then date '2025-11-24' end oi_asof_date from range(1, 4) c(conid)",
    )
    write(
        chain / "view=daily_adjusted/date=2025-11-24/underlying=SPY/exchange=SMART",
        f"select {day}, conid from range(1, 4) c(conid)",
    )
    return tmp_path


def test_a_day_is_read_from_slot_files_and_compacted_weeks_alike(store: Path) -> None:
    files = read_day(store, date(2025, 11, 24))

    assert files.slots == {
        (0, "SPY"): SlotResult(3, 2, 0, 0, 1, 0, "{}", rows=3, modes={"on_time": 2}),
        (1, "SPY"): SlotResult(3, 0, 0, 2, 1, 0, "{}", rows=3, modes={"rebuilt": 2}),
    }
    assert files.days == {"SPY": DayResult(rows=3, captured=3, matching=3, adjusted=3, living=2, open_interest=1)}
    assert files.strategies == {"close": 2, "none": 1}
    assert files.flags == {"no_bid": 2}
    assert {kind: count for kind, (count, _) in files.views.items()} == {
        "daily_adjusted": 1, "daily_clean": 1, "intraday": 1, "intraday by week": 1, "ledger": 1,
    }  # fmt: skip


def test_a_store_with_nothing_in_it_is_read_as_nothing(tmp_path: Path) -> None:
    nothing: Mapping[str, int] = {}

    assert read_day(tmp_path, date(2025, 11, 24)) == DayFiles({}, {}, nothing, nothing, {})


def test_the_screen_shows_every_slot_and_what_became_of_it() -> None:
    lines = screen(PLAN, FILES, ["SPY", "QQQ"]).splitlines()

    assert [line.split()[:3] for line in lines[1:4]] == [
        ["09:30", "23/24", "o"],
        ["10:00", "24/24", "r"],
        ["16:00", "23/24", "f"],
    ]
    assert "missed, then rebuilt" in lines[2]
    assert lines[1].rstrip().endswith("-")
    assert "11 slots of this session were left out" in lines[5]
    assert "15 of 16 contracts, read the next morning; 8 had expired" in lines[-3]
    assert len(lines) < 24


def test_the_questions_can_be_asked(store: Path) -> None:
    for question in questions(store):
        assert f"'{store}/" in question
        statement, *_ = duckdb.extract_statements(question)
        assert statement.type.name == "SELECT"
