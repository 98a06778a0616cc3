"""What happens when a deadline passes: a log line, a line in the run log, and a message on every channel there is.

Runs in Airflow's triggerer.
"""

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from opt_data.alerts import message
from opt_data.alerts.message import MissedDeadline
from opt_data.config.load import load_settings
from opt_data.core.clock import Clock, SystemClock
from opt_data.notifications.channels import tell
from opt_data.storage.run_log import RunLog

log = logging.getLogger(__name__)
TASK = "deadlines"


async def report_missed_deadline(promise: str, context: Mapping[str, Any]) -> list[str]:
    """Airflow's callback: tell that a run was not done in time.

    :param promise: the deadline in words
    :param context: the run and the deadline, as Airflow describes them to callbacks
    :return: the channels that took the message
    """
    clock = SystemClock()
    settings = load_settings()
    missed = missed_deadline(promise, context, clock, _ui_address())
    log.error("%s", message.subject(missed))
    run_log = RunLog(settings.paths.run_logs, clock)
    await asyncio.to_thread(run_log.append, TASK, missed.day, {"event": "missed", **message.record(missed)})
    return await tell(
        settings.alerts, message.subject(missed), message.text(missed),
        run_log=run_log, task=TASK, day=missed.day, run_id=missed.run_id,
    )  # fmt: skip


def missed_deadline(promise: str, context: Mapping[str, Any], clock: Clock, ui_address: str = "") -> MissedDeadline:
    """Read what Airflow hands to a callback."""
    run = context["dag_run"]
    return MissedDeadline(
        dag_id=run["dag_id"],
        run_id=run["dag_run_id"],
        logical_date=_instant(run.get("data_interval_start") or run.get("logical_date")),
        state=str(run["state"]),
        due=_instant(context["deadline"]["deadline_time"]) or clock.now(),
        noticed_at=clock.now(),
        promise=promise,
        ui_address=ui_address,
    )


def _instant(value: datetime | str | None) -> datetime | None:
    if value is None:
        return None
    return datetime.fromisoformat(str(value)).astimezone(UTC)


def _ui_address() -> str:
    from airflow.configuration import conf

    return str(conf.get("api", "base_url", fallback="") or "")
