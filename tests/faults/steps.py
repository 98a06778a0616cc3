"""What a scenario can do to a desk: commands of the gateway's control channel, and mishaps on our own side."""

import errno
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from opt_data.core.contracts import ContractSet
from tests.pipelines.conftest import DAY, Desk


class Steps:
    """Performs steps ``{"do": name, …arguments}`` on one desk; ``contract:N`` in an argument is the N-th conid.

    ``frozen`` holds the outages in which quotes stood still: when each began, and ended, in the market's time.
    """

    def __init__(self, desk: Desk, contract_set: ContractSet, monkeypatch: pytest.MonkeyPatch) -> None:
        self.frozen: list[tuple[datetime, datetime | None]] = []
        self._desk = desk
        self._set = contract_set
        self._patch = monkeypatch
        self._own: dict[str, Callable[..., None]] = {
            "until_it_listens": self._until_it_listens,
            "remove_contract_set": lambda: self._path.unlink(),
            "empty_contract_set": lambda: self._path.write_text(""),
            "cut_contract_set": lambda: self._path.write_text(self._path.read_text()[:100]),
            "age_contract_set": self._age,
            "fill_disk": self._fill_disk,
            "free_disk": monkeypatch.undo,
        }

    def perform(self, steps: tuple[Mapping[str, Any], ...]) -> None:
        for step in steps:
            arguments = {key: self._named(value) for key, value in step.items() if key != "do"}
            own = self._own.get(step["do"])
            self._note_outage(step["do"], arguments.get("farm", ""))
            if own is not None:
                own(**arguments)
            elif step["do"] == "faults":
                self._desk.gateway.control.faults(**arguments)
            else:
                self._desk.gateway.control.call(step["do"], **arguments)

    def _named(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: self._named(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self._named(one) for one in value]
        if isinstance(value, str) and value.startswith("contract:"):
            return self.conid(value)
        return value

    def conid(self, name: str) -> int:
        """The conid that ``contract:N`` stands for."""
        return self._set.contracts[int(name.partition(":")[2])].conid

    @property
    def _path(self) -> Path:
        return self._desk.stores.cache.path("AAPL", DAY)

    def _note_outage(self, command: str, farm: str) -> None:
        if farm not in ("", "usopt"):
            return
        if command in ("begin_outage", "break_farm"):
            self.frozen.append((self._desk.gateway.control.clock(), None))
        elif command in ("end_outage", "mend_farm"):
            began, _ = self.frozen.pop()
            self.frozen.append((began, self._desk.gateway.control.clock()))

    def _until_it_listens(self) -> None:
        address = (self._desk.gateway.host, self._desk.gateway.port)
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(address) == 0:
                    return

    def _age(self) -> None:
        self._path.unlink()
        earlier = DAY - timedelta(days=3)
        self._desk.stores.cache.save(replace(self._set, trade_date=earlier, verified_on=earlier))

    def _fill_disk(self) -> None:
        """Every write below the data root fails as the kernel fails it on a full disk."""
        root, write = self._desk.settings.paths.data_root, os.write

        def refuse(descriptor: int, data: Any) -> int:
            if Path(f"/proc/self/fd/{descriptor}").readlink().is_relative_to(root):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(descriptor, data)

        self._patch.setattr(os, "write", refuse)
