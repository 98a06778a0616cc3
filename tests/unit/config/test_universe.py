"""Universe files: what is accepted, and the place and remedy in every refusal."""

from pathlib import Path

import pytest

from opt_data.config.universe import load_offsets, load_universe, normalise_symbol, select_symbols
from opt_data.core.contracts import SecType, Underlying
from opt_data.errors import ConfigInvalid

CONFIG = Path(__file__).resolve().parents[3] / "include" / "config"
HEADER = "symbol,conid,exchange,trading_class,sec_type\n"


def read(tmp_path: Path, text: str | bytes) -> tuple[Underlying, ...]:
    path = tmp_path / "universe.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_universe(path)


def refusal(tmp_path: Path, text: str | bytes) -> str:
    with pytest.raises(ConfigInvalid) as caught:
        read(tmp_path, text)
    return str(caught.value).replace(str(tmp_path), "")


def test_full_and_short_lines(tmp_path: Path) -> None:
    text = HEADER + "# the big ones\nAAPL,265598,SMART,AAPL,STK\n\nMSFT\nspy,,ARCA,,\nSPX,416904,,SPXW,\nXYZ,,,,IND\n"
    assert read(tmp_path, text) == (
        Underlying("AAPL", 265598, SecType.STOCK, "SMART", "USD", "AAPL"),
        Underlying("MSFT"),
        Underlying("SPY", exchange="ARCA"),
        Underlying("SPX", 416904, SecType.INDEX, "CBOE", "USD", "SPXW"),
        Underlying("XYZ", sec_type=SecType.INDEX, exchange="CBOE"),
    )


def test_only_the_symbol_column_is_needed_and_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    assert read(tmp_path, "\ufeffsymbol\r\nAAPL\r\n") == (Underlying("AAPL"),)


@pytest.mark.parametrize(
    ("symbol", "exchange"),
    [("SPX", "CBOE"), ("VIX", "CBOE"), ("NDX", "NASDAQ"), ("RUT", "RUSSELL"), ("DJX", "CBOE")],
)
def test_known_indices_are_indices_at_the_exchange_where_ib_lists_them(
    tmp_path: Path, symbol: str, exchange: str
) -> None:
    assert read(tmp_path, f"symbol\n{symbol}\n") == (Underlying(symbol, sec_type=SecType.INDEX, exchange=exchange),)


def test_the_file_can_overrule_what_is_known_of_an_index(tmp_path: Path) -> None:
    assert read(tmp_path, "symbol,exchange,sec_type\nNDX,CBOE,IND\n")[0].exchange == "CBOE"
    assert read(tmp_path, "symbol,sec_type\nSPX,STK\n")[0] == Underlying("SPX")


@pytest.mark.parametrize("written", ["BRK B", "BRK.B", "BRK-B", " brk b "])
def test_class_shares_take_ibs_form(tmp_path: Path, written: str) -> None:
    assert read(tmp_path, f"symbol\n{written}\n") == (Underlying("BRK B"),)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "/universe.csv is empty; its first line must be symbol,conid,exchange,trading_class,sec_type"),
        ("\n# nothing\n\n", "/universe.csv is empty"),
        (HEADER, "has a header but no symbol; add at least one line"),
        ("AAPL\nMSFT\n", ":1: unknown column 'aapl' in the header"),
        (
            "symbol,conId,trading_clas\nAAPL,,\n",
            ":1: unknown column 'trading_clas' in the header; did you mean trading_class?",
        ),
        ("conid\n1\n", ":1: the header has no column symbol"),
        ("symbol,conid,conid\nAAPL,1,1\n", ":1: column conid is there twice"),
        ("symbol\nAAPL\nMSFT\nAAPL\n", ":4: symbol AAPL is already on line 2; remove one"),
        ("symbol\nBRK B\nBRK.B\n", ":3: symbol BRK B is already on line 2"),
        ("symbol,conid\nAAPL,7\nMSFT,7\n", ":3: conid 7 is already on line 2"),
        ("symbol,conid\nAAPL,1,2\n", ":2: 3 values under 2 columns; remove the surplus comma"),
        ("symbol,conid\n,5\n", ":2: symbol is empty"),
        ("symbol\n../etc/passwd\n", ":2: '../etc/passwd' is not a symbol"),
        ("symbol\nA/B\n", "no path characters"),
        ("symbol\n..\n", ":2: '..' is not a symbol"),
        ("symbol\nA\\B\n", ":2: 'A\\\\B' is not a symbol"),
        ("symbol\nAAPL\x00\n", "universe.csv:2: "),
        ("symbol,conid\nAAPL,12a\n", ":2: conid '12a' of AAPL is not a whole number"),
        ("symbol,conid\nAAPL,-1\n", ":2: conid '-1' of AAPL"),
        ("symbol,conid\nAAPL,0\n", ":2: conid '0' of AAPL"),
        ("symbol,conid\nAAPL,2147483648\n", ":2: conid '2147483648' of AAPL"),
        ("symbol,conid\nAAPL,٣\n", ":2: conid '٣' of AAPL"),
        ("symbol,sec_type\nAAPL,FUT\n", ":2: sec_type 'FUT' of AAPL is neither STK nor IND"),
        ("symbol,exchange\nAAPL,a b\n", ":2: exchange 'A B' of AAPL is malformed"),
        ("symbol,trading_class\nAAPL,../x\n", ":2: trading_class '../X' of AAPL is malformed"),
        ('symbol\n"AAPL\n', ": malformed CSV"),
        (b"symbol\n\xff\xfe\n", "is not UTF-8 text"),
    ],
)
def test_refusals_name_place_and_remedy(tmp_path: Path, text: str | bytes, complaint: str) -> None:
    assert complaint in refusal(tmp_path, text)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"nowhere\.csv does not exist"):
        load_universe(tmp_path / "nowhere.csv")


def test_selecting_symbols_keeps_the_order_of_the_universe() -> None:
    universe = (Underlying("SPX"), Underlying("BRK B"), Underlying("AAPL"))
    assert select_symbols(universe, []) == universe
    assert select_symbols(universe, ["aapl", "BRK.B"]) == (universe[1], universe[2])


def test_selecting_a_symbol_that_is_not_there() -> None:
    with pytest.raises(ConfigInvalid, match=r"AAPLE is not in the universe; did you mean AAPL\?"):
        select_symbols((Underlying("AAPL"), Underlying("MSFT")), ["AAPLE"])
    with pytest.raises(ConfigInvalid, match="is not a symbol"):
        select_symbols((Underlying("AAPL"),), ["../x"])


def test_normalise_symbol_says_where_it_was_found() -> None:
    with pytest.raises(ConfigInvalid, match=r"^param symbols: '\$' is not a symbol"):
        normalise_symbol("$", "param symbols")


def test_shipped_universes() -> None:
    close = {underlying.symbol: underlying for underlying in load_universe(CONFIG / "universe.csv")}
    intraday = {underlying.symbol for underlying in load_universe(CONFIG / "universe_intraday.csv")}
    demo = [underlying.symbol for underlying in load_universe(CONFIG / "universe_demo.csv")]
    assert len(close) == 25
    assert {"SPX", "NDX", "VIX"} <= {s for s, underlying in close.items() if underlying.sec_type is SecType.INDEX}
    assert intraday <= set(close)
    assert demo == ["AAPL", "MSFT", "NVDA", "SPY", "SPX"]


def test_offsets_make_batches_and_an_empty_one_begins_with_the_slot(tmp_path: Path) -> None:
    path = tmp_path / "universe.csv"
    path.write_text("symbol,offset_min\nAAPL,\nMSFT,5\nNVDA,29\nSPY\n")

    assert load_offsets(path) == {"AAPL": 0, "MSFT": 5, "NVDA": 29, "SPY": 0}
    assert load_universe(path) == (Underlying("AAPL"), Underlying("MSFT"), Underlying("NVDA"), Underlying("SPY"))


@pytest.mark.parametrize("offset", ["30", "-1", "2.5", "soon"])
def test_a_turn_after_the_slot_is_refused(tmp_path: Path, offset: str) -> None:
    message = refusal(tmp_path, f"symbol,offset_min\nAAPL,\nMSFT,{offset}\n")

    assert message.startswith(f"/universe.csv:3: offset_min '{offset}' of MSFT is not a whole number from 0 to 29")
