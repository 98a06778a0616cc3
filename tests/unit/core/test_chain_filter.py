"""Which contracts a filter keeps."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opt_data.core.chain_filter import (
    ChainFilter,
    ClassKind,
    OptionParams,
    chains_at,
    class_kind,
    select_classes,
    select_expiries,
    select_series,
    select_strikes,
)
from opt_data.core.contracts import SecType, Series, Underlying
from opt_data.core.expiries import ExpiryKind

ALL_KINDS = frozenset(ExpiryKind)
MONDAY = date(2025, 11, 24)
THANKSGIVING = frozenset({date(2025, 11, 27), date(2025, 12, 25), date(2026, 1, 1)})
FRIDAYS = (
    *(date(2025, month, day) for month, day in ((11, 28), (12, 5), (12, 12), (12, 19), (12, 26))),
    date(2026, 1, 16),
)
YEAR_END = date(2025, 12, 31)


def keep(**changes: object) -> ChainFilter:
    values: dict[str, object] = {"moneyness_pct": 30.0, "expiry_kinds": ALL_KINDS, "months_ahead": 2, **changes}
    return ChainFilter(**values)  # type: ignore[arg-type]


class TestExpiries:
    @pytest.mark.parametrize(
        ("kinds", "kept"),
        [
            ({"monthly"}, ["2025-12-19", "2026-01-16"]),
            ({"quarterly"}, ["2025-12-19", "2025-12-31"]),
            ({"weekly"}, ["2025-11-28", "2025-12-05", "2025-12-12", "2025-12-26"]),
            ({"monthly", "quarterly"}, ["2025-12-19", "2025-12-31", "2026-01-16"]),
        ],
    )
    def test_by_kind(self, kinds: set[str], kept: list[str]) -> None:
        chain_filter = keep(expiry_kinds=frozenset(ExpiryKind(kind) for kind in kinds))
        expiries = select_expiries([*FRIDAYS, YEAR_END], MONDAY, chain_filter, THANKSGIVING)
        assert [day.isoformat() for day in expiries] == kept

    def test_from_the_trade_date_to_so_many_months_later_both_included(self) -> None:
        days = [date(2025, 11, 21), MONDAY, date(2025, 12, 24), date(2025, 12, 26)]
        assert select_expiries(days, MONDAY, keep(months_ahead=1), THANKSGIVING) == (MONDAY, date(2025, 12, 24))
        assert select_expiries(days, MONDAY, keep(months_ahead=0), THANKSGIVING) == (MONDAY,)

    def test_a_cap_keeps_standard_expiries_before_the_nearest_weeklies(self) -> None:
        expiries = select_expiries([*FRIDAYS, YEAR_END], MONDAY, keep(max_expiries_per_class=4), THANKSGIVING)
        assert [day.isoformat() for day in expiries] == ["2025-11-28", "2025-12-19", "2025-12-31", "2026-01-16"]

    def test_am_settled_index_class_expires_on_thursdays_and_is_monthly_all_the_same(self) -> None:
        # SPX expirations as IB lists them: the last trading day, the Thursday before the third Friday.
        thursdays = (date(2025, 12, 18), date(2026, 1, 15))
        monthly = keep(expiry_kinds=frozenset({ExpiryKind.MONTHLY}))
        assert select_expiries(thursdays, MONDAY, monthly, THANKSGIVING) == ()
        assert select_expiries(thursdays, MONDAY, monthly, THANKSGIVING, monthly_class=True) == thursdays
        quarterly = keep(expiry_kinds=frozenset({ExpiryKind.QUARTERLY}))
        assert select_expiries(thursdays, MONDAY, quarterly, THANKSGIVING, monthly_class=True) == thursdays[:1]


class TestStrikes:
    STRIKES = (65.0, 70.0, 80.0, 90.0, 95.0, 100.0, 105.0, 110.0, 120.0, 130.0, 135.0)

    def test_moneyness_is_inclusive_on_both_sides(self) -> None:
        assert select_strikes(self.STRIKES, 100.0, keep()) == self.STRIKES[1:-1]

    def test_so_many_on_each_side_the_strike_at_the_price_counts_below(self) -> None:
        assert select_strikes(self.STRIKES, 100.0, keep(strikes_per_side=2)) == (95.0, 100.0, 105.0, 110.0)
        assert select_strikes(self.STRIKES, 101.0, keep(strikes_per_side=2)) == (95.0, 100.0, 105.0, 110.0)
        assert select_strikes(self.STRIKES, 99.0, keep(strikes_per_side=2)) == (90.0, 95.0, 100.0, 105.0)

    def test_a_side_without_strikes_is_not_made_up_by_the_other(self) -> None:
        assert select_strikes(self.STRIKES, 133.0, keep(strikes_per_side=2)) == (120.0, 130.0, 135.0)

    def test_nearest_of_both_sides_together_of_equally_near_the_lower(self) -> None:
        assert select_strikes(self.STRIKES, 100.0, keep(max_strikes_per_expiry=2)) == (95.0, 100.0)
        assert select_strikes(self.STRIKES, 108.0, keep(max_strikes_per_expiry=3)) == (100.0, 105.0, 110.0)

    def test_a_missing_strike_is_replaced_by_the_next(self) -> None:
        chosen = select_strikes(self.STRIKES, 101.0, keep(strikes_per_side=2), missing={95.0, 105.0})
        assert chosen == (90.0, 100.0, 110.0, 120.0)

    @pytest.mark.parametrize("price", [0.0, -1.0, float("nan")])
    def test_a_price_that_is_none(self, price: float) -> None:
        with pytest.raises(ValueError, match="not positive"):
            select_strikes(self.STRIKES, price, keep())

    @given(
        st.lists(st.integers(1, 400), max_size=60),
        st.floats(1.0, 400.0),
        st.integers(0, 5),
        st.integers(0, 8),
        st.floats(1.0, 100.0),
    )
    def test_limits_hold_and_nothing_nearer_is_left_out(
        self, listed: list[int], price: float, per_side: int, at_most: int, width_pct: float
    ) -> None:
        chain_filter = keep(moneyness_pct=width_pct, strikes_per_side=per_side, max_strikes_per_expiry=at_most)
        chosen = select_strikes(map(float, listed), price, chain_filter)
        assert list(chosen) == sorted(set(chosen))
        assert set(chosen) <= set(map(float, listed))
        assert all(abs(strike - price) <= price * width_pct / 100 for strike in chosen)
        if at_most:
            assert len(chosen) <= at_most
        for side in ([s for s in chosen if s <= price], [s for s in chosen if s > price]):
            if per_side:
                assert len(side) <= per_side
            if side:
                furthest = max(abs(strike - price) for strike in side)
                same_side = [s for s in map(float, set(listed)) if (s <= price) == (side[0] <= price)]
                nearer = {s for s in same_side if abs(s - price) < furthest}
                assert nearer <= set(side)


class TestClasses:
    @pytest.mark.parametrize(
        ("symbol", "trading_class", "kind"),
        [
            ("AAPL", "AAPL", ClassKind.STANDARD),
            ("AAPL", "AAPL1", ClassKind.ADJUSTED),
            ("AAPL", "2AAPL", ClassKind.FLEX),
            ("BRK B", "BRKB", ClassKind.STANDARD),
            ("BRK B", "BRKB1", ClassKind.ADJUSTED),
            ("SPX", "SPXW", ClassKind.STANDARD),
            ("SPX", "4SPX", ClassKind.FLEX),
            ("C", "C1", ClassKind.ADJUSTED),
        ],
    )
    def test_kinds(self, symbol: str, trading_class: str, kind: ClassKind) -> None:
        assert class_kind(symbol, trading_class) is kind

    def test_odd_classes_only_when_wanted_or_named(self) -> None:
        chains = [OptionParams("SMART", name, 100, (), ()) for name in ("2AAPL", "AAPL", "AAPL1")]

        def names(underlying: Underlying, include_adjusted: bool) -> list[str]:
            return [chain.trading_class for chain in select_classes(underlying, chains, include_adjusted)]

        assert names(Underlying("AAPL"), False) == ["AAPL"]
        assert names(Underlying("AAPL"), True) == ["2AAPL", "AAPL", "AAPL1"]
        assert names(Underlying("AAPL", trading_class="AAPL1"), False) == ["AAPL1"]

    def test_rows_of_the_exchange_or_else_the_union_of_all(self) -> None:
        first, second = FRIDAYS[:2]
        smart = OptionParams("SMART", "X", 100, (first,), (1.0,))
        cboe = OptionParams("CBOE", "X", 100, (second,), (2.0,))
        ise = OptionParams("ISE", "X", 100, (first,), (3.0,))
        assert chains_at([cboe, smart], "SMART") == (smart,)
        assert chains_at([cboe, ise], "SMART") == (OptionParams("SMART", "X", 100, (first, second), (2.0, 3.0)),)


class TestSeries:
    SPX = Underlying("SPX", sec_type=SecType.INDEX, exchange="CBOE")
    PARAMS = (
        OptionParams("SMART", "SPXW", 100, (date(2025, 11, 24), date(2025, 12, 19)), (6600.0, 6605.0, 6610.0)),
        OptionParams("SMART", "SPX", 100, (date(2025, 12, 18),), (6600.0, 6650.0)),
        OptionParams("CBOE", "SPX", 100, (date(2026, 1, 15),), (6700.0,)),
    )

    def select(
        self, underlying: Underlying, nonexistent: frozenset[Series] = frozenset(), **limits: int
    ) -> list[Series]:
        return list(
            select_series(underlying, self.PARAMS, "SMART", MONDAY, 6602.99, keep(**limits), THANKSGIVING, nonexistent)
        )

    def test_classes_keep_their_own_expiries_and_strikes(self) -> None:
        selected = self.select(self.SPX)
        assert selected == sorted(selected)
        assert {(s.trading_class, s.expiry, s.strike) for s in selected if s.trading_class == "SPX"} == {
            ("SPX", date(2025, 12, 18), 6600.0),
            ("SPX", date(2025, 12, 18), 6650.0),
        }
        assert len([s for s in selected if s.trading_class == "SPXW"]) == 2 * 3 * 2
        assert {series.right for series in selected} == {"C", "P"}

    def test_the_universe_can_name_one_class(self) -> None:
        selected = self.select(Underlying("SPX", sec_type=SecType.INDEX, exchange="CBOE", trading_class="SPX"))
        assert {series.trading_class for series in selected} == {"SPX"}
        # The sibling class still says that SPX holds monthlies, although it is not selected.
        assert len(selected) == 4

    def test_a_strike_without_either_right_gives_way_one_with_a_single_right_stays(self) -> None:
        day = date(2025, 12, 19)
        gone = frozenset({Series("SPXW", day, 6600.0, "C"), Series("SPXW", day, 6600.0, "P")})
        half = frozenset({Series("SPXW", day, 6605.0, "P")})
        one_each = self.select(self.SPX, gone | half, strikes_per_side=1)
        assert [(s.strike, s.right) for s in one_each if s.expiry == day] == [(6605.0, "C")]
