"""Writers killed at random moments: rows lost, doubled, unreadable or wrong per kill. The bar is 0.

200 kills (--kills) over capture commits, rollup, adjustment, open interest, compaction, change of codec, retention,
unpacking and the repair of a damaged file, alone and beside another writer of the same partitions; see
``tests/storage/random_kills.py``. The kills are shared out to some processes, each with a seed of its own that is
printed with every fault, so that it can be repeated.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from record import record

ROOT = Path(__file__).resolve().parents[1]
DRIVER = ROOT / "tests" / "storage" / "random_kills.py"
FULL, PROCESSES = 200, 3
WRONGS = ("lost", "doubled", "unreadable", "wrong", "not_as_undisturbed")


def play(kills: int, seed: int) -> list[dict[str, Any]]:
    """Every trial, also those whose writer had ended before it could be killed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "plugins")}
    shares = [kills // PROCESSES + (number < kills % PROCESSES) for number in range(PROCESSES)]
    trials: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="opt-data-kills-") as work:
        drivers = []
        for number, share in enumerate(shares):
            folder = Path(work) / str(number)
            folder.mkdir()
            command = [sys.executable, str(DRIVER), str(folder), "kill", f"{share}:{seed + number}"]
            drivers.append(
                (seed + number, subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment))
            )
        for own_seed, driver in drivers:
            output, _ = driver.communicate()
            if driver.returncode:
                raise SystemExit(f"the process of seed {own_seed} ended with {driver.returncode}")
            trials += [{"seed": own_seed, **json.loads(line)} for line in output.splitlines()]
    return trials


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=FULL)
    parser.add_argument("--seed", type=int, default=20251129)
    arguments = parser.parse_args()
    trials = play(arguments.kills, arguments.seed)
    killed = [trial for trial in trials if trial["ended"] == "killed"]
    faults = {name: sum(len(trial[name]) for trial in trials) for name in WRONGS}
    faults["failed"] = sum(trial["ended"] == "failed" for trial in trials)
    for trial in trials:
        if trial["ended"] == "failed" or any(trial[name] for name in WRONGS):
            print(json.dumps(trial))
    figures = {
        "kills": len(killed),
        "kills_by_writer": dict(Counter(trial["writer"] for trial in killed)),
        "kills_at_a_call": sum(trial["fault"]["call"] > 0 for trial in killed),
        "kills_beside_another_writer": sum(trial["is_beside"] for trial in killed),
        **faults,
        "kills_after_which_plain_readers_saw_doubles": sum(
            bool(trial["doubled_for_plain_readers"]) for trial in killed
        ),
        "seed": arguments.seed,
    }
    print(f"{len(killed)} kills: " + ", ".join(f"{count} {name}" for name, count in faults.items()))
    is_full_size = arguments.kills >= FULL
    return record("random_kills", sum(faults.values()) / len(killed), figures, bar=0.0, is_full_size=is_full_size)


if __name__ == "__main__":
    sys.exit(main())
