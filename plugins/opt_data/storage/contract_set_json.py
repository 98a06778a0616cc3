"""A contract set as JSON text and back, with every field checked on the way in."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from datetime import date, datetime
from typing import Any, NoReturn

from opt_data.core.contracts import (
    ContractSet,
    OptionContract,
    SecType,
    Series,
    Underlying,
    duplicate_conids,
)
from opt_data.errors import SchemaMismatch

FORMAT = "opt_data.contract_set"
SCHEMA_VERSION = 1

_TYPE_NAMES = {str: "text", bool: "true or false", list: "a list"}


def contract_set_to_json(contract_set: ContractSet) -> str:
    """The file's text: one field a line, one contract a line, so that two days can be compared with ``diff``.

    Raises
    ------
    SchemaMismatch
        The set breaks a rule that reading it back would check.
    """
    document = {"format": FORMAT, "schema_version": SCHEMA_VERSION, **asdict(contract_set)}
    document["reference_price"] = contract_set.reference_price or None
    document["nonexistent"] = [asdict(series) for series in sorted(contract_set.nonexistent)]
    lines = []
    for key, value in document.items():
        if isinstance(value, list | tuple) and value:
            text = "[\n" + ",\n".join(_dump(part) for part in value) + "\n]"
        else:
            text = _dump(value)
        lines.append(f"{json.dumps(key)}: {text}")
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    if contract_set_from_json(text) != contract_set:
        raise SchemaMismatch(f"the contract set of {contract_set.underlying.symbol} does not survive its own JSON form")
    return text


def _dump(value: object) -> str:
    return json.dumps(value, default=_encode, allow_nan=False, ensure_ascii=False)


def _encode(value: object) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form here")


def contract_set_from_json(text: str) -> ContractSet:
    """Read the text back.

    Raises
    ------
    SchemaMismatch
        It is no JSON, a field is missing, unknown or of the wrong type, or the contracts contradict the set; the
        message names the place, e.g. ``contracts[3].strike``.
    """
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise SchemaMismatch(f"no valid JSON: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise SchemaMismatch(f'format: expected "{FORMAT}"; this is not a contracts cache')
    if document.get("schema_version") != SCHEMA_VERSION:
        raise SchemaMismatch(f"schema_version: {document.get('schema_version')!r}, this program reads {SCHEMA_VERSION}")
    body = {key: value for key, value in document.items() if key not in ("format", "schema_version")}
    contract_set: ContractSet = _record(ContractSet, _SET_FIELDS, body, "")
    _check_set(contract_set)
    return contract_set


def _refuse_constant(name: str) -> NoReturn:
    raise SchemaMismatch(f"{name} is no number in this file")


def _fail(where: str, expected: str, value: object) -> NoReturn:
    raise SchemaMismatch(f"{where}: expected {expected}, found {json.dumps(value)[:80]}")


def _typed(kind: type) -> Callable[[object, str], Any]:
    def read(value: object, where: str) -> object:
        if type(value) is not kind:
            _fail(where, _TYPE_NAMES[kind], value)
        return value

    return read


def _filled(value: object, where: str) -> str:
    if not isinstance(value, str) or not value:
        _fail(where, "text that is not empty", value)
    return value


def _positive_int(value: object, where: str) -> int:
    if type(value) is not int or value <= 0:
        _fail(where, "a whole number > 0", value)
    return value


def _not_negative_int(value: object, where: str) -> int:
    if type(value) is not int or value < 0:
        _fail(where, "a whole number >= 0", value)
    return value


def _positive_float(value: object, where: str) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or value <= 0:  # type: ignore[arg-type,operator]
        _fail(where, "a number > 0", value)
    return float(value)  # type: ignore[arg-type]


def _reference_price(value: object, where: str) -> float:
    """Null in the file is 0 in memory, as a conid of 0: not known."""
    return 0.0 if value is None else _positive_float(value, where)


def _date(value: object, where: str) -> date:
    try:
        return date.fromisoformat(_filled(value, where))
    except ValueError:
        _fail(where, "a date YYYY-MM-DD", value)


def _instant(value: object, where: str) -> datetime:
    try:
        instant = datetime.fromisoformat(_filled(value, where))
    except ValueError:
        _fail(where, "an instant in ISO form", value)
    if instant.tzinfo is None:
        _fail(where, "an instant with a time zone", value)
    return instant


def _right(value: object, where: str) -> str:
    if value not in ("C", "P"):
        _fail(where, "C or P", value)
    return str(value)


def _sec_type(value: object, where: str) -> SecType:
    if value not in tuple(SecType):
        _fail(where, "STK or IND", value)
    return SecType(str(value))


def _each(read: Callable[[object, str], Any], kind: Callable[[Any], Any]) -> Callable[[object, str], Any]:
    def read_all(value: object, where: str) -> object:
        if not isinstance(value, list):
            _fail(where, _TYPE_NAMES[list], value)
        return kind(read(part, f"{where}[{index}]") for index, part in enumerate(value))

    return read_all


def _record(cls: type, readers: Mapping[str, Callable[[object, str], Any]], value: object, where: str) -> Any:
    prefix = f"{where}." if where else ""
    if not isinstance(value, dict):
        _fail(where, "an object", value)
    for name in readers:
        if name not in value:
            raise SchemaMismatch(f"{prefix}{name}: missing")
    for name in value:
        if name not in readers:
            raise SchemaMismatch(f"{prefix}{name}: unknown field")
    return cls(**{name: read(value[name], prefix + name) for name, read in readers.items()})


def _reader(cls: type, readers: Mapping[str, Callable[[object, str], Any]]) -> Callable[[object, str], Any]:
    declared = {declared_field.name for declared_field in fields(cls)}
    if declared != set(readers):
        raise TypeError(f"{cls.__name__} and its JSON form differ in {declared.symmetric_difference(readers)}")
    return lambda value, where: _record(cls, readers, value, where)


_text = _typed(str)
_underlying = _reader(
    Underlying,
    {
        "symbol": _filled,
        "conid": _not_negative_int,
        "sec_type": _sec_type,
        "exchange": _filled,
        "currency": _filled,
        "trading_class": _text,
    },
)
_series = _reader(Series, {"trading_class": _filled, "expiry": _date, "strike": _positive_float, "right": _right})
_contract = _reader(
    OptionContract,
    {
        "conid": _positive_int,
        "symbol": _filled,
        "underlying": _filled,
        "und_conid": _not_negative_int,
        "expiry": _date,
        "right": _right,
        "strike": _positive_float,
        "multiplier": _positive_int,
        "exchange": _filled,
        "trading_class": _filled,
        "currency": _filled,
        "first_seen_slot": _not_negative_int,
    },
)
_SET_FIELDS: Mapping[str, Callable[[object, str], Any]] = {
    "underlying": _underlying,
    "trade_date": _date,
    "reference_price": _reference_price,
    "reference_source": _filled,
    "contracts": _each(_contract, tuple),
    "created_at": _instant,
    "verified_on": _date,
    "und_fingerprint": _text,
    "nonexistent": _each(_series, frozenset),
    "stale": _typed(bool),
    "source": _filled,
}


def _check_set(contract_set: ContractSet) -> None:
    """What no single field shows: contracts of another symbol, expired ones, one conid or series twice."""
    symbol = contract_set.underlying.symbol
    seen: set[tuple[object, ...]] = set()
    for index, contract in enumerate(contract_set.contracts):
        if contract.underlying != symbol:
            raise SchemaMismatch(f"contracts[{index}].underlying: {contract.underlying} in the set of {symbol}")
        if contract.expiry < contract_set.trade_date:
            raise SchemaMismatch(
                f"contracts[{index}].expiry: {contract.expiry} is before the day {contract_set.trade_date}"
            )
        # what a Series holds, as a tuple: every task of a symbol reads its set
        series = (contract.trading_class, contract.expiry, contract.strike, contract.right)
        if series in seen:
            raise SchemaMismatch(f"contracts[{index}]: {contract.symbol} is in the set twice")
        seen.add(series)
    if twice := duplicate_conids(contract_set.contracts):
        raise SchemaMismatch(f"contracts: conids {', '.join(map(str, twice))} occur more than once")
