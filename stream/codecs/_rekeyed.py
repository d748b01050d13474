"""Records of the repartition topic: samples of one key at one time, in a fixed form of JSON.

    {"ts": 1700000000000000, "values": {"cpu": 0.25}}

The time is in microseconds. Kafka's key is the stream key, and headers name the source. It is the
form of the `json` codec, so that every Kafka tool shows it and other programs can read it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby
from operator import itemgetter
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream.records import (
    MAX_ABS_VALUE,
    RESERVED_KEY_PREFIX,
    TIME_MAX_US,
    TIME_MIN_US,
    Decoded,
    Message,
    Reason,
    Rejected,
)
from stream.rekeying import position_of

from ._base import (
    JSON_ERRORS,
    Reading,
    check_key,
    check_size,
    json_refusal,
)
from ._cells import NAN, out_of_range
from ._refused import Refused

_PLAIN = (0, 0)
"""Temporality and start of samples that have neither."""

_ANY_SIZE = Reading(max_message_bytes=2**31)

_Row = tuple[int, bytes, int, dict[str, float], tuple[int, int]]
"""Message, key, time, channels with a value, temporality and start."""


class _Value(msgspec.Struct, omit_defaults=True, gc=False):
    """Value of a re-keyed record; the last two as in `Decoded`."""

    ts: int
    values: dict[str, float]
    temporality: Annotated[int, msgspec.Meta(ge=0, le=255)] = 0
    start: int = 0


class RekeyedRecord(NamedTuple):
    """Record of the repartition topic.

    Attributes:
        message: Index of its message in the slice.
        number: Number of the record among those of its message.
        key: Stream key.
        value: Value, as `RekeyedCodec` reads it.
    """

    message: int
    number: int
    key: bytes
    value: bytes


class RekeyedCodec:
    """Encoder and decoder of re-keyed records.

    Args:
        channels: `C` channels that are read from the records, in the order of the codec of the
            input. A record in flight while the model is switched lacks those that are new.
        max_key_bytes: Longer stream keys are refused.
    """

    def __init__(self, channels: Sequence[str], max_key_bytes: int = 512) -> None:
        self._channels = tuple(channels)
        self._reading = Reading(max_key_bytes=max_key_bytes)
        self._encoder = msgspec.json.Encoder()
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_Value)

    # -- writing

    def encode(self, decoded: Decoded) -> Iterator[RekeyedRecord]:
        """Encode the samples of a slice; those of one message, key and time are one record.

        Two samples of one channel stay two records, so that an interval aggregates both.

        Args:
            decoded: The slice, decoded for the same channels.
        """
        message = decoded.message
        # The usual case is one sample a message: nothing can be merged.
        single = len(message) < 2 or bool((message[1:] > message[:-1]).all())
        rows = zip(
            message.tolist(),
            decoded.keys,
            decoded.time_us.tolist(),
            self._cells(decoded.values),
            _extras_of(decoded),
            strict=True,
        )
        if not single:
            yield from self._merged(rows)
            return
        for index, key, time_us, cells, extra in rows:
            yield RekeyedRecord(index, 0, key, self._value(time_us, cells, extra))

    def _cells(self, values: NDArray[np.float64]) -> Iterator[dict[str, float]]:
        """Return the channels of each sample that have a value."""
        channels = self._channels
        partial = np.asarray(np.isnan(values).any(axis=1))
        for row, is_partial in zip(values.tolist(), partial.tolist(), strict=True):
            pairs = zip(channels, row, strict=True)
            if is_partial:
                yield {name: cell for name, cell in pairs if cell == cell}  # NaN is not itself
            else:
                yield dict(pairs)

    def _merged(self, rows: Iterable[_Row]) -> Iterator[RekeyedRecord]:
        """Encode samples, of which several may be of one message."""
        for message, samples in groupby(rows, key=itemgetter(0)):
            records: list[_Row] = []
            latest: dict[Any, dict[str, float]] = {}
            for row in samples:
                _, key, time_us, cells, extra = row
                former = latest.get((key, time_us, extra))
                if former is not None and former.keys().isdisjoint(cells):
                    former.update(cells)
                    continue
                latest[key, time_us, extra] = cells
                records.append(row)
            for number, (_, key, time_us, cells, extra) in enumerate(records):
                yield RekeyedRecord(message, number, key, self._value(time_us, cells, extra))

    def _value(self, time_us: int, cells: dict[str, float], extra: tuple[int, int]) -> bytes:
        if extra == _PLAIN:
            return self._encoder.encode({"ts": time_us, "values": cells})
        return self._encoder.encode(_Value(time_us, cells, *extra))

    # -- reading

    def decode(self, messages: Sequence[Message]) -> Decoded:
        """Decode the messages of one slice; see `Codec.decode`."""
        decoded: Decoded | None = None
        # A value of None is no bytes, as damaged as any other.
        with contextlib.suppress(TypeError, *JSON_ERRORS):
            values: list[Any] = [message.value for message in messages]
            decoded = self._columns(messages, list(map(self._decoder.decode, values)))
        if decoded is None:
            decoded = self._singly(messages)
        # Headers are looked at only where there are more than the source.
        positions = {
            index: position
            for index, message in enumerate(messages)
            if len(message.headers) > 1 and (position := position_of(message.headers))
        }
        decoded.positions = positions or None
        return decoded

    def _columns(self, messages: Sequence[Message], records: Sequence[_Value]) -> Decoded | None:
        """Put records into columns; None where one of them has to be refused."""
        count = len(records)
        keys = [message.key for message in messages if message.key]
        if len(keys) < count or not all(map(self._accepts, keys)):
            return None
        try:
            time_us = np.fromiter((record.ts for record in records), np.int64, count)
        except OverflowError:
            return None
        values = self._matrix([record.values for record in records])
        wrong = (time_us < TIME_MIN_US) | (time_us >= TIME_MAX_US) | np.isnan(values).all(axis=1)
        if wrong.any() or bool((np.abs(values) > MAX_ABS_VALUE).any()):
            return None
        decoded = Decoded(keys, time_us, values, np.arange(count, dtype=np.int32), [])
        return _with_extras(decoded, records)

    def _accepts(self, key: bytes) -> bool:
        return len(key) <= self._reading.max_key_bytes and not key.startswith(RESERVED_KEY_PREFIX)

    def _matrix(self, cells: Sequence[dict[str, float]]) -> NDArray[np.float64]:
        """Return the channels `(n, C)`, NaN where missing."""
        channels, width = self._channels, len(self._channels)
        if width > 1:  # of a single name, `itemgetter` returns no tuple
            try:
                table = list(map(itemgetter(*channels), cells))
                flat = np.fromiter(chain.from_iterable(table), np.float64, len(cells) * width)
                return flat.reshape(len(cells), width)
            except KeyError:
                pass  # a channel is missing somewhere
        values = (row.get(channel, NAN) for row in cells for channel in channels)
        return np.fromiter(values, np.float64, len(cells) * width).reshape(len(cells), width)

    def _singly(self, messages: Sequence[Message]) -> Decoded:
        """Decode message by message; some are refused."""
        accepted: list[int] = []
        records: list[_Value] = []
        rejected: list[Rejected] = []
        for index, message in enumerate(messages):
            try:
                records.append(self._one(message))
                accepted.append(index)
            except Refused as refused:
                rejected.append(Rejected(index, refused.reason, refused.detail))
        decoded = self._columns([messages[index] for index in accepted], records)
        assert decoded is not None  # each of them was checked
        decoded.message, decoded.rejected = np.array(accepted, dtype=np.int32), rejected
        return decoded

    def _one(self, message: Message) -> _Value:
        """Decode and check one message.

        Raises:
            Refused: If it is none of this form.
        """
        value = check_size(message.value, _ANY_SIZE)
        if not message.key:
            raise Refused(Reason.NO_KEY, "The re-keyed record has no Kafka key.")
        check_key(message.key, self._reading)
        try:
            record: _Value = self._decoder.decode(value)
        except JSON_ERRORS as error:
            raise json_refusal(error, value, "$.ts") from None
        if not TIME_MIN_US <= record.ts < TIME_MAX_US:
            raise Refused(Reason.BAD_TIME, f"Expected microseconds, got {record.ts} - at `$.ts`")
        cells = [(name, record.values[name]) for name in self._channels if name in record.values]
        for name, cell in cells:
            if abs(cell) > MAX_ABS_VALUE:
                raise Refused(Reason.OUT_OF_RANGE, out_of_range(cell, f"$.values.{name}"))
        if not cells:
            raise Refused(
                Reason.NO_CHANNELS,
                "The record has none of the model's channels. It was re-keyed for another model.",
            )
        return record


def _extras_of(decoded: Decoded) -> Iterable[tuple[int, int]]:
    """Return temporality and start of each sample."""
    count = len(decoded)
    if decoded.temporality is None and decoded.start_us is None:
        return [_PLAIN] * count
    kinds = [0] * count if decoded.temporality is None else decoded.temporality.tolist()
    starts = [0] * count if decoded.start_us is None else decoded.start_us.tolist()
    return zip(kinds, starts, strict=True)


def _with_extras(decoded: Decoded, records: Sequence[_Value]) -> Decoded:
    """Set the columns of temporality and start where a record has any."""
    if any(record.temporality or record.start for record in records):
        count = len(records)
        decoded.temporality = np.fromiter((r.temporality for r in records), np.uint8, count)
        decoded.start_us = np.fromiter((r.start for r in records), np.int64, count)
    return decoded
