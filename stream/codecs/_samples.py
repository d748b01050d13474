"""Samples of a message, and the base class of codecs that decode message by message."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from stream.records import BadValue, Decoded, Message, Reason, Rejected, Temporality

from ._base import Limits, check_key, check_size
from ._cells import NAN, Cells
from ._key import KeyExpression
from ._refused import Refused
from ._time import TimeUnit, one_to_micros


class Sample(NamedTuple):
    """One sample of a message.

    Where the format tells counters from gauges, a sample has one cell, its temporality, and the
    start of the time that it covers.

    Attributes:
        time_us: Event time, or the refusal of a sample without a usable one.
        cells: Values of the model's channels.
        resolve: Function that reads a field by its path.
        temporality: A `Temporality`.
        start_us: Start of the time that the value covers; 0 where unknown.
    """

    time_us: int | Refused
    cells: Cells
    resolve: Callable[[tuple[str, ...]], Any]
    temporality: int = Temporality.GAUGE
    start_us: int = 0


class Row(NamedTuple):
    """An accepted sample: its stream key, and all channels in the model's order."""

    key: bytes
    time_us: int
    values: list[float]
    temporality: int
    start_us: int


class Rows(NamedTuple):
    """Accepted samples of one message, and the values that were lost, as (column, reason)."""

    rows: list[Row]
    bad: list[tuple[int, Reason]]


def event_time(value: Any, unit: TimeUnit, where: str) -> int | Refused:
    """Convert an event time, or return its refusal: it costs one sample, not the message."""
    try:
        return one_to_micros(value, unit, where)
    except Refused as refused:
        return refused


class SampleCodec(abc.ABC):
    """Base class of codecs that decode message by message; subclasses read samples from a value."""

    _tells_counters = False
    """True where the format tells counters from gauges."""

    def __init__(self, channels: Sequence[str], key: KeyExpression, limits: Limits) -> None:
        self._width = len(channels)
        self._key = key
        self._limits = limits

    @abc.abstractmethod
    def _samples(self, message: Message, value: bytes) -> list[Sample]:
        """Read the samples that hold at least one of the model's channels.

        Args:
            message: The message.
            value: Its value, of an accepted size.

        Raises:
            Refused: If the message as a whole cannot be used.
        """

    def decode(self, messages: Sequence[Message]) -> Decoded:
        """Decode the messages of one slice; see `Codec.decode`."""
        table: list[Row] = []
        owners: list[int] = []
        rejected: list[Rejected] = []
        bad: list[BadValue] = []
        for index, message in enumerate(messages):
            try:
                rows, lost = self._rows(message)
            except Refused as refused:
                rejected.append(Rejected(index, refused.reason, refused.detail))
                continue
            table += rows
            owners += [index] * len(rows)
            bad += [BadValue(index, column, reason) for column, reason in lost]
        tells = self._tells_counters
        return Decoded(
            keys=[row.key for row in table],
            time_us=np.array([row.time_us for row in table], dtype=np.int64),
            values=np.array([row.values for row in table], dtype=np.float64).reshape(
                len(table), self._width
            ),
            message=np.array(owners, dtype=np.int32),
            rejected=rejected,
            temporality=np.array([r.temporality for r in table], np.uint8) if tells else None,
            start_us=np.array([r.start_us for r in table], np.int64) if tells else None,
            bad_values=bad,
        )

    def _rows(self, message: Message) -> Rows:
        """Read the rows of one message.

        A sample that has channels but no usable key or time costs itself, not its message.

        Raises:
            Refused: If the message gives no row. The first bad sample or value names the reason;
                without any, the message has none of the model's channels.
        """
        value = check_size(message.value, self._limits)
        rows: list[Row] = []
        bad: list[tuple[int, Reason]] = []
        first: Refused | None = None
        for sample in self._samples(message, value):
            row = [NAN] * self._width
            for column, cell in sample.cells.good:
                row[column] = cell
            if all(cell != cell for cell in row):  # NaN is not itself
                refused = sample.cells.bad[0][1] if sample.cells.bad else None
            else:
                refused = self._accept(message, sample, row, rows)
            bad += [(column, each.reason) for column, each in sample.cells.bad]
            if refused is not None:
                first = first or refused
                bad += [(c, refused.reason) for c, cell in sample.cells.good if cell == cell]
        if not rows:
            raise first or Refused(Reason.NO_CHANNELS, self._no_channels())
        return Rows(rows, bad)

    def _accept(
        self, message: Message, sample: Sample, values: list[float], rows: list[Row]
    ) -> Refused | None:
        """Add a row for the sample, or return the reason why there is none."""
        if isinstance(sample.time_us, Refused):
            return sample.time_us
        try:
            key = check_key(self._key.choose(message.key, sample.resolve), self._limits)
        except Refused as refused:
            return refused
        rows.append(Row(key, sample.time_us, values, sample.temporality, sample.start_us))
        return None

    def _no_channels(self) -> str:
        return "The message has none of the model's channels."
