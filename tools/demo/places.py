"""Where the demo keeps its files: all of them below ``.run`` in the checkout, which git ignores."""

import os
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Places:
    """Every path the demo uses, derived from the checkout's folder."""

    checkout: Path = CHECKOUT

    @property
    def run(self) -> Path:
        return self.checkout / ".run"

    @property
    def airflow_home(self) -> Path:
        return self.run / "airflow"

    @property
    def logs(self) -> Path:
        return self.run / "logs"

    @property
    def simulated(self) -> Path:
        """The root of everything the simulated market left behind; never mixed with real data."""
        return self.run / "demo"

    @property
    def data_root(self) -> Path:
        return self.simulated / "data"

    @property
    def state_root(self) -> Path:
        return self.simulated / "state"

    @property
    def lock(self) -> Path:
        """Held by the running demo for as long as it lives."""
        return self.run / "demo.lock"

    @property
    def running(self) -> Path:
        """What the running demo says about itself: its process id and the address of the UI."""
        return self.run / "running.json"

    @property
    def sessions(self) -> Path:
        """The process sessions the demo started; lies there only while some of them may live."""
        return self.run / "sessions.json"

    @property
    def environment(self) -> Path:
        """A file to source in a shell, to use Airflow's own commands on the demo."""
        return self.run / "env.sh"

    def make(self) -> None:
        """Create the folders, and say in the data's own folder that the data is simulated."""
        for folder in (self.airflow_home, self.logs, self.data_root, self.state_root):
            folder.mkdir(parents=True, exist_ok=True)
        (self.simulated / "SIMULATED.md").write_text(_SIMULATED)
        (self.data_root / "SIMULATED.md").write_text(_SIMULATED)


def write_whole(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a small file so that a kill leaves the old or the new one, never readable by more than ``mode``."""
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as sink:
        sink.write(text)
    staged.replace(path)


_SIMULATED = """\
# Simulated data

Everything below this folder was captured by `make run` from a simulated gateway. The symbols exist, the prices do
not: they come from a seeded model. Do not copy these files to where real data lives.
"""
