"""Whole-number splits: which terms a share and its options have on which day.

The price paths know nothing of splits. What is quoted in the terms of a day is a path's price divided by the product of
the ratios that are in effect on it (``factor``), shares and contracts multiplied by it. A symbol's options get a new
``generation`` with each split: new conids, strikes divided by the ratio, multiplier and class as before.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from math import prod


@dataclass(frozen=True, slots=True, order=True)
class Split:
    """``ratio`` new shares for each old one (2 or more), in the new terms from the beginning of ``ex_date``."""

    symbol: str
    ex_date: date
    ratio: int

    def __post_init__(self) -> None:
        if self.ratio < 2:
            raise ValueError(f"the split of {self.symbol} must have a whole ratio of 2 or more, not {self.ratio}")


class Splits:
    """All splits of a market.

    Raises
    ------
    ValueError
        If a symbol has two on one day.
    """

    def __init__(self, splits: Iterable[Split] = ()) -> None:
        self.in_order = tuple(sorted(splits, key=lambda split: (split.ex_date, split.symbol)))
        self._by_symbol: dict[str, tuple[Split, ...]] = {}
        for split in self.in_order:
            earlier = self._by_symbol.get(split.symbol, ())
            if earlier and earlier[-1].ex_date == split.ex_date:
                raise ValueError(f"{split.symbol} has two splits on {split.ex_date}")
            self._by_symbol[split.symbol] = (*earlier, split)

    def of(self, symbol: str) -> tuple[Split, ...]:
        """A symbol's splits, earliest first."""
        return self._by_symbol.get(symbol, ())

    def generation(self, symbol: str, day: date) -> int:
        """How many splits of a symbol are in effect on a day."""
        return sum(split.ex_date <= day for split in self.of(symbol))

    def factor(self, symbol: str, generation: int) -> int:
        """Shares of a generation for one share before all splits."""
        return prod(split.ratio for split in self.of(symbol)[:generation])

    def factor_on(self, symbol: str, day: date) -> int:
        """Shares of a day for one share before all splits."""
        return self.factor(symbol, self.generation(symbol, day))
