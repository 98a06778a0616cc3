"""Work in forked processes, measured: for benchmarks that set two ways of doing the same beside each other."""

import os
import pickle
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Run:
    """What one run took: seconds on the clock, seconds of CPU, greatest memory held (MiB)."""

    seconds: float
    cpu_s: float
    peak_mib: float


def in_process(body: Callable[[], Any]) -> Any:
    """What ``body`` returns, from a forked process: its memory is its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            answer = pickle.dumps(body())
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        sys.stdout.flush()
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(answer)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    if os.waitpid(child, 0)[1]:
        raise SystemExit("a process failed")
    return pickle.loads(answer)


def timed(body: Callable[[], None], *, get_ready: Callable[[], object]) -> Run:
    """Run ``body`` in a forked process; what is done to get ready takes memory, but no time that is counted."""

    def run() -> Run:
        get_ready()
        started, before = time.perf_counter(), time.process_time()
        body()
        seconds, cpu_s = time.perf_counter() - started, time.process_time() - before
        return Run(seconds, cpu_s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)

    return in_process(run)


def ratio_of(ours: Sequence[Run], others: Sequence[Run]) -> float:
    """The median of ours ÷ the other's, run by run: both of a pair met the same disturbance."""
    return statistics.median(mine.seconds / theirs.seconds for mine, theirs in zip(ours, others, strict=True))


def figures_of(name: str, runs: Sequence[Run]) -> dict[str, object]:
    """One side's raw figures for the record; printed as well."""
    figures: dict[str, object] = {
        f"{name}_s": [round(run.seconds, 3) for run in runs],
        f"{name}_cpu_s": [round(run.cpu_s, 3) for run in runs],
        f"{name}_peak_mib": round(max(run.peak_mib for run in runs)),
    }
    print(", ".join(f"{what} {value}" for what, value in figures.items()))
    return figures
