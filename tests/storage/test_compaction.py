"""Compaction: the same rows before, after and at every moment in between, whoever writes and whatever is damaged."""

import io
from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from opt_data.core.file_sizes import SizeLimits
from opt_data.errors import AlreadyRunning, CommitConflict, FileUnreadable, StorageUnavailable
from opt_data.storage.chain_reader import ChainReader
from opt_data.storage.chain_store import ChainStore
from opt_data.storage.layout import ChainPartition
from opt_data.storage.local import LocalObjectStore
from opt_data.storage.part_writer import PackRules
from opt_data.storage.port import ObjectStore
from opt_data.storage.swaps import WeekSwaps
from opt_data.storage.unpacking import unpack_symbol
from tests.fakes.chain import error_row, ingest, late_row, quote_row
from tests.fakes.clock import FixedClock
from tests.fakes.object_store import MemoryObjectStore
from tests.storage.weeks import DAYS, RULES, SYMBOLS, WEEK, counted, fill, pack, packed_tables, plain_rows, slots_of

SLOT = slots_of(DAYS[0])[3]


def through_our_reader(port: ObjectStore):
    reader = ChainReader(port)
    return counted(reader.read_chain(day, symbol) for day in DAYS for symbol in SYMBOLS)


def test_a_week_becomes_one_file_with_the_same_rows(chains: ChainStore, port: ObjectStore, clock: FixedClock) -> None:
    fill(chains)
    before = plain_rows(port)
    done = pack(port, clock)
    assert list(port.list("clean/")) == ["clean/ib/chain/view=intraday/week=2025-W48/part_000.parquet"]
    assert plain_rows(port) == before == through_our_reader(port)
    assert done.rows == before.total() == 54
    assert (len(done.inputs), len(done.outputs), done.set_aside) == (18, 1, ())
    assert done.outputs[0] == (next(port.list("clean/")), len(port.read(next(port.list("clean/"))).data))
    assert list(port.list("_incoming/")) == list(port.list("_retired/")) == []


def test_it_is_sorted_by_underlying_date_slot_and_contract(
    chains: ChainStore, port: ObjectStore, clock: FixedClock
) -> None:
    fill(chains)
    pack(port, clock)
    (table,) = packed_tables(port)
    keys = [tuple(row.values()) for row in table.select(["underlying", "trade_date", "slot_30m", "conid"]).to_pylist()]
    assert keys == sorted(keys)


def test_reading_a_symbol_day_gives_the_very_same_table(
    chains: ChainStore, reader: ChainReader, port: ObjectStore, clock: FixedClock
) -> None:
    fill(chains)
    before = [reader.read_chain(day, symbol, slot) for day in DAYS for symbol in SYMBOLS for slot in (None, 0, 3, 5)]
    pack(port, clock)
    after = [reader.read_chain(day, symbol, slot) for day in DAYS for symbol in SYMBOLS for slot in (None, 0, 3, 5)]
    assert all(old.equals(new) for old, new in zip(before, after, strict=True))
    assert reader.stored_contracts(DAYS[0], "AAPL")


def test_compacting_again_changes_rows_as_little_as_a_new_codec_does(
    chains: ChainStore, port: ObjectStore, clock: FixedClock
) -> None:
    fill(chains)
    before = plain_rows(port)
    pack(port, clock)
    pack(port, clock, PackRules(RULES.sizes, 16, "zstd"))
    assert plain_rows(port) == before == through_our_reader(port)
    file = pq.ParquetFile(io.BytesIO(port.read(WEEK.part_key(0)).data))
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"


def test_files_are_cut_at_the_wanted_size(chains: ChainStore, port: ObjectStore, clock: FixedClock) -> None:
    fill(chains)
    before = plain_rows(port)
    done = pack(port, clock, PackRules(SizeLimits(6_000, 12_000), 6, "snappy"))
    assert len(done.outputs) > 2
    assert plain_rows(port) == before == through_our_reader(port)
    pack(port, clock)
    assert len(list(port.list("clean/"))) == 1
    assert plain_rows(port) == before == through_our_reader(port)


def test_a_commit_to_a_slot_that_was_missed_lies_beside_the_compacted_file(
    chains: ChainStore, port: ObjectStore, clock: FixedClock
) -> None:
    fill(chains)
    before = plain_rows(port)
    pack(port, clock)
    compacted = port.read(WEEK.part_key(0))
    missed = slots_of(DAYS[0])[5]
    chains.commit_attempt(missed, "AAPL", "SMART", [quote_row(1, missed)], ingest("new"))
    assert port.read(WEEK.part_key(0)) == compacted
    assert plain_rows(port).total() == before.total() + 1
    assert plain_rows(port) == through_our_reader(port)
    pack(port, clock)
    assert list(port.list("clean/")) == [WEEK.part_key(0)]
    assert plain_rows(port).total() == before.total() + 1


def test_a_better_answer_to_a_compacted_slot_replaces_the_worse_one_once(
    chains: ChainStore, port: ObjectStore, clock: FixedClock
) -> None:
    fill(chains)
    before = plain_rows(port)
    pack(port, clock)
    result = chains.commit_attempt(
        SLOT, "AAPL", "SMART", [quote_row(2), late_row(3), quote_row(9)], ingest("better", 2)
    )
    assert result.won == 2
    after = plain_rows(port)
    assert after == through_our_reader(port)
    assert after.total() == before.total() + 1
    gone, new = before - after, after - before
    assert [(row[0], row[3], row[6]) for row in gone] == [("AAPL", "2", "timed_out")]
    assert {row[3]: row[4] for row in new} == {"2": "better", "9": "better"}
    assert {"AAPL"} == {table.column("underlying")[0].as_py() for table in loose_tables(port)}
    pack(port, clock)
    assert plain_rows(port) == after == through_our_reader(port)


def loose_tables(port: ObjectStore):
    return [
        pq.ParquetFile(io.BytesIO(port.read(key).data)).read()
        for key in port.list("clean/ib/chain/view=intraday/date=")
    ]


def test_a_worse_answer_to_a_compacted_slot_leaves_the_compacted_file_alone(
    chains: ChainStore, port: ObjectStore, clock: FixedClock
) -> None:
    fill(chains)
    pack(port, clock)
    compacted = port.read(WEEK.part_key(0))
    result = chains.commit_attempt(SLOT, "AAPL", "SMART", [error_row(1), error_row(3)], ingest("worse", 2))
    assert (result.won, result.clean.is_changed) == (0, False)
    assert chains.refresh(ChainPartition(DAYS[0], "AAPL", "SMART"), 3).rows.num_rows == 3
    chains.rebuild_clean(DAYS[0], "AAPL")
    assert list(port.list("clean/")) == [WEEK.part_key(0)]
    assert port.read(WEEK.part_key(0)) == compacted


def test_unpacking_the_only_symbol_leaves_no_empty_file(
    chains: ChainStore, port: ObjectStore, clock: FixedClock
) -> None:
    fill(chains, ("AAPL",))
    files, before = list(port.list("clean/")), plain_rows(port)
    pack(port, clock)
    unpack_symbol(port, WEEK, "MSFT")
    assert list(port.list("clean/")) == [WEEK.part_key(0)]
    unpack_symbol(port, WEEK, "AAPL")
    assert list(port.list("clean/")) == files
    assert plain_rows(port) == before
    assert list(port.list("_incoming/")) == list(port.list("_retired/")) == []


def test_a_damaged_slot_file_is_set_aside_derived_again_and_the_rest_compacted(
    chains: ChainStore, port: ObjectStore, clock: FixedClock
) -> None:
    fill(chains)
    before = plain_rows(port)
    for key in list(port.list("clean/"))[:2]:
        stored = port.read(key)
        port.put(key, stored.data[: len(stored.data) // 2], expected=stored.version)
    done = pack(port, clock)
    assert len(done.set_aside) == 2
    assert list(port.list("_quarantine/")) == sorted(done.set_aside)
    assert plain_rows(port) == before == through_our_reader(port)


def test_a_damaged_slot_file_without_raw_is_reported_and_the_rest_compacted(
    chains: ChainStore, port: ObjectStore, clock: FixedClock
) -> None:
    fill(chains)
    lost = next(port.list("clean/"))
    rows = counted([pq.ParquetFile(io.BytesIO(port.read(lost).data)).read()])
    before = plain_rows(port)
    port.put(lost, b"PAR1", expected=port.read(lost).version)
    for key in list(port.list(lost.replace("clean/", "raw/").removesuffix(".parquet"))):
        port.delete(key)
    done = pack(port, clock)
    assert len(done.set_aside) == 1
    assert plain_rows(port) == before - rows


def test_a_damaged_compacted_file_is_set_aside_and_built_again_from_raw(
    chains: ChainStore, port: ObjectStore, clock: FixedClock
) -> None:
    fill(chains)
    before = plain_rows(port)
    pack(port, clock)
    stored = port.read(WEEK.part_key(0))
    port.put(WEEK.part_key(0), stored.data[:-100], expected=stored.version)
    done = pack(port, clock)
    assert list(done.set_aside) == list(port.list("_quarantine/"))
    assert plain_rows(port) == before == through_our_reader(port)


def test_a_file_written_meanwhile_makes_a_conflict_and_loses_nothing(clock: FixedClock) -> None:
    port = MemoryObjectStore()
    chains = ChainStore(port, clock)
    fill(chains)

    def another_writer(key: str) -> None:
        if key.startswith("_incoming/"):
            port.before_put = lambda key: None
            chains.commit_attempt(SLOT, "AAPL", "SMART", [quote_row(7)], ingest("meanwhile", 2))

    port.before_put = another_writer
    with pytest.raises(CommitConflict):
        pack(port, clock)
    assert list(port.list("_incoming/")) == []
    assert plain_rows(port).total() == 55
    pack(port, clock)
    assert plain_rows(port).total() == 55


def test_no_room_for_the_new_files_leaves_everything_as_it_was(
    root: Path, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = LocalObjectStore(root)
    fill(ChainStore(port, clock))
    before = {key: port.read(key) for key in port.list("clean/")}
    put = port.put

    def full(key: str, data: bytes, *, expected: str) -> str:
        if key.startswith("_incoming/"):
            raise StorageUnavailable("the disk is full")
        return put(key, data, expected=expected)

    monkeypatch.setattr(port, "put", full)
    with pytest.raises(StorageUnavailable):
        pack(port, clock)
    assert {key: port.read(key) for key in port.list("clean/")} == before


class CutOff(Exception):
    pass


class Interrupted(MemoryObjectStore):
    """Dies before the n-th call that changes something; moves die between any two of their parts."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.calls_left = calls

    def _count(self) -> None:
        self.calls_left -= 1
        if self.calls_left < 0:
            raise CutOff

    def put(self, key, data, *, expected):
        self._count()
        return super().put(key, data, expected=expected)

    def move(self, moves):
        for move in moves:
            self._count()
            super().move([move])

    def delete(self, key, *, expected=None):
        self._count()
        super().delete(key, expected=expected)

    def delete_all(self, folder):
        self._count()
        super().delete_all(folder)


@pytest.mark.parametrize("work", ["compact", "compact again", "unpack"])
def test_cut_off_anywhere_readers_of_ours_see_the_same_and_the_next_one_finishes(work: str, clock: FixedClock) -> None:
    sound = MemoryObjectStore()
    fill(ChainStore(sound, clock))
    expected = plain_rows(sound)
    if work != "compact":
        pack(sound, clock, PackRules(SizeLimits(6_000, 12_000), 6, "snappy"))
    doubtful = 0
    for calls in range(200):
        port = Interrupted(calls)
        port.objects = dict(sound.objects)
        try:
            if work == "unpack":
                unpack_symbol(port, WEEK, "BRK B")
            else:
                pack(port, clock)
        except CutOff:
            assert through_our_reader(port) == expected
            seen = plain_rows(port)
            assert set(seen) == set(expected)  # nothing is ever missing, for any reader
            doubtful += seen != expected
            port.calls_left = 10_000
            with WeekSwaps(port, WEEK).writing():
                assert plain_rows(port) == expected
            pack(port, clock)
            assert plain_rows(port) == expected == through_our_reader(port)
            assert list(port.list("_incoming/")) == []
            continue
        break
    else:
        pytest.fail("it never came to its end")
    assert calls > 8
    # a plain reader sees rows twice between the first and the last of the moves, and at no other moment
    assert doubtful <= 8


def test_a_damaged_compacted_file_gives_way_in_one_step_wherever_the_work_is_cut_off(clock: FixedClock) -> None:
    sound = MemoryObjectStore()
    fill(ChainStore(sound, clock))
    expected = plain_rows(sound)
    pack(sound, clock, PackRules(SizeLimits(6_000, 12_000), 6, "snappy"))
    sound.objects[WEEK.part_key(1)] = sound.objects[WEEK.part_key(1)][:-100]
    refused = 0
    for calls in range(200):
        port = Interrupted(calls)
        port.objects = dict(sound.objects)
        try:
            pack(port, clock)
        except CutOff:
            port.calls_left = 10_000
            try:
                assert through_our_reader(port) == expected
            except FileUnreadable as error:
                refused += error.path == WEEK.part_key(1)
            pack(port, clock)
            assert plain_rows(port) == expected == through_our_reader(port)
            continue
        break
    else:
        pytest.fail("it never came to its end")
    assert 0 < refused < calls


def test_two_at_once_on_one_week_do_not_mix(root: Path, clock: FixedClock) -> None:
    port = LocalObjectStore(root)
    with port.lock("maintenance"), pytest.raises(AlreadyRunning), port.lock("maintenance", wait=False):
        pytest.fail("held twice")
    with port.lock("maintenance", shared=True), port.lock("maintenance", shared=True, wait=False):
        pass


def test_duckdb_and_pyarrow_read_compacted_and_fresh_weeks_together(root: Path, clock: FixedClock) -> None:
    import pyarrow.dataset as ds

    port = LocalObjectStore(root)
    chains = ChainStore(port, clock)
    fill(chains)
    pack(port, clock)
    later = slots_of(DAYS[0] + timedelta(days=7))[0]
    chains.commit_attempt(later, "AAPL", "SMART", [quote_row(1, later)], ingest("next-week"))
    query = f"select underlying, trade_date, count(*) from '{root}/clean/**/*.parquet' group by all order by all"
    found = duckdb.sql(query).fetchall()
    assert len(found) == 10
    assert found[:4] == [*(("AAPL", day, 6) for day in DAYS), ("AAPL", later.session.day, 1)]
    dataset = ds.dataset(root / "clean", partitioning="hive")
    assert dataset.count_rows(filter=ds.field("underlying") == "BRK B") == 18
