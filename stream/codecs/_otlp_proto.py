"""Reader of OTLP metrics in protobuf, limited to the messages around a data point.

Field numbers are those of opentelemetry-proto `metrics/v1/metrics.proto`, `common/v1/common.proto`
and `resource/v1/resource.proto`; they are fixed for good.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from stream.records import Temporality

from ._otlp_distributions import Distribution
from ._otlp_points import NO_RECORDED_VALUE, Point, temporality_of
from ._otlp_proto_distributions import read_distribution
from ._wire import (
    BYTES,
    FIXED64,
    VARINT,
    children,
    double,
    fields,
    fixed64,
    int64,
    raw_bytes,
    text,
)

Attributes = dict[str, Any]

_GAUGE, _SUM = 5, 7
_DISTRIBUTIONS = {9: ("histogram", 9), 10: ("exponential", 1), 11: ("summary", 7)}
"""Fields of a metric: kind of its points, and their field of the attributes."""


def read_points(value: bytes, wanted: Callable[[str], bool]) -> Iterator[Point | Distribution]:
    """Read the points of an `ExportMetricsServiceRequest` (or `MetricsData`).

    Args:
        value: The request.
        wanted: Function that tells if the points of a metric are needed.

    Raises:
        WireError: If the bytes are not such a message.
    """
    for resource_metrics in children(memoryview(value), 1):
        resource: Attributes = {}
        for message in children(resource_metrics, 1):
            resource.update(_attributes(message, 1))
        for scope_metrics in children(resource_metrics, 2):
            scope = ""
            for message in children(scope_metrics, 1):
                scope = next((text(name) for name in children(message, 1)), "")
            for metric in children(scope_metrics, 2):
                yield from _metric(metric, resource, scope, wanted)


def _metric(
    metric: memoryview, resource: Attributes, scope: str, wanted: Callable[[str], bool]
) -> Iterator[Point | Distribution]:
    name = ""
    kinds: list[tuple[int, memoryview]] = []
    for number, wire, value in fields(metric):
        if number == 1 and wire == BYTES:
            name = text(value)
        elif (number in (_GAUGE, _SUM) or number in _DISTRIBUTIONS) and wire == BYTES:
            kinds.append((number, raw_bytes(value)))
    if not wanted(name):  # most metrics of a collector are no channels: their points are not read
        return
    for number, data in kinds:
        if number in _DISTRIBUTIONS:
            kind, attributes = _DISTRIBUTIONS[number]
            # The counts of a summary are cumulative, but it does not say so.
            temporality = (
                Temporality.CUMULATIVE if kind == "summary" else _temporality(data, monotonic=True)
            )
            for point in children(data, 1):
                read = partial(_attributes, point, attributes)
                yield read_distribution(point, name, resource, scope, temporality, kind, read)
        else:
            temporality = Temporality.GAUGE if number == _GAUGE else _temporality(data)
            for point in children(data, 1):
                yield _point(point, name, resource, scope, temporality)


def _temporality(points: memoryview, *, monotonic: bool = False) -> Temporality:
    kind = 0
    for number, wire, value in fields(points):
        if wire == VARINT and number == 2 and isinstance(value, int):
            kind = value
        elif wire == VARINT and number == 3:
            monotonic = bool(value)
    return temporality_of(kind, monotonic=monotonic)


def _point(
    point: memoryview, name: str, resource: Attributes, scope: str, temporality: Temporality
) -> Point:
    start_ns, time_ns, flags, number_value = 0, 0, 0, None
    for number, wire, value in fields(point):
        if wire == FIXED64:
            raw = raw_bytes(value)
            if number == 2:
                start_ns = fixed64(raw)
            elif number == 3:
                time_ns = fixed64(raw)
            elif number == 4:
                number_value = double(raw)
            elif number == 6:
                number_value = fixed64(raw, signed=True)
        elif wire == VARINT and number == 8 and isinstance(value, int):
            flags = value
    if flags & NO_RECORDED_VALUE:
        number_value = None
    # Attributes are read only for points of the model's channels.
    return Point(
        name,
        number_value,
        time_ns,
        resource,
        scope,
        lambda: _attributes(point, 7),
        temporality,
        start_ns,
    )


def _attributes(message: memoryview, number: int) -> Attributes:
    attributes: Attributes = {}
    for pair in children(message, number):
        key, value = "", None
        for field, wire, raw in fields(pair):
            if wire == BYTES and field == 1:
                key = text(raw)
            elif wire == BYTES and field == 2:
                value = _any_value(raw_bytes(raw))
        if key:
            attributes[key] = value
    return attributes


_SCALARS: dict[tuple[int, int], Callable[[Any], Any]] = {
    (1, BYTES): lambda raw: text(raw),
    (2, VARINT): bool,
    (3, VARINT): int64,
    (4, FIXED64): double,
}


def _any_value(message: memoryview) -> Any:
    """Read a scalar `AnyValue`; lists and maps cannot be labels and give None."""
    value = None
    for number, wire, raw in fields(message):
        if (number, wire) in _SCALARS:
            value = _SCALARS[number, wire](raw)
    return value
