"""Common parts of all codecs: limits, refusals, and the decoding of JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from ember_core.data.cells import NumberReader, TimeReader
from stream.records import RESERVED_KEY_PREFIX, Decoded, Message, Reason

from ._depth import MAX_DEPTH, too_deep
from ._refused import Refused


class Codec(Protocol):
    """Decoder of Kafka messages into columns of samples."""

    def decode(self, messages: Sequence[Message]) -> Decoded:
        """Decode the messages of a slice: of one topic, one partition after the other.

        Nothing is raised, whatever the bytes are: a message gives its samples, or a `Rejected`
        with a named reason. The outcome of a message does not depend on the others.
        """


@dataclass(frozen=True, slots=True)
class Reading:
    """Largest sizes accepted, in bytes, and readers of numbers and event times."""

    max_message_bytes: int = 1_048_576
    max_key_bytes: int = 512
    numbers: NumberReader = field(default_factory=NumberReader)
    times: TimeReader = field(default_factory=TimeReader)


def check_size(value: bytes | None, reading: Reading) -> bytes:
    """Return the value, unless it is null or too large.

    Raises:
        Refused: `EMPTY` or `TOO_LARGE`.
    """
    if value is None:
        raise Refused(Reason.EMPTY, "The value is null. A tombstone says nothing about telemetry.")
    if len(value) > reading.max_message_bytes:
        raise Refused(
            Reason.TOO_LARGE,
            f"The value has {len(value)} bytes. Expected at most {reading.max_message_bytes} "
            "(input.max_message_bytes).",
        )
    return value


def check_key(key: bytes, reading: Reading) -> bytes:
    """Return the stream key, unless it is too long or reserved.

    Raises:
        Refused: `BAD_KEY`.
    """
    if len(key) > reading.max_key_bytes:
        raise Refused(
            Reason.BAD_KEY,
            f"The stream key has {len(key)} bytes. Expected at most {reading.max_key_bytes} "
            "(input.max_key_bytes).",
        )
    if key.startswith(RESERVED_KEY_PREFIX):
        raise Refused(Reason.BAD_KEY, "The stream key begins with \\x00ember., which is reserved.")
    return key


def json_refusal(error: Exception, value: bytes, time_path: str | None = None) -> Refused:
    """Convert an error of msgspec's JSON decoder to a refusal."""
    text = str(error)
    if isinstance(error, RecursionError):
        return Refused(Reason.TOO_DEEP, f"JSON is nested more than {MAX_DEPTH} levels deep.")
    if isinstance(error, msgspec.ValidationError):
        if time_path is not None and text.endswith(f" - at `{time_path}`"):
            return Refused(Reason.BAD_TIME, text)
        if "out of range" in text.partition(" - at ")[0]:
            return Refused(Reason.OUT_OF_RANGE, text)
        return Refused(Reason.WRONG_TYPE, text)
    if value[:1] == b"\x00":
        return Refused(
            Reason.NOT_JSON,
            "The value begins with a zero byte, as a schema registry's serializers write it. Set "
            "input.codec to json_schema, avro or protobuf.",
        )
    if not value.strip():
        return Refused(Reason.NOT_JSON, "The value is empty. Expected a JSON object.")
    return Refused(Reason.NOT_JSON, text)


JSON_ERRORS = (msgspec.DecodeError, UnicodeError, RecursionError)
"""Errors of msgspec's decoder on bad input."""


def decode_json(decoder: msgspec.json.Decoder[Any], value: bytes) -> Any:
    """Decode one JSON value.

    Raises:
        Refused: If it is nested too deep, is no JSON, or has another shape.
    """
    if too_deep(value):
        raise json_refusal(RecursionError(), value)
    try:
        return decoder.decode(value)
    except JSON_ERRORS as error:
        raise json_refusal(error, value) from None
