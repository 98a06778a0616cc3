"""What is said about a column."""

from dataclasses import dataclass
from enum import StrEnum


class ColumnType(StrEnum):
    """The types that stored columns have; ``opt_data.tables.arrow`` says what each is in Arrow."""

    DATE = "date"
    TIMESTAMP = "timestamp (µs, UTC)"
    STRING = "string"
    FLOAT64 = "float64"
    INT64 = "int64"
    INT32 = "int32"
    INT16 = "int16"
    INT8 = "int8"
    BOOL = "bool"
    STRING_LIST = "list of string"
    COUNTS = "map of string to int64"


class Group(StrEnum):
    """The headings under which columns are documented."""

    IDENTITY = "Identity"
    QUOTE = "Quote"
    MODEL = "Model (IB's own)"
    UNDERLYING = "Underlying, sampled in the same pass"
    CAPTURE = "Capture"
    OPEN_INTEREST = "Open interest"
    DAY = "Day"
    ADJUSTED = "Adjusted"
    CALCULATED = "Calculated here from the mid, for rebuilt rows"
    BAR = "Bar"
    ACCOUNT = "Account of the slot"


class Sign(StrEnum):
    """Which values a number can have."""

    ANY = "any"
    POSITIVE = "> 0"
    NON_NEGATIVE = "≥ 0"
    NOT_A_NUMBER = ""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: the only place where its name, type, unit and meaning are said.

    ``unit`` is empty where there is none. ``choices`` lists the only values allowed, if they are few. ``sentinels``
    are values by which IB says "none": they are never stored.
    """

    name: str
    type: ColumnType
    group: Group
    sentence: str
    unit: str = ""
    sign: Sign = Sign.NOT_A_NUMBER
    is_nullable: bool = True
    choices: tuple[str, ...] = ()
    sentinels: frozenset[float] = frozenset()
