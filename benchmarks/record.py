"""One benchmark's outcome: printed for whoever runs it, and kept in ``benchmarks/results`` for whoever comes later.

The files are committed, so that git shows how a number went.
"""

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"


def record(
    name: str,
    ratio: float,
    figures: Mapping[str, object],
    *,
    bar: float,
    at_least: bool = False,
    keeps_limits: bool = True,
    is_full_size: bool = True,
    folder: Path = RESULTS,
) -> int:
    """Print the ratio's line and write ``<name>.json``; returns the exit code: 0 if the bar is held, else 1.

    Parameters
    ----------
    name
        What is measured, in the file's name: ``rollup``, ``capture_rate``.
    ratio
        The one number, measured in one run.
    figures
        What it rests on: raw numbers, with their unit in the name.
    bar
        What the ratio may be at most, or must be ``at_least``.
    keeps_limits
        Whether every other limit was kept that the benchmark watches (memory, breaches); shown in ``figures``.
    is_full_size
        False for a run of another size than the number speaks of: nothing is written then.
    folder
        Where the file goes.
    """
    is_held = keeps_limits and (ratio >= bar if at_least else ratio <= bar)
    verdict = "held" if is_held else "missed" if keeps_limits else "missed: another limit was not kept"
    print(f"{name.replace('_', ' ')} ratio {ratio:.3f} (bar {'≥' if at_least else '≤'} {bar}): {verdict}")
    if is_full_size:
        content = {
            "name": name,
            "ratio": round(ratio, 4),
            "bar": bar,
            "bar_is": "at least" if at_least else "at most",
            "is_held": is_held,
            "figures": dict(figures),
            "cores": len(os.sched_getaffinity(0)),
            "python": platform.python_version(),
            "date": datetime.now(UTC).date().isoformat(),
            "commit": _commit(),
        }
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(content, indent=2, ensure_ascii=False)
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    return 0 if is_held else 1


def _commit() -> str | None:
    """The checkout's commit, with ``-dirty`` if something other than results is not committed; None without git."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(RESULTS.parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", ":/", ":(exclude,top)benchmarks/results")
        return git("rev-parse", "--short=10", "HEAD") + ("-dirty" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None
