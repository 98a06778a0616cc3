"""A process that forks upkeep runs and writers and kills them at random moments: real processes, real SIGKILL.

Run with ``plugins`` on the path, as ``upkeep_driver.py ROOT KILLS SEED``.
"""

import contextlib
import importlib
import os
import random
import select
import signal
import sys
import traceback
import types
from datetime import timedelta
from pathlib import Path

# this folder, as pytest has it, and not the package of that name that some library installs
sys.modules["tests"] = types.ModuleType("tests")
sys.modules["tests"].__path__ = [str(Path(__file__).resolve().parents[1])]


def work(root: Path, number: int, seed: int) -> None:
    """One run after the other: commits that improve compacted slots, and upkeep that takes them in again."""
    from opt_data.core.file_sizes import SizeLimits
    from opt_data.errors import AlreadyRunning, CommitConflict
    from opt_data.storage.chain_store import ChainStore
    from opt_data.storage.local import LocalObjectStore
    from opt_data.storage.part_writer import PackRules
    from opt_data.storage.week_store import WeekStore
    from tests.fakes.chain import ingest, quote_row
    from tests.fakes.clock import FixedClock
    from tests.storage.weeks import DAYS, SYMBOLS, WEEK, slots_of

    dice = random.Random(seed * 1000 + number)
    port = LocalObjectStore(root)
    for attempt in range(2, 1000):
        slot = slots_of(dice.choice(DAYS))[dice.choice((0, 3))]
        chains = ChainStore(port, FixedClock(slot.instant_utc + timedelta(hours=number, seconds=attempt)))
        rows = [quote_row(conid, slot) for conid in dice.sample((1, 2, 3), dice.randint(1, 3))]
        chains.commit_attempt(slot, dice.choice(SYMBOLS), "SMART", rows, ingest(f"k{number}-{attempt}", attempt))
        store = WeekStore(port, chains, None)
        codec = dice.choice(("snappy", "zstd"))
        with contextlib.suppress(CommitConflict, AlreadyRunning), store.alone():
            store.clean_up()
            store.pack(WEEK.monday, PackRules(SizeLimits(6_000, 12_000), 9, codec))


def main(root: Path, kills: int, seed: int) -> None:
    for name in ("pyarrow.compute", "pyarrow.parquet", "opt_data.storage.week_store", "tests.storage.weeks"):
        importlib.import_module(name)  # here once, for every process forked below
    dice = random.Random(seed)
    for number in range(kills):
        pid = os.fork()
        if pid == 0:
            try:
                work(root, number, seed)
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
            os._exit(1)
        select.select([], [], [], dice.random() * 0.4)  # nothing to wait for: a random moment
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status), "it failed before it was killed"
        print(number, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
