"""Lines that say what is going on, each with the seconds since the start."""

import sys
import time


class Progress:
    """Writes one line a step to standard output, at once, so that it can be followed through a pipe too."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._last = ""

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._started

    def say(self, message: str) -> None:
        """Write one line with the elapsed seconds."""
        self._last = message
        self.plain(f"[{self.elapsed_s:4.0f} s] {message}")

    def say_once(self, message: str) -> None:
        """Write the line unless it is the same as the one before."""
        if message != self._last:
            self.say(message)

    @staticmethod
    def plain(text: str = "") -> None:
        """Write text as it is. A reader that went away (``| head``) is no reason to stop working."""
        try:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            sys.stdout = open("/dev/null", "w")  # noqa: PTH123, SIM115 - lives until the process ends
