"""Common parts of all codecs: limits, refusals, checks of one value, and the generic loop."""

from __future__ import annotations

import abc
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np

from stream.records import (
    MAX_ABS_VALUE,
    RESERVED_KEY_PREFIX,
    Decoded,
    Message,
    Reason,
    Rejected,
    Temporality,
)

from ._depth import MAX_DEPTH, too_deep
from ._key import KeyExpression
from ._refused import Refused

NAN = math.nan
_LITERAL = re.compile(rb"[:,\[]\s*[-+]?(?:NaN|Infinity|inf|nan)\b")


class Codec(Protocol):
    """Decoder of Kafka messages into columns of samples."""

    def decode(self, messages: Sequence[Message]) -> Decoded:
        """Decode the messages of a slice: of one topic, one partition after the other.

        Nothing is raised, whatever the bytes are: a message gives its samples, or a `Rejected`
        with a named reason. The outcome of a message does not depend on the others.
        """


@dataclass(frozen=True, slots=True)
class Limits:
    """Largest sizes accepted, in bytes."""

    max_message_bytes: int = 1_048_576
    max_key_bytes: int = 512


class Sample(NamedTuple):
    """One sample of a message: `cells` are (column, value), `resolve` reads a field by its path.

    Where the format tells counters from gauges, a sample has one cell, its temporality, and the
    start of the time that it covers.
    """

    time_us: int
    cells: Iterable[tuple[int, float]]
    resolve: Callable[[tuple[str, ...]], Any]
    temporality: int = Temporality.GAUGE
    start_us: int = 0


def number(value: Any, where: str) -> float:
    """Convert a channel's value to a float; None is a missing channel and gives NaN.

    Raises:
        Refused: If it is no number, not finite, or too large.
    """
    if value is None:
        return NAN
    if type(value) is not float:
        # `isinstance` would accept booleans, which are integers in Python.
        if type(value) is not int:
            kind = {str: "str", bool: "bool", dict: "object", list: "array"}.get(type(value))
            type_name = kind or type(value).__name__
            raise Refused(Reason.WRONG_TYPE, f"Expected `float`, got `{type_name}` - at `{where}`")
        try:
            value = float(value)
        except OverflowError:
            raise Refused(Reason.OUT_OF_RANGE, f"Number out of range - at `{where}`") from None
    if not math.isfinite(value):
        raise Refused(Reason.NOT_FINITE, f"Expected a finite number, got {value} - at `{where}`")
    if abs(value) > MAX_ABS_VALUE:
        raise Refused(Reason.OUT_OF_RANGE, out_of_range(value, where))
    return float(value)


def out_of_range(value: float, where: str) -> str:
    """Describe a number that is finite, but too large to be squared."""
    return f"Expected |x| <= {MAX_ABS_VALUE:g}, got {value!r} - at `{where}`"


def check_size(value: bytes | None, limits: Limits) -> bytes:
    """Return the value, unless it is null or too large.

    Raises:
        Refused: `EMPTY` or `TOO_LARGE`.
    """
    if value is None:
        raise Refused(Reason.EMPTY, "The value is null. A tombstone says nothing about telemetry.")
    if len(value) > limits.max_message_bytes:
        raise Refused(
            Reason.TOO_LARGE,
            f"The value has {len(value)} bytes. Expected at most {limits.max_message_bytes} "
            "(input.max_message_bytes).",
        )
    return value


def check_key(key: bytes, limits: Limits) -> bytes:
    """Return the stream key, unless it is too long or reserved.

    Raises:
        Refused: `BAD_KEY`.
    """
    if len(key) > limits.max_key_bytes:
        raise Refused(
            Reason.BAD_KEY,
            f"The stream key has {len(key)} bytes. Expected at most {limits.max_key_bytes} "
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
    if not value.strip():
        return Refused(Reason.NOT_JSON, "The value is empty. Expected a JSON object.")
    if value.startswith(b"\xef\xbb\xbf"):
        return Refused(Reason.NOT_JSON, "JSON begins with a byte-order mark. Send plain UTF-8.")
    if _LITERAL.search(value):
        return Refused(
            Reason.NOT_FINITE, "JSON has no NaN and no Infinity. Send null for a missing channel."
        )
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


class SampleCodec(abc.ABC):
    """Base class of codecs that decode message by message; subclasses read samples from a value."""

    _tells_counters = False
    """True where the format tells counters from gauges."""

    def __init__(self, channels: Sequence[str], key: KeyExpression, limits: Limits) -> None:
        self._width = len(channels)
        self._key = key
        self._limits = limits

    @abc.abstractmethod
    def _samples(self, value: bytes) -> list[Sample]:
        """Read the samples that hold at least one of the model's channels.

        Raises:
            Refused: If the message as a whole cannot be used.
        """

    def decode(self, messages: Sequence[Message]) -> Decoded:
        """Decode the messages of one slice; see `Codec.decode`."""
        keys: list[bytes] = []
        times: list[int] = []
        rows: list[list[float]] = []
        owners: list[int] = []
        temporality: list[int] = []
        starts: list[int] = []
        rejected: list[Rejected] = []
        for index, message in enumerate(messages):
            try:
                decoded = self._one(message)
            except Refused as refused:
                rejected.append(Rejected(index, refused.reason, refused.detail))
                continue
            for key, sample, row in decoded:
                keys.append(key)
                times.append(sample.time_us)
                rows.append(row)
                owners.append(index)
                temporality.append(sample.temporality)
                starts.append(sample.start_us)
        tells = self._tells_counters
        return Decoded(
            keys=keys,
            time_us=np.array(times, dtype=np.int64),
            values=np.array(rows, dtype=np.float64).reshape(len(rows), self._width),
            message=np.array(owners, dtype=np.int32),
            rejected=rejected,
            temporality=np.array(temporality, dtype=np.uint8) if tells else None,
            start_us=np.array(starts, dtype=np.int64) if tells else None,
        )

    def _one(self, message: Message) -> list[tuple[bytes, Sample, list[float]]]:
        value = check_size(message.value, self._limits)
        samples = self._samples(value)
        rows = []
        for sample in samples:
            key = self._key.choose(message.key, sample.resolve)
            row = [NAN] * self._width
            for column, cell in sample.cells:
                row[column] = cell
            if any(cell == cell for cell in row):  # NaN is not itself
                rows.append((check_key(key, self._limits), sample, row))
        if not rows:
            raise Refused(Reason.NO_CHANNELS, "The message has none of the model's channels.")
        return rows
