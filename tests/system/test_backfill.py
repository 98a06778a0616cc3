"""A backfill as the person on call makes it, through the real scheduler: a missed slot, and what cannot be backfilled.

The simulated market stands at 10:40 on a Monday; 09:30 and 10:00 were missed, 10:30 is running.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from tools.demo import airflow_home
from tools.demo.places import Places
from tools.demo.ports import LOOPBACK, free_port
from tools.demo.processes import Children
from tools.demo.progress import Progress
from tools.demo.services import Services

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime.fromisoformat("2025-11-24T10:40:00-05:00")
DAG = "opt_data_intraday"

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    checkout = tmp_path / "checkout"
    (checkout / "dags").mkdir(parents=True)
    (checkout / "dags" / f"{DAG}.py").symlink_to(ROOT / "dags" / f"{DAG}.py")
    for name in ("plugins", "include"):
        (checkout / name).symlink_to(ROOT / name)
    made = Places(checkout)
    made.make()
    return made


@pytest.fixture
def children(places: Places) -> Iterator[Children]:
    made = Children(places.airflow_home, places.logs, places.sessions)
    yield made
    made.stop_all()


@pytest.fixture
def env(places: Places, children: Children) -> dict[str, str]:
    """The environment of an Airflow over a simulated gateway with one symbol, both running."""
    universe = places.run / "universe.csv"
    universe.parent.mkdir(exist_ok=True)
    universe.write_text("symbol,sec_type,exchange,trading_class\nAAPL,STK,SMART,\n")
    keys, port = airflow_home.load_secrets(places), free_port()
    airflow_home.write_configuration(places, keys, port)
    made = airflow_home.environment(places) | {
        "OPT_DATA__UNIVERSE__INTRADAY_FILE": str(universe),
        "OPT_DATA__UNIVERSE__CLOSE_FILE": str(universe),
    }
    services = Services(places, children, Progress(), made)
    gateway = services.start_gateway(NOW)
    services.migrate_database()
    api = services.start_api_server(f"http://{LOOPBACK}:{port}", keys)
    api.set_pool("ib_gateway", 2, "symbols at once")
    api.set_connection(
        {"connection_id": "ib_gateway", "conn_type": "ib_gateway", "host": LOOPBACK, "port": gateway.api}
    )
    services.start_scheduler(api)
    services.wait_for_dag(api, DAG)
    api.unpause(DAG)
    return made


def backfill(env: dict[str, str], first: str, last: str, *more: str) -> tuple[int, str]:
    """What ``make backfill DAG=opt_data_intraday FROM=… TO=…`` does and says."""
    command = [sys.executable, "-m", "tools.backfill", "--dag", DAG, "--from", first, "--to", last, *more]
    paths = os.pathsep.join((str(ROOT), str(ROOT / "plugins")))
    done = subprocess.run(
        command, env=env | {"PYTHONPATH": paths}, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    return done.returncode, done.stdout + done.stderr


def test_a_missed_slot_is_rebuilt_and_what_cannot_be_is_refused_in_words(places: Places, env: dict[str, str]) -> None:
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
