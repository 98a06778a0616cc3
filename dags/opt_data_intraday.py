"""
### Capture the option chains of every slot

**When** every 30 minutes of the New York session, open and close included: 14 slots on a normal day, 8 when the
market closes at 13:00, none on a holiday. After an outage, also the slots that the running session missed.

**What** `plan` lists the symbols of the intraday universe; `capture` runs once per symbol in the pool `ib_gateway`
and writes the attempt to `raw`, the best answer per contract to `clean`, and its line of the slot ledger;
`slot_report` reconciles the slot whatever happened before it, and fails if a symbol has nothing or a capture failed. A
capture is tried again after 30, 60, 120 and 240 s; what has no quote after the last try is flagged
`slot_retry_exceeded`. With `symbols_per_task` an instance captures several symbols and is labelled with them; while
quotes are on time it asks for the contracts near the money of all of them before the rest of any (`put_off` in its
log), and one that fails does not keep the others from being stored. Symbols with an `offset_min` in the universe file
are *up for reschedule* until their turn.

**When something is red** clear the red instance of `capture` together with its downstream, whenever you like; its
message names the symbols that failed. As long as the slot is not over it captures what is still missing; afterwards it
rebuilds that from IB's 1-minute bars, marked `rebuilt`. Rows already there are not asked for again, and never replaced
by worse ones. IB keeps the bars of expired options for about one trading day.

**Backfill** `airflow backfill create --dag-id opt_data_intraday --from-date … --to-date …` rebuilds slots that never
ran, and with `--reprocess-behavior completed` what the others lack. Each contract is asked for once a day, whatever
number of slots it missed.

**By hand** trigger with a logical date to choose the slot (a run belongs to the newest slot that has begun), and with
params to narrow or change what is asked.
"""

from datetime import timedelta

import pendulum
from airflow.sdk import DAG, Param

from opt_data.assets import CLEAN_INTRADAY, SLOT_LEDGER
from opt_data.config.load import load_settings
from opt_data.notifications.competing import tell_of_competing_session
from opt_data.notifications.deadlines import deadline_after_start
from opt_data.operators.capture import CaptureSlotOperator, PlanSlotOperator, SlotReportOperator
from opt_data.operators.retries import task_defaults
from opt_data.timetables.slots import SlotTimetable

settings = load_settings()
capture_settings = settings.capture

with DAG(
    dag_id="opt_data_intraday",
    schedule=SlotTimetable(),
    start_date=pendulum.datetime(2024, 1, 2, tz="America/New_York"),
    catchup=False,
    max_active_runs=2,
    deadline=deadline_after_start(settings.alerts.intraday_min, "the slot"),
    doc_md=__doc__,
    tags=["opt_data", "stage:capture"],
    default_args=task_defaults(
        capture_settings,
        on_retry_callback=tell_of_competing_session,
        on_failure_callback=tell_of_competing_session,
        max_retry_delay=timedelta(seconds=capture_settings.retry_delay_max_s),
    ),
    params={
        "symbols": Param(
            None, type=["null", "array"], items={"type": "string"}, title="Symbols",
            description="Only these symbols of the intraday universe, one a line. Empty: all.",
        ),
        "exchange": Param(
            None, type=["null", "string"], pattern="^[A-Z][A-Z0-9]*$", title="Exchange",
            description="Ask this exchange first instead of the configured one (SMART).",
        ),
        "strikes": Param(
            None, type=["null", "integer"], minimum=1, title="Strikes per side",
            description="Only so many strikes on each side of the money. Empty: the day's whole contract set.",
        ),
        "ticks": Param(
            None, type=["null", "string"], pattern=r"^\d+(,\d+)*$", title="Generic ticks",
            description="IB's generic tick numbers, separated by commas. Empty: as configured.",
        ),
        "timeout": Param(
            None, type=["null", "number"], exclusiveMinimum=0, maximum=600, title="Timeout per contract (s)",
            description="How long to wait for one contract. Empty: as configured.",
        ),
    },
    render_template_as_native_obj=True,
) as dag:  # fmt: skip
    plan = PlanSlotOperator(task_id="plan", symbols="{{ params.symbols }}")
    capture = CaptureSlotOperator.partial(
        task_id="capture",
        pool=capture_settings.pool,
        map_index_template="{{ task.symbols_label }}",
        exchange="{{ params.exchange }}",
        strikes="{{ params.strikes }}",
        generic_ticks="{{ params.ticks }}",
        ready_timeout_s="{{ params.timeout }}",
    ).expand_kwargs(plan.output)
    report = SlotReportOperator(
        task_id="slot_report",
        watched=["capture"],
        symbols="{{ params.symbols }}",
        trigger_rule="all_done",
        outlets=[CLEAN_INTRADAY, SLOT_LEDGER],
    )
    capture >> report
