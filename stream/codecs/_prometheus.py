"""Codec of Telefónica's prometheus-kafka-adapter: one sample per message, its value a text."""

from __future__ import annotations

import re
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

_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
_INFINITE = re.compile(r"[-+]?(?:nan|inf|infinity)", re.IGNORECASE)


class _Sample(msgspec.Struct):
    name: str = ""
    value: Any = None
    labels: dict[str, Any] | None = None
    timestamp: Any = None


class PrometheusCodec(SampleCodec):
    """Codec whose channel is the metric's `name`, or `name{label="value"}`.

    The key expression reads `name`, `labels` and `timestamp`.

    Args:
        channels: `C` channel names, in the model's order.
        key: Stream key where the Kafka key is null.
        limits: Sizes.
        time_unit: Unit of `timestamp`; the adapter writes ISO 8601.
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
        self._decoder = msgspec.json.Decoder(_Sample)

    def _samples(self, value: bytes) -> list[Sample]:
        sample: _Sample = decode_json(self._decoder, value)
        labels = sample.labels or {}
        column = self._index.find(sample.name, labels)
        if column is None:
            raise Refused(
                Reason.NO_CHANNELS, f"The metric {sample.name!r} is none of the model's channels."
            )
        cell = number(_parse(sample.value), "$.value")
        time_us = one_to_micros(sample.timestamp, self._time_unit, "$.timestamp")
        record = {"name": sample.name, "labels": labels, "timestamp": sample.timestamp}
        return [Sample(time_us, [(column, cell)], partial(walk, record))]


def _parse(value: Any) -> Any:
    """Read the number in a text; return other values as they are, for the next check."""
    if not isinstance(value, str):
        return value
    if _NUMBER.fullmatch(value) or _INFINITE.fullmatch(value):
        return float(value)
    text = value if len(value) <= 40 else value[:40] + "..."
    raise Refused(Reason.WRONG_TYPE, f"Expected a number in a text, got {text!r} - at `$.value`")
