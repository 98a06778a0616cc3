"""What happens in the three weeks, in which market, and what is stored at their end.

* 18 November, the gateway refuses while the slots from 12:00 to 14:00 are backfilled; they are the evening after.
* 20 November, nobody reads open interest: 19 November's is lost. The socket closes in the middle of AAPL's closing
  snapshot; the second try takes what is left.
* 27 November is Thanksgiving, 28 November closes at 13:00.
* 1 December, the gateway refuses NVDA's slot at the close at first. IB's servers are lost (1100) in the middle of its
  closing snapshot, and the gateway goes down: that slot stands in.
* 3 December, NVDA is split 4:1; its contracts of the evening before are gone in the morning, open interest with them.
"""

from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from opt_data.bootstrap import open_stores
from opt_data.config.load import load_settings
from opt_data.core.clock import SystemClock
from opt_data.tables.arrow_rows import rows_from_table
from tests.airflow.market_witness import MarketWitness
from tests.airflow.three_weeks import AFTERWARDS, CALLS, SATURDAYS, SESSIONS, Backfills, Try, run_of, slots_of

CONIDS = {"AAPL": 265598, "NVDA": 4815747}
"""IB's own."""
EX_DATE, RATIO = date(2025, 12, 3), 4
EVE = date(2025, 12, 2)
REFUSED = date(2025, 11, 18)
REFUSED_SLOTS = slots_of(REFUSED)[5:10]
UNREAD = date(2025, 11, 19)
CUT_IN_HALF = date(2025, 11, 20)
"""A day on which every call of AAPL has greeks, so that none is asked for again."""
CLOSE_LOST = date(2025, 12, 1)
CONTRACTS = 2 * CALLS
RATE_PCT = 4
SEED = 5
"""A market in which both strikes around the price are always listed."""
SPLIT = "NVDA,2025-12-03,split,4:1,OCC 1,2025-12-01T09:00-05:00,\n"

SCENARIO = {
    "seed": SEED,
    "dwell": {"kind": "fixed", "low_s": 0.01},
    "feed": {"update_s": 60.0},
    "limits": {"lines": 400},
    "market": {
        "rate": RATE_PCT / 100,
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
    "REBUILD__RATE_PCT": str(RATE_PCT),
    "DISCOVERY__MAX_EXPIRIES_PER_CLASS": "2",
    "DISCOVERY__STRIKES_PER_SIDE": "1",
    "DISCOVERY__MAX_STRIKES_PER_EXPIRY": "2",
}


class Story:
    """The installation, the market, and what is stored at the end."""

    def __init__(self, backfills: Backfills, root: Path) -> None:
        self.backfills = backfills
        self.control = backfills.gateway.control
        self.root = root

    @cached_property
    def witness(self) -> MarketWitness:
        """The gateway's journal, read once, when all has happened."""
        return MarketWitness(self.control)

    def tries(self, task: str, instant: datetime, symbol: str) -> list[Try]:
        """The tries of one task instance of the run of an instant."""
        wanted = (task, run_of(instant).run_id, symbol)
        return [one for one in self.backfills.tries if (one.task, one.run_id, one.symbol) == wanted]

    def day_files(self, view: str) -> list[Path]:
        return sorted((self.root / "data/clean/ib/chain" / f"view={view}").glob("*/*/*/*.parquet"))

    def rows(self, view: str, day: date, symbol: str) -> list[dict[str, Any]]:
        """The rows of one day's file as any reader of Parquet gets them."""
        folder = f"data/clean/ib/chain/view={view}/date={day}/underlying={symbol}/exchange=SMART"
        with pq.ParquetFile(self.root / folder / "day.parquet") as file:
            rows: list[dict[str, Any]] = file.read().to_pylist()
        return rows

    def clean(self, day: date, symbol: str) -> list[dict[str, Any]]:
        return self.rows("daily_clean", day, symbol)

    def adjusted(self, day: date, symbol: str) -> list[dict[str, Any]]:
        return self.rows("daily_adjusted", day, symbol)

    def files(self, *views: str) -> dict[str, tuple[int, bytes]]:
        """Every stored file, or those of some views: when it was written, and its bytes."""
        found = (path for path in sorted((self.root / "data").rglob("*")) if path.is_file())
        chosen = [path for path in found if not views or any(f"view={view}/" in str(path) for view in views)]
        return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in chosen}

    def slots(self, days: list[date]) -> list[dict[str, Any]]:
        reader = open_stores(load_settings(), SystemClock()).reader
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
            with backfills.refusing():
                backfills.intraday(day, REFUSED_SLOTS)
        else:
            backfills.intraday(day, refused_first=slots_of(day)[-1] if day == CLOSE_LOST else None)
        backfills.close(
            day,
            lost_on_the_way="NVDA" if day == CLOSE_LOST else "",
            cut_in_half="AAPL" if day == CUT_IN_HALF else "",
        )
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
