"""Base class of codecs for named, labelled measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ._base import Reading
from ._channels import ChannelIndex, SeriesIndex
from ._key import KeyExpression
from ._samples import EventTime, SampleCodec


class MeasurementCodec(SampleCodec):
    """Codec that finds the channel of a measurement by its name and labels.

    Args:
        channels: `C` channel names, in the model's order.
        key: Stream key where the Kafka key is null.
        reading: Sizes, and readers of numbers and times.
    """

    def __init__(self, channels: Sequence[str], key: KeyExpression, reading: Reading) -> None:
        super().__init__(channels, key, reading)
        self._index: ChannelIndex = ChannelIndex(channels)

    def watch(self, index: SeriesIndex) -> None:
        """Read every measurement; see `SampleCodec.watch`."""
        self._index = index

    def _time(self, value: Any, where: str) -> EventTime:
        return EventTime(value, self._reading.times, where)

    def _column(self, group: str, name: str, labels: Mapping[str, Any]) -> int | None:
        """Return the column of the channel `group.name`, or else of `name`; None without any."""
        column = self._index.find(f"{group}.{name}", labels)
        return self._index.find(name, labels) if column is None else column
