"""
### Freeze the day's contracts

**When** five minutes before the open of every session.

**What** for every symbol of the intraday and the close universe: resolve the underlying, read its previous close,
choose expiries and strikes around it, and ask IB for the contracts it does not know yet. The result is frozen for the
day in `state/contracts_cache/SYM_YYYY-MM-DD.json`: every slot of the day is counted against this set.

**When something is red** clear the red instance of `discover`. If the gateway fails and an earlier day's set is at
hand, that set is used and marked `discovery_stale`. Cleared before the open, a stale set is replaced by a fresh one;
during the session a clear only adds what the stale set lacks.

**Backfill** of a past date rebuilds the set from that date's stored rows, never from today's chain.
"""

import pendulum
from airflow.sdk import DAG, Param

from opt_data.assets import CONTRACTS_CACHE
from opt_data.config.load import load_settings
from opt_data.notifications.competing import tell_of_competing_session
from opt_data.notifications.deadlines import deadline_after_start
from opt_data.operators.discovery import DiscoverContractsOperator
from opt_data.operators.plan import PlanSymbolsOperator
from opt_data.operators.retries import task_defaults
from opt_data.timetables.sessions import SessionTimetable

settings = load_settings()

with DAG(
    dag_id="opt_data_discovery",
    schedule=SessionTimetable(anchor="open", offset_min=-settings.discovery.before_open_min),
    start_date=pendulum.datetime(2024, 1, 2, tz="America/New_York"),
    catchup=False,
    max_active_runs=1,
    deadline=deadline_after_start(settings.alerts.discovery_min, "its start"),
    doc_md=__doc__,
    tags=["opt_data", "stage:discovery"],
    default_args=task_defaults(
        settings.discovery,
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
    DiscoverContractsOperator.partial(
        task_id="discover",
        pool=settings.capture.pool,
        map_index_template="{{ task.symbol }}",
        outlets=[CONTRACTS_CACHE],
    ).expand(symbol=plan.output)
