"""Three weeks with a holiday, an early close, a split and outages, built by backfills alone and traced to the market.

Every expected number is what the simulated gateway itself says of the contract (``truth``, ``sent``, ``find``), or
plain arithmetic on it; the calendar is the exchange's. Over 400 lines because it is one story with one cast.

What happens:

* 18 November, the gateway refuses while the slots from 12:00 to 14:00 are backfilled; they are the evening after.
* 20 November, nobody reads open interest: 19 November's is lost.
* 27 November is Thanksgiving, 28 November closes at 13:00.
* 1 December, IB's servers are lost (1100) in the middle of NVDA's closing snapshot, and the gateway goes down.
* 3 December, NVDA is split 4:1; its contracts of the evening before are gone in the morning, open interest with them.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ibsim.control import ControlError
from ibsim.launch import running_gateway
from opt_data.bootstrap import open_stores
from opt_data.config.load import load_settings
from opt_data.core.clock import SystemClock
from opt_data.pipelines.stores import Stores
from opt_data.tables.arrow_rows import rows_from_table
from tests.airflow.three_weeks import (
    AFTERWARDS,
    NEW_YORK,
    SATURDAYS,
    SESSIONS,
    Backfills,
    close_of,
    new_york,
    slots_of,
)

# a thousand task instances, one after the other: about a minute on a quiet machine
pytestmark = pytest.mark.timeout(900)

NVDA, AAPL = 4815747, 265598
EX_DATE, RATIO = date(2025, 12, 3), 4
EVE = date(2025, 12, 2)
REFUSED = date(2025, 11, 18)
REFUSED_SLOTS = slots_of(REFUSED)[5:10]
UNREAD = date(2025, 11, 19)
CLOSE_LOST = date(2025, 12, 1)
EVENING = timedelta(hours=1)
CONTRACTS = 8
"""Two expiries, the strikes on both sides of the previous close, call and put."""
SEED = 5
"""A market in which both strikes around the price are always listed."""
SPLIT = "NVDA,2025-12-03,split,4:1,OCC 1,2025-12-01T09:00-05:00,\n"

SCENARIO = {
    "seed": SEED,
    "dwell": {"kind": "fixed", "low_s": 0.01},
    "feed": {"update_s": 60.0},
    "limits": {"lines": 400},
    "market": {
        "no_bid_fraction": 0.08,
        "greeks_never_fraction": 0.06,
        "greeks_late_fraction": 0.0,
        "oi_never_fraction": 0.06,
        "oi_late_fraction": 0.0,
        "missing_pair_fraction": 0.0,
        "splits": [{"symbol": "NVDA", "ex_date": "2025-12-03", "ratio": RATIO}],
    },
}
SETTINGS = {
    "CAPTURE__READY_TIMEOUT_S": "0.5",
    "CAPTURE__LINGER_S": "0.02",
    "GATEWAY__MARKET_DATA_LINES": "400",
    "OPEN_INTEREST__READY_TIMEOUT_S": "0.5",
    "OPEN_INTEREST__REREAD_AFTER_S": "600",
    "OPEN_INTEREST__MIN_FILLED_PCT": "50",
    "REBUILD__RATE_PCT": "0",
    "DISCOVERY__MAX_EXPIRIES_PER_CLASS": "2",
    "DISCOVERY__STRIKES_PER_SIDE": "1",
    "DISCOVERY__MAX_STRIKES_PER_EXPIRY": "2",
}

QUOTED = {
    "bid": "bid", "ask": "ask", "last": "last", "volume": "volume", "vwap": "vwap", "prev_close": "prev_close",
    "day_open": "day_open", "day_high": "day_high", "day_low": "day_low", "mark_price": "mark", "halted": "halted",
    "bid_size": "bid_size", "ask_size": "ask_size", "last_size": "last_size",
}  # fmt: skip
MODELLED = {
    "iv": "iv", "delta": "delta", "gamma": "gamma", "theta": "theta", "vega": "vega", "opt_price": "price",
    "pv_dividend": "pv_dividend", "und_price_model": "und_price",
}  # fmt: skip
IN_BARS = ("bid", "ask", "last", "volume")
DIVIDED = ("strike", "bid", "ask", "mid", "last", "underlying_close", "vega", "theta")
MULTIPLIED = ("volume", "open_interest", "gamma")
CALCULATED = ("calc_iv", "calc_delta", "calc_gamma", "calc_vega", "calc_theta", "calc_rho", "calc_rate", "calc_model")
PROVENANCE = {
    "asof_ts", "lag_s", "und_asof_ts", "known_at", "ingest_id", "attempt", "oi_observed_at", "dag_run_id",
    "market_data_type_requested", "schema_version",
}  # fmt: skip
"""When and by which attempt, not what."""
LISTED = {"symbol", "expiry", "right", "strike", "reference_price"}
"""What the test of the contracts traces."""


class Story:
    """The installation, the market, and what is stored at the end."""

    def __init__(self, backfills: Backfills, root: Path) -> None:
        self.backfills = backfills
        self.control = backfills.gateway.control
        self.root = root

    @property
    def stores(self) -> Stores:
        return open_stores(load_settings(), SystemClock())

    def clean(self, day: date, symbol: str) -> list[dict[str, Any]]:
        return rows_from_table(self.stores.daily.read(day, symbol))

    def adjusted(self, day: date, symbol: str) -> list[dict[str, Any]]:
        return rows_from_table(self.stores.adjusted.read(day, symbol))

    def files(self, *views: str) -> dict[str, tuple[int, bytes]]:
        """Every stored file, or those of some views: when it was written, and its bytes."""
        found = (path for path in sorted((self.root / "data").rglob("*")) if path.is_file())
        chosen = [path for path in found if not views or any(f"view={view}/" in str(path) for view in views)]
        return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in chosen}

    def slots(self, days: list[date]) -> list[dict[str, Any]]:
        reader = self.stores.reader
        rows = [row for day in days for row in rows_from_table(reader.read_chain(day, "NVDA"))]
        return sorted(rows, key=lambda row: (row["sample_time"], row["conid"]))

    def run(self) -> None:
        """The three weeks, day by day, each day's runs when it is over."""
        for day in SESSIONS:
            self._session(day)
            self._next_morning(day, (*SESSIONS, AFTERWARDS)[SESSIONS.index(day) + 1])

    def _session(self, day: date) -> None:
        backfills = self.backfills
        backfills.at(day, "09:25")
        backfills.discover(day)
        backfills.at(day, "17:30")
        if day == REFUSED:
            backfills.intraday(day, [slot for slot in slots_of(day) if slot not in REFUSED_SLOTS])
            self.control.faults(refuse=True)
            backfills.intraday(day, REFUSED_SLOTS)
            self.control.faults(refuse=False)
        else:
            backfills.intraday(day)
        backfills.close(day, lost_on_the_way="NVDA" if day == CLOSE_LOST else "")
        backfills.derive(day)
        if day == REFUSED:
            (missing,) = {row["slots_missing"] for row in self.clean(day, "NVDA")}
            assert missing == len(REFUSED_SLOTS)
        if day == UNREAD:
            backfills.intraday(REFUSED)
            backfills.derive(REFUSED)
        if day == EVE:
            with (self.root / "actions.csv").open("a") as table:
                table.write(SPLIT)

    def _next_morning(self, day: date, morning: date) -> None:
        backfills = self.backfills
        for saturday in SATURDAYS:
            if day < saturday < morning:
                self._maintain(saturday, day)
        if day == UNREAD:
            return
        backfills.at(morning, "07:30")
        assert backfills.open_interest(day)
        backfills.at(morning, "07:41")
        if day == SESSIONS[SESSIONS.index(UNREAD) + 1]:
            assert not backfills.open_interest(UNREAD)
        if backfills.open_interest(day):
            assert day == EVE
            backfills.at(morning, "09:01")
            assert not backfills.open_interest(day)

    def _maintain(self, saturday: date, friday: date) -> None:
        week = [day for day in SESSIONS if timedelta(0) <= friday - day < timedelta(days=5)]
        before = self.slots(week)
        self.backfills.at(saturday, "09:00")
        self.backfills.maintain(saturday)
        assert self.slots(week) == before
        assert len(before) == CONTRACTS * sum(len(slots_of(day)) for day in week)
        packed = list((self.root / "data").glob("clean/ib/chain/view=intraday/week=*/*.parquet"))
        assert len(packed) == SATURDAYS.index(saturday) + 1


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """NVDA is captured at slots and close, AAPL at the close only."""
    root = tmp_path_factory.mktemp("three-weeks")
    (root / "slots.csv").write_text("symbol\nNVDA\n")
    (root / "closes.csv").write_text("symbol\nAAPL\nNVDA\n")
    (root / "actions.csv").write_text("symbol,ex_date,kind,ratio,memo,known_at,entered_by\n")
    paths = {
        "PATHS__DATA_ROOT": "data", "PATHS__STATE_ROOT": "state", "UNIVERSE__INTRADAY_FILE": "slots.csv",
        "UNIVERSE__CLOSE_FILE": "closes.csv", "CORPORATE_ACTIONS__TABLE_FILE": "actions.csv",
    }  # fmt: skip
    changes = SETTINGS | {name: str(root / place) for name, place in paths.items()}
    with (
        running_gateway(SCENARIO, clock="2025-11-17T09:25:00-05:00", log_path=root / "ibsim.log") as gateway,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("OPT_DATA_CONFIG", "include/config/demo.toml")
        for name, value in changes.items():
            patch.setenv(f"OPT_DATA__{name}", value)
        connection = f'{{"conn_type": "ib_gateway", "host": "{gateway.host}", "port": {gateway.port}}}'
        patch.setenv("AIRFLOW_CONN_IB_GATEWAY", connection)
        told = Story(Backfills(gateway), root)
        told.run()
        yield told


def test_only_what_the_scenario_broke_failed(story: Story) -> None:
    failures = Counter((task, day, error) for task, day, error in story.backfills.failures)
    assert failures == {
        ("capture", REFUSED, "GatewayUnavailable"): len(REFUSED_SLOTS),
        ("slot_report", REFUSED, "SlotIncomplete"): len(REFUSED_SLOTS),
        ("close_snapshot", CLOSE_LOST, "GatewayUnavailable"): 1,
        ("read", UNREAD, "OpenInterestGone"): 2,
        ("oi_report", UNREAD, "OpenInterestMissing"): 1,
        ("read", EVE, "OpenInterestMissing"): 1,
        ("oi_report", EVE, "OpenInterestMissing"): 1,
    }


def test_every_session_has_every_contract_and_no_other_day_has_any(story: Story) -> None:
    for view in ("daily_clean", "daily_adjusted"):
        folders = (story.root / "data" / "clean/ib/chain" / f"view={view}").glob("date=*")
        assert sorted(folder.name for folder in folders) == [f"date={day}" for day in SESSIONS]
    rows = [row for day in SESSIONS for symbol in ("AAPL", "NVDA") for row in story.clean(day, symbol)]
    assert len(rows) == len({(row["trade_date"], row["conid"]) for row in rows}) == CONTRACTS * len(SESSIONS) * 2


def test_every_contract_is_the_one_that_the_market_lists_on_that_day(story: Story) -> None:
    for day in SESSIONS:
        story.backfills.at(day, "12:00")
        for symbol, und_conid in (("AAPL", AAPL), ("NVDA", NVDA)):
            previous_close = story.control.truth(und_conid, new_york(day, "09:29"))["last"]
            strikes: dict[date, set[float]] = {}
            for row in story.clean(day, symbol):
                name = f"{symbol:<6}{row['expiry']:%y%m%d}{row['right']}{round(row['strike'] * 1000):08d}"
                terms = (f"{row['expiry']:%Y%m%d}", row["strike"], row["right"])
                assert (row["symbol"], story.control.find(symbol, *terms)) == (name, [row["conid"]])
                assert (row["und_conid"], row["reference_price"]) == (und_conid, previous_close)
                strikes.setdefault(row["expiry"], set()).add(row["strike"])
            assert [(len(found), min(found) <= previous_close <= max(found)) for found in strikes.values()] == [
                (2, True)
            ] * 2  # fmt: skip


@pytest.mark.parametrize(("symbol", "und_conid"), [("AAPL", AAPL), ("NVDA", NVDA)])
def test_every_number_of_the_day_is_the_markets_own(story: Story, symbol: str, und_conid: int) -> None:
    wrong: list[tuple[object, ...]] = []
    for day in SESSIONS:
        und_close = story.control.truth(und_conid, close_of(day))["last"]
        for row in story.clean(day, symbol):
            expected = expected_day(story, row, day, symbol, und_close)
            assert set(row) == set(expected) | PROVENANCE | LISTED | set(CALCULATED)
            wrong += [
                (day, row["symbol"], name, row[name], value) for name, value in expected.items() if row[name] != value
            ]
            taken = new_york(day, "17:30").astimezone(UTC)
            assert taken <= row["known_at"] <= taken + EVENING
            assert (row["oi_observed_at"] is None) == (row["open_interest"] is None)
    assert wrong == []


def expected_day(story: Story, row: dict[str, Any], day: date, symbol: str, und_close: float) -> dict[str, Any]:
    """The whole row, but for its provenance, by what the market says."""
    close, conid, strike = close_of(day), row["conid"], row["strike"]
    truth, und = story.control.truth(conid, close), story.control.truth(row["und_conid"], close)
    is_rebuilt = (symbol, day) == ("NVDA", CLOSE_LOST)
    has_model = not is_rebuilt and was_sent(story, conid, new_york(day, "17:30"), "model")
    open_interest = expected_open_interest(story, row, day)
    slots = len(slots_of(day)) if symbol == "NVDA" else 0
    bid, ask = truth["bid"], truth["ask"]
    last_trade = truth["last_time_s"]
    quote = {name: truth[key] for name, key in QUOTED.items() if not is_rebuilt or name in IN_BARS}
    if bid is None:
        quote["bid_size"] = None
    if truth["mark"] == 0:  # IB's word for none
        quote["mark_price"] = None
    model = {name: truth["model"][key] for name, key in MODELLED.items()} if has_model else {}
    flags = {
        "rebuilt_from_bars": is_rebuilt,
        "frozen": not is_rebuilt,
        "missing_greeks": not is_rebuilt and not has_model,
        "no_bid": bid is None,
        "missing_oi": open_interest is None,
        "fallback_intraday": is_rebuilt,
    }
    return (
        dict.fromkeys((*QUOTED, *MODELLED, "bid_iv", "ask_iv", "last_trade_time"))
        | quote
        | model
        | {
            "trade_date": day,
            "underlying": symbol,
            "und_conid": row["und_conid"],
            "conid": conid,
            "multiplier": 100,
            "exchange": "SMART",
            "trading_class": symbol,
            "currency": "USD",
            "quote_exchange": "SMART",
            "mid": None if bid is None else (bid + ask) / 2,
            "last_trade_time": None if is_rebuilt or last_trade is None else datetime.fromtimestamp(last_trade, UTC),
            "bid_iv": truth["bid_model"]["iv"] if has_model and truth["bid_model"] else None,
            "ask_iv": truth["ask_model"]["iv"] if has_model else None,
            "hist_volatility": None,
            "greeks_source": "ib_model" if has_model else None,
            "und_bid": None if is_rebuilt else und["bid"],
            "und_ask": None if is_rebuilt else und["ask"],
            "und_last": und["last"],
            "sample_time": close,
            "sample_time_et": close.astimezone(NEW_YORK).isoformat(),
            "slot_30m": len(slots_of(day)) - 1,
            "first_seen_slot": 0,
            "capture_mode": "rebuilt" if is_rebuilt else "frozen",
            "market_data_type": None if is_rebuilt else 2,
            "delayed_quote_age_s": None,
            "snapshot_error": False,
            "error_type": None,
            "error_message": None,
            "ib_error_code": None,
            "data_quality_flag": [name for name, holds in flags.items() if holds],
            "source": "IBKR",
            "ingest_run_type": "eod_rollup",
            "open_interest": open_interest,
            "oi_asof_date": None if open_interest is None else day,
            "rollup_source_time": close,
            "rollup_source_slot": len(slots_of(day)) - 1,
            "rollup_strategy": "slot_1600" if is_rebuilt else "close",
            "underlying_close": und_close,
            "moneyness_pct": pytest.approx((strike / und_close - 1) * 100, abs=1e-9),
            "strike_per_100": pytest.approx(strike / und_close * 100, abs=1e-9),
            "slots_expected": slots,
            "slots_on_time": 0,
            "slots_late": 0,
            "slots_rebuilt": slots,
            "slots_missing": 0,
        }
    )


def expected_open_interest(story: Story, row: dict[str, Any], day: date) -> int | None:
    """What the market published the next morning, if it sent it; None where the scenario says why."""
    morning = (*SESSIONS, AFTERWARDS)[SESSIONS.index(day) + 1]
    if day == UNREAD or row["expiry"] == day:
        return None
    try:
        published = story.control.truth(row["conid"], new_york(morning, "07:30"))
    except ControlError:
        assert (row["underlying"], day) == ("NVDA", EVE)
        return None
    assert published["open_interest_of"] == day.isoformat()
    name = "call_open_interest" if row["right"] == "C" else "put_open_interest"
    return published["open_interest"] if was_sent(story, row["conid"], new_york(morning, "07:30"), name) else None


def was_sent(story: Story, conid: int, begin: datetime, tick: str) -> bool:
    """Whether the gateway sent a tick of that name to one of the requests of that hour."""
    requests = [
        request
        for request in story.control.sent(conid)
        if timedelta(0) <= datetime.fromisoformat(request["requested_at"]) - begin < EVENING
    ]
    assert requests
    return any(one["name"] == tick for request in requests for one in request["ticks"])


def test_a_rebuilt_day_is_priced_by_the_markets_own_volatility(story: Story) -> None:
    """Of the closing slot that stands in for the lost close; everywhere else nothing is calculated."""
    priced = 0
    for day in SESSIONS:
        for symbol in ("AAPL", "NVDA"):
            for row in story.clean(day, symbol):
                if (symbol, day) != ("NVDA", CLOSE_LOST) or row["calc_iv"] is None:
                    assert {row[name] for name in CALCULATED[:6]} == {None}
                    continue
                model = story.control.truth(row["conid"], close_of(day))["model"]
                half_spread = (row["ask"] - row["bid"]) / 2
                assert abs(row["calc_iv"] - model["iv"]) * 100 * model["vega"] <= half_spread + 0.02
                assert row["calc_delta"] == pytest.approx(model["delta"], abs=0.05)
                priced += 1
    assert priced >= CONTRACTS / 2


@pytest.mark.parametrize("symbol", ["AAPL", "NVDA"])
def test_every_adjusted_number_is_the_days_by_the_ratio(story: Story, symbol: str) -> None:
    for day in SESSIONS:
        is_before = symbol == "NVDA" and day < EX_DATE
        ratio = RATIO if is_before else 1
        clean = {row["conid"]: row for row in story.clean(day, symbol)}
        adjusted = {row["conid"]: row for row in story.adjusted(day, symbol)}
        assert set(adjusted) == set(clean)
        for conid, row in adjusted.items():
            of_the_day = clean[conid]
            assert {name: row[name] for name in of_the_day if name != "known_at"} == {
                name: value for name, value in of_the_day.items() if name != "known_at"
            }
            expected = {f"{name}_adj": _times(of_the_day[name], 1 / ratio) for name in DIVIDED}
            expected |= {f"{name}_adj": _times(of_the_day[name], ratio) for name in MULTIPLIED}
            expected |= {
                "moneyness_pct_adj": of_the_day["moneyness_pct"],
                "split_factor": ratio,
                "adj_method": "integral_split" if is_before else "none",
                "factor_asof": EX_DATE if is_before else day,
                "corporate_actions": "2025-12-03 split 4:1 [OCC 1]" if is_before else None,
            }
            assert {name: row[name] for name in row if name not in of_the_day} == expected


def _times(value: float | None, factor: float) -> float | None:
    """A quarter is exact in binary, so that no tolerance is needed."""
    return None if value is None else value * factor


def test_the_adjusted_series_crosses_the_split_without_a_jump(story: Story) -> None:
    """The market's path knows nothing of splits: one session's move is what the unsplit market of the seed makes."""
    closes = [story.adjusted(day, "NVDA")[0]["underlying_close_adj"] for day in SESSIONS]
    moves = [after / before - 1 for before, after in pairwise(closes)]
    assert max(abs(move) for move in moves) < 0.15
    jump = story.clean(EVE, "NVDA")[0]["underlying_close"] / story.clean(EX_DATE, "NVDA")[0]["underlying_close"]
    assert jump == pytest.approx(RATIO, rel=0.15)


def test_absent_values_are_few_and_none_is_unexplained(story: Story) -> None:
    """The scenario's fractions are small: a recorder that lost everything would pass no such count."""
    rows = [row for day in SESSIONS for symbol in ("AAPL", "NVDA") for row in story.clean(day, symbol)]
    flags = Counter(flag for row in rows for flag in row["data_quality_flag"])
    assert 0 < flags["no_bid"] < 0.3 * len(rows)
    assert 0 < flags["missing_greeks"] < 0.2 * len(rows)
    on_purpose = sum(
        row["expiry"] == row["trade_date"]
        or row["trade_date"] == UNREAD
        or (row["underlying"], row["trade_date"]) == ("NVDA", EVE)
        for row in rows
    )
    assert on_purpose < flags["missing_oi"] < on_purpose + 0.15 * len(rows)
    assert set(flags) == {
        "no_bid", "missing_greeks", "missing_oi", "frozen", "rebuilt_from_bars", "fallback_intraday",
    }  # fmt: skip


def test_deleting_the_days_and_deriving_them_again_gives_the_same_bytes(story: Story) -> None:
    before = {path: content for path, (_, content) in story.files("daily_clean", "daily_adjusted").items()}
    for path in before:
        Path(path).unlink()
    for day in SESSIONS:
        story.backfills.derive(day)
    after = {path: content for path, (_, content) in story.files("daily_clean", "daily_adjusted").items()}
    assert after == before
    assert len(after) == len(SESSIONS) * 2 * 2


def test_a_second_backfill_of_everything_changes_nothing(story: Story) -> None:
    backfills = story.backfills
    backfills.at(AFTERWARDS + timedelta(days=1), "10:00")
    before, asked = story.files(), story.control.stats()["requests"]
    backfills.failures.clear()
    for day in SESSIONS:
        backfills.discover(day)
        backfills.intraday(day)
        backfills.close(day)
        backfills.derive(day)
        backfills.open_interest(day)
    assert story.files() == before
    now = story.control.stats()["requests"]
    assert {kind: now[kind] for kind in ("reqMktData", "reqHistoricalData", "reqContractDetails")} == {
        kind: asked[kind] for kind in ("reqMktData", "reqHistoricalData", "reqContractDetails")
    }
    assert Counter(backfills.failures) == {("close_snapshot", day, "AirflowSkipException"): 2 for day in SESSIONS} | {
        ("read", UNREAD, "OpenInterestGone"): 2,
        ("oi_report", UNREAD, "OpenInterestMissing"): 1,
        ("read", EVE, "OpenInterestGone"): 1,
        ("oi_report", EVE, "OpenInterestMissing"): 1,
    }
