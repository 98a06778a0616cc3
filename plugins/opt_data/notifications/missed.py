"""What happens when a deadline passes: a log line, a line in the run log, and a message on every channel there is.

Runs in Airflow's triggerer.
"""

import asyncio
import html
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from airflow.sdk.bases.hook import BaseHook
from airflow.sdk.bases.notifier import BaseNotifier
from airflow.sdk.exceptions import AirflowNotFoundException

from opt_data.alerts import message
from opt_data.alerts.message import MissedDeadline
from opt_data.config.load import load_settings
from opt_data.config.models import AlertSettings
from opt_data.core.clock import Clock, SystemClock
from opt_data.notifications.webhook import WebhookNotifier
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
    told = []
    for channel, notifier in (await _channels(settings.alerts, missed)).items():
        entry: dict[str, object] = {"event": "told", "run_id": missed.run_id, "channel": channel}
        try:
            await notifier.async_notify({})
            told.append(channel)
        except Exception as error:  # one broken channel must not silence the others
            log.exception("%s did not take the message about %s", channel, missed.run_id)
            entry |= {"event": "not_told", "error": f"{type(error).__name__}: {error}"}
        await asyncio.to_thread(run_log.append, TASK, missed.day, entry)
    return told


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


async def _channels(alerts: AlertSettings, missed: MissedDeadline) -> dict[str, BaseNotifier]:
    """A notifier for each connection that exists."""
    found: dict[str, BaseNotifier] = {}
    if alerts.mail_to and await _exists(alerts.smtp_conn_id):
        from airflow.providers.smtp.notifications.smtp import SmtpNotifier

        found["mail"] = SmtpNotifier(
            to=list(alerts.mail_to),
            subject=message.subject(missed),
            html_content=f"<pre>{html.escape(message.text(missed))}</pre>",
            smtp_conn_id=alerts.smtp_conn_id,
        )
    if await _exists(alerts.webhook_conn_id):
        found["webhook"] = WebhookNotifier(text=message.text(missed), conn_id=alerts.webhook_conn_id)
    return found


async def _exists(conn_id: str) -> bool:
    try:
        await BaseHook.aget_connection(conn_id)
    except AirflowNotFoundException:
        return False
    return True


def _instant(value: datetime | str | None) -> datetime | None:
    if value is None:
        return None
    return datetime.fromisoformat(str(value)).astimezone(UTC)


def _ui_address() -> str:
    from airflow.configuration import conf

    return str(conf.get("api", "base_url", fallback="") or "")
