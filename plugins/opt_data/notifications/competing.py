"""What happens when another login takes the market data: people are told at once, by the first task that finds it.

Runs in the task's own process, after the task has ended.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from opt_data.alerts import competing
from opt_data.alerts.competing import CompetingLogin
from opt_data.config.load import load_settings
from opt_data.core.clock import SystemClock
from opt_data.errors import CompetingSession
from opt_data.notifications.channels import tell
from opt_data.storage.run_log import RunLog

log = logging.getLogger(__name__)
TASK = "competing_session"


def tell_of_competing_session(context: Mapping[str, Any]) -> list[str]:
    """Airflow's callback for a task that failed or is up for retry: tell, if it was another login, once a run.

    :param context: the task's, with its ``exception``
    :return: the channels that took the message
    """
    error = context.get("exception")
    if not is_competing(error):
        return []
    clock = SystemClock()
    settings = load_settings()
    instant = context.get("data_interval_start") or context.get("logical_date")
    found = CompetingLogin(
        dag_id=context["ti"].dag_id,
        run_id=context["run_id"],
        task_id=context["ti"].task_id,
        instant=instant,
        noticed_at=clock.now(),
        said=str(error),
    )
    log.error("%s", competing.subject(found))
    run_log = RunLog(settings.paths.run_logs, clock)
    key = f"{found.dag_id} {found.run_id}"
    if not run_log.append_once(TASK, found.day, key, {"event": "found", **competing.record(found)}):
        return []
    telling = tell(
        settings.alerts, competing.subject(found), competing.text(found),
        run_log=run_log, task=TASK, day=found.day, run_id=found.run_id,
    )  # fmt: skip
    return asyncio.run(telling)


def is_competing(error: object) -> bool:
    """Whether a task ended because another login has the data; of several symbols one is enough.

    >>> is_competing(CompetingSession("IB 10197")), is_competing(KeyError("a bug"))
    (True, False)
    """
    return any(isinstance(one, CompetingSession) for one in (error, *getattr(error, "errors", ())))
