"""
### Compact finished weeks, retire old ones

**When** Saturdays at 09:00 New York time; with `merge_same_day` also in the evening of every weekday.

**What** three things, in this order. Intraday chains (`raw` and `clean`) of weeks older than 60 days are deleted, or
moved to the cold path, but only if every symbol-day is in `daily_clean`. Error logs older than 30 days are deleted. The
slot files of finished weeks are merged into files of 128 to 256 MB, Snappy while young, ZSTD once 14 days old. Readers
see the same rows before and after. Each action is a line with its files, bytes and seconds in
`state/run_logs/maintenance/`. The daily views are kept for ever.

**When something is red** clear it: what a killed run began is finished first, what is done is not done again. A week
that failed does not keep the others from being done; the log names it. `RetentionRefused` means that nothing intraday
would be left: check the run's date and `intraday_keep_days`. A week that is kept because a symbol-day is not rolled up
is named in the log: roll that day up, then clear.

**Backfill** counts ages from the run's date: a past Saturday does what it would have done then; again is a no-op.

**By hand** trigger with `dry_run` to see the plan in the log and change nothing.
"""

import pendulum
from airflow.sdk import DAG, CronTriggerTimetable, MultipleCronTriggerTimetable, Param

from opt_data.config.load import load_settings
from opt_data.notifications.deadlines import deadline_after_start
from opt_data.operators.maintenance import MaintainOperator
from opt_data.operators.retries import task_defaults

settings = load_settings()
upkeep = settings.maintenance
NEW_YORK = "America/New_York"

with DAG(
    dag_id="opt_data_maintenance",
    schedule=(
        MultipleCronTriggerTimetable(upkeep.schedule, upkeep.same_day_schedule, timezone=NEW_YORK)
        if upkeep.merge_same_day
        else CronTriggerTimetable(upkeep.schedule, timezone=NEW_YORK)
    ),
    start_date=pendulum.datetime(2024, 1, 2, tz=NEW_YORK),
    catchup=False,
    max_active_runs=1,
    deadline=deadline_after_start(settings.alerts.maintenance_min, "its start"),
    doc_md=__doc__,
    tags=["opt_data", "stage:maintenance"],
    default_args=task_defaults(upkeep),
    params={
        "dry_run": Param(
            False, type="boolean", title="Dry run",
            description="Only show the plan in the task's log; change nothing.",
        ),
    },
    render_template_as_native_obj=True,
) as dag:  # fmt: skip
    MaintainOperator(task_id="maintain", is_dry_run="{{ params.dry_run }}")
