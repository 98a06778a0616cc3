"""From a day's rows to the same rows on the terms of a later day."""

from typing import TYPE_CHECKING, Any

from opt_data.core.corporate_actions import Adjustment
from opt_data.tables.adjusted_columns import DIVIDED, MULTIPLIED, UNCHANGED
from opt_data.tables.arrow import arrow_schema
from opt_data.tables.datasets import DAILY_ADJUSTED

if TYPE_CHECKING:
    import pyarrow as pa


def adjusted_rows(daily: "pa.Table", found: Adjustment) -> "pa.Table":
    """The rows of one symbol-day with their adjusted columns; order and all other columns stay, ``known_at`` excepted.

    Prices, strike, vega and theta are divided by the factor, volume, open interest and gamma multiplied: the option
    then has the same implied volatility and delta, and contracts times price the same value. Nulls stay nulls.

    Parameters
    ----------
    daily
        ``daily_clean`` of one symbol on one day.
    found
        How that symbol and day look from the day of interest.

    Returns
    -------
    pyarrow.Table
        Of the data set ``daily_adjusted``.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    schema = arrow_schema(DAILY_ADJUSTED)
    columns: dict[str, Any] = {name: daily.column(name) for name in daily.schema.names}
    columns["known_at"] = _known_at(daily.column("known_at"), found)
    columns |= {f"{name}_adj": pc.divide(daily.column(name), float(found.factor)) for name in DIVIDED}
    columns |= {f"{name}_adj": _multiplied(daily.column(name), found.factor) for name in MULTIPLIED}
    columns |= {f"{name}_adj": daily.column(name) for name in UNCHANGED}
    constants = {
        "split_factor": float(found.factor),
        "adj_method": str(found.method),
        "factor_asof": found.factor_asof,
        "corporate_actions": found.label,
    }
    for name, value in constants.items():
        columns[name] = pa.repeat(pa.scalar(value, schema.field(name).type), daily.num_rows)
    return pa.table([columns[field.name] for field in schema], schema=schema)


def _multiplied(values: "pa.ChunkedArray", factor: int) -> "pa.ChunkedArray":
    """In the type of the values, so that counts stay whole."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.multiply_checked(values, pa.scalar(factor, values.type))


def _known_at(values: "pa.ChunkedArray", found: Adjustment) -> "pa.ChunkedArray":
    import pyarrow as pa
    import pyarrow.compute as pc

    if found.known_from is None:
        return values
    floor = pa.scalar(found.known_from, values.type)
    return pc.if_else(pc.less(values, floor), floor, values)
