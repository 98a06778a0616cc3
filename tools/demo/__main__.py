"""Show a whole day: ``python -m tools.demo [--once] [--slots N] | --stop``, normally through ``make run``."""

import argparse
import contextlib
import os
import signal
import sys
import time
from types import FrameType

from opt_data.errors import OptDataError
from tools.demo import airflow_home, day_plan, single, story
from tools.demo.errors import DemoFailed
from tools.demo.places import Places
from tools.demo.processes import Children
from tools.demo.progress import Progress

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Asked(BaseException):
    """A signal asked the demo to end; not an Exception, so that nothing on the way swallows it."""


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; returns the exit code.

    0: the day was lived through and everything expected is accounted for (and, unless ``--once``, somebody then ended
    the demo). 1: it was not, or a second demo runs; the last lines say why. 130: ended by a signal before it was done.
    """
    parser = argparse.ArgumentParser(prog="make run", description="A whole day of a simulated market, with Airflow")
    parser.add_argument("--once", action="store_true", help="end after the day instead of staying up")
    parser.add_argument("--slots", type=int, metavar="N", help="only so many of the day's slots, at least 3")
    parser.add_argument("--stop", action="store_true", help="end what a killed demo left behind, and nothing else")
    options = parser.parse_args(arguments)
    places, progress = Places(), Progress()
    os.environ.update(airflow_home.own_variables(places))
    try:
        for number in SIGNALS:
            signal.signal(number, _end_on)
        day_plan.require_enough(options.slots)
        with single.only_demo(places, progress):
            return 0 if options.stop else _demo(places, progress, options.slots, stay=not options.once)
    except (DemoFailed, OptDataError) as failure:
        progress.plain(f"\n{failure}")
        return 1
    except Asked:
        progress.plain("\nEnded before the day was over. `make run` goes on from here.")
        return 130


def _demo(places: Places, progress: Progress, slots: int | None, *, stay: bool) -> int:
    places.make()
    children = Children(places.airflow_home, places.logs, places.sessions)
    try:
        shown = story.show_a_day(places, children, progress, slots)
        if not stay:
            return shown
        progress.plain("\nPress Ctrl-C to end it all; the data stays, the next `make run` shows the next week's day.")
        with contextlib.suppress(Asked):
            while True:
                children.require_alive()
                time.sleep(0.5)
        return shown
    finally:
        _ignore_signals()
        progress.plain("")
        progress.say("Ending Airflow and the simulated gateway")
        children.stop_all()
        progress.say("No process is left behind")


def _end_on(number: int, frame: FrameType | None) -> None:
    raise Asked


def _ignore_signals() -> None:
    """From here on children are being ended: a second Ctrl-C must not stop that half way."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main())
