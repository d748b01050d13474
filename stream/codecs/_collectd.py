"""collectd's JSON (`write_kafka`, `Format JSON`): arrays of value lists."""

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


class _ValueList(msgspec.Struct):
    values: list[Any]
    dsnames: list[str]
    plugin: str
    type: str
    time: Any = None
    host: str = ""
    plugin_instance: str = ""
    type_instance: str = ""


class CollectdCodec(SampleCodec):
    """One sample per value list.

    The data source `d` of type `t` of plugin `p` is the channel `p.t.d`, or else `t.d`; `p.t`, or
    else `t`, where the data source is called `value`. Instances select like labels:
    `interface.if_octets.rx` with `{plugin_instance="eth0"}`, `cpu.cpu` with
    `{plugin_instance="0",type_instance="idle"}`. A message is taken whole or refused whole. The key
    expression sees `host`, `plugin`, `plugin_instance`, `type`, `type_instance` and `time`.

    Args:
        channels: `C` channel names, in the model's order.
        key: Stream key where the Kafka key is null.
        limits: Sizes.
        time_unit: Unit of `time`; collectd writes seconds with a fraction.
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
        self._decoder = msgspec.json.Decoder(list[_ValueList])

    def _samples(self, value: bytes) -> list[Sample]:
        value_lists: list[_ValueList] = decode_json(self._decoder, value)
        samples = (self._sample(entry, f"$[{i}]") for i, entry in enumerate(value_lists))
        return [sample for sample in samples if sample is not None]

    def _sample(self, entry: _ValueList, root: str) -> Sample | None:
        if len(entry.dsnames) != len(entry.values):
            raise Refused(
                Reason.WRONG_TYPE,
                f"Expected as many values as dsnames, got {len(entry.values)} and "
                f"{len(entry.dsnames)} - at `{root}`",
            )
        labels = {
            "host": entry.host,
            "plugin_instance": entry.plugin_instance,
            "type_instance": entry.type_instance,
        }
        cells = []
        for i, (source, measured) in enumerate(zip(entry.dsnames, entry.values, strict=True)):
            name = entry.type if source == "value" else f"{entry.type}.{source}"
            column = self._index.find(f"{entry.plugin}.{name}", labels)
            if column is None:
                column = self._index.find(name, labels)
            if column is not None:
                cells.append((column, number(measured, f"{root}.values[{i}]")))
        if not cells:
            return None
        time_us = one_to_micros(entry.time, self._time_unit, f"{root}.time")
        record = {**labels, "plugin": entry.plugin, "type": entry.type, "time": entry.time}
        return Sample(time_us, cells, partial(walk, record))
