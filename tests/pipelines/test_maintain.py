"""Upkeep over real files: what it does, logs, refuses, and finishes after others."""

import io
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from opt_data.bootstrap import open_stores
from opt_data.config.models import MaintenanceSettings, PathSettings, Settings
from opt_data.errors import AlreadyRunning, RetentionRefused, StorageUnavailable
from opt_data.pipelines.maintain import maintain, plan_maintenance
from opt_data.pipelines.stores import Stores
from opt_data.storage.compaction import WeekPacker
from opt_data.storage.layout import ChainPartition, ChainView, ChainWeek
from opt_data.storage.local import LocalObjectStore
from opt_data.storage.port import MUST_NOT_EXIST
from opt_data.storage.swaps import WeekSwaps
from tests.fakes.chain import ingest, quote_row
from tests.fakes.clock import FixedClock
from tests.storage.weeks import DAYS, SYMBOLS, WEEK, fill, plain_rows, slots_of

SATURDAY = date(2025, 11, 29)
OLD, LATER = date(2025, 9, 22), date(2025, 12, 6)


@pytest.fixture
def open_desk(tmp_path: Path) -> Callable[..., Stores]:
    def open_with(**changes: object) -> Stores:
        paths = PathSettings(data_root=tmp_path / "data", state_root=tmp_path / "state")
        upkeep = MaintenanceSettings(cold_root=tmp_path / "cold", **changes)
        clock = FixedClock(datetime(2025, 11, 29, 14, 0, tzinfo=UTC))
        return open_stores(Settings(paths=paths, maintenance=upkeep), clock)

    return open_with


@pytest.fixture
def stores(open_desk: Callable[..., Stores]) -> Stores:
    return open_desk()


@pytest.fixture
def port(tmp_path: Path) -> LocalObjectStore:
    return LocalObjectStore(tmp_path / "data")


def lines(stores: Stores, day: date = SATURDAY) -> list[dict[str, object]]:
    path = stores.run_log.path("maintenance", day)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def store_old(stores: Stores, symbol: str = "AAPL", day: date = OLD) -> None:
    slot = slots_of(day)[0]
    stores.chains.commit_attempt(slot, symbol, "SMART", [quote_row(1, slot)], ingest(f"{symbol}-{day}"))


def roll_up(port: LocalObjectStore, symbol: str = "AAPL", day: date = OLD, rows: int = 1) -> str:
    sink = io.BytesIO()
    pq.write_table(pa.table({"underlying": [symbol] * rows}), sink)
    key = ChainPartition(day, symbol, "SMART", ChainView.DAILY_CLEAN).day_key
    port.put(key, sink.getvalue(), expected=MUST_NOT_EXIST)
    return key


def chain_files(port: LocalObjectStore, day: date = OLD) -> list[str]:
    week = ChainWeek.of_day(day)
    keys = [*port.list("clean/ib/chain/view=intraday/"), *port.list("raw/")]
    return [key for key in keys if week.label in key or any(f"date={one}" in key for one in week.days)]


def test_a_dry_run_says_what_it_would_do_and_changes_nothing(stores: Stores, port: LocalObjectStore) -> None:
    fill(stores.chains)
    before = list(port.list(""))
    plan = plan_maintenance(SATURDAY, stores=stores)
    assert plan.lines() == ("compact the week of 2025-11-24 with snappy: 18 files of one slot",)
    assert plan.summary()["dry_run"] is True
    assert list(port.list("")) == before
    assert lines(stores) == []


def test_a_finished_week_is_compacted_and_told_with_files_bytes_codec_and_seconds(
    stores: Stores, port: LocalObjectStore
) -> None:
    fill(stores.chains)
    before = plain_rows(port)
    sizes = {key: port.path_of(key).stat().st_size for key in port.list("clean/")}
    maintain(SATURDAY, stores=stores)
    assert plain_rows(port) == before
    (line,) = lines(stores)
    assert {one["file"]: one["bytes"] for one in line["inputs"]} == sizes
    assert line["outputs"] == [{"file": WEEK.part_key(0), "bytes": port.path_of(WEEK.part_key(0)).stat().st_size}]
    assert (line["action"], line["week_of"], line["codec"], line["rows"]) == ("compact", "2025-11-24", "snappy", 54)
    assert "seconds" in line
    assert maintain(SATURDAY, stores=stores).lines() == ("nothing to do",)
    assert len(lines(stores)) == 1


def test_a_damaged_compacted_file_is_built_again_at_once_and_told(stores: Stores, port: LocalObjectStore) -> None:
    fill(stores.chains)
    before = plain_rows(port)
    maintain(SATURDAY, stores=stores)
    path = port.path_of(WEEK.part_key(0))
    path.write_bytes(path.read_bytes()[:-100])
    maintain(SATURDAY, stores=stores)
    assert plain_rows(port) == before
    line = lines(stores)[-1]
    assert (line["reason"], len(line["set_aside"])) == ("a damaged compacted file", 1)


def test_two_weeks_later_it_becomes_zstd(stores: Stores, port: LocalObjectStore) -> None:
    fill(stores.chains)
    before = plain_rows(port)
    for saturday in (SATURDAY, SATURDAY + timedelta(days=7), SATURDAY + timedelta(days=14)):
        maintain(saturday, stores=stores)
    metadata = pq.ParquetFile(port.path_of(WEEK.part_key(0))).metadata
    assert metadata.row_group(0).column(0).compression == "ZSTD"
    assert plain_rows(port) == before
    assert [line["codec"] for line in lines(stores, SATURDAY + timedelta(days=14))] == ["zstd"]
    assert lines(stores, SATURDAY + timedelta(days=7)) == []


def test_an_old_week_that_is_rolled_up_is_deleted_raw_and_clean_and_its_days_stay(
    stores: Stores, port: LocalObjectStore
) -> None:
    fill(stores.chains)
    store_old(stores)
    daily = roll_up(port)
    gone = chain_files(port)
    assert len(gone) == 2
    maintain(LATER, stores=stores)
    assert chain_files(port) == []
    assert port.read(daily) is not None
    assert list(port.list("_retired/")) == []
    line = next(line for line in lines(stores, LATER) if line["action"] == "retire")
    assert sorted(one["file"] for one in line["inputs"]) == sorted(gone)
    assert (line["outputs"], line["moved_to"]) == ([], None)


def test_a_compacted_old_week_goes_too(stores: Stores, port: LocalObjectStore) -> None:
    fill(stores.chains)
    store_old(stores)
    maintain(OLD + timedelta(days=5), stores=stores)
    assert any("week=2025-W39" in key for key in chain_files(port))
    roll_up(port)
    maintain(LATER, stores=stores)
    assert chain_files(port) == []


@pytest.mark.parametrize("rolled_up", ["nothing", "another symbol", "without rows", "unreadable"])
def test_nothing_is_retired_before_it_is_rolled_up(stores: Stores, port: LocalObjectStore, rolled_up: str) -> None:
    fill(stores.chains)
    store_old(stores)
    store_old(stores, "SPY")
    roll_up(port, "SPY")
    if rolled_up == "without rows":
        roll_up(port, rows=0)
    if rolled_up == "unreadable":
        port.path_of(roll_up(port)).write_bytes(b"PAR1")
    rows = stores.reader.read_chain(OLD, "AAPL")
    assert rows.num_rows == 1
    upkeep = maintain(LATER, stores=stores)
    assert stores.reader.read_chain(OLD, "AAPL").equals(rows)
    assert "AAPL 2025-09-22" in upkeep.lines()[0]
    held = next(line for line in lines(stores, LATER) if line["action"] == "hold")
    assert held["not_rolled_up"] == ["AAPL 2025-09-22"]


def test_retired_weeks_can_move_to_another_path(
    open_desk: Callable[..., Stores], port: LocalObjectStore, tmp_path: Path
) -> None:
    stores = open_desk(retire="move")
    fill(stores.chains)
    store_old(stores)
    roll_up(port)
    before = {key: port.read(key).data for key in chain_files(port)}
    cold = LocalObjectStore(tmp_path / "cold")
    cold.put(next(iter(before)), b"half of it, from a run that was killed", expected=MUST_NOT_EXIST)
    maintain(LATER, stores=stores)
    assert {key: cold.read(key).data for key in cold.list("")} == before
    assert chain_files(port) == []
    line = next(line for line in lines(stores, LATER) if line["action"] == "retire")
    assert sorted(one["file"] for one in line["outputs"]) == sorted(before)


def test_retiring_everything_is_refused_and_the_rest_is_done(stores: Stores, port: LocalObjectStore) -> None:
    fill(stores.chains)
    for day in DAYS:
        for symbol in SYMBOLS:
            roll_up(port, symbol, day)
    rows = stores.reader.read_chain(DAYS[0], "AAPL")
    with pytest.raises(RetentionRefused, match="all 1 stored weeks"):
        maintain(date(2035, 1, 6), stores=stores)
    assert stores.reader.read_chain(DAYS[0], "AAPL").equals(rows)
    assert [line["action"] for line in lines(stores, date(2035, 1, 6))] == ["compact", "refuse"]


def test_a_second_upkeep_at_once_refuses_and_does_nothing(stores: Stores, port: LocalObjectStore) -> None:
    fill(stores.chains)
    files, rows = list(port.list("clean/")), plain_rows(port)
    with stores.weeks.alone(), pytest.raises(AlreadyRunning):
        maintain(SATURDAY, stores=stores)
    assert list(port.list("clean/")) == files
    maintain(SATURDAY, stores=stores)
    assert len(list(port.list("clean/"))) == 1
    assert plain_rows(port) == rows


def test_what_a_killed_upkeep_left_is_finished_first(stores: Stores, port: LocalObjectStore) -> None:
    fill(stores.chains)
    before = plain_rows(port)
    first = next(port.list("clean/"))
    moves = [(first, f"{WEEK.retired_prefix('killed')}{first}")]
    port.put(WEEK.swap_key, json.dumps({"swap": "killed", "moves": moves}).encode(), expected=MUST_NOT_EXIST)
    port.put(f"{WEEK.incoming_prefix}other/0.parquet", b"PAR1", expected=MUST_NOT_EXIST)
    retired = WEEK.retired_prefix("earlier")
    port.put(f"{retired}x.parquet", b"", expected=MUST_NOT_EXIST)
    stores.weeks.clean_up()
    assert WeekSwaps(port, WEEK).pending() is None
    assert list(port.list("_incoming/")) == list(port.list("_retired/")) == []
    assert first not in list(port.list("clean/"))
    assert plain_rows(port).total() == before.total() - 3


def test_no_room_is_told_per_week_and_the_other_weeks_are_done(
    stores: Stores, port: LocalObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(stores.chains)
    store_old(stores, day=date(2025, 11, 17))
    pack = WeekPacker.pack

    def without_room(packer: WeekPacker, week: ChainWeek):
        if week == WEEK:
            raise StorageUnavailable("the disk is full")
        return pack(packer, week)

    monkeypatch.setattr(WeekPacker, "pack", without_room)
    store_old(stores, day=date(2025, 11, 10))
    with pytest.raises(StorageUnavailable):
        maintain(SATURDAY, stores=stores)
    told = [(line["week_of"], line.get("error")) for line in lines(stores)]
    assert told == [("2025-11-10", None), ("2025-11-17", None), ("2025-11-24", "the disk is full")]


def test_error_logs_are_kept_thirty_days(stores: Stores) -> None:
    folder = stores.run_log.path("errors", SATURDAY).parent
    folder.mkdir(parents=True)
    names = ["2025-10-29.jsonl", "errors_20251029.log", "2025-10-30.jsonl", "errors_20251129.log", "notes.txt"]
    for name in names:
        (folder / name).write_text("x")
    maintain(SATURDAY, stores=stores)
    assert sorted(path.name for path in folder.iterdir()) == ["2025-10-30.jsonl", "errors_20251129.log", "notes.txt"]
    assert [Path(line["inputs"][0]["file"]).name for line in lines(stores)] == names[:2]


def test_what_gateways_said_is_kept_sixty_days(stores: Stores) -> None:
    folder = stores.run_log.path("gateway", SATURDAY).parent
    folder.mkdir(parents=True)
    for name in ("2025-09-29.jsonl", "2025-09-30.jsonl"):  # the Saturday is November 29
        (folder / name).write_text("x")
    maintain(SATURDAY, stores=stores)
    assert [path.name for path in folder.iterdir()] == ["2025-09-30.jsonl"]
    assert [line["action"] for line in lines(stores)] == ["delete_gateway_log"]
