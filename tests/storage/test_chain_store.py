"""Commits: every attempt in raw, the best of all in clean, whoever writes and whatever is found damaged."""

import logging
from datetime import datetime, timedelta

import pyarrow as pa
import pytest

from opt_data.errors import CommitConflict, FileUnreadable, SchemaMismatch
from opt_data.storage.chain_reader import ChainReader
from opt_data.storage.chain_rows import IngestRun
from opt_data.storage.chain_store import COMMIT_TRIES, ChainStore, CommitResult
from opt_data.storage.layout import ChainPartition, ChainView
from opt_data.storage.parquet import encode
from opt_data.storage.port import ObjectStore
from opt_data.tables.arrow import empty_table
from opt_data.tables.datasets import SLOT_LEDGER
from tests.fakes.chain import LAST_SLOT, SESSION, SLOT, SLOTS, Row, error_row, ingest, late_row, quote_row
from tests.fakes.clock import FixedClock
from tests.fakes.object_store import MemoryObjectStore

DAY = SESSION.day
PARTITION = ChainPartition(DAY, "AAPL", "SMART")
CLEAN_KEY = "clean/ib/chain/view=intraday/date=2025-11-24/underlying=AAPL/exchange=SMART/slot_03.parquet"


def commit(chains: ChainStore, name: str, rows: list[Row], attempt: int = 1, symbol: str = "AAPL") -> CommitResult:
    return chains.commit_attempt(SLOT, symbol, "SMART", rows, ingest(name, attempt))


def origins(reader: ChainReader) -> dict[int, str]:
    rows = reader.read_chain(DAY, "AAPL", 3).select(["conid", "ingest_id"]).to_pylist()
    assert len({row["conid"] for row in rows}) == len(rows)
    return {row["conid"]: row["ingest_id"] for row in rows}


def overwrite(port: ObjectStore, key: str, data: bytes) -> None:
    stored = port.read(key)
    assert stored is not None
    port.put(key, data, expected=stored.version)


def test_a_commit_appends_to_raw_and_writes_clean(chains: ChainStore, port: ObjectStore) -> None:
    result = commit(chains, "a", [quote_row(1), error_row(2)])
    raw_key = "raw/ib/chain/view=intraday/date=2025-11-24/underlying=AAPL/exchange=SMART/slot_03_a01_a.parquet"
    assert list(port.list("")) == [CLEAN_KEY, raw_key]
    assert (result.raw_key, result.written, result.won) == (raw_key, 2, 2)
    assert (result.clean.key, result.clean.attempts, result.clean.is_changed) == (CLEAN_KEY, 1, True)
    assert result.clean.set_aside == ()


def test_a_rerun_replaces_what_it_makes_better_and_doubles_nothing(chains: ChainStore, reader: ChainReader) -> None:
    commit(chains, "first", [quote_row(1), late_row(2), error_row(3)])
    result = commit(chains, "second", [late_row(1), quote_row(2), quote_row(3), quote_row(4)], attempt=2)
    assert origins(reader) == {1: "first", 2: "second", 3: "second", 4: "second"}
    assert (result.written, result.won, result.clean.attempts) == (4, 3, 2)


def test_a_worse_rerun_changes_nothing_but_raw(chains: ChainStore, port: ObjectStore) -> None:
    commit(chains, "first", [quote_row(1)])
    before = port.read(CLEAN_KEY)
    result = commit(chains, "second", [error_row(1, "gateway_lost")], attempt=2)
    assert port.read(CLEAN_KEY) == before
    assert (result.won, result.clean.is_changed) == (0, False)


def test_known_at_is_the_winning_attempts_commit_and_rebuilding_keeps_it(
    chains: ChainStore, reader: ChainReader, clock: FixedClock
) -> None:
    first = clock.now()
    commit(chains, "first", [quote_row(1), late_row(2)])
    clock.advance(timedelta(minutes=10))
    second = clock.now()
    commit(chains, "second", [late_row(1), quote_row(2)], attempt=2)
    clock.advance(timedelta(days=3))
    chains.rebuild_clean(DAY, "AAPL")
    assert reader.read_chain(DAY, "AAPL").column("known_at").to_pylist() == [first, second]


def test_clean_is_a_pure_function_of_raw(chains: ChainStore, port: ObjectStore) -> None:
    commit(chains, "a", [quote_row(1), late_row(2), error_row(3)])
    commit(chains, "b", [quote_row(2), error_row(3, "ib_error"), error_row(4)], attempt=2)
    chains.commit_attempt(SLOTS[4], "AAPL", "SMART", [quote_row(1, SLOTS[4])], ingest("c"))
    clean = {key: port.read(key) for key in port.list("clean/")}
    assert len(clean) == 2
    for key in clean:
        port.delete(key)
    rebuilt = chains.rebuild_clean(DAY, "AAPL")
    assert {key: port.read(key) for key in port.list("clean/")} == clean
    assert [slot.key for slot in rebuilt] == list(clean)
    assert all(not slot.is_changed for slot in chains.rebuild_clean(DAY, "AAPL"))


def test_a_commit_cut_off_between_raw_and_clean_is_finished_by_the_next(
    chains: ChainStore, port: ObjectStore, reader: ChainReader
) -> None:
    commit(chains, "a", [quote_row(1), error_row(2)])
    old = port.read(CLEAN_KEY)
    commit(chains, "b", [quote_row(2)], attempt=2)
    overwrite(port, CLEAN_KEY, old.data)
    assert origins(reader) == {1: "a", 2: "a"}
    finished = chains.refresh(PARTITION, 3)
    assert (finished.is_changed, finished.attempts) == (True, 2)
    assert origins(reader) == {1: "a", 2: "b"}
    assert not chains.refresh(PARTITION, 3).is_changed


def test_refreshing_a_slot_without_anything_creates_nothing(chains: ChainStore, port: ObjectStore) -> None:
    clean = chains.refresh(PARTITION, 3)
    assert (clean.rows.num_rows, clean.attempts, clean.is_changed) == (0, 0, False)
    assert chains.rebuild_clean(DAY, "AAPL") == ()
    assert list(port.list("")) == []


def test_clean_rows_outlive_their_retired_raw_attempt(
    chains: ChainStore, port: ObjectStore, reader: ChainReader
) -> None:
    retired = commit(chains, "a", [quote_row(1)])
    port.delete(retired.raw_key)
    chains.rebuild_clean(DAY, "AAPL")
    assert origins(reader) == {1: "a"}
    commit(chains, "b", [late_row(1), quote_row(2)], attempt=2)
    assert origins(reader) == {1: "a", 2: "b"}


def test_symbols_slots_and_exchanges_do_not_touch_each_other(chains: ChainStore, reader: ChainReader) -> None:
    commit(chains, "a", [quote_row(1)])
    commit(chains, "b", [quote_row(1)], symbol="BRK B")
    chains.commit_attempt(LAST_SLOT, "AAPL", "SMART", [quote_row(1, LAST_SLOT)], ingest("c"))
    assert reader.read_chain(DAY, "AAPL").column("slot_30m").to_pylist() == [3, 13]
    assert reader.read_chain(DAY, "BRK B").column("underlying").to_pylist() == ["BRK B"]


def test_an_ingest_id_used_twice_is_a_conflict(chains: ChainStore, reader: ChainReader) -> None:
    commit(chains, "a", [quote_row(1)])
    with pytest.raises(CommitConflict):
        commit(chains, "a", [quote_row(2)])
    assert origins(reader) == {1: "a"}


@pytest.mark.parametrize("left", [0, 3, 500])
def test_a_truncated_raw_file_is_set_aside_and_nothing_else_is_lost(
    chains: ChainStore, port: ObjectStore, reader: ChainReader, caplog: pytest.LogCaptureFixture, left: int
) -> None:
    good = commit(chains, "good", [quote_row(1)])
    torn = commit(chains, "torn", [quote_row(2)], attempt=2)
    damaged = port.read(torn.raw_key).data[:left]
    overwrite(port, torn.raw_key, damaged)
    with caplog.at_level(logging.WARNING):
        result = commit(chains, "new", [quote_row(3)], attempt=3)
    assert origins(reader) == {1: "good", 2: "torn", 3: "new"}
    (aside,) = result.clean.set_aside
    assert aside.startswith(f"_quarantine/{torn.raw_key}.")
    assert not aside.endswith(".parquet")
    assert port.read(aside).data == damaged
    assert port.read(torn.raw_key) is None
    assert port.read(good.raw_key) is not None
    assert torn.raw_key in caplog.text
    assert commit(chains, "again", [quote_row(3)], attempt=4).clean.set_aside == ()


def test_a_damaged_clean_file_is_set_aside_and_derived_again(
    chains: ChainStore, port: ObjectStore, reader: ChainReader
) -> None:
    commit(chains, "a", [quote_row(1), quote_row(2)])
    whole = port.read(CLEAN_KEY).data
    overwrite(port, CLEAN_KEY, whole[:-7])
    with pytest.raises(FileUnreadable, match="slot_03"):
        reader.read_chain(DAY, "AAPL")
    clean = chains.refresh(PARTITION, 3)
    assert len(clean.set_aside) == 1
    assert port.read(clean.set_aside[0]).data == whole[:-7]
    assert port.read(CLEAN_KEY).data == whole


def test_a_damaged_clean_file_without_any_raw_is_set_aside_too(chains: ChainStore, port: ObjectStore) -> None:
    result = commit(chains, "a", [quote_row(1)])
    port.delete(result.raw_key)
    overwrite(port, CLEAN_KEY, b"PAR1")
    clean = chains.refresh(PARTITION, 3)
    assert clean.rows.num_rows == 0
    assert list(port.list("")) == list(clean.set_aside)


def test_a_file_of_another_kind_stops_the_commit_after_raw_and_is_left_alone(
    chains: ChainStore, port: ObjectStore
) -> None:
    commit(chains, "a", [quote_row(1)])
    foreign = encode(empty_table(SLOT_LEDGER), SLOT_LEDGER)
    overwrite(port, CLEAN_KEY, foreign)
    with pytest.raises(SchemaMismatch, match="slot_03"):
        commit(chains, "b", [quote_row(2)], attempt=2)
    assert port.read(CLEAN_KEY).data == foreign
    assert len(list(port.list("raw/"))) == 2


def test_a_writer_that_comes_in_between_loses_nothing(clock: FixedClock) -> None:
    port = MemoryObjectStore()
    chains = ChainStore(port, clock)

    def slip_in(key: str) -> None:
        if key.startswith("clean/"):
            port.before_put = lambda key: None
            ChainStore(port, clock).commit_attempt(SLOT, "AAPL", "SMART", [quote_row(2), late_row(1)], ingest("other"))

    port.before_put = slip_in
    result = commit(chains, "mine", [quote_row(1), late_row(2)])
    assert origins(ChainReader(port)) == {1: "mine", 2: "other"}
    assert (result.won, result.clean.attempts) == (1, 2)


def test_a_writer_that_commits_while_clean_is_rebuilt_from_raw_keeps_its_rows(clock: FixedClock) -> None:
    port = MemoryObjectStore()
    chains = ChainStore(port, clock)
    commit(chains, "first", [quote_row(1)])

    def slip_in(key: str) -> None:
        if key.startswith("raw/"):
            port.after_read = lambda key: None
            commit(ChainStore(port, clock), "other", [quote_row(2)])

    port.after_read = slip_in
    chains.rebuild_clean(DAY, "AAPL")
    assert origins(ChainReader(port)) == {1: "first", 2: "other"}


def test_a_store_that_never_holds_still_ends_in_a_conflict_with_raw_complete(clock: FixedClock) -> None:
    port = MemoryObjectStore()
    tries = 0

    def disturb(key: str) -> None:
        nonlocal tries
        if key == CLEAN_KEY:
            tries += 1
            port.objects[key] = encode(empty_table(SLOT_LEDGER), SLOT_LEDGER)[:tries]

    port.before_put = disturb
    with pytest.raises(CommitConflict, match=f"{COMMIT_TRIES} times"):
        commit(ChainStore(port, clock), "mine", [quote_row(1)])
    assert tries == COMMIT_TRIES
    assert len(list(port.list("raw/"))) == 1


def test_a_reader_is_given_the_day_as_it_was_known(chains: ChainStore, reader: ChainReader, clock: FixedClock) -> None:
    nothing = clock.now() - timedelta(microseconds=1)
    first = clock.now()
    commit(chains, "first", [late_row(1), error_row(2)])
    clock.advance(timedelta(minutes=5))
    commit(chains, "second", [quote_row(1), quote_row(3)], attempt=2)

    def known(at: datetime, slot: int | None = None) -> dict[int, str]:
        rows = reader.read_chain(DAY, "AAPL", slot, as_of=at).to_pylist()
        return {row["conid"]: row["ingest_id"] for row in rows}

    assert known(nothing) == {}
    assert known(first) == known(first, 3) == {1: "first", 2: "first"}
    assert known(clock.now()) == {1: "second", 2: "first", 3: "second"}
    assert known(clock.now(), 4) == {}
    with pytest.raises(ValueError, match="no time zone"):
        known(datetime(2025, 11, 24, 16, 0))


def test_a_contract_stored_under_two_routes_is_read_once(chains: ChainStore, reader: ChainReader) -> None:
    commit(chains, "a", [late_row(1), quote_row(2)])
    chains.commit_attempt(SLOT, "AAPL", "CBOE", [quote_row(1), late_row(2)], ingest("b"))
    assert origins(reader) == {1: "b", 2: "a"}


def test_a_reader_of_nothing_gets_an_empty_table_with_the_schema(reader: ChainReader) -> None:
    table = reader.read_chain(DAY, "AAPL")
    assert table.num_rows == 0
    assert {"conid", "bid", "known_at"} <= set(table.schema.names)
    assert reader.stored_contracts(DAY, "AAPL") == ()


def test_rows_that_are_looked_at_in_part_are_those_that_are_read_whole(chains: ChainStore, reader: ChainReader) -> None:
    commit(chains, "a", [quote_row(1), late_row(2), error_row(3)])
    chains.commit_attempt(LAST_SLOT, "AAPL", "SMART", [quote_row(number, LAST_SLOT) for number in (1, 4)], ingest("b"))
    whole, opened = reader.read_chain(DAY, "AAPL"), reader.open_chain(DAY, "AAPL")

    commit(chains, "c", [quote_row(3)])  # later than the moment that was opened

    assert opened.num_rows == 5
    names = ["bid", "conid", "data_quality_flag"]
    assert opened.select(names).equals(whole.select(names))
    for numbers in ([4, 0, 2], [1], []):
        around, places = opened.around(numbers)
        assert around.take(pa.array(places, pa.int64())).to_pylist() == [whole.to_pylist()[one] for one in numbers]


def test_contracts_are_found_again_from_stored_rows(chains: ChainStore, reader: ChainReader) -> None:
    commit(chains, "a", [error_row(12), quote_row(7)])
    chains.commit_attempt(LAST_SLOT, "AAPL", "SMART", [quote_row(7, LAST_SLOT)], ingest("b"))
    contracts = reader.stored_contracts(DAY, "AAPL")
    assert [contract.conid for contract in contracts] == [7, 12]
    assert contracts[0].strike == 7.0
    assert (contracts[0].underlying, contracts[0].exchange, contracts[0].multiplier) == ("AAPL", "SMART", 100)


def test_the_closing_snapshot_has_a_view_of_its_own_and_only_frozen_quotes(
    port: ObjectStore, clock: FixedClock, chains: ChainStore, reader: ChainReader
) -> None:
    closes = ChainStore(port, clock, ChainView.CLOSE)
    run = IngestRun("c1", 1, run_type="close")
    closes.commit_attempt(LAST_SLOT, "AAPL", "SMART", [quote_row(711, LAST_SLOT, 5400.0, capture_mode="frozen")], run)
    with pytest.raises(SchemaMismatch, match="'on_time' in the closing snapshot"):
        closes.commit_attempt(LAST_SLOT, "AAPL", "SMART", [quote_row(712, LAST_SLOT)], IngestRun("c2", 1, "close"))
    assert reader.read_chain(SESSION.day, "AAPL").num_rows == 0
    rows = reader.read_chain(SESSION.day, "AAPL", view=ChainView.CLOSE)
    assert rows.select(["conid", "slot_30m", "ingest_run_type"]).to_pylist() == [
        {"conid": 711, "slot_30m": 13, "ingest_run_type": "close"}
    ]
    assert [clean.key for clean in closes.rebuild_clean(SESSION.day, "AAPL")] == [
        "clean/ib/chain/view=close/date=2025-11-24/underlying=AAPL/exchange=SMART/slot_13.parquet"
    ]
