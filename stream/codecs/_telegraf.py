"""Codec of Telegraf's JSON (`outputs.kafka`, `data_format = "json"`)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from stream.records import Reason

from ._base import Limits, Sample, SampleCodec, decode_json, number
from ._channels import ChannelIndex
from ._key import KeyExpression, walk
from ._refused import Refused
from ._time import TimeUnit, one_to_micros


class _Metric(msgspec.Struct):
    name: str = ""
    tags: dict[str, Any] | None = None
    fields: dict[str, Any] | None = None
    timestamp: Any = None


class _Document(_Metric):
    metrics: list[_Metric] | None = None


class TelegrafCodec(SampleCodec):
    """Codec of single metrics and of batches, one sample per metric.

    The field `f` of metric `m` is the channel `m.f`, or else `f`. Fields that the model does not
    know are ignored, whatever they hold. A batch is accepted or refused as a whole. The key
    expression reads `name`, `tags`, `fields` and `timestamp`.

    Args:
        channels: `C` channel names, in the model's order.
        key: Stream key where the Kafka key is null.
        limits: Sizes.
        time_unit: Unit of `timestamp`; Telegraf's own default is whole seconds.
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
        self._index = ChannelIndex(channels)
        self._time_unit: TimeUnit = time_unit
        self._decoder = msgspec.json.Decoder(_Document)

    def _samples(self, value: bytes) -> list[Sample]:
        document: _Document = decode_json(self._decoder, value)
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
        cells = []
        for field, value in (metric.fields or {}).items():
            column = self._index.find(f"{metric.name}.{field}", labels)
            if column is None:
                column = self._index.find(field, labels)
            if column is not None:
                cells.append((column, number(value, f"{root}.fields.{field}")))
        if not cells:
            return None
        if not metric.name:
            raise Refused(
                Reason.WRONG_TYPE, f"Expected a Telegraf metric with a name - at `{root}`"
            )
        time_us = one_to_micros(metric.timestamp, self._time_unit, f"{root}.timestamp")
        record = {
            "name": metric.name,
            "tags": labels,
            "fields": metric.fields,
            "timestamp": metric.timestamp,
        }
        return Sample(time_us, cells, partial(walk, record))
