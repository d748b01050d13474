"""Records of the repartition topic: samples of one key at one time, in MessagePack.

    {"channels": ["cpu", "load"], "ts": 1700000000000000, "values": [0.25, 1.5]}

The time is in microseconds. Kafka's key is the stream key, and headers name the source. Numbers
have a fixed width, so that the records of a slice are written and read as one table.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Annotated, Any, Final, NamedTuple

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

from ._base import JSON_ERRORS, Reading, check_key, check_size
from ._cells import NAN, out_of_range
from ._refused import Refused
from ._rekeyed_table import RekeyedTable

_ANY_SIZE: Final = Reading(max_message_bytes=2**31)
_MOST_LAYOUTS: Final = 1_024

_Row = tuple[int, bytes, int, dict[str, float], tuple[int, int]]
"""Message, key, time, channels with a value, temporality and start."""


class _Value(msgspec.Struct, omit_defaults=True, gc=False):
    """Value of a re-keyed record; the last two as in `Decoded`."""

    channels: msgspec.Raw
    ts: int
    values: list[float]
    temporality: Annotated[int, msgspec.Meta(ge=0, le=255)] = 0
    start: int = 0


class Rekeyed(NamedTuple):
    """Records of a slice, in columns.

    Attributes:
        message: Index of each record's message in the slice.
        number: Number of the record among those of its message.
        key: Stream key.
        value: Value, as `RekeyedCodec` reads it.
    """

    message: list[int]
    number: list[int]
    key: list[bytes]
    value: list[bytes]


class _Layout(NamedTuple):
    """Channels of a record, and where the model has them.

    Attributes:
        width: Number of its channels.
        table: Records of these channels.
        picked: Places of the channels that the model has.
        columns: Their columns in the model.
    """

    width: int
    table: RekeyedTable
    picked: list[int]
    columns: list[int]


class _Columns(NamedTuple):
    """Columns of records, as in `Decoded`."""

    time_us: NDArray[np.int64]
    values: NDArray[np.float64]
    temporality: NDArray[np.uint8] | None
    start_us: NDArray[np.int64] | None


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
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(_Value)
        self._names: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(list[str])
        self._layouts: dict[bytes, _Layout] = {}

    def _layout(self, names: bytes | msgspec.Raw) -> _Layout:
        """Return the layout of records with these channels.

        Args:
            names: The channels as they stand in a record.

        Raises:
            DecodeError: If they are no list of names.
        """
        names = bytes(names)
        layout = self._layouts.get(names)
        if layout is None:
            if len(self._layouts) >= _MOST_LAYOUTS:
                self._layouts.clear()
            listed: list[str] = self._names.decode(names)
            place = {name: at for at, name in enumerate(listed)}
            columns = [c for c, channel in enumerate(self._channels) if channel in place]
            picked = [place[self._channels[column]] for column in columns]
            layout = _Layout(len(listed), RekeyedTable(listed), picked, columns)
            self._layouts[names] = layout
        return layout

    # -- writing

    def encode(self, decoded: Decoded) -> Rekeyed:
        """Encode the samples of a slice; those of one message, key and time are one record.

        Two samples of one channel stay two records, so that an interval aggregates both.

        Args:
            decoded: The slice, decoded for the same channels.
        """
        message = decoded.message
        # The usual case is one sample a message: nothing can be merged.
        if len(message) and bool((message[1:] > message[:-1]).all()) and not _has_extras(decoded):
            present = ~np.isnan(decoded.values)
            if bool((present == present[0]).all()):
                names = [self._channels[column] for column in np.flatnonzero(present[0]).tolist()]
                table = self._layout(self._encoder.encode(names)).table
                values = table.encode(decoded.time_us, decoded.values[:, present[0]])
                return Rekeyed(message.tolist(), [0] * len(message), decoded.keys, values)
        rows = zip(
            message.tolist(),
            decoded.keys,
            decoded.time_us.tolist(),
            self._cells(decoded.values),
            _extras_of(decoded),
            strict=True,
        )
        return self._merged(rows)

    def _cells(self, values: NDArray[np.float64]) -> Iterator[dict[str, float]]:
        """Return the channels of each sample that have a value."""
        for row in values.tolist():
            pairs = zip(self._channels, row, strict=True)
            yield {name: cell for name, cell in pairs if cell == cell}  # NaN is not itself

    def _merged(self, rows: Iterable[_Row]) -> Rekeyed:
        """Encode samples one by one, of which several may be of one message."""
        encoded = Rekeyed([], [], [], [])
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
                encoded.message.append(message)
                encoded.number.append(number)
                encoded.key.append(key)
                names = msgspec.Raw(self._encoder.encode(list(cells)))
                value = _Value(names, time_us, list(cells.values()), *extra)
                encoded.value.append(self._encoder.encode(value))
        return encoded

    # -- reading

    def decode(self, messages: Sequence[Message]) -> Decoded:
        """Decode the messages of one slice; see `Codec.decode`."""
        decoded: Decoded | None = None
        # A value of None is no bytes, as damaged as any other.
        with contextlib.suppress(TypeError, OverflowError, *JSON_ERRORS):
            raws: list[Any] = [message.value for message in messages]
            columns = self._as_table(raws)
            decoded = self._checked(messages, columns or self._columns(map(self._read, raws)))
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

    def _as_table(self, raws: Sequence[bytes]) -> _Columns | None:
        """Read records that all have the channels of the first; None where they have not.

        Raises:
            DecodeError: If the first is no record.
        """
        if not raws:
            return None
        layout = self._layout(self._read(raws[0]).channels)
        table = layout.table.decode(raws)
        if table is None:
            return None
        time_us, numbers = table
        values = np.full((len(raws), len(self._channels)), NAN)
        values[:, layout.columns] = numbers[:, layout.picked]
        return _Columns(time_us, values, None, None)

    def _read(self, raw: bytes) -> _Value:
        """Decode a value.

        Raises:
            DecodeError: If it is no record.
        """
        record: _Value = self._decoder.decode(raw)
        width = self._layout(record.channels).width
        if len(record.values) != width:
            raise msgspec.ValidationError(
                f"Expected a value of each of {width} channels, got {len(record.values)}"
            )
        return record

    def _columns(self, read: Iterable[_Value]) -> _Columns:
        """Put records into columns.

        Raises:
            OverflowError: If a time has more than 64 bits.
        """
        records = list(read)
        count = len(records)
        time_us = np.fromiter((record.ts for record in records), np.int64, count)
        values = np.full((count, len(self._channels)), NAN)
        by_layout: dict[bytes, list[int]] = defaultdict(list)
        for index, record in enumerate(records):
            by_layout[bytes(record.channels)].append(index)
        for names, indices in by_layout.items():
            layout = self._layout(names)
            numbers = np.array([records[index].values for index in indices], np.float64)
            values[np.ix_(indices, layout.columns)] = numbers[:, layout.picked]
        if not any(record.temporality or record.start for record in records):
            return _Columns(time_us, values, None, None)
        temporality = np.fromiter((record.temporality for record in records), np.uint8, count)
        start_us = np.fromiter((record.start for record in records), np.int64, count)
        return _Columns(time_us, values, temporality, start_us)

    def _checked(self, messages: Sequence[Message], columns: _Columns) -> Decoded | None:
        """Return the samples of records; None where one of them has to be refused."""
        time_us, values, temporality, start_us = columns
        count = len(time_us)
        keys = [message.key for message in messages if message.key]
        if len(keys) < count or not all(map(self._accepts, keys)):
            return None
        wrong = (time_us < TIME_MIN_US) | (time_us >= TIME_MAX_US) | np.isnan(values).all(axis=1)
        if wrong.any() or bool((np.abs(values) > MAX_ABS_VALUE).any()):
            return None
        return Decoded(
            keys,
            time_us,
            values,
            np.arange(count, dtype=np.int32),
            [],
            temporality=temporality,
            start_us=start_us,
        )

    def _accepts(self, key: bytes) -> bool:
        return len(key) <= self._reading.max_key_bytes and not key.startswith(RESERVED_KEY_PREFIX)

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
        decoded = self._checked([messages[index] for index in accepted], self._columns(records))
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
            record = self._read(value)
        except JSON_ERRORS as error:
            wrong_type = isinstance(error, msgspec.ValidationError)
            reason = Reason.WRONG_TYPE if wrong_type else Reason.NOT_JSON
            raise Refused(reason, f"The value is no re-keyed record: {error}") from None
        if not TIME_MIN_US <= record.ts < TIME_MAX_US:
            raise Refused(Reason.BAD_TIME, f"Expected microseconds, got {record.ts} - at `$.ts`")
        layout = self._layout(record.channels)
        cells = [record.values[place] for place in layout.picked]
        for cell in cells:
            if abs(cell) > MAX_ABS_VALUE:
                raise Refused(Reason.OUT_OF_RANGE, out_of_range(cell, "$.values"))
        if all(cell != cell for cell in cells):  # NaN is not itself
            raise Refused(
                Reason.NO_CHANNELS,
                "The record has none of the model's channels. It was re-keyed for another model.",
            )
        return record


def rekeyed_json(value: bytes) -> bytes:
    """Return a re-keyed record in the form of the `json` codec; any other record as it is."""
    with contextlib.suppress(*JSON_ERRORS):
        record = msgspec.msgpack.decode(value, type=_Value)
        names = msgspec.msgpack.decode(record.channels, type=list[str])
        values = dict(zip(names, record.values, strict=False))
        return msgspec.json.encode({"ts": record.ts, "values": values})
    return value


def _has_extras(decoded: Decoded) -> bool:
    """Tell if a sample has a temporality or a start."""
    columns = decoded.temporality, decoded.start_us
    return any(column is not None and bool(column.any()) for column in columns)


def _extras_of(decoded: Decoded) -> Iterable[tuple[int, int]]:
    """Return temporality and start of each sample."""
    count = len(decoded)
    kinds = [0] * count if decoded.temporality is None else decoded.temporality.tolist()
    starts = [0] * count if decoded.start_us is None else decoded.start_us.tolist()
    return zip(kinds, starts, strict=True)
