"""The recorded messages of ``tests/data/ibsim/frames.toml``."""

import tomllib
from pathlib import Path

_DATA = tomllib.loads((Path(__file__).parents[1] / "data" / "ibsim" / "frames.toml").read_text(encoding="utf-8"))
_FRAMES = {frame["name"]: frame for frame in _DATA["frame"]}


def names(sender: str) -> list[str]:
    return [name for name, frame in _FRAMES.items() if frame["from"] == sender]


def frame_bytes(name: str) -> bytes:
    """One whole message, length first."""
    frame = _FRAMES[name]
    return bytes.fromhex(frame["length"]) + frame["fields"].replace("|", "\0").encode("ascii")


def field_list(name: str) -> list[str]:
    return _FRAMES[name]["fields"].split("|")[:-1]


def opening_bytes(*, paced: bool = False) -> bytes:
    opening = _DATA["opening"]
    prefix = opening["paced_length" if paced else "range_length"]
    return b"API\0" + bytes.fromhex(prefix) + opening["paced_range" if paced else "range"].encode("ascii")
