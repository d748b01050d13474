"""Prometheus' remote-write protocol 1.0: a snappy-compressed protobuf message of series."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, Final

import cramjam
import numpy as np

from ember_core.distribution import install_command
from stream.errors import UserError
from stream.keys import key_text

from ._rows import KeyRows

HEADERS: Final = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
"""Headers of a request; 0.1.0 is the version that 1.0 of the protocol names."""

_MESSAGES: Final[Mapping[str, tuple[tuple[str, int, str], ...]]] = {
    # prompb/remote.proto and prompb/types.proto: name, number and type of each field. A type with
    # a capital letter is a repeated message.
    "WriteRequest": (("timeseries", 1, "TimeSeries"),),
    "TimeSeries": (("labels", 1, "Label"), ("samples", 2, "Sample")),
    "Label": (("name", 1, "string"), ("value", 2, "string")),
    "Sample": (("value", 1, "double"), ("timestamp", 2, "int64")),
}
_UNFIT: Final = re.compile("[\ud800-\udfff]")

LabelsOf = Callable[[str], Mapping[str, str]]
"""Function from the text of a key to further labels."""


class MissingPackageError(UserError):
    """A package of the extra is not installed."""


def encode(rows: Iterable[KeyRows], labels_of: LabelsOf) -> bytes:
    """Return the body of a request.

    Args:
        rows: Rows to write; those of one key in the order of their times.
        labels_of: Function that returns the labels of a key beside its own.

    Raises:
        MissingPackageError: If protobuf is not installed.
    """
    request = _request_class()()
    for keyed in _joined(rows):
        text = key_text(keyed.key)
        common = {**labels_of(text), "key": text, "topic": keyed.topic}
        times = (keyed.time_us // 1_000).tolist()
        for column, channel, values in keyed.columns():
            present = np.flatnonzero(~np.isnan(values))
            if not len(present):
                continue
            labels = {**common, "__name__": f"ember_{column}", "channel": channel}
            series = _add_series(request, labels)
            numbers = values.tolist()
            for index in present.tolist():
                series.samples.add(value=numbers[index], timestamp=times[index])
    return _compressed(request)


def encode_sample(labels: Mapping[str, str], time_us: int, value: float) -> bytes:
    """Return the body of a request with one sample.

    Args:
        labels: Labels of the series, its name under `__name__`.
        time_us: Time of the sample, microseconds since the epoch.
        value: Its value.

    Raises:
        MissingPackageError: If protobuf is not installed.
    """
    request = _request_class()()
    _add_series(request, labels).samples.add(value=value, timestamp=time_us // 1_000)
    return _compressed(request)


def _add_series(request: Any, labels: Mapping[str, str]) -> Any:
    series = request.timeseries.add()
    for name in sorted(labels):
        if labels[name]:  # an empty label is the same as none, and some stores refuse it
            series.labels.add(name=name, value=_UNFIT.sub("\ufffd", labels[name]))
    return series


def _compressed(request: Any) -> bytes:
    return bytes(cramjam.snappy.compress_raw(request.SerializeToString()))


def _joined(rows: Iterable[KeyRows]) -> Iterable[KeyRows]:
    """Return the rows with those of one key and the same channels together."""
    groups: dict[tuple[str, bytes, tuple[str, ...]], list[KeyRows]] = {}
    for keyed in rows:
        groups.setdefault((keyed.topic, keyed.key, keyed.channels), []).append(keyed)
    for (topic, key, channels), parts in groups.items():
        if len(parts) == 1:
            yield parts[0]
        else:
            times = np.concatenate([part.time_us for part in parts])
            tables = np.concatenate([part.table for part in parts])
            yield KeyRows(topic, key, channels, times, tables)


@cache
def _request_class() -> Any:
    """Return the class of the message `prometheus.WriteRequest`."""
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except ImportError:
        raise MissingPackageError(
            "Remote-write needs packages more. Expected the extra `remote-write`. Received: no "
            f"protobuf. Install it with {install_command('remote-write')}."
        ) from None
    file = descriptor_pb2.FileDescriptorProto(
        name="ember/remote_write.proto", package="prometheus", syntax="proto3"
    )
    kinds = descriptor_pb2.FieldDescriptorProto
    for message, fields in _MESSAGES.items():
        described = file.message_type.add(name=message)
        for name, number, kind in fields:
            if kind in _MESSAGES:
                described.field.add(
                    name=name,
                    number=number,
                    type=kinds.TYPE_MESSAGE,
                    type_name=f".prometheus.{kind}",
                    label=kinds.LABEL_REPEATED,
                )
            else:
                described.field.add(
                    name=name,
                    number=number,
                    type=getattr(kinds, f"TYPE_{kind.upper()}"),
                    label=kinds.LABEL_OPTIONAL,
                )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("prometheus.WriteRequest"))
