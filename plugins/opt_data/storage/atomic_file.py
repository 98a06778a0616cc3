"""Small files of the state that are replaced as a whole."""

import os
from contextlib import suppress
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file: after a crash at any moment either the old content is there or the new one, whole.

    Raises
    ------
    OSError
        Full disk, missing rights; the old file is untouched.
    """
    stage = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with stage.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        stage.replace(path)
    except OSError:
        with suppress(OSError):
            stage.unlink()
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
