"""Start a simulated gateway as a process of its own and talk to it: for tests, benchmarks and the demo."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from ibsim.control import ControlClient

_STOP_TIMEOUT_S = 10.0


class GatewayStartFailed(RuntimeError):
    """The process ended before it was ready; the message holds what it said."""


class GatewayProcess:
    """A running gateway: ``host``, ``port``, ``control_port``, ``pid`` and ``control``."""

    host = "127.0.0.1"

    def __init__(self, process: subprocess.Popen[str], port: int, control_port: int) -> None:
        self._process = process
        self.pid = process.pid
        self.port = port
        self.control_port = control_port
        self.control = ControlClient(self.host, control_port)

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> int:
        """End the process; returns its exit code. It also ends by itself when this process does."""
        self.control.close()
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            code = self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        return code


def start_gateway(
    scenario: Mapping[str, Any] | Path | None = None,
    *,
    clock: datetime | str = "system",
    port: int = 0,
    control_port: int = 0,
    log_path: Path | None = None,
) -> GatewayProcess:
    """Start a gateway and wait until it listens.

    Parameters
    ----------
    scenario
        A TOML file, or the same as plain data.
    clock
        What time it is in the market now (aware, or ISO with an offset), or ``system``.
    port, control_port
        0 chooses free ones.
    log_path
        Where its messages go; default: this process's standard error.

    Raises
    ------
    GatewayStartFailed
        If it does not come up.
    """
    command = [sys.executable, "-m", "ibsim", "--stop-on-stdin-eof", "--port", str(port)]
    command += ["--control-port", str(control_port)]
    command += ["--clock", clock if isinstance(clock, str) else clock.isoformat()]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    with tempfile.TemporaryDirectory(prefix="ibsim-") as folder:
        if scenario is not None:
            path = scenario if isinstance(scenario, Path) else Path(folder, "scenario.json")
            if not isinstance(scenario, Path):
                path.write_text(json.dumps(scenario, default=str), encoding="utf-8")
            command += ["--scenario", str(path)]
        errors = log_path.open("a", encoding="utf-8") if log_path else None
        try:
            process = subprocess.Popen(  # noqa: S603
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment, text=True
            )
        finally:
            if errors is not None:
                errors.close()
        if process.stdout is None:
            raise GatewayStartFailed("no pipe to the process")
        line = process.stdout.readline()
    if not line:
        raise GatewayStartFailed(f"ibsim ended with exit code {process.wait()}; its message is on standard error")
    ready = json.loads(line)
    return GatewayProcess(process, ready["port"], ready["control_port"])


@contextmanager
def running_gateway(
    scenario: Mapping[str, Any] | Path | None = None, *, clock: datetime | str = "system", log_path: Path | None = None
) -> Iterator[GatewayProcess]:
    """A gateway for the length of a ``with`` block, on free ports."""
    gateway = start_gateway(scenario, clock=clock, log_path=log_path)
    try:
        yield gateway
    finally:
        gateway.stop()
