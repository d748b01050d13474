"""Codec of Telegraf's JSON (`outputs.kafka`, `data_format = "json"`)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from stream.records import Message, Reason

from ._base import decode_json
from ._key import walk
from ._measurements import MeasurementCodec
from ._refused import Refused
from ._samples import Sample


class _Metric(msgspec.Struct):
    name: str = ""
    tags: dict[str, Any] | None = None
    fields: dict[str, Any] | None = None
    timestamp: Any = None


class _Document(_Metric):
    metrics: list[_Metric] | None = None


_decoder = msgspec.json.Decoder(_Document)


class TelegrafCodec(MeasurementCodec):
    """Codec of single metrics and of batches, one sample per metric.

    The field `f` of metric `m` is the channel `m.f`, or else `f`. Fields that the model does not
    know are ignored, whatever they hold. Telegraf writes `timestamp` in whole seconds by default.
    The key expression reads `name`, `tags`, `fields` and `timestamp`.
    """

    def _samples(self, message: Message, value: bytes) -> list[Sample]:
        document: _Document = decode_json(_decoder, value)
        if document.metrics is None:
            metrics: Sequence[_Metric] = (document,)
        else:
            metrics = document.metrics
        samples = []
        for i, metric in enumerate(metrics):
            root = "$" if document.metrics is None else f"$.metrics[{i}]"
            sample = self._sample(metric, root)
            if sample is not None:
                samples.append(sample)
        return samples

    def _sample(self, metric: _Metric, root: str) -> Sample | None:
        labels = metric.tags or {}
        cells = self._cells()
        for field, value in (metric.fields or {}).items():
            column = self._column(metric.name, field, labels)
            if column is not None:
                cells.read(column, value, f"{root}.fields.{field}")
        if not cells:
            return None
        if not metric.name:
            raise Refused(
                Reason.WRONG_TYPE, f"Expected a Telegraf metric with a name - at `{root}`"
            )
        time = self._time(metric.timestamp, f"{root}.timestamp")
        record = {
            "name": metric.name,
            "tags": labels,
            "fields": metric.fields,
            "timestamp": metric.timestamp,
        }
        return Sample(time, cells, partial(walk, record))
