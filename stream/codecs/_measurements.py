"""Base classes of codecs for named, labelled measurements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stream.records import Message

from ._base import Limits, SampleCodec, check_key, check_size
from ._channels import ChannelIndex, SeriesIndex
from ._key import KeyExpression
from ._names import Series
from ._time import TimeUnit


class LabelledCodec(SampleCodec):
    """Codec that finds the channel of a measurement by its name and labels.

    Args:
        channels: `C` channel names, in the model's order.
        key: Stream key where the Kafka key is null.
        limits: Sizes.
    """

    def __init__(self, channels: Sequence[str], key: KeyExpression, limits: Limits) -> None:
        super().__init__(channels, key, limits)
        self._index = ChannelIndex(channels)

    def series(self, message: Message) -> Iterator[Series]:
        """Yield the measurements of a message that have a value, whatever the channels are.

        Raises:
            Refused: If the message as a whole cannot be used.
        """
        channels, self._index = self._index, SeriesIndex()
        try:
            index = self._index
            for sample in self._samples(check_size(message.value, self._limits)):
                key = check_key(self._key.choose(message.key, sample.resolve), self._limits)
                for column, value in sample.cells:
                    if value == value:  # NaN is not itself
                        yield Series(key, *index.found[column])
        finally:
            self._index = channels


class MeasurementCodec(LabelledCodec):
    """Codec of measurements in groups, with an event time in a unit of the user's.

    Args:
        channels: `C` channel names, in the model's order.
        key: Stream key where the Kafka key is null.
        limits: Sizes.
        time_unit: Unit of the event time.
    """

    def __init__(
        self,
        channels: Sequence[str],
        key: KeyExpression,
        limits: Limits,
        *,
        time_unit: TimeUnit = "auto",
    ) -> None:
        super().__init__(channels, key, limits)
        self._time_unit: TimeUnit = time_unit

    def _column(self, group: str, name: str, labels: Mapping[str, Any]) -> int | None:
        """Return the column of the channel `group.name`, or else of `name`; None without any."""
        column = self._index.find(f"{group}.{name}", labels)
        return self._index.find(name, labels) if column is None else column
