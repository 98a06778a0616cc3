"""The contracts cache: what survives bad files, full disks and two writers."""

import errno
import json
import os
import threading
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from opt_data.core.contracts import ContractSet, Series, Underlying
from opt_data.errors import CommitConflict, SchemaMismatch, StorageUnavailable
from opt_data.storage.contract_cache import CacheStatus, ContractCache
from opt_data.storage.contract_set_json import contract_set_from_json, contract_set_to_json
from tests.fakes.gateway import option

DAY = date(2025, 11, 24)
AAPL = Underlying("AAPL", 265598)
CALL = Series("AAPL", date(2025, 12, 19), 272.5, "C")
PUT = Series("AAPL", date(2025, 12, 19), 272.5, "P")
LATER = Series("AAPL", date(2026, 1, 16), 270.0, "C")


def contract_set(*series: Series, day: date = DAY, underlying: Underlying = AAPL) -> ContractSet:
    return ContractSet(
        underlying=underlying,
        trade_date=day,
        reference_price=271.49,
        reference_source="previous_close",
        contracts=tuple(option(one, 700_000_000 + n, underlying) for n, one in enumerate(series or (CALL, PUT))),
        created_at=datetime(2025, 11, 24, 14, 25, 0, 123456, tzinfo=UTC),
        verified_on=date(2025, 11, 20),
        und_fingerprint="265598|AAPL|Apple Inc",
        nonexistent=frozenset({LATER}),
    )


@pytest.fixture
def cache(tmp_path: Path) -> ContractCache:
    return ContractCache(tmp_path / "state" / "contracts_cache")


class TestRoundTrip:
    def test_what_is_saved_is_loaded(self, cache: ContractCache) -> None:
        saved = contract_set()
        path = cache.save(saved)
        assert path == cache.directory / "AAPL_2025-11-24.json"
        assert cache.load("AAPL", DAY).contract_set == saved

    def test_the_file_is_json_that_other_programs_can_read(self, cache: ContractCache) -> None:
        document = json.loads(cache.save(contract_set()).read_text(encoding="utf-8"))
        assert document["schema_version"] == 1
        assert document["trade_date"] == "2025-11-24"
        assert document["created_at"] == "2025-11-24T14:25:00.123456+00:00"
        assert document["underlying"]["conid"] == 265598
        assert document["contracts"][1] == {
            "conid": 700000001,
            "symbol": "AAPL  251219P00272500",
            "underlying": "AAPL",
            "und_conid": 265598,
            "expiry": "2025-12-19",
            "right": "P",
            "strike": 272.5,
            "multiplier": 100,
            "exchange": "SMART",
            "trading_class": "AAPL",
            "currency": "USD",
            "first_seen_slot": 0,
        }
        assert document["nonexistent"] == [
            {"trading_class": "AAPL", "expiry": "2026-01-16", "strike": 270.0, "right": "C"}
        ]

    def test_an_unknown_reference_price_is_null_in_the_file(self, cache: ContractCache) -> None:
        unknown = replace(contract_set(), reference_price=0.0, reference_source="unknown")
        assert json.loads(cache.save(unknown).read_text(encoding="utf-8"))["reference_price"] is None
        assert cache.load("AAPL", DAY).contract_set == unknown

    def test_class_shares_have_no_blank_in_their_file_name(self, cache: ContractCache) -> None:
        berkshire = Underlying("BRK B", 72063691)
        saved = contract_set(Series("BRKB", date(2025, 12, 19), 500.0, "C"), underlying=berkshire)
        assert cache.save(saved).name == "BRK.B_2025-11-24.json"
        assert cache.load("BRK B", DAY).contract_set == saved

    @pytest.mark.parametrize("symbol", ["../AAPL", "A/B", "", "..", "aapl"])
    def test_a_symbol_cannot_leave_the_directory(self, cache: ContractCache, symbol: str) -> None:
        with pytest.raises(ValueError, match="is not a symbol"):
            cache.load(symbol, DAY)


class TestFrozen:
    def test_more_contracts_may_be_added(self, cache: ContractCache) -> None:
        cache.save(contract_set(CALL, PUT))
        grown = contract_set(CALL, PUT, LATER)
        cache.save(grown)
        assert cache.load("AAPL", DAY).contract_set == grown

    def test_a_different_set_is_refused_and_the_frozen_one_stays(self, cache: ContractCache) -> None:
        frozen = contract_set(CALL, PUT)
        cache.save(frozen)
        for other in (contract_set(CALL), contract_set(PUT, CALL), contract_set(LATER)):
            with pytest.raises(CommitConflict, match="frozen for the day"):
                cache.save(other)
        assert cache.load("AAPL", DAY).contract_set == frozen

    def test_replace_is_possible_when_asked_for(self, cache: ContractCache) -> None:
        cache.save(contract_set(CALL, PUT))
        cache.save(contract_set(LATER), replace=True)
        assert cache.load("AAPL", DAY).contract_set == contract_set(LATER)

    def test_an_empty_set_is_never_frozen(self, cache: ContractCache) -> None:
        with pytest.raises(SchemaMismatch, match="is empty"):
            cache.save(replace(contract_set(), contracts=()))
        assert cache.load("AAPL", DAY).status is CacheStatus.MISSING

    def test_of_two_writers_at_once_one_wins_and_the_other_is_told(self, cache: ContractCache) -> None:
        sets = [contract_set(CALL), contract_set(LATER)]
        start = threading.Barrier(len(sets))
        results: list[str] = []

        def write(which: ContractSet) -> None:
            start.wait()
            try:
                cache.save(which)
                results.append("saved")
            except CommitConflict:
                results.append("refused")

        threads = [threading.Thread(target=write, args=(which,)) for which in sets]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(results) == ["refused", "saved"]
        assert cache.load("AAPL", DAY).contract_set in sets


class TestBadFiles:
    def put(self, cache: ContractCache, content: str | bytes) -> Path:
        path = cache.path("AAPL", DAY)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def test_missing(self, cache: ContractCache) -> None:
        read = cache.load("AAPL", DAY)
        assert (read.status, read.contract_set) == (CacheStatus.MISSING, None)
        assert str(read.path) in read.problem

    @pytest.mark.parametrize("content", ["", " \n"])
    def test_empty_file(self, cache: ContractCache, content: str) -> None:
        self.put(cache, content)
        assert cache.load("AAPL", DAY).status is CacheStatus.EMPTY

    def test_a_set_without_contracts_counts_as_empty(self, cache: ContractCache) -> None:
        text = contract_set_to_json(replace(contract_set(), contracts=()))
        self.put(cache, text)
        assert cache.load("AAPL", DAY).status is CacheStatus.EMPTY

    def test_cut_off_at_any_byte_it_is_never_taken_for_good(self, cache: ContractCache) -> None:
        whole = contract_set_to_json(contract_set()).encode()
        # The last byte is the newline after the closing brace.
        for length in range(1, len(whole) - 1):
            self.put(cache, whole[:length])
            assert cache.load("AAPL", DAY).status is CacheStatus.CORRUPT, whole[:length][-20:]

    @pytest.mark.parametrize(
        ("where", "value", "problem"),
        [
            (("format",), "other", 'format: expected "opt_data.contract_set"'),
            (("schema_version",), 2, "schema_version: 2, this program reads 1"),
            (("trade_date",), "24.11.2025", "trade_date: expected a date YYYY-MM-DD, found"),
            (("trade_date",), "2025-11-25", "holds AAPL of 2025-11-25"),
            (("created_at",), "2025-11-24T14:25:00", "created_at: expected an instant with a time zone"),
            (("reference_price",), -1.0, "reference_price: expected a number > 0, found -1.0"),
            (("stale",), 0, "stale: expected true or false, found 0"),
            (("surplus",), 1, "surplus: unknown field"),
            (("contracts",), {}, "contracts: expected a list"),
            (("contracts", 1), "x", 'contracts[1]: expected an object, found "x"'),
            (("contracts", 1, "strike"), "272.5", 'contracts[1].strike: expected a number > 0, found "272.5"'),
            (("contracts", 1, "conid"), 700000000, "contracts: conids 700000000 occur more than once"),
            (("contracts", 1, "conid"), True, "contracts[1].conid: expected a whole number > 0, found true"),
            (("contracts", 1, "right"), "C", "contracts[1]: AAPL  251219P00272500 is in the set twice"),
            (("contracts", 0, "right"), "X", "contracts[0].right: expected C or P"),
            (("contracts", 0, "expiry"), "2025-11-21", "contracts[0].expiry: 2025-11-21 is before the day 2025-11-24"),
            (("contracts", 0, "underlying"), "MSFT", "contracts[0].underlying: MSFT in the set of AAPL"),
            (("contracts", 0, "first_seen_slot"), -1, "contracts[0].first_seen_slot: expected a whole number >= 0"),
            (("underlying", "sec_type"), "OPT", "underlying.sec_type: expected STK or IND"),
            (("nonexistent", 0, "strike"), None, "nonexistent[0].strike: expected a number > 0, found null"),
        ],
    )
    def test_the_place_of_the_fault_is_named(
        self, cache: ContractCache, where: tuple[str | int, ...], value: object, problem: str
    ) -> None:
        document = json.loads(contract_set_to_json(contract_set()))
        target = document
        for step in where[:-1]:
            target = target[step]
        target[where[-1]] = value
        self.put(cache, json.dumps(document))
        read = cache.load("AAPL", DAY)
        assert read.status is CacheStatus.CORRUPT
        assert problem in read.problem

    def test_a_missing_field_is_named(self) -> None:
        document = json.loads(contract_set_to_json(contract_set()))
        del document["contracts"][0]["multiplier"]
        with pytest.raises(SchemaMismatch, match=r"^contracts\[0\]\.multiplier: missing$"):
            contract_set_from_json(json.dumps(document))

    @pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"[1, 2]", b'{"format": NaN}'])
    def test_no_json_object_at_all(self, cache: ContractCache, content: bytes) -> None:
        self.put(cache, content)
        assert cache.load("AAPL", DAY).status is CacheStatus.CORRUPT

    def test_a_bad_file_is_set_aside_never_deleted(self, cache: ContractCache) -> None:
        for content in ("{broken", "", "{broken again"):
            self.put(cache, content)
            cache.save(contract_set())
            assert cache.load("AAPL", DAY).status is CacheStatus.OK
        aside = {path.name: path.read_text() for path in cache.directory.glob("*.corrupt-*")}
        assert aside == {
            "AAPL_2025-11-24.json.corrupt-1": "{broken",
            "AAPL_2025-11-24.json.corrupt-2": "",
            "AAPL_2025-11-24.json.corrupt-3": "{broken again",
        }

    def test_a_set_that_contradicts_itself_is_not_written(self, cache: ContractCache) -> None:
        twice = contract_set()
        first, second = twice.contracts
        with pytest.raises(SchemaMismatch, match="occur more than once"):
            cache.save(replace(twice, contracts=(first, replace(second, conid=first.conid))))
        assert cache.load("AAPL", DAY).status is CacheStatus.MISSING


class TestTrouble:
    def test_a_full_disk_leaves_the_old_file_and_no_stage(
        self, cache: ContractCache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        frozen = contract_set(CALL)
        cache.save(frozen)

        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(StorageUnavailable, match="the disk is full") as caught:
            cache.save(contract_set(CALL, PUT))
        assert caught.value.path == str(cache.path("AAPL", DAY))
        assert cache.load("AAPL", DAY).contract_set == frozen
        assert sorted(path.name for path in cache.directory.iterdir()) == [".lock", "AAPL_2025-11-24.json"]

    def test_a_directory_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "state").write_text("a file is in the way")
        cache = ContractCache(tmp_path / "state" / "contracts_cache")
        with pytest.raises(StorageUnavailable, match="cannot be written"):
            cache.save(contract_set())

    def test_a_file_that_cannot_be_read_is_trouble_not_absence(self, cache: ContractCache) -> None:
        cache.path("AAPL", DAY).mkdir(parents=True)
        with pytest.raises(StorageUnavailable, match="cannot be read"):
            cache.load("AAPL", DAY)


class TestLatestBefore:
    def test_the_newest_good_one_of_that_symbol(self, cache: ContractCache) -> None:
        old, friday = (contract_set(day=date(2025, 11, day)) for day in (19, 21))
        cache.save(old)
        cache.save(friday)
        cache.save(contract_set(day=DAY))
        cache.save(contract_set(underlying=Underlying("AAP", 4027), day=date(2025, 11, 22)))
        assert cache.latest_before("AAPL", DAY) == friday
        cache.path("AAPL", date(2025, 11, 21)).write_text("{broken")
        assert cache.latest_before("AAPL", DAY) == old
        assert cache.latest_before("AAPL", date(2025, 11, 19)) is None

    def test_stale_ones_can_be_passed_over(self, cache: ContractCache) -> None:
        old = contract_set(day=date(2025, 11, 19))
        stale = replace(contract_set(day=date(2025, 11, 21)), stale=True)
        cache.save(old)
        cache.save(stale)
        assert cache.latest_before("AAPL", DAY) == stale
        assert cache.latest_before("AAPL", DAY, fresh_only=True) == old

    def test_not_further_back_than_45_days(self, cache: ContractCache) -> None:
        cache.save(contract_set(day=date(2025, 10, 10)))
        assert cache.latest_before("AAPL", date(2025, 11, 24)) is not None
        assert cache.latest_before("AAPL", date(2025, 11, 25)) is None
