"""The ways to reach people: a notifier for each connection that exists, and a note of who was told."""

import asyncio
import html
import logging
from datetime import date

from airflow.sdk.bases.hook import BaseHook
from airflow.sdk.bases.notifier import BaseNotifier
from airflow.sdk.exceptions import AirflowNotFoundException

from opt_data.config.models import AlertSettings
from opt_data.notifications.webhook import WebhookNotifier
from opt_data.storage.run_log import RunLog

log = logging.getLogger(__name__)


async def tell(
    alerts: AlertSettings, subject: str, text: str, *, run_log: RunLog, task: str, day: date, run_id: str
) -> list[str]:
    """Tell every channel there is, and write down which took the message.

    :param alerts: which connections
    :param subject: one line, for channels that have one
    :param text: the whole message
    :param run_log: where it is written down, as ``task`` of ``day``
    :param run_id: the run it is about
    :return: the channels that took the message
    """
    told = []
    for channel, notifier in (await _channels(alerts, subject, text)).items():
        entry: dict[str, object] = {"event": "told", "run_id": run_id, "channel": channel}
        try:
            await notifier.async_notify({})
            told.append(channel)
        except Exception as error:  # one broken channel must not silence the others
            log.exception("%s did not take the message about %s", channel, run_id)
            entry |= {"event": "not_told", "error": f"{type(error).__name__}: {error}"}
        await asyncio.to_thread(run_log.append, task, day, entry)
    return told


async def _channels(alerts: AlertSettings, subject: str, text: str) -> dict[str, BaseNotifier]:
    """A notifier for each connection that exists."""
    found: dict[str, BaseNotifier] = {}
    if alerts.mail_to and await _exists(alerts.smtp_conn_id):
        from airflow.providers.smtp.notifications.smtp import SmtpNotifier

        found["mail"] = SmtpNotifier(
            to=list(alerts.mail_to),
            subject=subject,
            html_content=f"<pre>{html.escape(text)}</pre>",
            smtp_conn_id=alerts.smtp_conn_id,
        )
    if await _exists(alerts.webhook_conn_id):
        found["webhook"] = WebhookNotifier(text=text, conn_id=alerts.webhook_conn_id)
    return found


async def _exists(conn_id: str) -> bool:
    try:
        await BaseHook.aget_connection(conn_id)
    except AirflowNotFoundException:
        return False
    return True
