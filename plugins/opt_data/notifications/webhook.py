"""Tell a webhook: one JSON object ``{"text": …}``, as Slack, Mattermost and many others take it."""

from typing import TYPE_CHECKING, Any

from airflow.sdk.bases.hook import BaseHook
from airflow.sdk.bases.notifier import BaseNotifier

from opt_data.errors import ConfigInvalid

if TYPE_CHECKING:
    from airflow.sdk import Connection

TIMEOUT_S = 10.0


class WebhookNotifier(BaseNotifier):
    """Post a text to the address of a connection.

    The connection's host is the address; its password, if any, is appended as the secret part of the path, so that
    Airflow masks it in logs.

    :param text: what to say (templated)
    :param conn_id: the connection
    """

    template_fields = ("text",)

    def __init__(self, *, text: str, conn_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.text = text
        self.conn_id = conn_id

    async def async_notify(self, context: Any) -> None:
        """Post.

        :raises ConfigInvalid: the connection has no http or https address
        :raises httpx.HTTPError: nobody answered, or the answer was an error
        """
        import httpx

        address = webhook_address(await BaseHook.aget_connection(self.conn_id))
        async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
            answer = await client.post(address, json={"text": self.text})
        if answer.is_error:
            # Not raise_for_status: its message would hold the secret part of the address.
            raise httpx.HTTPError(f"the webhook of connection {self.conn_id} answered {answer.status_code}")


def webhook_address(connection: "Connection") -> str:
    """Where a connection's webhook listens, secret part included."""
    host = (connection.host or "").rstrip("/")
    if not host.startswith(("http://", "https://")):
        raise ConfigInvalid(f"connection {connection.conn_id}: the host must be an address with http:// or https://")
    return f"{host}/{connection.password.lstrip('/')}" if connection.password else host
