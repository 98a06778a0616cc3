"""Only one demo per checkout at a time, and the next one cleans up after one that was killed."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator

from tools.demo.errors import DemoFailed
from tools.demo.places import Places, write_whole
from tools.demo.processes import end_leftovers
from tools.demo.progress import Progress


@contextlib.contextmanager
def only_demo(places: Places, progress: Progress) -> Iterator[None]:
    """Hold the checkout's lock. The system frees it when the holder dies, however it dies.

    Raises
    ------
    DemoFailed
        Another demo holds it; the message gives its address.
    """
    places.run.mkdir(parents=True, exist_ok=True)
    with places.lock.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoFailed(_already_running(places)) from None
        if places.sessions.exists():
            progress.say("An earlier start was killed; ending what it left behind")
            end_leftovers(places.airflow_home, places.sessions, patience_s=3.0)
        try:
            announce(places, "")
            yield
        finally:
            places.running.unlink(missing_ok=True)


def announce(places: Places, address: str) -> None:
    """Leave a note for whoever starts a second demo meanwhile."""
    write_whole(places.running, json.dumps({"pid": os.getpid(), "address": address}))


def _already_running(places: Places) -> str:
    try:
        note = json.loads(places.running.read_text())
    except (OSError, ValueError):
        note = {}
    where = f"at {note['address']}" if note.get("address") else "and is still starting"
    end = f"kill {note['pid']}" if note.get("pid") else "end it"
    return f"A demo of this checkout is running {where}. Press Ctrl-C where it runs, or: {end}"
