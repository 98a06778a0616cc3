"""Lines of the CSV files that people edit, with their numbers, so that every complaint names its place."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from opt_data.errors import ConfigInvalid


def read_csv_text(path: Path, what: str, remedy: str) -> str:
    """The text of a file in UTF-8, with or without a byte-order mark.

    Parameters
    ----------
    path
        The file.
    what
        What the file is, for messages, e.g. ``universe file``.
    remedy
        What to do when it does not exist.

    Raises
    ------
    ConfigInvalid
        It does not exist, is no UTF-8, or cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigInvalid(f"{what} {path} does not exist; {remedy}") from None
    except UnicodeDecodeError as error:
        raise ConfigInvalid(f"{what} {path} is not UTF-8 text: {error}") from error
    except OSError as error:
        raise ConfigInvalid(f"{what} {path} cannot be read: {error}") from error


def csv_lines(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Number and stripped cells of every line that is neither empty nor a ``#`` comment.

    Raises
    ------
    ConfigInvalid
        A line is malformed CSV, e.g. has an open quote.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise ConfigInvalid(f"{path}:{reader.line_num}: malformed CSV: {error}") from error
        stripped = [cell.strip() for cell in cells]
        if not any(stripped) or stripped[0].startswith("#"):
            continue
        yield reader.line_num, stripped
