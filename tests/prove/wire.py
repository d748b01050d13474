"""Protobuf messages as trees, so that what is wrong in them lies deep inside."""

from __future__ import annotations

from random import Random
from typing import Any

from tests.contract.test_codecs import tag, varint

Field = tuple[int, int, Any]
"""Number, wire type, and a number, bytes, or a list of fields."""


def parsed(data: bytes) -> list[Field] | None:
    """The fields of a message, those of messages in it as well; None when it is none."""
    found: list[Field] = []
    at = 0
    while at < len(data):
        head, at = _varint(data, at)
        number, wire = head >> 3, head & 7
        if number == 0:
            return None
        if wire == 0:
            value, at = _varint(data, at)
            found.append((number, wire, value))
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            found.append((number, wire, data[at : at + size]))
            at += size
        elif wire == 2:
            size, at = _varint(data, at)
            if at + size > len(data):
                return None
            body = data[at : at + size]
            inner = parsed(body) if size else None
            found.append((number, wire, body if inner is None else inner))
            at += size
        else:
            return None
    return found


def encoded(fields: list[Field]) -> bytes:
    """Inverse of `parsed`."""
    out = b""
    for number, wire, value in fields:
        out += tag(number, wire)
        if wire == 0:
            out += varint(value)
        elif wire == 2:
            body = encoded(value) if isinstance(value, list) else value
            out += varint(len(body)) + body
        else:
            out += value
    return out


def mutated(fields: list[Field], rng: Random) -> list[Field]:
    """A copy with one change, mostly deep inside."""
    fields = list(fields)
    at = int(rng.random() * len(fields)) if fields else 0
    if fields and isinstance(fields[at][2], list) and rng.random() < 0.85:
        number, wire, inner = fields[at]
        fields[at] = number, wire, mutated(inner, rng)
        return fields
    how = rng.random()
    if how < 0.3 or not fields:
        fields.insert(at, _any(rng))
    elif how < 0.55:
        fields[at] = _any(rng)
    elif how < 0.7:
        number, wire, value = fields[at]
        fields[at] = 1 + int(rng.random() * 12), wire, value
    elif how < 0.8:
        del fields[at]
    else:
        fields.insert(at, fields[at])
    return fields


def _any(rng: Random) -> Field:
    number = rng.choice((1, 2, 3, 4, 5, 6, 7, 8, 9, 2**20))
    wire = rng.choice((0, 1, 1, 2, 2, 5))
    if wire == 0:
        return number, 0, rng.choice((0, 1, 127, 128, 2**31, 2**63, 2**64 - 1))
    if wire == 2:
        return number, 2, rng.randbytes(int(rng.random() * 12))
    return number, wire, rng.choice((b"\x00", b"\xff", b"\x7f", b"\xf0")) * (8 if wire == 1 else 4)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(data):
            return 0, at
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            break
    return value, at
