"""Adjusted rows against published examples, and against Black and Scholes as the textbook has it."""

import csv
from datetime import UTC, date, datetime
from math import erf, exp, isclose, log, pi, sqrt
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opt_data.core.corporate_actions import ActionKind, CorporateAction, adjustment
from opt_data.tables.arrow import arrow_schema
from opt_data.tables.arrow_rows import rows_from_table, table_from_rows
from opt_data.tables.datasets import DAILY_ADJUSTED, DAILY_CLEAN
from opt_data.tables.row_check import checked_rows
from opt_data.transforms.corporate_actions import adjusted_rows
from tests.fakes.chain import daily_row

DATA = Path(__file__).resolve().parents[2] / "data" / "corporate_actions"
LONG_AFTER = date(2025, 12, 31)
ADJUSTED = [name for name in arrow_schema(DAILY_ADJUSTED).names if name not in arrow_schema(DAILY_CLEAN).names]


def read(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def action(symbol: str, ex_date: str, ratio: str, kind: str = "split") -> CorporateAction:
    new, old = ratio.split(":")
    known = datetime(2000, 1, 3, tzinfo=UTC)
    return CorporateAction(
        symbol, date.fromisoformat(ex_date), ActionKind(kind), f"memo {ex_date}", known, int(new), int(old)
    )


def day_table(*rows: dict[str, object]) -> pa.Table:
    return table_from_rows(checked_rows(DAILY_CLEAN, list(rows)), DAILY_CLEAN)


def adjust(table: pa.Table, actions: list[CorporateAction], symbol: str, day: date, as_of: date = LONG_AFTER):
    return rows_from_table(adjusted_rows(table, adjustment(actions, symbol, day, as_of)))


@pytest.mark.parametrize("example", read("published.csv"), ids=lambda example: example["source"])
def test_published_examples(example: dict[str, str]) -> None:
    """OCC lists adjusted strikes rounded to a cent; ours are not rounded."""
    day, strike = date.fromisoformat(example["last_day_before"]), float(example["strike_before"])
    row = daily_row(1, trade_date=day, underlying=example["symbol"], strike=strike, volume=40, open_interest=100)
    split = action(example["symbol"], example["ex_date"], example["ratio"], example["kind"])
    (adjusted,) = adjust(day_table(row), [split], example["symbol"], day)
    contracts = int(example["contracts_after"])
    assert adjusted["strike_adj"] == pytest.approx(float(example["strike_after"]), abs=0.005)
    assert (adjusted["volume_adj"], adjusted["open_interest_adj"]) == (40 * contracts, 100 * contracts)
    is_standard = example["terms"] == "standard"
    assert adjusted["adj_method"] == ("integral_split" if is_standard else "not_comparable")
    assert adjusted["split_factor"] == (contracts if is_standard else 1.0)
    assert f"{example['kind']} {example['ratio']}" in adjusted["corporate_actions"]


@pytest.mark.parametrize("example", read("underlying.csv"), ids=lambda example: example["symbol"])
def test_published_prices_of_the_underlying(example: dict[str, str]) -> None:
    day = date.fromisoformat(example["last_day_before"])
    row = daily_row(1, trade_date=day, underlying=example["symbol"], underlying_close=float(example["price_before"]))
    split = action(example["symbol"], example["ex_date"], example["ratio"])
    (adjusted,) = adjust(day_table(row), [split], example["symbol"], day)
    assert adjusted["underlying_close_adj"] == pytest.approx(float(example["price_after"]), abs=0.005)


def normal(x: float) -> float:
    return 0.5 * (1.0 + erf(x / sqrt(2.0)))


def black_scholes(spot: float, strike: float, years: float, rate: float, sigma: float, right: str) -> dict[str, float]:
    """Hull, Options, Futures, and Other Derivatives, chapters on Black-Scholes-Merton and the Greek letters.

    Vega per percentage point, theta per calendar day, as the columns have them.
    """
    d1 = (log(spot / strike) + (rate + sigma**2 / 2) * years) / (sigma * sqrt(years))
    d2 = d1 - sigma * sqrt(years)
    density = exp(-(d1**2) / 2) / sqrt(2 * pi)
    discount = strike * exp(-rate * years)
    decay = -spot * density * sigma / (2 * sqrt(years))
    shared = {"gamma": density / (spot * sigma * sqrt(years)), "vega": spot * sqrt(years) * density / 100}
    if right == "C":
        return shared | {
            "price": spot * normal(d1) - discount * normal(d2),
            "delta": normal(d1),
            "theta": (decay - rate * discount * normal(d2)) / 365,
        }
    return shared | {
        "price": discount * normal(-d2) - spot * normal(-d1),
        "delta": normal(d1) - 1,
        "theta": (decay + rate * discount * normal(-d2)) / 365,
    }


def implied(price: float, spot: float, strike: float, years: float, rate: float, right: str) -> float:
    low, high = 1e-4, 5.0
    for _ in range(200):
        middle = (low + high) / 2
        if black_scholes(spot, strike, years, rate, middle, right)["price"] < price:
            low = middle
        else:
            high = middle
    return (low + high) / 2


splits = st.lists(st.sampled_from([2, 3, 4, 5, 7, 10, 20]), min_size=1, max_size=3)
DAY = date(2025, 11, 24)


def split_table(factors: list[int]) -> list[CorporateAction]:
    return [action("AAPL", f"2025-12-0{number}", f"{factor}:1") for number, factor in enumerate(factors, start=1)]


@settings(max_examples=100, deadline=None)
@given(
    factors=splits, spot=st.floats(20, 3000), moneyness=st.floats(0.85, 1.15), years=st.floats(0.05, 2),
    rate=st.floats(0, 0.06), sigma=st.floats(0.15, 0.9), right=st.sampled_from("CP"),
)  # fmt: skip
def test_an_adjusted_row_prices_to_the_same_volatility_and_delta(
    factors: list[int], spot: float, moneyness: float, years: float, rate: float, sigma: float, right: str
) -> None:
    strike = spot * moneyness
    before = black_scholes(spot, strike, years, rate, sigma, right)
    greeks = {name: before[name] for name in ("delta", "gamma", "vega", "theta")}
    row = daily_row(
        1, strike=strike, right=right, underlying_close=spot, iv=sigma, mid=before["price"], bid=before["price"],
        ask=before["price"], **greeks,
    )  # fmt: skip
    (adjusted,) = adjust(day_table(row), split_table(factors), "AAPL", DAY)
    terms = (adjusted["underlying_close_adj"], adjusted["strike_adj"], years, rate)
    after = black_scholes(*terms, adjusted["iv"], right)
    assert isclose(after["price"], adjusted["mid_adj"], rel_tol=1e-9, abs_tol=1e-9)
    assert isclose(implied(adjusted["mid_adj"], *terms, right), sigma, abs_tol=1e-6)
    assert isclose(after["delta"], adjusted["delta"], rel_tol=1e-9)
    for name in ("gamma", "vega", "theta"):
        assert isclose(after[name], adjusted[f"{name}_adj"], rel_tol=1e-9, abs_tol=1e-12), name


prices = st.one_of(st.none(), st.floats(0.01, 1e4))
counts = st.one_of(st.none(), st.integers(0, 10**9))


@settings(max_examples=100, deadline=None)
@given(factors=splits, price=prices, volume=counts, interest=counts)
def test_contracts_times_price_keeps_its_value_and_absence_stays_absent(
    factors: list[int], price: float | None, volume: int | None, interest: int | None
) -> None:
    row = daily_row(1, bid=price, ask=price, mid=price, last=1.0, volume=volume, open_interest=interest)
    (adjusted,) = adjust(day_table(row), split_table(factors), "AAPL", DAY)
    for contracts in ("volume", "open_interest"):
        for name in ("bid", "ask", "mid", "strike"):
            had, has = (row.get(contracts), row.get(name)), (adjusted[f"{contracts}_adj"], adjusted[f"{name}_adj"])
            assert [value is None for value in had] == [value is None for value in has]
            if None not in had:
                assert has[0] * has[1] * 100 == pytest.approx(had[0] * had[1] * 100, rel=1e-12)


@pytest.mark.parametrize("day", ["2025-12-01", "2025-12-02"])
def test_rows_on_and_after_the_ex_date_are_untouched(day: str) -> None:
    when = date.fromisoformat(day)
    row = daily_row(1, trade_date=when, underlying_close=271.5, moneyness_pct=1.2, volume=7, open_interest=9)
    (adjusted,) = adjust(day_table(row), [action("AAPL", "2025-12-01", "4:1")], "AAPL", when)
    for name in (name for name in ADJUSTED if name.endswith("_adj")):
        assert adjusted[name] == adjusted[name.removesuffix("_adj")], name
    assert [adjusted[name] for name in ("split_factor", "adj_method", "factor_asof", "corporate_actions")] == [
        1.0, "none", when, None,
    ]  # fmt: skip
    assert adjusted["known_at"] == row["known_at"]


def test_the_days_own_columns_and_the_order_stay_as_they_are() -> None:
    daily = day_table(*(daily_row(conid, data_quality_flag=["no_bid"], bid=None) for conid in (9, 2, 5)))
    found = adjustment(split_table([4]), "AAPL", DAY, LONG_AFTER)
    adjusted = adjusted_rows(daily, found)
    assert adjusted.schema.equals(arrow_schema(DAILY_ADJUSTED))
    kept = [name for name in daily.schema.names if name != "known_at"]
    assert adjusted.select(kept).to_pylist() == daily.select(kept).to_pylist()


def test_a_rescaled_row_is_known_from_the_start_of_the_ex_date() -> None:
    (adjusted,) = adjust(day_table(daily_row(1)), split_table([4]), "AAPL", DAY)
    assert adjusted["known_at"] == datetime(2025, 12, 1, 5, 0, tzinfo=UTC)  # midnight in New York


def test_a_day_of_no_rows_stays_one() -> None:
    found = adjustment(split_table([4]), "AAPL", DAY, LONG_AFTER)
    assert adjusted_rows(day_table(), found).num_rows == 0
