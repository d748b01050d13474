"""Codec of Telefónica's prometheus-kafka-adapter: one sample per message, its value a text."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from stream.records import Message, Reason

from ._base import decode_json
from ._key import walk
from ._measurements import MeasurementCodec
from ._refused import Refused
from ._samples import Sample


class _Sample(msgspec.Struct):
    name: str = ""
    value: Any = None
    labels: dict[str, Any] | None = None
    timestamp: Any = None


_decoder = msgspec.json.Decoder(_Sample)


class PrometheusCodec(MeasurementCodec):
    """Codec whose channel is the metric's `name`, or `name{label="value"}`.

    The adapter writes `timestamp` in ISO 8601, and the value as a text; "NaN" marks a series that
    went stale, and is no value. The key expression reads `name`, `labels` and
    `timestamp`.
    """

    def _samples(self, message: Message, value: bytes) -> list[Sample]:
        sample: _Sample = decode_json(_decoder, value)
        labels = sample.labels or {}
        column = self._index.find(sample.name, labels)
        if column is None:
            raise Refused(
                Reason.NO_CHANNELS, f"The metric {sample.name!r} is none of the model's channels."
            )
        cells = self._cells()
        cells.read(column, sample.value, "$.value")
        time = self._time(sample.timestamp, "$.timestamp")
        record = {"name": sample.name, "labels": labels, "timestamp": sample.timestamp}
        return [Sample(time, cells, partial(walk, record))]
