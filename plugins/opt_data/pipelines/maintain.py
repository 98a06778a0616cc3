"""Weekly upkeep: plan, then retire and compact week by week, each with its line in the run log."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path

from opt_data.core.file_sizes import SizeLimits
from opt_data.core.upkeep_plan import PackWeek, RetireWeek, UpkeepPlan, UpkeepRules, plan_upkeep
from opt_data.errors import CommitConflict, FileUnreadable, OptDataError, RetentionRefused, StorageUnavailable
from opt_data.pipelines.stores import Stores
from opt_data.storage.part_writer import PackRules
from opt_data.storage.run_log import ERRORS, GATEWAY

log = logging.getLogger(__name__)

TASK = "maintenance"
CONFLICT_TRIES = 3


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What is to be done, or was: the plan for the weeks, and the logs of errors and connections too old."""

    day: date
    weeks: UpkeepPlan
    error_logs: tuple[Path, ...]
    gateway_logs: tuple[Path, ...]
    is_dry_run: bool

    def lines(self) -> tuple[str, ...]:
        """The plan for a person, one action a line."""
        retire = [f"retire the week of {action.monday}" for action in self.weeks.retire]
        hold = [
            f"keep the week of {action.monday}: not rolled up are "
            + ", ".join(f"{symbol} {day}" for symbol, day in action.not_rolled_up[:10])
            + (f" and {len(action.not_rolled_up) - 10} more" if len(action.not_rolled_up) > 10 else "")
            for action in self.weeks.hold
        ]
        logs = [f"delete {path}" for path in (*self.error_logs, *self.gateway_logs)]
        pack = [
            f"compact the week of {action.monday} with {action.codec}: {action.reason}" for action in self.weeks.pack
        ]
        refused = [f"refused: {self.weeks.refused}"] if self.weeks.refused else []
        return (*retire, *hold, *logs, *pack, *refused) or ("nothing to do",)

    def summary(self) -> dict[str, object]:
        """Plain values for an XCom."""
        return {
            "day": self.day.isoformat(),
            "dry_run": self.is_dry_run,
            "retired": [action.monday.isoformat() for action in self.weeks.retire],
            "held": [action.monday.isoformat() for action in self.weeks.hold],
            "compacted": [action.monday.isoformat() for action in self.weeks.pack],
            "error_logs": len(self.error_logs),
            "gateway_logs": len(self.gateway_logs),
        }


def plan_maintenance(day: date, *, stores: Stores, is_dry_run: bool = True) -> Upkeep:
    """What upkeep would do on a New York date; changes nothing."""
    settings = stores.settings.maintenance
    rules = UpkeepRules(
        settings.cold_after_days, settings.cold_codec, settings.intraday_keep_days, settings.merge_same_day
    )
    weeks = plan_upkeep(stores.weeks.stored_weeks(day, rules.keep_days), day, rules)
    errors = stores.run_log.files_before(ERRORS, day - timedelta(days=settings.error_log_keep_days))
    gateway = stores.run_log.files_before(GATEWAY, day - timedelta(days=settings.gateway_log_keep_days))
    return Upkeep(day, weeks, tuple(errors), tuple(gateway), is_dry_run)


def maintain(day: date, *, stores: Stores) -> Upkeep:
    """Finish what an earlier run was killed in, then retire what is old and compact what is finished.

    Retiring comes first, because it makes room. A week that fails does not keep the others from being done; the first
    failure is raised at the end.

    Parameters
    ----------
    day
        The New York date by which ages are counted.
    stores
        What is kept.

    Raises
    ------
    AlreadyRunning
        Another upkeep runs; nothing was done.
    RetentionRefused
        Every stored week would have been retired; the rest was done.
    CommitConflict, StorageUnavailable, FileUnreadable
        From a week that could not be done; its rows are as they were.
    """
    with stores.weeks.alone():
        stores.weeks.clean_up()
        upkeep = plan_maintenance(day, stores=stores, is_dry_run=False)
        failures: list[OptDataError] = []
        for retiring in upkeep.weeks.retire:
            _attempt(day, "retire", retiring.monday, partial(_retire, retiring, stores), stores, failures)
        for action, paths in (("delete_error_log", upkeep.error_logs), ("delete_gateway_log", upkeep.gateway_logs)):
            for path in paths:
                size = path.stat().st_size
                stores.run_log.remove(path)
                inputs = [{"file": str(path), "bytes": size}]
                stores.run_log.append(TASK, day, {"action": action, "inputs": inputs, "outputs": []})
        for held in upkeep.weeks.hold:
            names = [f"{symbol} {missing}" for symbol, missing in held.not_rolled_up]
            stores.run_log.append(TASK, day, {"action": "hold", "week_of": held.monday, "not_rolled_up": names})
        for packing in upkeep.weeks.pack:
            _attempt(day, "compact", packing.monday, partial(_pack, packing, stores), stores, failures)
        if upkeep.weeks.refused:
            stores.run_log.append(TASK, day, {"action": "refuse", "reason": upkeep.weeks.refused})
            failures.append(RetentionRefused(upkeep.weeks.refused))
    if failures:
        raise failures[0]
    return upkeep


def _attempt(
    day: date,
    action: str,
    monday: date,
    work: Callable[[], dict[str, object]],
    stores: Stores,
    failures: list[OptDataError],
) -> None:
    """Do one week, again if a writer got in between, and write its line whatever comes of it."""
    started = stores.clock.monotonic()
    line: dict[str, object] = {"action": action, "week_of": monday}
    for tries in range(1, CONFLICT_TRIES + 1):
        try:
            line |= work()
            break
        except (CommitConflict, StorageUnavailable, FileUnreadable) as error:
            if isinstance(error, CommitConflict) and tries < CONFLICT_TRIES:
                continue
            log.error("%s the week of %s: %s", action, monday, error)
            line |= {"error_type": type(error).__name__, "error": str(error)}
            failures.append(error)
            break
    line["seconds"] = round(stores.clock.monotonic() - started, 3)
    stores.run_log.append(TASK, day, line)


def _pack(action: PackWeek, stores: Stores) -> dict[str, object]:
    settings = stores.settings.maintenance
    # one limit in MB, the other in MiB: what is cut evenly is then within 128 to 256 by either measure
    sizes = SizeLimits(settings.file_min_mb * 10**6, settings.file_max_mb * 2**20)
    done = stores.weeks.pack(action.monday, PackRules(sizes, settings.row_group_rows, action.codec))
    log.info("compacted the week of %s: %d files to %d", action.monday, len(done.inputs), len(done.outputs))
    return {
        "codec": action.codec,
        "reason": action.reason,
        "rows": done.rows,
        "set_aside": list(done.set_aside),
        **_files(done.inputs, done.outputs),
    }


def _retire(action: RetireWeek, stores: Stores) -> dict[str, object]:
    done = stores.weeks.retire(action.monday)
    log.info("retired the week of %s: %d files", action.monday, len(done.inputs))
    return {"moved_to": str(stores.settings.maintenance.cold_root) if done.outputs else None} | _files(
        done.inputs, done.outputs
    )


def _files(inputs: tuple[tuple[str, int], ...], outputs: tuple[tuple[str, int], ...]) -> dict[str, object]:
    return {
        "input_files": len(inputs),
        "input_bytes": sum(size for _, size in inputs),
        "output_files": len(outputs),
        "output_bytes": sum(size for _, size in outputs),
        "inputs": [{"file": key, "bytes": size} for key, size in inputs],
        "outputs": [{"file": key, "bytes": size} for key, size in outputs],
    }
