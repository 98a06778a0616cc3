"""From a day's rows to the same rows on the terms of a later day."""

from typing import TYPE_CHECKING, Any

from opt_data.core.corporate_actions import Adjustment
from opt_data.tables.adjusted_columns import DIVIDED, MULTIPLIED, UNCHANGED
from opt_data.tables.arrow import arrow_schema
from opt_data.tables.arrow_rows import column_array
from opt_data.tables.column import ColumnType
from opt_data.tables.datasets import DAILY_ADJUSTED
from opt_data.tables.flags import ordered_flags

if TYPE_CHECKING:
    import pyarrow as pa

SUSPECT = "ca_suspect"


def adjusted_rows(daily: "pa.Table", found: Adjustment, *, is_suspect: bool = False) -> "pa.Table":
    """The rows of one symbol-day with their adjusted columns; order and all other columns stay, ``known_at`` excepted.

    Prices, strike, vega and theta are divided by the factor, volume, open interest and gamma multiplied: the option
    then has the same implied volatility and delta, and contracts times price the same value. Nulls stay nulls.

    Parameters
    ----------
    daily
        ``daily_clean`` of one symbol on one day.
    found
        How that symbol and day look from the day of interest.
    is_suspect
        The day looks like the first after a split that is not on file: its rows get the flag ``ca_suspect``.

    Returns
    -------
    pyarrow.Table
        Of the data set ``daily_adjusted``.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    count = daily.num_rows
    divisors = column_array(ColumnType.FLOAT64, [float(found.factor)] * count)
    multipliers = column_array(ColumnType.INT64, [found.factor] * count)
    columns: dict[str, Any] = {name: daily.column(name) for name in daily.schema.names}
    if is_suspect:
        columns["data_quality_flag"] = _with_suspicion(daily.column("data_quality_flag"))
    columns["known_at"] = _known_at(daily.column("known_at"), found)
    columns |= {f"{name}_adj": pc.divide(daily.column(name), divisors) for name in DIVIDED}
    columns |= {f"{name}_adj": pc.multiply_checked(daily.column(name), multipliers) for name in MULTIPLIED}
    columns |= {f"{name}_adj": daily.column(name) for name in UNCHANGED}
    constants = {
        "split_factor": float(found.factor),
        "adj_method": str(found.method),
        "factor_asof": found.factor_asof,
        "corporate_actions": found.label,
    }
    for name, value in constants.items():
        columns[name] = column_array(DAILY_ADJUSTED.column(name).type, [value] * count)
    schema = arrow_schema(DAILY_ADJUSTED)
    return pa.table([columns[field.name] for field in schema], schema=schema)


def _with_suspicion(flags: "pa.ChunkedArray") -> "pa.Array":
    return column_array(ColumnType.STRING_LIST, [ordered_flags({*given, SUSPECT}) for given in flags.to_pylist()])


def _known_at(values: "pa.ChunkedArray", found: Adjustment) -> "pa.ChunkedArray":
    import pyarrow.compute as pc

    if found.known_from is None:
        return values
    earliest = column_array(ColumnType.TIMESTAMP, [found.known_from] * len(values))
    return pc.if_else(pc.less(values, earliest), earliest, values)
