"""Scenario events: control commands that happen at instants of the market's clock."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from ibsim.gateway import Gateway

log = logging.getLogger("ibsim.events")
_LOOK_S = 0.05


class EventTimer:
    """Performs the scenario's events once each, also those that a moved clock jumped over, in their order.

    Events that were past when the gateway started (or when the scenario was patched with them) are performed at once.
    """

    def __init__(self, gateway: Gateway, perform: Callable[[str, Mapping[str, Any]], Any]) -> None:
        self._gateway = gateway
        self._perform = perform
        self._done: set[tuple[float, str, str]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._look()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        now_s = self._gateway.clock.now_s()
        for event in sorted(self._gateway.scenario.events, key=lambda event: event.at):
            key = (event.at.timestamp(), event.op, repr(event.args))
            if event.at.timestamp() <= now_s and key not in self._done:
                self._done.add(key)
                log.info("event at %s: %s %s", event.at.isoformat(), event.op, event.args)
                try:
                    self._perform(event.op, event.args)
                except (ValueError, TypeError):
                    log.exception("event %s failed", event.op)
        self._timer = asyncio.get_running_loop().call_later(_LOOK_S, self._look)
