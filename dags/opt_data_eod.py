"""
### Close the day: closing snapshot, then one row per contract

**When** 17:30 New York on every session, early closes included.

**What** `plan` lists the symbols of both universe files; `close_snapshot` runs once per symbol in the pool
`ib_gateway` and stores the values that IB froze at the bell (`view=close`); `rollup` makes the symbol's day of it
(`view=daily_clean`): per contract the closing quote, else the slot at the close, else the slot before, else the last
good one, else none, with the way it took in `rollup_strategy`; `adjust` brings the days to today's terms
(`view=daily_adjusted`), on the ex-date of a split the earlier ones too; `eod_report` counts the ways, and fails if a
symbol has no day or an instance failed.

**When something is red** clear the red instance together with its downstream. A closing snapshot can be taken until
30 minutes before the next open; only what is missing is asked for again. A rollup can be cleared at any time: equal
rows write nothing. `adjust` red: the corporate-action table is wrong, and the message names line and remedy, or a
symbol's day is missing or damaged.

**Backfill** of a past date rolls up from stored rows, whatever they have become since; its closing snapshots are
skipped, because IB serves the close of the newest session only.
"""

import pendulum
from airflow.sdk import DAG, Param

from opt_data.assets import CLEAN_CLOSE, DAILY_ADJUSTED, DAILY_CLEAN
from opt_data.config.load import load_settings
from opt_data.notifications.competing import tell_of_competing_session
from opt_data.notifications.deadlines import deadline_same_session
from opt_data.operators.adjust import AdjustSessionOperator
from opt_data.operators.eod import CloseSnapshotOperator, EodReportOperator, RollUpOperator
from opt_data.operators.plan import PlanSymbolsOperator
from opt_data.operators.retries import task_defaults
from opt_data.timetables.sessions import SessionTimetable

settings = load_settings()

with DAG(
    dag_id="opt_data_eod",
    schedule=SessionTimetable(at=settings.rollup.run_at),
    start_date=pendulum.datetime(2024, 1, 2, tz="America/New_York"),
    catchup=False,
    deadline=deadline_same_session(settings.alerts.eod_at),
    max_active_runs=1,
    doc_md=__doc__,
    tags=["opt_data", "stage:eod"],
    default_args=task_defaults(
        settings.rollup,
        on_retry_callback=tell_of_competing_session,
        on_failure_callback=tell_of_competing_session,
    ),
    params={
        "symbols": Param(
            None, type=["null", "array"], items={"type": "string"}, title="Symbols",
            description="Only these symbols of the universe files, one a line. Empty: all.",
        ),
    },
    render_template_as_native_obj=True,
) as dag:  # fmt: skip
    plan = PlanSymbolsOperator(task_id="plan", symbols="{{ params.symbols }}")
    close_snapshot = CloseSnapshotOperator.partial(
        task_id="close_snapshot",
        pool=settings.capture.pool,
        map_index_template="{{ task.symbol }}",
        outlets=[CLEAN_CLOSE],
    ).expand(symbol=plan.output)
    rollup = RollUpOperator.partial(
        task_id="rollup",
        map_index_template="{{ task.symbol }}",
        trigger_rule="all_done",
        outlets=[DAILY_CLEAN],
    ).expand(symbol=plan.output)
    adjust = AdjustSessionOperator(
        task_id="adjust",
        symbols="{{ params.symbols }}",
        trigger_rule="all_done",
        outlets=[DAILY_ADJUSTED],
    )
    report = EodReportOperator(
        task_id="eod_report",
        symbols="{{ params.symbols }}",
        watched=["close_snapshot", "rollup", "adjust"],
        trigger_rule="all_done",
    )
    close_snapshot >> rollup >> adjust >> report
    # Where only red instances are cleared, adjust may not be among them: the report waits for the rollups themselves.
    rollup >> report
