"""One at a time per symbol and day, across processes: two tasks must not ask IB the same question side by side."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path

from opt_data.errors import StorageUnavailable
from opt_data.storage.layout import check_symbol

LOOK_AGAIN_S = 0.2


class DayLocks:
    """Advisory locks in one directory; the kernel drops the lock of a process that dies.

    Parameters
    ----------
    directory
        ``state/locks``; created on first use.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @asynccontextmanager
    async def held(self, what: str, symbol: str, day: date) -> AsyncIterator[None]:
        """Wait for the lock without blocking the event loop, hold it for the length of the block.

        Raises
        ------
        StorageUnavailable
            The lock's file cannot be made.
        """
        path = self._directory / what / f"{check_symbol(symbol).replace(' ', '.')}_{day.isoformat()}.lock"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StorageUnavailable(f"{path} cannot be opened: {error}", path=str(path)) from error
        try:
            while not _is_taken(file):
                await asyncio.sleep(LOOK_AGAIN_S)
            yield
        finally:
            os.close(file)


def _is_taken(file: int) -> bool:
    """Try to take the lock; whether it is ours now."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
