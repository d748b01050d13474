"""Reader of the protobuf wire format."""

from __future__ import annotations

import struct
from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

_FIXED = {FIXED64: 8, FIXED32: 4}


class WireError(ValueError):
    """Bytes that are not a protobuf message."""


def fields(data: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """Iterate over the fields of one message.

    Yields:
        (field number, wire type, value): an unsigned int for a varint, else the raw bytes.

    Raises:
        WireError: If the bytes are cut short or not protobuf.
    """
    position, end = 0, len(data)
    while position < end:
        tag, position = _varint(data, position)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise WireError(f"field number 0 at byte {position}")
        if wire == VARINT:
            value, position = _varint(data, position)
            yield number, wire, value
            continue
        if wire == BYTES:
            length, position = _varint(data, position)
        elif wire in _FIXED:
            length = _FIXED[wire]
        else:
            raise WireError(f"wire type {wire} of field {number} is not known")
        if length > end - position:
            raise WireError(f"field {number} is cut short")
        yield number, wire, data[position : position + length]
        position += length


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    result = 0
    # Seven bits a byte, lowest first; ten bytes hold 64 bits.
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise WireError("a number is cut short")
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & 0xFFFF_FFFF_FFFF_FFFF, position
    raise WireError("a number has more than 10 bytes")


def double(raw: memoryview) -> float:
    """Decode a `double`."""
    value: float = struct.unpack("<d", raw)[0]
    return value


def fixed64(raw: memoryview, *, signed: bool = False) -> int:
    """Decode a `fixed64` or `sfixed64`."""
    return int.from_bytes(raw, "little", signed=signed)


def int64(value: int) -> int:
    """Decode the signed number in a varint."""
    return value - (1 << 64) if value >= 1 << 63 else value
