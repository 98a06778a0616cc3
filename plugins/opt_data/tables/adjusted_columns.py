"""The columns of an adjusted day: the day's own, then the same on the terms of a later day."""

from dataclasses import replace

from opt_data.core.corporate_actions import AdjMethod
from opt_data.tables.column import Column, ColumnType, Group, Sign
from opt_data.tables.daily_columns import DAILY_COLUMNS

DIVIDED = ("strike", "bid", "ask", "mid", "last", "underlying_close", "vega", "theta")
"""What a split into r makes r times smaller: ``<name>_adj`` is the value divided by ``split_factor``."""

MULTIPLIED = ("volume", "open_interest", "gamma")
"""What it makes r times greater."""

UNCHANGED = ("moneyness_pct",)
"""Ratios of two prices. So are delta and iv, which have no column of their own."""

_OF_THE_ROW = {
    "data_quality_flag": "The day's flags, see below, and `ca_suspect` where it applies.",
    "known_at": "`known_at` of the day's row, or, where later, the instant from which its adjustment could be known.",
}
_DAILY = {column.name: column for column in DAILY_COLUMNS}


def _adjusted(name: str, rule: str) -> Column:
    return replace(_DAILY[name], name=f"{name}_adj", group=Group.ADJUSTED, sentence=f"{rule}.")


def _divided(name: str) -> Column:
    return _adjusted(name, f"{name} / split_factor")


def _multiplied(name: str) -> Column:
    return _adjusted(name, f"{name} * split_factor")


ADJUSTED = (
    Column(
        "split_factor", ColumnType.FLOAT64, Group.ADJUSTED,
        "New shares for one share of the row's day; a whole number, 1 unless `adj_method` is `integral_split`.",
        "shares per share", Sign.POSITIVE, is_nullable=False,
    ),
    replace(
        _divided("strike"),
        sentence="strike / split_factor, not rounded; OCC lists such a series at this price rounded to a cent.",
    ),
    *(_divided(name) for name in ("bid", "ask", "mid", "last", "underlying_close")),
    _adjusted("moneyness_pct", "moneyness_pct: a split does not change it"),
    *(_multiplied(name) for name in ("volume", "open_interest", "gamma")),
    *(_divided(name) for name in ("vega", "theta")),
    Column(
        "adj_method", ColumnType.STRING, Group.ADJUSTED,
        "`none`: nothing happened between the row's day and now. `integral_split`: rescaled by whole-number splits. "
        "`not_comparable`: something else happened (reverse split, merger, spin-off, special cash), passed through as "
        "it is; do not compare across `corporate_actions`.", is_nullable=False, choices=tuple(AdjMethod),
    ),
    Column(
        "factor_asof", ColumnType.DATE, Group.ADJUSTED,
        "The New York day since which this adjustment holds; the row's own day where nothing ever changed it.",
        is_nullable=False,
    ),
    Column(
        "corporate_actions", ColumnType.STRING, Group.ADJUSTED,
        "The actions between the row's day and now, `EX-DATE KIND RATIO [MEMO]`, separated by `; `; null if none.",
    ),
)  # fmt: skip

ADJUSTED_COLUMNS = (
    tuple(replace(one, sentence=_OF_THE_ROW.get(one.name, one.sentence)) for one in DAILY_COLUMNS) + ADJUSTED
)
"""All of the day's columns as they are, then the adjusted ones."""
