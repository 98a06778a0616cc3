"""Three weeks with a holiday, an early close, a split and outages, built by backfills alone and traced to the market.

``three_weeks_story`` tells what happens. Every column of every row of the daily files is held against what
``traced_days`` expects of it: what the simulated gateway itself says of the contract (``truth``, ``sent``, ``find``,
``requests_seen``), plain arithmetic and textbook formulas on it, and the tries that this test ran; the calendar is the
exchange's.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ibsim.launch import running_gateway
from tests.airflow.listed_contracts import listed
from tests.airflow.three_weeks import AFTERWARDS, SESSIONS, Backfills, close_of
from tests.airflow.three_weeks_story import (
    CLOSE_LOST,
    CONIDS,
    CONTRACTS,
    CUT_IN_HALF,
    EVE,
    EX_DATE,
    RATIO,
    REFUSED,
    REFUSED_SLOTS,
    SCENARIO,
    SETTINGS,
    UNREAD,
    Story,
)
from tests.airflow.traced_days import expected_adjusted, expected_day

# a thousand task instances, one after the other: about a minute on a quiet machine
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """NVDA is captured at slots and close, AAPL at the close only."""
    root = tmp_path_factory.mktemp("three-weeks")
    (root / "slots.csv").write_text("symbol\nNVDA\n")
    (root / "closes.csv").write_text("symbol\nAAPL\nNVDA\n")
    (root / "actions.csv").write_text("symbol,ex_date,kind,ratio,memo,known_at,entered_by\n")
    paths = {
        "PATHS__DATA_ROOT": "data", "PATHS__STATE_ROOT": "state", "UNIVERSE__INTRADAY_FILE": "slots.csv",
        "UNIVERSE__CLOSE_FILE": "closes.csv", "CORPORATE_ACTIONS__TABLE_FILE": "actions.csv",
    }  # fmt: skip
    changes = SETTINGS | {name: str(root / place) for name, place in paths.items()}
    with (
        running_gateway(SCENARIO, clock="2025-11-17T09:25:00-05:00", log_path=root / "ibsim.log") as gateway,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("OPT_DATA_CONFIG", "include/config/demo.toml")
        for name, value in changes.items():
            patch.setenv(f"OPT_DATA__{name}", value)
        connection = f'{{"conn_type": "ib_gateway", "host": "{gateway.host}", "port": {gateway.port}}}'
        patch.setenv("AIRFLOW_CONN_IB_GATEWAY", connection)
        told = Story(Backfills(gateway, root / "data"), root)
        told.run()
        yield told


def test_only_what_the_scenario_broke_failed(story: Story) -> None:
    failures = Counter((task, day, error) for task, day, error in story.backfills.failures)
    assert failures == {
        ("capture", REFUSED, "GatewayUnavailable"): len(REFUSED_SLOTS),
        ("slot_report", REFUSED, "SlotIncomplete"): len(REFUSED_SLOTS),
        ("close_snapshot", CUT_IN_HALF, "GatewayUnavailable"): 1,
        ("capture", CLOSE_LOST, "GatewayUnavailable"): 1,
        ("close_snapshot", CLOSE_LOST, "GatewayUnavailable"): 1,
        ("read", UNREAD, "OpenInterestGone"): 2,
        ("oi_report", UNREAD, "OpenInterestMissing"): 1,
        ("read", EVE, "OpenInterestMissing"): 1,
        ("oi_report", EVE, "OpenInterestMissing"): 1,
    }


def test_every_session_has_its_day_and_no_other_day_has_any(story: Story) -> None:
    for view in ("daily_clean", "daily_adjusted"):
        found = [path.relative_to(story.root / "data/clean/ib/chain").parts for path in story.day_files(view)]
        assert found == [
            (f"view={view}", f"date={day}", f"underlying={symbol}", "exchange=SMART", "day.parquet")
            for day in SESSIONS
            for symbol in CONIDS
        ]


def test_no_column_of_a_daily_file_goes_untraced(story: Story) -> None:
    """A column that is added fails here until ``traced_days`` knows where its values come from."""
    day = SESSIONS[0]
    contract, row = listed(story, "AAPL", day)[0], story.clean(day, "AAPL")[0]
    traced = expected_day(story, contract, day, row)
    for path in story.day_files("daily_clean"):
        assert set(pq.read_schema(path).names) == set(traced)
    for path in story.day_files("daily_adjusted"):
        assert set(pq.read_schema(path).names) == set(expected_adjusted(row, "AAPL", day))


@pytest.mark.parametrize("symbol", CONIDS)
def test_every_value_of_the_day_is_the_markets_own(story: Story, symbol: str) -> None:
    """The contracts are those that the market lists on that day, and each has one row."""
    wrong: list[tuple[object, ...]] = []
    for day in SESSIONS:
        rows = {row["conid"]: row for row in story.clean(day, symbol)}
        contracts = listed(story, symbol, day)
        assert len(contracts) == len(story.clean(day, symbol)) == CONTRACTS
        assert set(rows) == {contract.conid for contract in contracts}
        for contract in contracts:
            row = rows[contract.conid]
            wrong += _differences(row, expected_day(story, contract, day, row))
    assert wrong == []


@pytest.mark.parametrize("symbol", CONIDS)
def test_every_adjusted_value_is_the_days_by_the_ratio(story: Story, symbol: str) -> None:
    wrong: list[tuple[object, ...]] = []
    for day in SESSIONS:
        clean = {row["conid"]: row for row in story.clean(day, symbol)}
        adjusted = {row["conid"]: row for row in story.adjusted(day, symbol)}
        assert len(story.adjusted(day, symbol)) == CONTRACTS
        assert set(adjusted) == set(clean)
        for conid, row in adjusted.items():
            wrong += _differences(row, expected_adjusted(clean[conid], symbol, day))
    assert wrong == []


def _differences(row: dict[str, Any], expected: dict[str, Any]) -> list[tuple[object, ...]]:
    assert set(row) == set(expected)
    return [
        (row["trade_date"], row["symbol"], name, row[name], value)
        for name, value in expected.items()
        if row[name] != value
    ]


def test_each_row_names_its_own_attempt(story: Story) -> None:
    """The calls of the snapshot that was cut in half are the first try's, the puts the second's."""
    days = [(day, symbol, story.clean(day, symbol)) for day in SESSIONS for symbol in CONIDS]
    attempts = {(day, symbol): {(row["right"], row["attempt"]) for row in rows} for day, symbol, rows in days}
    usual = {("C", 1), ("P", 1)}
    assert {place: found for place, found in attempts.items() if found != usual} == {
        (CUT_IN_HALF, "AAPL"): {("C", 1), ("P", 2)},
        (CLOSE_LOST, "NVDA"): {("C", 2), ("P", 2)},
    }
    ids = [ids for _, _, rows in days for ids in {row["ingest_id"] for row in rows}]
    assert len(ids) == len(set(ids)) == len(days) + 1


def test_a_rebuilt_day_is_priced_by_the_markets_own_volatility(story: Story) -> None:
    """Between those of the market's bid and ask; nothing is calculated where nobody bids."""
    rows = story.clean(CLOSE_LOST, "NVDA")
    for row in rows:
        truth = story.control.truth(row["conid"], close_of(CLOSE_LOST))
        if truth["bid"] is None:
            assert row["calc_iv"] is None
        else:
            assert truth["bid_model"]["iv"] < row["calc_iv"] < truth["ask_model"]["iv"]
    assert sum(row["calc_iv"] is not None for row in rows) >= CONTRACTS / 2


def test_the_adjusted_series_crosses_the_split_without_a_jump(story: Story) -> None:
    """On every day the market tells the close of the session before: on the ex-date in the new terms, to the cent."""
    for before, day in pairwise(SESSIONS):
        told = story.control.truth(CONIDS["NVDA"], close_of(day))["prev_close"]
        terms = RATIO if day < EX_DATE else 1
        closed = story.adjusted(before, "NVDA")[0]["underlying_close_adj"]
        assert closed == pytest.approx(told / terms, abs=0.01)
    jump = story.clean(EVE, "NVDA")[0]["underlying_close"] / story.clean(EX_DATE, "NVDA")[0]["underlying_close"]
    assert jump == pytest.approx(RATIO, rel=0.15)


def test_absent_values_are_few_and_none_is_unexplained(story: Story) -> None:
    """The scenario's fractions are small: a recorder that lost everything would pass no such count."""
    rows = [row for day in SESSIONS for symbol in CONIDS for row in story.clean(day, symbol)]
    flags = Counter(flag for row in rows for flag in row["data_quality_flag"])
    assert 0 < flags["no_bid"] < 0.3 * len(rows)
    assert 0 < flags["missing_greeks"] < 0.2 * len(rows)
    on_purpose = sum(
        row["expiry"] == row["trade_date"]
        or row["trade_date"] == UNREAD
        or (row["underlying"], row["trade_date"]) == ("NVDA", EVE)
        for row in rows
    )
    assert on_purpose < flags["missing_oi"] < on_purpose + 0.15 * len(rows)
    assert set(flags) == {
        "no_bid", "missing_greeks", "missing_oi", "frozen", "rebuilt_from_bars", "fallback_intraday",
    }  # fmt: skip


def test_deleting_the_days_and_deriving_them_again_gives_the_same_bytes(story: Story) -> None:
    before = {path: content for path, (_, content) in story.files("daily_clean", "daily_adjusted").items()}
    for path in before:
        Path(path).unlink()
    for day in SESSIONS:
        story.backfills.derive(day)
    after = {path: content for path, (_, content) in story.files("daily_clean", "daily_adjusted").items()}
    assert after == before
    assert len(after) == len(SESSIONS) * 2 * 2


def test_a_second_backfill_of_everything_changes_nothing(story: Story) -> None:
    backfills = story.backfills
    backfills.at(AFTERWARDS + timedelta(days=1), "10:00")
    before, asked = story.files(), story.control.stats()["requests"]
    backfills.failures.clear()
    for day in SESSIONS:
        backfills.discover(day)
        backfills.intraday(day)
        backfills.close(day)
        backfills.derive(day)
        backfills.open_interest(day)
    assert story.files() == before
    now = story.control.stats()["requests"]
    assert {kind: now[kind] for kind in ("reqMktData", "reqHistoricalData", "reqContractDetails")} == {
        kind: asked[kind] for kind in ("reqMktData", "reqHistoricalData", "reqContractDetails")
    }
    assert Counter(backfills.failures) == {("close_snapshot", day, "AirflowSkipException"): 2 for day in SESSIONS} | {
        ("read", UNREAD, "OpenInterestGone"): 2,
        ("oi_report", UNREAD, "OpenInterestMissing"): 1,
        ("read", EVE, "OpenInterestGone"): 1,
        ("oi_report", EVE, "OpenInterestMissing"): 1,
    }
