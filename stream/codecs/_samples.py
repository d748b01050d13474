"""Samples of a message, and the base class of codecs that decode message by message."""

from __future__ import annotations

import abc
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ember_core.data.cells import TimeReader
from stream.records import BadValue, Decoded, Message, Reason, Rejected, Temporality

from ._base import Reading, check_key, check_size
from ._cells import NAN, Cells
from ._channels import Series, SeriesIndex
from ._key import KeyExpression
from ._refused import Refused
from ._time import to_micros

_KAFKA = TimeReader("ms")
_KAFKA_TIME = "Kafka's timestamp"


class EventTime(NamedTuple):
    """Event time as decoded, the reader that converts it, and its place in the message."""

    value: Any
    reader: TimeReader
    where: str


def kafka_time(timestamp_ms: int) -> EventTime:
    """Return Kafka's timestamp as event time; a negative one says that there is none."""
    return EventTime(timestamp_ms if timestamp_ms >= 0 else None, _KAFKA, _KAFKA_TIME)


class Sample(NamedTuple):
    """One sample of a message.

    Where the format tells counters from gauges, a sample has one cell, its temporality, and the
    start of the time that it covers.

    Attributes:
        time: Event time.
        cells: Values of the model's channels.
        resolve: Function that reads a field by its path.
        temporality: A `Temporality`.
        start_us: Start of the time that the value covers; 0 where unknown.
    """

    time: EventTime
    cells: Cells
    resolve: Callable[[tuple[str, ...]], Any]
    temporality: int = Temporality.GAUGE
    start_us: int = 0


class _Row(NamedTuple):
    """A sample with a key and at least one value."""

    message: int
    key: bytes
    values: list[float]
    sample: Sample


class Rows:
    """Rows of the samples of a slice, message by message.

    A sample that has channels but no usable key or time costs itself, not its message. A message
    without any row is refused: the first bad sample or value names the reason; without any, the
    message has none of the model's channels.

    Args:
        channels: Channel names, in the model's order.
        key: Stream key where the Kafka key is null.
        reading: Sizes and readers.
        no_channels: Sentence for a message that has none of the channels.
    """

    def __init__(
        self,
        channels: Sequence[str],
        key: KeyExpression,
        reading: Reading,
        no_channels: str,
    ) -> None:
        self._channels = channels
        self._key = key
        self._reading = reading
        self._no_channels = no_channels
        self._rows: list[_Row] = []
        self._bad: list[BadValue] = []
        self._first: dict[int, Refused] = {}
        self._messages: list[int] = []

    @property
    def is_used(self) -> bool:
        """True once a message was added."""
        return bool(self._messages)

    def add(self, index: int, message: Message, samples: Sequence[Sample]) -> None:
        """Add the samples of a message.

        Args:
            index: Index of the message in the slice; rising.
            message: The message.
            samples: Its samples.
        """
        self._messages.append(index)
        for sample in samples:
            values = [NAN] * len(self._channels)
            for column, cell in sample.cells.good:
                values[column] = cell
            for column, refused in sample.cells.bad:
                self._bad.append(BadValue(index, self._channels[column], refused.reason))
            if all(cell != cell for cell in values):  # NaN is not itself
                if sample.cells.bad:
                    self._first.setdefault(index, sample.cells.bad[0][1])
                continue
            try:
                key = check_key(self._key.choose(message.key, sample.resolve), self._reading)
            except Refused as refused:
                self._lose(index, values, refused)
                continue
            self._rows.append(_Row(index, key, values, sample))

    def _lose(self, index: int, values: list[float], refused: Refused) -> None:
        """Note the values of a sample that cannot be used."""
        self._first.setdefault(index, refused)
        self._bad += [
            BadValue(index, channel, refused.reason)
            for channel, cell in zip(self._channels, values, strict=True)
            if cell == cell
        ]

    def _times(self) -> list[int | Refused]:
        """Convert the event times of all rows at once."""
        times: list[int | Refused] = [0] * len(self._rows)
        readers: dict[int, list[int]] = {}
        for i, row in enumerate(self._rows):
            readers.setdefault(id(row.sample.time.reader), []).append(i)
        for indices in readers.values():
            reader = self._rows[indices[0]].sample.time.reader
            times_at = [self._rows[i].sample.time for i in indices]
            paths = [time.where for time in times_at]
            micros, bad = to_micros([time.value for time in times_at], reader, paths.__getitem__)
            for i, time_us in zip(indices, micros.tolist(), strict=True):
                times[i] = time_us
            for n, refused in bad.items():
                times[indices[n]] = refused
        return times

    def decoded(self, rejected: list[Rejected], *, counters: bool = False) -> Decoded:
        """Return the rows as columns.

        Args:
            rejected: Messages refused before; gets those without a row.
            counters: True where the format tells counters from gauges.
        """
        rows: list[_Row] = []
        time_us: list[int] = []
        for row, time in zip(self._rows, self._times(), strict=True):
            if isinstance(time, Refused):
                self._lose(row.message, row.values, time)
            else:
                rows.append(row)
                time_us.append(time)
        accepted = {row.message for row in rows}
        absent = Refused(Reason.NO_CHANNELS, self._no_channels)
        for index in self._messages:
            if index not in accepted:
                refused = self._first.get(index, absent)
                rejected.append(Rejected(index, refused.reason, refused.detail))
        rejected.sort()
        times = np.array(time_us, dtype=np.int64)
        starts = np.array([row.sample.start_us for row in rows], dtype=np.int64)
        # A start after the time of the sample is none.
        starts = np.where(starts <= times, starts, 0)
        return Decoded(
            keys=[row.key for row in rows],
            time_us=times,
            values=np.array([row.values for row in rows]).reshape(len(rows), len(self._channels)),
            message=np.array([row.message for row in rows], dtype=np.int32),
            rejected=rejected,
            temporality=np.array([row.sample.temporality for row in rows], dtype=np.uint8)
            if counters
            else None,
            start_us=starts if counters else None,
            bad_values=sorted(bad for bad in self._bad if bad.message in accepted),
        )


class SampleCodec(abc.ABC):
    """Base class of codecs that decode message by message; subclasses read samples from a value."""

    _tells_counters = False
    """True where the format tells counters from gauges."""

    def __init__(self, channels: Sequence[str], key: KeyExpression, reading: Reading) -> None:
        self._channels = tuple(channels)
        self._key = key
        self._reading = reading

    @abc.abstractmethod
    def _samples(self, message: Message, value: bytes) -> list[Sample]:
        """Read the samples that hold at least one of the model's channels.

        Args:
            message: The message.
            value: Its value, of an accepted size.

        Raises:
            Refused: If the message as a whole cannot be used.
        """

    def prepare(self, messages: Sequence[Message]) -> None:  # noqa: B027  # most need nothing
        """Fetch what the codec needs to read these messages; blocks."""

    @abc.abstractmethod
    def watch(self, index: SeriesIndex) -> None:
        """Read every measurement from now on, and give it a column of this index."""

    def shape(self, message: Message) -> Hashable | None:
        """Return what all messages with the same measurements share; None where it is unknown.

        Only for messages whose measurements have no labels.
        """
        return None

    def series(self, message: Message, index: SeriesIndex) -> Iterator[tuple[Series, bool]]:
        """Yield the measurements of a message, and whether each has a usable value.

        Args:
            message: The message.
            index: Index that the codec watches with.

        Raises:
            Refused: If the message as a whole, or a key in it, cannot be used.
        """
        for sample in self._samples(message, check_size(message.value, self._reading)):
            key = check_key(self._key.choose(message.key, sample.resolve), self._reading)
            for column, value in sample.cells.good:
                if value == value:  # NaN is not itself
                    yield Series(key, *index.found[column]), True
            for column, _ in sample.cells.bad:
                yield Series(key, *index.found[column]), False

    def fields(self, message: Message) -> Iterator[Mapping[str, Any]]:
        """Yield the fields of each sample of a message, which a key expression can name.

        Samples that follow each other and have the same fields give them once.

        Raises:
            Refused: If the message as a whole cannot be used.
        """
        former: Any = None
        for sample in self._samples(message, check_size(message.value, self._reading)):
            record = sample.resolve(())
            if isinstance(record, Mapping) and record != former:
                former = record
                yield record

    def decode(self, messages: Sequence[Message]) -> Decoded:
        """Decode the messages of one slice; see `Codec.decode`."""
        rejected: list[Rejected] = []
        rows = self._new_rows()
        for index, message in enumerate(messages):
            try:
                samples = self._samples(message, check_size(message.value, self._reading))
            except Refused as refused:
                rejected.append(Rejected(index, refused.reason, refused.detail))
            else:
                rows.add(index, message, samples)
        return rows.decoded(rejected, counters=self._tells_counters)

    def _new_rows(self) -> Rows:
        return Rows(self._channels, self._key, self._reading, self._no_channels())

    def _cells(self) -> Cells:
        return Cells(self._reading.numbers)

    def _no_channels(self) -> str:
        return "The message has none of the model's channels."
