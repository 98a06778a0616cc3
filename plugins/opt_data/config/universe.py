"""Universe files: which symbols, one a line. Any doubt about a line is an error with its place and what to write."""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from opt_data.config.csv_lines import csv_lines, read_csv_text
from opt_data.core.contracts import SecType, Underlying
from opt_data.core.slots import SLOT_LENGTH
from opt_data.errors import ConfigInvalid

COLUMNS = ("symbol", "conid", "exchange", "trading_class", "sec_type", "offset_min")

# Where IB lists the index itself (not its options), so that a plain symbol suffices in the file.
INDEX_EXCHANGES: Mapping[str, str] = {
    "SPX": "CBOE",
    "XSP": "CBOE",
    "OEX": "CBOE",
    "XEO": "CBOE",
    "VIX": "CBOE",
    "DJX": "CBOE",
    "NDX": "NASDAQ",
    "RUT": "RUSSELL",
}

_SYMBOL = re.compile(r"[A-Z][A-Z0-9]{0,9}( [A-Z]{1,2})?")
_CLASS_SHARE = re.compile(r"([A-Z][A-Z0-9]{0,9})[.-]([A-Z]{1,2})")
_NAME = re.compile(r"[A-Z0-9][A-Z0-9.]{0,15}")
_CONID_MAX = 2**31 - 1
_OFFSET_MAX_MIN = int(SLOT_LENGTH.total_seconds() / 60) - 1


def load_universe(path: Path) -> tuple[Underlying, ...]:
    """Read a universe file: CSV with a header, ``symbol`` required, the other columns optional and often empty.

    Class shares may be written ``BRK B``, ``BRK.B`` or ``BRK-B``; the result has IB's form, ``BRK B``. Well-known
    indices need no ``sec_type`` or ``exchange``. Lines that start with ``#`` are comments.

    Raises
    ------
    ConfigInvalid
        The file is missing, empty, has a symbol or conid twice, or a malformed line; names file and line.
    """
    return tuple(underlying for underlying, _ in _read(path))


def load_offsets(path: Path) -> dict[str, int]:
    """The batches of a universe file: how many minutes after the slot each symbol's turn comes; 0 with the slot.

    Raises
    ------
    ConfigInvalid
        As ``load_universe``; also when a turn would come after the slot.
    """
    return {underlying.symbol: offset_min for underlying, offset_min in _read(path)}


def _read(path: Path) -> list[tuple[Underlying, int]]:
    """Every symbol of the file with its offset in minutes."""
    text = read_csv_text(path, "universe file", "create it or change [universe] in the configuration")
    rows = csv_lines(path, text)
    header = next(rows, None)
    if header is None:
        raise ConfigInvalid(f"universe file {path} is empty; its first line must be {','.join(COLUMNS)}")
    columns = _check_header(path, *header)
    found: list[tuple[Underlying, int]] = []
    seen_symbols: dict[str, int] = {}
    seen_conids: dict[int, int] = {}
    for line, cells in rows:
        place = f"{path}:{line}"
        if len(cells) > len(columns):
            raise ConfigInvalid(f"{place}: {len(cells)} values under {len(columns)} columns; remove the surplus comma")
        # Short lines are welcome: the optional columns are the last ones.
        record = dict(zip(columns, cells, strict=False))
        underlying = _underlying(place, record)
        if underlying.symbol in seen_symbols:
            raise ConfigInvalid(
                f"{place}: symbol {underlying.symbol} is already on line {seen_symbols[underlying.symbol]}; remove one "
                "(an empty trading_class captures every class of the symbol)"
            )
        if underlying.conid and underlying.conid in seen_conids:
            raise ConfigInvalid(
                f"{place}: conid {underlying.conid} is already on line {seen_conids[underlying.conid]}; "
                "correct it or leave it empty, discovery asks IB for it"
            )
        seen_symbols[underlying.symbol] = line
        seen_conids[underlying.conid] = line
        found.append((underlying, _offset_min(place, underlying.symbol, record.get("offset_min", ""))))
    if not found:
        raise ConfigInvalid(f"universe file {path} has a header but no symbol; add at least one line, e.g. AAPL")
    return found


def select_symbols(universe: Sequence[Underlying], symbols: Sequence[str]) -> tuple[Underlying, ...]:
    """The underlyings with these symbols, in the order of the universe; no symbols selects all.

    Raises
    ------
    ConfigInvalid
        A symbol is malformed or not in the universe; the message suggests a near one.
    """
    if not symbols:
        return tuple(universe)
    wanted = {normalise_symbol(symbol, "symbols") for symbol in symbols}
    known = [underlying.symbol for underlying in universe]
    for symbol in sorted(wanted.difference(known)):
        near = get_close_matches(symbol, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"it has {len(known)} symbols: {', '.join(known[:20])}"
        raise ConfigInvalid(f"symbol {symbol} is not in the universe; {hint}")
    return tuple(underlying for underlying in universe if underlying.symbol in wanted)


def normalise_symbol(text: str, place: str) -> str:
    """A symbol in IB's form: upper case, a blank before the class of a class share.

    Raises
    ------
    ConfigInvalid
        The text is no symbol, e.g. holds characters of a path; ``place`` opens the message.
    """
    symbol = text.strip().upper()
    class_share = _CLASS_SHARE.fullmatch(symbol)
    if class_share:
        symbol = f"{class_share.group(1)} {class_share.group(2)}"
    if not symbol:
        raise ConfigInvalid(f"{place}: symbol is empty; write IB's symbol, e.g. AAPL, or remove the line")
    if not _SYMBOL.fullmatch(symbol):
        raise ConfigInvalid(
            f"{place}: {text!r} is not a symbol; write IB's symbol: letters and digits, "
            "class shares with a blank (BRK B), no path characters"
        )
    return symbol


def _check_header(path: Path, line: int, cells: list[str]) -> list[str]:
    place = f"{path}:{line}"
    columns = [cell.lower() for cell in cells]
    for column in columns:
        if column not in COLUMNS:
            near = get_close_matches(column, COLUMNS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"the columns are {','.join(COLUMNS)}"
            raise ConfigInvalid(f"{place}: unknown column {column!r} in the header; {hint}")
        if columns.count(column) > 1:
            raise ConfigInvalid(f"{place}: column {column} is there twice in the header; remove one")
    if "symbol" not in columns:
        raise ConfigInvalid(f"{place}: the header has no column symbol; the columns are {','.join(COLUMNS)}")
    return columns


def _underlying(place: str, record: Mapping[str, str]) -> Underlying:
    symbol = normalise_symbol(record.get("symbol", ""), place)
    sec_type_text = record.get("sec_type", "").upper()
    if sec_type_text not in ("", *SecType):
        raise ConfigInvalid(f"{place}: sec_type {sec_type_text!r} of {symbol} is neither STK nor IND; leave it empty")
    default = SecType.INDEX if symbol in INDEX_EXCHANGES else SecType.STOCK
    sec_type = SecType(sec_type_text) if sec_type_text else default
    exchange = record.get("exchange", "").upper()
    if not exchange:
        exchange = INDEX_EXCHANGES.get(symbol, "CBOE") if sec_type is SecType.INDEX else "SMART"
    trading_class = record.get("trading_class", "").upper()
    for column, value in (("exchange", exchange), ("trading_class", trading_class)):
        if value and not _NAME.fullmatch(value):
            raise ConfigInvalid(f"{place}: {column} {value!r} of {symbol} is malformed; letters and digits, or empty")
    return Underlying(
        symbol=symbol,
        conid=_conid(place, symbol, record.get("conid", "")),
        sec_type=sec_type,
        exchange=exchange,
        trading_class=trading_class,
    )


def _conid(place: str, symbol: str, text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= _CONID_MAX):
        raise ConfigInvalid(
            f"{place}: conid {text!r} of {symbol} is not a whole number from 1 to {_CONID_MAX}; "
            "correct it or leave it empty, discovery asks IB for it"
        )
    return int(text)


def _offset_min(place: str, symbol: str, text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and int(text) <= _OFFSET_MAX_MIN):
        raise ConfigInvalid(
            f"{place}: offset_min {text!r} of {symbol} is not a whole number from 0 to {_OFFSET_MAX_MIN}; then the "
            "next slot begins. Leave it empty to begin with the slot"
        )
    return int(text)
