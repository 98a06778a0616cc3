"""A backfill as the person on call makes it, through the real scheduler: a missed slot, and what cannot be backfilled.

The simulated market stands at 10:40 on a Monday; 09:30 and 10:00 were missed, 10:30 is running.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from tests.system.installation import ROOT, Installation, dag_source

NOW = datetime.fromisoformat("2025-11-24T10:40:00-05:00")
DAG = "opt_data_intraday"

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    """An Airflow over a simulated gateway with one symbol, both running."""
    made = Installation(tmp_path, dag_source(DAG))
    try:
        made.use_universe(["AAPL"])
        made.start(DAG, made.services.start_gateway(NOW).api)
        yield made
    finally:
        made.stop()


def backfill(env: Mapping[str, str], first: str, last: str, *more: str) -> tuple[int, str]:
    """What ``make backfill DAG=opt_data_intraday FROM=… TO=…`` does and says."""
    command = [sys.executable, "-m", "tools.backfill", "--dag", DAG, "--from", first, "--to", last, *more]
    paths = os.pathsep.join((str(ROOT), str(ROOT / "plugins")))
    done = subprocess.run(
        command, env={**env, "PYTHONPATH": paths}, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    return done.returncode, done.stdout + done.stderr


def test_a_missed_slot_is_rebuilt_and_what_cannot_be_is_refused_in_words(installation: Installation) -> None:
    env, places = installation.env, installation.places
    code, said = backfill(env, "2025-11-24", "2025-11-24")

    assert code == 0, said
    assert "slot 10:30 of 2025-11-24 lasts until 2025-11-24 11:00 New York" in said
    assert "2025-11-24 10:00 success" in said
    assert "2025-11-24 09:30  quotes missing: 24 before, 0 now; improved: AAPL +24; 24 rebuilt" in said
    files = f"{places.data_root}/clean/ib/chain/view=intraday/**/*.parquet"
    rows = duckdb.sql(
        "select slot_30m, capture_mode, count(*), count(bid) filter (market_data_type is null), "
        f"count(distinct conid) from '{files}' group by all order by all"
    ).fetchall()
    assert [(slot, mode, count, contracts) for slot, mode, count, _, contracts in rows] == [
        (0, "rebuilt", 24, 24),
        (1, "rebuilt", 24, 24),
    ]

    code, said = backfill(env, "2025-11-24", "2025-11-24")
    assert code == 0, said
    assert "2 runs left alone, already exists (REPROCESS=completed looks at them again)" in said
    assert "2025-11-24 10:00  quotes missing: 0 before, 0 now; nothing changed; 24 rebuilt" in said

    code, said = backfill(env, "2025-11-27", "2025-11-27")
    assert (code, said.splitlines()[-1]) == (
        1,
        "Thursday 2025-11-27 is no session of XNYS: nothing was missed. The next session is 2025-11-28",
    )
    code, said = backfill(env, "2025-11-25", "2025-11-25")
    assert code == 1
    assert "2025-11-25 lies in the future: it is 2025-11-24 10:4" in said
