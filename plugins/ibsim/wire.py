"""Framing of the TWS protocol: a 4-byte big-endian length, then fields that each end with a NUL. No I/O."""

import struct
from collections.abc import Iterable

PREFIX = struct.Struct(">I")
HANDSHAKE = b"API\0"
#: No client sends more in one message; a greater length means that the peer does not speak this protocol.
MAX_FRAME_BYTES = 0x00FFFFFF

Field = str | int | float | bool | None
#: IB's "not set" for floating point numbers (the greatest double).
UNSET_DOUBLE = 1.7976931348623157e308


class ProtocolError(ValueError):
    """The peer sent bytes that are not this protocol."""


class FrameSplitter:
    """Cuts a byte stream into payloads, however TCP cut it before."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._handshake_seen = False

    def feed(self, data: bytes) -> list[bytes]:
        """Payloads completed by ``data``; the first one of a connection is the version range.

        Raises
        ------
        ProtocolError
            If the stream does not begin with ``API\\0`` or a length is absurd.
        """
        self._buffer += data
        if not self._handshake_seen:
            if not HANDSHAKE.startswith(bytes(self._buffer[:4])):
                raise ProtocolError("the connection does not begin with API\\0")
            if len(self._buffer) < len(HANDSHAKE):
                return []
            del self._buffer[: len(HANDSHAKE)]
            self._handshake_seen = True
        payloads = []
        start = 0
        while len(self._buffer) - start >= PREFIX.size:
            (length,) = PREFIX.unpack_from(self._buffer, start)
            if length > MAX_FRAME_BYTES:
                raise ProtocolError(f"a message of {length} bytes")
            end = start + PREFIX.size + length
            if len(self._buffer) < end:
                break
            payloads.append(bytes(self._buffer[start + PREFIX.size : end]))
            start = end
        if start:
            del self._buffer[:start]
        return payloads


def split_fields(payload: bytes) -> list[str]:
    """The fields of one payload; a trailing empty field is kept."""
    return payload.decode("utf-8", "backslashreplace").split("\0")[:-1]


def format_field(value: Field) -> str:
    """One field as IB writes it: booleans as 0/1, nothing as empty, floats in full, the greatest double with ``E``."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float):
        if value == UNSET_DOUBLE:
            return "1.7976931348623157E308"
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return value if isinstance(value, str) else str(value)


def escape_text(text: str) -> str:
    """Non-ASCII characters as ``\\uXXXX``, as the gateway does from version 153 on."""
    return "".join(c if ord(c) < 128 else f"\\u{ord(c):04x}" for c in text)


def frame_payload(payload: bytes) -> bytes:
    """Put the length in front."""
    return PREFIX.pack(len(payload)) + payload


def encode_frame(fields: Iterable[Field]) -> bytes:
    """One whole frame from fields."""
    return frame_payload("".join(f"{format_field(field)}\0" for field in fields).encode("ascii", "backslashreplace"))
