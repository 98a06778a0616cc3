"""From rolled-up days and a table of actions to adjusted days, on real files."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from opt_data.bootstrap import open_stores
from opt_data.config.load import load_settings
from opt_data.errors import ConfigInvalid, DayNotRolledUp
from opt_data.pipelines.adjust_corporate_actions import AdjustOutcome, adjust_corporate_actions
from opt_data.pipelines.adjust_session import adjust_session
from opt_data.pipelines.stores import Stores
from opt_data.tables.arrow_rows import rows_from_table, table_from_rows
from opt_data.tables.datasets import DAILY_CLEAN
from opt_data.tables.row_check import checked_rows
from tests.fakes.chain import daily_row
from tests.fakes.clock import FixedClock

HEADER = "symbol,ex_date,kind,ratio,memo,known_at,entered_by\n"
SPLIT = "AAPL,2025-11-26,split,4:1,OCC 1,2025-11-10T09:00-05:00,\n"
MONDAY, TUESDAY, WEDNESDAY, FRIDAY = (date(2025, 11, day) for day in (24, 25, 26, 28))
CLEAN = "clean/ib/chain"


class House:
    """An installation with rolled-up days, one contract of strike 800 each, and a table of actions."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.table = root / "actions.csv"
        self.clock = FixedClock(datetime(2025, 11, 24, 22, 45, tzinfo=UTC))
        self.settings = load_settings(
            environ={
                "OPT_DATA__PATHS__DATA_ROOT": str(root / "data"),
                "OPT_DATA__PATHS__STATE_ROOT": str(root / "state"),
                "OPT_DATA__CORPORATE_ACTIONS__TABLE_FILE": str(self.table),
            }
        )
        self.write()

    @property
    def stores(self) -> Stores:
        return open_stores(self.settings, self.clock)

    def write(self, *lines: str) -> None:
        self.table.write_text(HEADER + "".join(lines))

    def roll_up(self, *days: date, symbol: str = "AAPL", exchange: str = "SMART", **changes: object) -> None:
        for day in days:
            row = daily_row(800, trade_date=day, underlying=symbol, exchange=exchange, bid=8.0, volume=10, **changes)
            table = table_from_rows(checked_rows(DAILY_CLEAN, [row]), DAILY_CLEAN)
            self.stores.daily.derive(day, symbol, exchange, lambda table=table: table)

    def adjust(self, day: date, symbol: str = "AAPL") -> AdjustOutcome:
        now = datetime(day.year, day.month, day.day, 22, 45, tzinfo=UTC)
        self.clock.set(max(now, self.clock.now()))
        return adjust_corporate_actions(symbol, day, stores=self.stores, dag_run_id="test")

    def strikes(self, *days: date, symbol: str = "AAPL") -> list[float]:
        return [row["strike_adj"] for day in days for row in rows_from_table(self.stores.adjusted.read(day, symbol))]

    def flags(self, *days: date) -> list[list[str]]:
        return [
            row["data_quality_flag"] for day in days for row in rows_from_table(self.stores.adjusted.read(day, "AAPL"))
        ]

    def files(self) -> dict[str, bytes]:
        folder = self.root / "data" / CLEAN / "view=daily_adjusted"
        return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.parquet"))}


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_days_before_the_split_are_rescaled_once_it_has_happened(house: House) -> None:
    house.write(SPLIT)
    house.roll_up(MONDAY, TUESDAY, WEDNESDAY)
    assert house.adjust(MONDAY).adjusted_again == ()
    assert house.adjust(TUESDAY).adjusted_again == ()
    assert house.strikes(MONDAY, TUESDAY) == [800.0, 800.0]
    outcome = house.adjust(WEDNESDAY)
    assert outcome.adjusted_again == (MONDAY, TUESDAY)
    assert house.strikes(MONDAY, TUESDAY, WEDNESDAY) == [200.0, 200.0, 800.0]
    assert outcome.found.factor == 1


def test_running_again_writes_nothing(house: House) -> None:
    house.write(SPLIT)
    house.roll_up(MONDAY, WEDNESDAY)
    house.adjust(MONDAY)
    house.adjust(WEDNESDAY)
    before = house.files()
    again = house.adjust(WEDNESDAY)
    assert (again.is_changed, again.adjusted_again) == (False, ())
    assert house.files() == before


def test_deleting_and_adjusting_again_gives_the_same_bytes_also_weeks_later(house: House) -> None:
    house.write(SPLIT)
    house.roll_up(MONDAY, TUESDAY, WEDNESDAY)
    for day in (MONDAY, TUESDAY, WEDNESDAY):
        house.adjust(day)
    before = house.files()
    for path in (house.root / "data" / CLEAN / "view=daily_adjusted").rglob("*.parquet"):
        path.unlink()
    house.clock.set(datetime(2026, 1, 15, 15, 0, tzinfo=UTC))
    for day in (WEDNESDAY, TUESDAY, MONDAY):
        house.adjust(day)
    assert house.files() == before
    assert len(before) == 3


def test_a_late_rollup_of_an_old_day_comes_out_on_todays_terms(house: House) -> None:
    house.write(SPLIT)
    house.roll_up(WEDNESDAY)
    house.adjust(WEDNESDAY)
    house.roll_up(MONDAY)
    outcome = house.adjust(MONDAY)
    assert (outcome.found.factor, house.strikes(MONDAY)) == (4, [200.0])


def test_a_split_learned_of_late_reaches_back(house: House) -> None:
    house.roll_up(MONDAY, TUESDAY, WEDNESDAY, FRIDAY)
    for day in (MONDAY, TUESDAY, WEDNESDAY):
        house.adjust(day)
    house.write(SPLIT.replace("11-10T", "11-28T"))
    assert house.adjust(FRIDAY).adjusted_again == (MONDAY, TUESDAY)
    (row,) = rows_from_table(house.stores.adjusted.read(MONDAY, "AAPL"))
    assert (row["factor_asof"], row["corporate_actions"]) == (FRIDAY, "2025-11-26 split 4:1 [OCC 1]")


def test_a_withdrawn_memo_takes_its_rescaling_back(house: House) -> None:
    house.write(SPLIT)
    house.roll_up(MONDAY, WEDNESDAY, FRIDAY)
    house.adjust(MONDAY)
    house.adjust(WEDNESDAY)
    house.write(SPLIT, "AAPL,2025-11-26,withdrawn,,OCC 1,2025-11-28T09:00-05:00,\n")
    assert house.adjust(FRIDAY).adjusted_again == (MONDAY,)
    assert house.strikes(MONDAY) == [800.0]


def test_a_reverse_split_is_linked_and_nothing_is_rescaled(house: House) -> None:
    house.write(SPLIT.replace("split,4:1", "reverse_split,1:10"))
    house.roll_up(MONDAY, WEDNESDAY)
    house.adjust(MONDAY)
    house.adjust(WEDNESDAY)
    (row,) = rows_from_table(house.stores.adjusted.read(MONDAY, "AAPL"))
    assert (row["adj_method"], row["strike_adj"], row["bid_adj"]) == ("not_comparable", 800.0, 8.0)
    assert row["corporate_actions"] == "2025-11-26 reverse_split 1:10 [OCC 1]"


@pytest.mark.parametrize(
    ("close_then", "told_later"), [(891.29, 297.10), (436.0, 109.0)], ids=["TSLA 2022, 3:1", "AAPL 2020, 4:1"]
)
def test_a_split_that_nobody_wrote_down_is_suspected_until_somebody_does(
    house: House, close_then: float, told_later: float
) -> None:
    """Published closes and what they became: tests/data/corporate_actions."""
    house.roll_up(MONDAY, TUESDAY, underlying_close=close_then, reference_price=close_then)
    house.roll_up(WEDNESDAY, underlying_close=told_later * 0.95, reference_price=told_later)
    house.roll_up(FRIDAY, underlying_close=told_later, reference_price=told_later * 0.95)
    suspected = [house.adjust(day).is_suspect for day in (MONDAY, TUESDAY, WEDNESDAY)]
    assert suspected == [False, False, True]
    assert house.flags(MONDAY, TUESDAY, WEDNESDAY) == [[], [], ["ca_suspect"]]
    before = house.files()
    assert not house.adjust(WEDNESDAY).is_changed
    assert house.files() == before

    house.write(SPLIT.replace("11-10T", "11-28T"))
    assert house.adjust(FRIDAY).adjusted_again == (MONDAY, TUESDAY, WEDNESDAY)
    assert house.flags(MONDAY, TUESDAY, WEDNESDAY, FRIDAY) == [[], [], [], []]
    assert house.strikes(MONDAY, TUESDAY, WEDNESDAY) == [200.0, 200.0, 800.0]


def test_a_price_that_fell_by_half_is_not_suspected(house: House) -> None:
    house.roll_up(TUESDAY, underlying_close=400.0, reference_price=410.0)
    house.roll_up(WEDNESDAY, underlying_close=200.0, reference_price=400.8)
    assert [house.adjust(day).is_suspect for day in (TUESDAY, WEDNESDAY)] == [False, False]


def test_without_the_day_before_nothing_is_suspected(house: House) -> None:
    house.roll_up(MONDAY, underlying_close=400.0, reference_price=400.0)
    house.roll_up(WEDNESDAY, underlying_close=100.0, reference_price=100.0)
    assert [house.adjust(day).is_suspect for day in (MONDAY, WEDNESDAY)] == [False, False]


def test_symbols_and_routes_are_kept_apart(house: House) -> None:
    house.write(SPLIT)
    for symbol in ("AAPL", "BRK B"):
        house.roll_up(MONDAY, WEDNESDAY, symbol=symbol)
    house.roll_up(MONDAY, exchange="CBOE")
    house.adjust(MONDAY, "BRK B")
    house.adjust(WEDNESDAY, "BRK B")
    house.adjust(WEDNESDAY)
    assert house.strikes(MONDAY, WEDNESDAY, symbol="BRK B") == [800.0, 800.0]
    assert house.strikes(MONDAY) == [200.0, 200.0]
    assert sorted(path.split("underlying=")[1] for path in house.files() if "11-24" in path) == [
        "AAPL/exchange=CBOE/day.parquet", "AAPL/exchange=SMART/day.parquet", "BRK%20B/exchange=SMART/day.parquet",
    ]  # fmt: skip


def test_a_run_cut_off_half_way_is_completed_by_the_next(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.write(SPLIT)
    house.roll_up(MONDAY, TUESDAY, WEDNESDAY)
    house.adjust(MONDAY)
    house.adjust(TUESDAY)
    stores = house.stores
    whole, calls = stores.adjusted.derive, []

    class Cut(Exception):
        pass

    class Dying:
        def __getattr__(self, name: str) -> object:
            return getattr(stores.adjusted, name)

        def derive(self, day: date, *rest: object) -> object:
            if day == TUESDAY:
                raise Cut
            calls.append(day)
            return whole(day, *rest)

    house.clock.set(datetime(2025, 11, 26, 22, 45, tzinfo=UTC))
    with pytest.raises(Cut):
        adjust_corporate_actions("AAPL", WEDNESDAY, stores=replace(stores, adjusted=Dying()))
    assert calls == [WEDNESDAY, MONDAY]
    assert house.adjust(WEDNESDAY).adjusted_again == (TUESDAY,)
    assert house.strikes(MONDAY, TUESDAY, WEDNESDAY) == [200.0, 200.0, 800.0]


def test_a_damaged_day_is_set_aside_and_derived_again(house: House) -> None:
    house.write(SPLIT)
    house.roll_up(MONDAY, WEDNESDAY)
    house.adjust(MONDAY)
    (path,) = (house.root / "data" / CLEAN / "view=daily_adjusted").rglob("*.parquet")
    path.write_bytes(path.read_bytes()[:-20])
    assert house.adjust(WEDNESDAY).adjusted_again == (MONDAY,)
    assert house.strikes(MONDAY) == [200.0]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (SPLIT.replace("2025-11-10T09", "2025-12-10T09"), "lies in the future"),
        (SPLIT.replace("4:1", "0:1"), "ratio 0:1"),
        (SPLIT + SPLIT, "already on line 2"),
    ],
)
def test_a_bad_table_stops_before_anything_is_written(house: House, line: str, complaint: str) -> None:
    house.roll_up(MONDAY)
    house.adjust(MONDAY)
    before = house.files()
    house.write(line)
    house.roll_up(WEDNESDAY)
    with pytest.raises(ConfigInvalid, match=complaint):
        house.adjust(WEDNESDAY)
    assert house.files() == before


def test_a_day_that_was_not_rolled_up_is_an_error_that_says_what_to_run(house: House) -> None:
    with pytest.raises(DayNotRolledUp, match="AAPL has no rolled-up rows on 2025-11-24; run the rollup") as caught:
        house.adjust(MONDAY)
    assert (caught.value.symbol, caught.value.day) == ("AAPL", MONDAY)


def test_a_simulated_market_ahead_of_this_machine_is_looked_at_from_its_own_day(house: House) -> None:
    house.clock.set(datetime(2025, 11, 1, 12, 0, tzinfo=UTC))
    house.write(SPLIT.replace("11-10T", "10-10T"))
    house.roll_up(MONDAY)
    assert adjust_corporate_actions("AAPL", MONDAY, stores=house.stores).as_of == MONDAY


def test_the_run_log_says_what_was_done(house: House, read_log: Callable[[Path], list[dict[str, object]]]) -> None:
    house.write(SPLIT)
    house.roll_up(MONDAY, WEDNESDAY)
    house.adjust(MONDAY)
    house.adjust(WEDNESDAY)
    (line,) = read_log(house.root / "state" / "run_logs" / "adjust" / "2025-11-26.jsonl")
    assert (line["symbol"], line["rows"], line["adjusted_again"]) == ("AAPL", 1, ["2025-11-24"])
    assert line["dag_run_id"] == "test"


def test_a_session_is_adjusted_symbol_by_symbol_whatever_becomes_of_one(house: House) -> None:
    house.roll_up(MONDAY, symbol="AAPL")
    house.roll_up(MONDAY, symbol="MSFT")
    house.roll_up(MONDAY, symbol="TSLA")
    damaged = (
        house.root / "data" / CLEAN / "view=daily_clean/date=2025-11-24/underlying=MSFT/exchange=SMART/day.parquet"
    )
    damaged.write_bytes(b"no parquet")
    done = adjust_session(MONDAY, ["AAPL", "MSFT", "SPY", "TSLA"], stores=house.stores)
    assert [outcome.symbol for outcome in done.outcomes] == ["AAPL", "TSLA"]
    assert (done.not_rolled_up, list(done.failed)) == (("SPY",), ["MSFT"])
    assert "no readable Parquet file" in done.failed["MSFT"]
    assert (done.summary()["rows"], done.summary()["changed"]) == (2, 2)


def test_a_session_with_a_bad_table_is_not_touched(house: House) -> None:
    house.roll_up(MONDAY)
    house.write(SPLIT + SPLIT)
    with pytest.raises(ConfigInvalid, match="already on line 2"):
        adjust_session(MONDAY, ["AAPL"], stores=house.stores)
    assert house.files() == {}


@pytest.fixture
def read_log() -> Callable[[Path], list[dict[str, object]]]:
    return lambda path: [json.loads(line) for line in path.read_text().splitlines()]


async def test_an_adjusted_day_traced_to_the_markets_own_truth(desk, tmp_path: Path) -> None:
    table = tmp_path / "actions.csv"
    table.write_text(HEADER + SPLIT.replace("11-26", "11-25"))
    desk = desk(CORPORATE_ACTIONS__TABLE_FILE=str(table))
    await desk.discover()
    desk.gateway.control.set_clock("2025-11-24T17:30:00-05:00")
    await desk.close()
    desk.roll_up()
    outcome = adjust_corporate_actions("AAPL", MONDAY, stores=desk.stores)
    rows = rows_from_table(desk.stores.adjusted.read(MONDAY, "AAPL"))
    assert (outcome.found.factor, outcome.rows, len(rows)) == (4, 24, 24)
    for row in rows:
        truth = desk.gateway.control.truth(row["conid"], datetime(2025, 11, 24, 21, 0, tzinfo=UTC))
        assert row["strike_adj"] * 4 == int(row["symbol"][-8:]) / 1000
        for name in ("bid", "ask", "last"):
            assert row[f"{name}_adj"] == (None if truth[name] is None else pytest.approx(truth[name] / 4, rel=1e-12))
        assert (row["volume_adj"], row["volume"]) == (row["volume"] * 4, truth["volume"])
        assert (row["adj_method"], row["factor_asof"]) == ("integral_split", TUESDAY)
