"""Codec of collectd's JSON (`write_kafka`, `Format JSON`): arrays of value lists."""

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


class _ValueList(msgspec.Struct):
    values: list[Any]
    dsnames: list[str]
    plugin: str
    type: str
    time: Any = None
    host: str = ""
    plugin_instance: str = ""
    type_instance: str = ""


_decoder = msgspec.json.Decoder(list[_ValueList])


class CollectdCodec(MeasurementCodec):
    """Codec with one sample per value list.

    The data source `d` of type `t` of plugin `p` is the channel `p.t.d`, or else `t.d`. A data
    source named `value` is left out of the name: `p.t`, or else `t`. Instances select like labels:
    `interface.if_octets.rx` with `{plugin_instance="eth0"}`, `cpu.cpu` with
    `{plugin_instance="0",type_instance="idle"}`. collectd writes `time` in seconds with a fraction.
    The key expression reads `host`, `plugin`,
    `plugin_instance`, `type`, `type_instance` and `time`.
    """

    def _samples(self, message: Message, value: bytes) -> list[Sample]:
        value_lists: list[_ValueList] = decode_json(_decoder, value)
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
        cells = self._cells()
        for i, (source, measured) in enumerate(zip(entry.dsnames, entry.values, strict=True)):
            name = entry.type if source == "value" else f"{entry.type}.{source}"
            column = self._column(entry.plugin, name, labels)
            if column is not None:
                cells.read(column, measured, f"{root}.values[{i}]")
        if not cells:
            return None
        time = self._time(entry.time, f"{root}.time")
        record = {**labels, "plugin": entry.plugin, "type": entry.type, "time": entry.time}
        return Sample(time, cells, partial(walk, record))
