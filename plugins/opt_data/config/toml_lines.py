"""Where in a TOML file each key stands, and the comment above it: what ``tomllib`` does not tell.

Understands the plain shape of the project's own files: ``[section]`` headers and ``key = value`` lines.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_HEADER = re.compile(r"^\s*\[\s*([A-Za-z0-9_-]+)\s*\]\s*(#.*)?$")
_KEY = re.compile(r"""^\s*["']?([A-Za-z0-9_-]+)["']?\s*=""")


@dataclass(frozen=True, slots=True)
class TomlEntry:
    """One header (``key`` empty) or key, its line counted from 1, and the comment lines directly above it."""

    section: str
    key: str
    line: int
    comment: str


def toml_entries(text: str) -> Iterator[TomlEntry]:
    """Yield every section header and key in the order of the file; a blank line ends a comment block."""
    section = ""
    comment: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if stripped.startswith("#"):
            comment.append(stripped.lstrip("#").strip())
            continue
        header = _HEADER.match(line)
        key = _KEY.match(line)
        if header:
            section = header.group(1)
            yield TomlEntry(section, "", number, " ".join(comment))
        elif key:
            yield TomlEntry(section, key.group(1), number, " ".join(comment))
        comment = []


def key_lines(text: str) -> dict[tuple[str, str], int]:
    """Line of each ``(section, key)``; a header is under ``(section, "")``. The first of two equal ones counts."""
    lines: dict[tuple[str, str], int] = {}
    for entry in toml_entries(text):
        lines.setdefault((entry.section, entry.key), entry.line)
    return lines
