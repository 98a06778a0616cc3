"""Keys as the design spells them, and symbols that may not become part of one."""

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opt_data.storage.layout import (
    ChainPartition,
    check_symbol,
    ledger_key,
    partition_of_key,
    quarantine_key,
    slot_of_key,
    symbol_prefix,
)

DAY = date(2025, 11, 24)


def test_keys_are_the_designs() -> None:
    partition = ChainPartition(DAY, "AAPL", "SMART")
    folder = "ib/chain/view=intraday/date=2025-11-24/underlying=AAPL/exchange=SMART/"
    assert partition.clean_key(3) == f"clean/{folder}slot_03.parquet"
    assert partition.raw_key(3, 2, "0a-1b") == f"raw/{folder}slot_03_a02_0a-1b.parquet"
    assert partition.raw_key(3, 2, "0a-1b").startswith(partition.raw_slot_prefix(3))
    assert not partition.raw_key(13, 2, "x").startswith(partition.raw_slot_prefix(1))
    assert symbol_prefix("clean", DAY, "AAPL") == "clean/ib/chain/view=intraday/date=2025-11-24/underlying=AAPL/"


def test_the_ledger_lies_outside_clean() -> None:
    assert ledger_key(DAY, 13) == "ledger/date=2025-11-24/slot_13.parquet"


def test_a_quarantined_key_matches_no_glob_over_parquet() -> None:
    key = quarantine_key("clean/x/slot_03.parquet", "0123456789abcdef")
    assert key == "_quarantine/clean/x/slot_03.parquet.0123456789ab.corrupt"


def test_a_class_shares_blank_is_encoded_and_comes_back() -> None:
    partition = ChainPartition(DAY, "BRK B", "SMART")
    assert "/underlying=BRK%20B/" in partition.clean_key(0)
    assert partition_of_key(partition.clean_key(0)) == partition


def test_slots_are_read_from_file_names() -> None:
    partition = ChainPartition(DAY, "SPX", "CBOE")
    assert slot_of_key(partition.clean_key(13)) == 13
    assert slot_of_key(partition.raw_key(7, 1, "abc")) == 7
    assert slot_of_key("clean/ib/chain/view=intraday/part-0.parquet") is None


@pytest.mark.parametrize("symbol", ["AAPL", "SPX", "BRK B", "BF.B", "SYN001", "X"])
def test_symbols_that_are_ones(symbol: str) -> None:
    assert check_symbol(symbol) == symbol


@pytest.mark.parametrize(
    "symbol",
    [
        "",
        "..",
        "../AAPL",
        "A/B",
        "A\\B",
        "A=B",
        "A%2F",
        "aapl",
        " AAPL",
        "AAPL ",
        "A*",
        "A\0",
        "-A",
        ".A",
        "A\nB",
        "7UP",
    ],
)
def test_symbols_with_path_characters_and_the_like_are_refused(symbol: str) -> None:
    with pytest.raises(ValueError, match="is not a symbol"):
        ChainPartition(DAY, symbol, "SMART")
    with pytest.raises(ValueError, match="is not a symbol"):
        symbol_prefix("clean", DAY, symbol)


@settings(deadline=None)
@given(text=st.text(max_size=14))
def test_whatever_is_accepted_stays_one_folder(text: str) -> None:
    try:
        key = ChainPartition(DAY, text, "SMART").clean_key(1)
    except ValueError:
        return
    assert key.count("/") == 7
    assert partition_of_key(key).symbol == text


@pytest.mark.parametrize("exchange", ["", "smart", "A/B", "..", "SMART "])
def test_a_strange_exchange_is_refused(exchange: str) -> None:
    with pytest.raises(ValueError, match="is not an exchange"):
        ChainPartition(DAY, "AAPL", exchange)


@pytest.mark.parametrize("ingest_id", ["", "a/b", "a_b", "../x", "x" * 65])
def test_a_strange_ingest_id_is_refused(ingest_id: str) -> None:
    with pytest.raises(ValueError, match="is not an ingest id"):
        ChainPartition(DAY, "AAPL", "SMART").raw_key(1, 1, ingest_id)


def test_slots_and_attempts_out_of_range_are_refused() -> None:
    partition = ChainPartition(DAY, "AAPL", "SMART")
    with pytest.raises(ValueError, match="slot -1"):
        partition.clean_key(-1)
    with pytest.raises(ValueError, match="slot 128"):
        ledger_key(DAY, 128)
    with pytest.raises(ValueError, match="attempt -1"):
        partition.raw_key(1, -1, "a")


def test_a_foreign_key_has_no_partition() -> None:
    with pytest.raises(ValueError, match="not a key of a chain"):
        partition_of_key("ledger/date=2025-11-24/slot_03.parquet")
