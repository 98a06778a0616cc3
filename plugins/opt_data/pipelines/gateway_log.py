"""Keep what happens on a task's connection to the gateway: one line an event, next to the other run logs."""

import logging
from collections.abc import Mapping

from opt_data.core.sessions import NEW_YORK
from opt_data.errors import StorageUnavailable
from opt_data.gateway.events import GatewayEvent
from opt_data.gateway.session import GatewayAddress
from opt_data.storage.run_log import GATEWAY, RunLog

log = logging.getLogger(__name__)


class GatewayLog:
    """Appends each event to ``state/run_logs/gateway/<New York date of the event>.jsonl``, as it happens.

    A line that cannot be written is told of once and does not end the session: what is at stake is a note, and the task
    meets the same disk when it stores its rows.

    Parameters
    ----------
    run_log
        Where lines go; processes may append at once.
    address
        The gateway.
    task
        Says which task works on the connection; added to every line.
    """

    def __init__(self, run_log: RunLog, address: GatewayAddress, task: Mapping[str, object]) -> None:
        self._run_log = run_log
        self._shared = {"host": address.host, "port": address.port, **task}
        self._has_failed = False

    def __call__(self, event: GatewayEvent) -> None:
        record = {
            "happened_at": event.at,
            "event": event.kind,
            "code": event.code,
            "text": event.text,
            "client_id": event.client_id,
            "skew_s": event.skew_s,
            "uncertainty_s": event.uncertainty_s,
            **self._shared,
        }
        try:
            self._run_log.append(GATEWAY, event.at.astimezone(NEW_YORK).date(), record)
        except StorageUnavailable as error:
            if not self._has_failed:
                log.warning("what happens on the connection is not kept: %s", error)
            self._has_failed = True
