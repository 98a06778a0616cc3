"""Checks of single values before they are stored: type, absence, sentinels, allowed words.

A row that fails is refused with its place and column named; nothing of its attempt is written.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from numbers import Integral, Real

from opt_data.errors import SchemaMismatch
from opt_data.tables.column import Column, ColumnType, Sign
from opt_data.tables.datasets import Dataset
from opt_data.tables.flags import unknown_flags

_UNSET = 1e300
"""IB writes the largest double for "unset"; nothing we store comes near."""

_INTEGER_BITS = {ColumnType.INT64: 64, ColumnType.INT32: 32, ColumnType.INT16: 16, ColumnType.INT8: 8}


def checked_row(dataset: Dataset, row: Mapping[str, object], place: str) -> dict[str, object]:
    """The row with every column of the data set, absent ones as None, each value of its column's Python type.

    Timestamps come back in UTC, whole-number floats of integer columns as int.

    Parameters
    ----------
    dataset
        Whose columns apply.
    row
        Values by column name; nullable columns may be left out.
    place
        Which row this is, for the message, e.g. ``row 3 (conid 711)``.

    Raises
    ------
    SchemaMismatch
        A column nobody knows, an absent value that may not be absent, a wrong type, a naive instant, a value outside
        the allowed words, an unknown flag, or a sentinel (NaN, infinite, ≥ 1e300; −1 or −2 where the column's values
        cannot be negative, −2 in delta and theta).
    """
    names = {column.name for column in dataset.columns}
    if stray := sorted(set(row) - names):
        raise SchemaMismatch(f"{place}, column {stray[0]!r}: {dataset.name} has no such column")
    return {column.name: _checked_value(column, row.get(column.name), place) for column in dataset.columns}


def place_of(index: int, row: Mapping[str, object]) -> str:
    """Which row this is, for messages: its number and, if it has one, its contract."""
    return f"row {index} (conid {row['conid']})" if "conid" in row else f"row {index}"


def checked_rows(dataset: Dataset, rows: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """All rows checked, and the primary key found unique."""
    checked = [checked_row(dataset, row, place_of(index, row)) for index, row in enumerate(rows)]
    seen: dict[tuple[object, ...], int] = {}
    for index, row in enumerate(checked):
        key = tuple(row[name] for name in dataset.primary_key)
        first = seen.setdefault(key, index)
        if first != index:
            raise SchemaMismatch(
                f"row {index} has the key of row {first}: {dict(zip(dataset.primary_key, key, strict=True))}"
            )
    return checked


def _checked_value(column: Column, value: object, place: str) -> object:
    where = f"{place}, column {column.name!r}"
    if value is None:
        if column.is_nullable:
            return None
        raise SchemaMismatch(f"{where}: may not be null")
    checked = _CHECKS[column.type](column, value, where)
    if column.choices and checked not in column.choices:
        raise SchemaMismatch(f"{where}: {value!r} is not one of {', '.join(column.choices)}")
    return checked


def _text(column: Column, value: object, where: str) -> str:
    if not isinstance(value, str):
        raise SchemaMismatch(f"{where}: {value!r} is not text")
    if not value and not column.is_nullable:
        raise SchemaMismatch(f"{where}: may not be empty")
    return str(value)


def _truth(column: Column, value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise SchemaMismatch(f"{where}: {value!r} is neither true nor false")
    return value


def _day(column: Column, value: object, where: str) -> date:
    if isinstance(value, datetime) or not isinstance(value, date):
        raise SchemaMismatch(f"{where}: {value!r} is not a date")
    return value


def _instant(column: Column, value: object, where: str) -> datetime:
    if not isinstance(value, datetime):
        raise SchemaMismatch(f"{where}: {value!r} is not an instant")
    if value.tzinfo is None or value.utcoffset() is None:
        raise SchemaMismatch(f"{where}: {value!r} has no time zone")
    return value.astimezone(UTC)


def _number(column: Column, value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise SchemaMismatch(f"{where}: {value!r} is not a number")
    number = float(value)
    if not math.isfinite(number) or abs(number) >= _UNSET or number in column.sentinels:
        raise SchemaMismatch(f"{where}: {value!r} is how IB says that there is no value; store null")
    if column.sign is Sign.POSITIVE and number <= 0 and not column.is_nullable:
        raise SchemaMismatch(f"{where}: {value!r} must be greater than 0")
    return number


def _whole_number(column: Column, value: object, where: str) -> int:
    number = _number(column, value, where)
    if not number.is_integer():
        raise SchemaMismatch(f"{where}: {value!r} is not a whole number")
    whole = int(value) if isinstance(value, Integral) else int(number)
    if column.sign in (Sign.NON_NEGATIVE, Sign.POSITIVE) and whole < 0:
        raise SchemaMismatch(f"{where}: {value!r} is negative")
    if whole.bit_length() >= _INTEGER_BITS[column.type]:
        raise SchemaMismatch(f"{where}: {value!r} does not fit {column.type}")
    return whole


def _words(column: Column, value: object, where: str) -> list[str]:
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(word, str) for word in value):
        raise SchemaMismatch(f"{where}: {value!r} is not a list of text")
    words = [str(word) for word in value]
    if unknown := unknown_flags(words):
        raise SchemaMismatch(f"{where}: there is no flag {unknown[0]!r}")
    return words


def _counts(column: Column, value: object, where: str) -> list[tuple[str, int]]:
    if not isinstance(value, Mapping):
        raise SchemaMismatch(f"{where}: {value!r} is not a mapping")
    return sorted((str(name), int(count)) for name, count in value.items())


_CHECKS: dict[ColumnType, Callable[[Column, object, str], object]] = {
    ColumnType.DATE: _day,
    ColumnType.TIMESTAMP: _instant,
    ColumnType.STRING: _text,
    ColumnType.FLOAT64: _number,
    ColumnType.INT64: _whole_number,
    ColumnType.INT32: _whole_number,
    ColumnType.INT16: _whole_number,
    ColumnType.INT8: _whole_number,
    ColumnType.BOOL: _truth,
    ColumnType.STRING_LIST: _words,
    ColumnType.COUNTS: _counts,
}
