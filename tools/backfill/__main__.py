"""Backfill sessions and say what changed: ``python -m tools.backfill --from 2025-11-24 --to 2025-11-28``, normally
through ``make backfill FROM=… TO=…``."""

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, time

from opt_data.bootstrap import open_stores
from opt_data.config.load import load_settings
from opt_data.core.clock import SystemClock
from opt_data.core.sessions import NEW_YORK
from opt_data.errors import OptDataError
from opt_data.pipelines.stores import Stores
from tools.backfill import airflow_runs, installation
from tools.backfill.changes import changes, snapshot
from tools.backfill.errors import BackfillFailed, BackfillRefused
from tools.backfill.window import (
    DAGS,
    EOD,
    MAINTENANCE,
    WHOLE_DAY,
    RunTimes,
    Window,
    check_begun,
    sessions_of,
    window_of,
)

REPROCESS = ("none", "failed", "completed")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the backfill; returns the exit code.

    0: every run that was asked for succeeded, or there was nothing to do. 1: one failed, or the backfill was refused;
    the last lines say why. 130: ended by Ctrl-C; the backfill goes on in Airflow.
    """
    options = _parser().parse_args(arguments)
    try:
        home = installation.choose()
        return _backfill(options, home)
    except (BackfillRefused, BackfillFailed, OptDataError) as reason:
        sys.stdout.flush()
        print(f"\n{reason}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nNo longer followed. The backfill goes on in Airflow: the DAG's page, tab Backfills, can cancel it.")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make backfill",
        description="Backfill sessions with Airflow, follow it to its end, and say what it changed.",
        epilog=f"Dates are New York session dates, both included. Without --dag: {', '.join(WHOLE_DAY)}.",
    )
    parser.add_argument("--from", dest="first", type=_date, required=True, help="first session, 2025-11-24")
    parser.add_argument("--to", dest="last", type=_date, required=True, help="last session, 2025-11-28")
    parser.add_argument("--dag", choices=DAGS, help="only this DAG")
    parser.add_argument(
        "--reprocess", choices=REPROCESS,
        help="runs that exist: leave all (none), again those that failed (failed), again all (completed). "
        f"Default: failed, and completed for {EOD} and {MAINTENANCE}, which write nothing that is equal",
    )  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="only show what would run")
    return parser


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no date like 2025-11-24 (make backfill FROM=… TO=…)") from error


def _backfill(options: argparse.Namespace, home: str) -> int:
    # Airflow sets up its loggers when it is first imported, which is later; what it logs is not for this reader.
    os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "ERROR")
    settings = load_settings()
    stores = open_stores(settings, SystemClock())
    sessions = () if options.dag == MAINTENANCE else sessions_of(options.first, options.last, stores.calendar)
    now = installation.market_now(settings)
    _say(f"Airflow in {home}; it is {now.astimezone(NEW_YORK):%A %Y-%m-%d %H:%M} New York")
    if sessions:
        check_begun(sessions, now)
    windows = _windows(options, stores, now)
    if options.dry_run:
        for window in windows:
            _, _, runs = airflow_runs.create(window, _reprocess(options, window), is_dry_run=True).partition(
                "attempted:"
            )
            _say(f"\n{window.dag_id} would run (UTC):\n{runs.strip() or '  nothing: every run exists'}")
        return 0
    for window in windows:
        airflow_runs.check_ready(window.dag_id)
    failed = [window.dag_id for window in windows if not _run(window, _reprocess(options, window), stores)]
    if failed:
        _say(f"\nFailed runs in {', '.join(failed)}: their logs are in the UI; the runbook says what to do.")
    return 1 if failed else 0


def _windows(options: argparse.Namespace, stores: Stores, now: datetime) -> list[Window]:
    """What each DAG can do now; a DAG that can do nothing is named and left out, unless none can."""
    calendar, settings = stores.calendar, stores.settings
    times = RunTimes(
        eod_at=time.fromisoformat(settings.rollup.run_at),
        open_interest_at=time.fromisoformat(settings.open_interest.start_at),
        published_at=time.fromisoformat(settings.open_interest.published_at),
        reread_until=time.fromisoformat(settings.open_interest.reread_until),
    )
    windows, refusals = [], []
    for dag_id in [options.dag] if options.dag else WHOLE_DAY:
        try:
            windows.append(window_of(dag_id, options.first, options.last, calendar, now, times))
        except BackfillRefused as reason:
            refusals.append(str(reason))
    if not windows:
        raise BackfillRefused("\n".join(refusals))
    for window in windows:
        what = f"{_runs(window.runs)}, " if window.runs else ""
        _say(f"{window.dag_id}: {what}{window.days[0]} to {window.days[-1]}")
        for note in window.notes:
            _say(f"  {note}")
    for refusal in refusals:
        _say(f"left out: {refusal}")
    return windows


def _reprocess(options: argparse.Namespace, window: Window) -> str:
    return options.reprocess or ("completed" if window.dag_id in (EOD, MAINTENANCE) else "failed")


def _run(window: Window, reprocess: str, stores: Stores) -> bool:
    """One DAG's backfill, from its creation to what it changed; whether all its runs succeeded."""
    _say(f"\n{window.dag_id}: airflow {' '.join(airflow_runs.arguments(window, reprocess, 1)[:-2])}")
    before = snapshot(window, stores)
    newest = airflow_runs.newest_backfill(window.dag_id)
    airflow_runs.create(window, reprocess)
    made = airflow_runs.newest_backfill(window.dag_id)
    if made == newest:
        raise BackfillFailed(f"Airflow made no backfill of {window.dag_id}")
    told: set[str] = set()

    def tell(states: list[airflow_runs.RunState]) -> None:
        asked = [run for run in states if run.run_id]
        for run in asked:
            if run.is_finished and run.run_id not in told:
                told.add(run.run_id)
                why = f": {', '.join(run.failed)}" if run.failed else ""
                _say(f"  {_name(window, run.instant)} {run.state}{why}  ({len(told)} of {len(asked)})")

    states = airflow_runs.follow(made, tell)
    left = [run for run in states if not run.run_id]
    for reason in sorted({run.state for run in left}):
        count = sum(run.state == reason for run in left)
        _say(f"  {_runs(count)} left alone, {reason}" + _hint(reason, reprocess))
    _say("What changed:")
    for line in changes(window.dag_id, before, snapshot(window, stores)) or ["nothing is stored"]:
        _say(f"  {line}")
    return all(run.state == "success" for run in states if run.run_id)


def _runs(count: int) -> str:
    return f"{count} run" if count == 1 else f"{count} runs"


def _hint(reason: str, reprocess: str) -> str:
    if reason != "already exists":
        return ""
    return " (REPROCESS=completed looks at them again)" if reprocess == "failed" else " (REPROCESS=failed|completed)"


def _name(window: Window, instant: datetime) -> str:
    local = instant.replace(tzinfo=instant.tzinfo or UTC).astimezone(NEW_YORK)
    return f"{local:%Y-%m-%d %H:%M}" if window.dag_id == "opt_data_intraday" else f"{local:%Y-%m-%d}"


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
