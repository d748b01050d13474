"""Reader of the protobuf wire format."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

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
        # Nearly all tags and lengths are one byte: no call is worth it for them.
        tag = data[position]
        if tag < 0x80:
            position += 1
        else:
            tag, position = varint(data, position)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise WireError(f"field number 0 at byte {position}")
        if wire == VARINT:
            value, position = varint(data, position)
            yield number, wire, value
            continue
        if wire == BYTES:
            if position < end and data[position] < 0x80:
                length = data[position]
                position += 1
            else:
                length, position = varint(data, position)
        elif wire in _FIXED:
            length = _FIXED[wire]
        else:
            raise WireError(f"wire type {wire} of field {number} is not known")
        if length > end - position:
            raise WireError(f"field {number} is cut short")
        yield number, wire, data[position : position + length]
        position += length


def varint(data: memoryview, position: int) -> tuple[int, int]:
    """Decode an unsigned number; return it, and the position behind it.

    Raises:
        WireError: If it is cut short, or too long.
    """
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


def children(message: memoryview, number: int) -> Iterator[memoryview]:
    """Iterate over the messages in one field.

    Raises:
        WireError: If the bytes are cut short or not protobuf.
    """
    for field, wire, value in fields(message):
        if field == number and wire == BYTES:
            yield raw_bytes(value)


def raw_bytes(value: int | memoryview) -> memoryview:
    """Return the bytes of a field that is no number.

    Raises:
        WireError: If it is a number.
    """
    if isinstance(value, int):
        raise WireError("a number where bytes were expected")
    return value


def text(value: int | memoryview) -> str:
    """Decode a `string`.

    Raises:
        WireError: If it is not UTF-8.
    """
    try:
        return bytes(raw_bytes(value)).decode()
    except UnicodeDecodeError:
        raise WireError("a text is not UTF-8") from None


def doubles(value: int | memoryview) -> list[float]:
    """Decode a `repeated double`, packed or one of its elements.

    Raises:
        WireError: If the bytes are cut short.
    """
    return [item[0] for item in _packed("<d", value)]


def fixed64s(value: int | memoryview) -> list[int]:
    """Decode a `repeated fixed64`, packed or one of its elements.

    Raises:
        WireError: If the bytes are cut short.
    """
    return [item[0] for item in _packed("<Q", value)]


def varints(value: int | memoryview) -> list[int]:
    """Decode a `repeated uint64`, packed or one of its elements.

    Raises:
        WireError: If the bytes are cut short.
    """
    if isinstance(value, int):
        return [value]
    numbers, position = [], 0
    while position < len(value):
        number, position = varint(value, position)
        numbers.append(number)
    return numbers


def _packed(form: str, value: int | memoryview) -> Iterator[tuple[Any, ...]]:
    raw = raw_bytes(value)
    if len(raw) % 8:
        raise WireError("a list of 8-byte numbers is cut short")
    return struct.iter_unpack(form, raw)


def sint(value: int) -> int:
    """Decode the zigzag number in a varint."""
    return (value >> 1) ^ -(value & 1)


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
