"""A year of slots planned by our timetable, beside as many runs planned by Airflow's own cron timetable.

Prints ours ÷ cron, both timed in one process after the first question. Ours reads settings and overrides file anew
when they change, so it looks at the files each time; the bar is 2. The first question, which builds the calendar's
table, is shown apart.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from record import record

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 5
BAR = 2.0


def main() -> int:
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["AIRFLOW_HOME"] = scratch
        os.environ["OPT_DATA_CALENDAR_CACHE"] = f"{scratch}/calendar"
        sys.path.insert(0, str(ROOT / "plugins"))
        return _compare()


def _compare() -> int:
    import pendulum
    from airflow.timetables.base import DataInterval, TimeRestriction, Timetable
    from airflow.timetables.trigger import CronTriggerTimetable

    from opt_data.timetables.slots import SlotTimetable

    start, end = pendulum.datetime(2026, 1, 1, tz="UTC"), pendulum.datetime(2026, 12, 31, 23, 59, tz="UTC")
    restriction = TimeRestriction(start, end, catchup=True)

    def plan(timetable: Timetable, limit: int | None = None) -> tuple[int, float]:
        """How many runs, and the seconds one of them took."""
        count, last = 0, None
        started = time.perf_counter()
        while count != limit:
            info = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
            if info is None:
                break
            last = info.data_interval or DataInterval.exact(info.run_after)
            count += 1
        return count, (time.perf_counter() - started) / count

    ours, cron = SlotTimetable(), CronTriggerTimetable("0,30 9-16 * * 1-5", timezone="America/New_York")
    _, first_s = plan(ours, 1)
    plan(cron, 1)
    slots, _ = plan(ours)
    pairs = [(plan(ours)[1], plan(cron, slots)[1]) for _ in range(ROUNDS)]
    ours_s, cron_s = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(mine / theirs for mine, theirs in pairs)
    print(f"first question, nothing cached   {first_s * 1000:9.1f} ms")
    print(f"next_dagrun_info, {slots} slots     {ours_s * 1000:9.3f} ms each")
    print(f"Airflow's cron timetable         {cron_s * 1000:9.3f} ms each")
    figures = {"slots": slots, "first_question_ms": first_s * 1000, "ours_ms": ours_s * 1000, "cron_ms": cron_s * 1000}
    return record("timetable", ratio, {name: round(value, 4) for name, value in figures.items()}, bar=BAR)


if __name__ == "__main__":
    sys.exit(main())
