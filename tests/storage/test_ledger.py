"""The slot ledger: one row per symbol that adds up, whoever updates it and in whatever order."""

from datetime import timedelta

import pytest

from opt_data.core.slot_account import ContractSetStatus, Expectation
from opt_data.errors import FileUnreadable
from opt_data.storage.chain_store import ChainStore
from opt_data.storage.ledger import SlotLedger
from opt_data.storage.port import ObjectStore
from tests.fakes.chain import SESSION, SLOT, SLOTS, error_row, ingest, late_row, quote_row
from tests.fakes.clock import FixedClock
from tests.fakes.object_store import MemoryObjectStore

DAY = SESSION.day
KEY = "ledger/date=2025-11-24/slot_03.parquet"


def expect(symbol: str, *conids: int) -> Expectation:
    return Expectation(symbol, "SMART", frozenset(conids))


def commit(chains: ChainStore, symbol: str, name: str, rows: list[dict[str, object]]) -> None:
    chains.commit_attempt(SLOT, symbol, "SMART", rows, ingest(name))


def rows_by_symbol(ledger: SlotLedger) -> dict[str, dict[str, object]]:
    rows = ledger.read(DAY, 3).to_pylist(maps_as_pydicts="strict")
    assert len({row["underlying"] for row in rows}) == len(rows)
    return {row["underlying"]: row for row in rows}


def test_a_symbols_row_says_what_became_of_each_contract(
    chains: ChainStore, ledger: SlotLedger, clock: FixedClock
) -> None:
    commit(
        chains,
        "AAPL",
        "a",
        [quote_row(1, lag_s=2.0), quote_row(2, lag_s=4.0), late_row(3), error_row(4), error_row(5, "ib_error")],
    )
    (account,) = ledger.update(SLOT, [expect("AAPL", 1, 2, 3, 4, 5, 6)], "run-1")
    assert (account.kept, account.missing, account.error) == (3, 2, 1)
    row = rows_by_symbol(ledger)["AAPL"]
    assert row == {
        "trade_date": DAY,
        "underlying": "AAPL",
        "exchange": "SMART",
        "sample_time": SLOT.instant_utc,
        "sample_time_et": "2025-11-24T11:00:00-05:00",
        "slot_30m": 3,
        "schema_version": 1,
        "expected": 6,
        "on_time": 2,
        "late": 1,
        "rebuilt": 0,
        "missing": 2,
        "error": 1,
        "frozen": 0,
        "unexpected": 0,
        "reasons": {"ib_error": 1, "no_row": 1, "timed_out": 1},
        "lag_p50_s": 4.0,
        "lag_max_s": 600.0,
        "coverage": 0.5,
        "contract_set": "ok",
        "attempts": 1,
        "updated_at": clock.now(),
        "dag_run_id": "run-1",
    }


def test_symbols_with_nothing_have_a_row(ledger: SlotLedger) -> None:
    without_set = Expectation("NVDA", "SMART", frozenset(), ContractSetStatus.MISSING)
    stale = Expectation("MSFT", "SMART", frozenset({1, 2}), ContractSetStatus.STALE)
    ledger.update(SLOT, [without_set, stale])
    rows = rows_by_symbol(ledger)
    assert [rows["NVDA"][name] for name in ("expected", "missing", "coverage", "contract_set")] == [
        0,
        0,
        None,
        "missing",
    ]
    assert [rows["MSFT"][name] for name in ("expected", "missing", "coverage", "contract_set", "attempts")] == [
        2,
        2,
        0.0,
        "stale",
        0,
    ]


def test_an_update_of_one_symbol_leaves_the_others(chains: ChainStore, ledger: SlotLedger) -> None:
    ledger.update(SLOT, [expect("AAPL", 1), expect("MSFT", 1)], "report")
    before = rows_by_symbol(ledger)["MSFT"]
    commit(chains, "AAPL", "a", [quote_row(1)])
    ledger.update(SLOT, [expect("AAPL", 1)], "repair")
    rows = rows_by_symbol(ledger)
    assert rows["MSFT"] == before
    assert (rows["AAPL"]["on_time"], rows["AAPL"]["dag_run_id"]) == (1, "repair")


def test_an_update_that_finds_nothing_new_writes_nothing(
    ledger: SlotLedger, chains: ChainStore, port: ObjectStore, clock: FixedClock
) -> None:
    commit(chains, "AAPL", "a", [quote_row(1)])
    ledger.update(SLOT, [expect("AAPL", 1)], "first")
    before = port.read(KEY)
    clock.advance(timedelta(hours=1))
    ledger.update(SLOT, [expect("AAPL", 1)], "second")
    assert port.read(KEY) == before


def test_rows_that_a_killed_writer_left_in_raw_only_are_counted(
    ledger: SlotLedger, chains: ChainStore, port: ObjectStore
) -> None:
    commit(chains, "AAPL", "a", [quote_row(1)])
    for key in list(port.list("clean/")):
        port.delete(key)
    (account,) = ledger.update(SLOT, [expect("AAPL", 1)])
    assert account.on_time == 1
    assert len(list(port.list("clean/"))) == 1


def test_a_row_of_a_contract_outside_the_set_is_counted_apart(ledger: SlotLedger, chains: ChainStore) -> None:
    commit(chains, "AAPL", "a", [quote_row(1), quote_row(99)])
    (account,) = ledger.update(SLOT, [expect("AAPL", 1, 2)])
    assert (account.expected, account.on_time, account.missing, account.unexpected) == (2, 1, 1, 1)


def test_the_session_is_read_slot_by_slot(ledger: SlotLedger) -> None:
    assert ledger.read(DAY).num_rows == 0
    ledger.update(SLOTS[4], [expect("AAPL", 1)])
    ledger.update(SLOT, [expect("MSFT", 1), expect("AAPL", 1)])
    table = ledger.read(DAY)
    assert list(zip(table["slot_30m"].to_pylist(), table["underlying"].to_pylist(), strict=True)) == [
        (3, "AAPL"),
        (3, "MSFT"),
        (4, "AAPL"),
    ]
    assert ledger.read(DAY, 4).num_rows == 1
    assert ledger.read(DAY, 5).num_rows == 0


def test_a_symbol_given_twice_is_refused(ledger: SlotLedger, port: ObjectStore) -> None:
    with pytest.raises(ValueError, match="twice"):
        ledger.update(SLOT, [expect("AAPL", 1), expect("AAPL", 2)])
    assert list(port.list("")) == []


def test_a_damaged_ledger_is_set_aside_and_written_anew(ledger: SlotLedger, port: ObjectStore) -> None:
    ledger.update(SLOT, [expect("AAPL", 1)])
    stored = port.read(KEY)
    port.put(KEY, stored.data[:100], expected=stored.version)
    with pytest.raises(FileUnreadable, match="slot_03"):
        ledger.read(DAY)
    ledger.update(SLOT, [expect("AAPL", 1), expect("MSFT", 1)])
    assert set(rows_by_symbol(ledger)) == {"AAPL", "MSFT"}
    (aside,) = port.list("_quarantine/")
    assert port.read(aside).data == stored.data[:100]


def test_a_writer_that_comes_in_between_keeps_its_symbol_and_its_newer_rows(clock: FixedClock) -> None:
    port = MemoryObjectStore()
    chains = ChainStore(port, clock)
    ledger = SlotLedger(port, clock, chains)
    commit(chains, "AAPL", "a", [error_row(1)])

    def slip_in(key: str) -> None:
        if key == KEY:
            port.before_put = lambda key: None
            commit(chains, "AAPL", "b", [quote_row(1)])
            SlotLedger(port, clock, chains).update(SLOT, [expect("MSFT", 1)])

    port.before_put = slip_in
    (account,) = ledger.update(SLOT, [expect("AAPL", 1)])
    assert account.on_time == 1
    rows = rows_by_symbol(ledger)
    assert (rows["AAPL"]["on_time"], rows["AAPL"]["missing"], rows["MSFT"]["missing"]) == (1, 0, 1)
