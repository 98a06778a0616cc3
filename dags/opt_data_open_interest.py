"""
### Add the finished session's open interest

**When** 07:30 New York on the session after: a Monday serves Friday, the day after a holiday the last session. The
exchanges publish open interest about 06:30, counted after the close of the session before.

**What** `read` runs once per symbol in the pool and asks for each contract's open interest, live data only. Values are
taken when they are new (most contracts that traded differ from the session before) and when a second read, ten minutes
later, agrees; until then the instance is *up for reschedule* and reads again, at the latest at 09:00. Every read is
kept in `view=enrichment`; `daily_clean` gets `open_interest`, `oi_asof_date` and `oi_observed_at`, and loses the flag
`missing_oi` where there is a value. `oi_report` counts all symbols whatever happened before it.

**When something is red** `read` has tried until 09:00: its message says whether the values had not rolled
(`oi_not_rolled`), two reads differed, or too many contracts gave nothing. Clear it with its downstream: it reads again,
and asks only for what is missing. After three sessions in a row without any, rows are flagged `oi_enrichment_failed`.

**Backfill** works until a newer session's open interest is out, which is 06:30 on the session after next; later it
refuses, because IB keeps no history of it. A session that is complete is left alone, whenever it is run again.
"""

import pendulum
from airflow.sdk import DAG, Param

from opt_data.assets import OPEN_INTEREST
from opt_data.config.load import load_settings
from opt_data.notifications.competing import tell_of_competing_session
from opt_data.notifications.deadlines import deadline_next_session
from opt_data.operators.open_interest import OpenInterestReportOperator, ReadOpenInterestOperator
from opt_data.operators.plan import PlanSymbolsOperator
from opt_data.operators.retries import task_defaults
from opt_data.timetables.next_morning import NextMorningTimetable

settings = load_settings()

with DAG(
    dag_id="opt_data_open_interest",
    schedule=NextMorningTimetable(at=settings.open_interest.start_at),
    start_date=pendulum.datetime(2024, 1, 2, tz="America/New_York"),
    catchup=False,
    max_active_runs=1,
    deadline=deadline_next_session(settings.alerts.open_interest_at),
    doc_md=__doc__,
    tags=["opt_data", "stage:open_interest"],
    default_args=task_defaults(
        settings.open_interest,
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
    read = ReadOpenInterestOperator.partial(
        task_id="read",
        pool=settings.capture.pool,
        map_index_template="{{ task.symbol }}",
    ).expand(symbol=plan.output)
    report = OpenInterestReportOperator(
        task_id="oi_report",
        symbols="{{ params.symbols }}",
        trigger_rule="all_done",
        outlets=[OPEN_INTEREST],
    )
    read >> report
