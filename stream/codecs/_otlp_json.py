"""Reader of OTLP metrics in JSON (`otlp_json` of the collector)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from stream.records import Temporality

from ._base import decode_json
from ._otlp_points import NO_RECORDED_VALUE, Point, temporality_of

_INTEGER = re.compile(r"[-+]?\d{1,20}", re.ASCII)


class _KeyValue(msgspec.Struct):
    key: str = ""
    value: dict[str, Any] | None = None


class _DataPoint(msgspec.Struct, rename="camel"):
    attributes: list[_KeyValue] = []
    start_time_unix_nano: Any = None
    time_unix_nano: Any = None
    as_double: Any = None
    as_int: Any = None
    flags: int = 0


class _Points(msgspec.Struct, rename="camel"):
    data_points: list[_DataPoint] = []


class _Sum(_Points, rename="camel"):
    aggregation_temporality: Any = 0
    is_monotonic: Any = False


class _Metric(msgspec.Struct):
    name: str = ""
    gauge: _Points | None = None
    sum: _Sum | None = None


class _Scope(msgspec.Struct):
    name: str = ""


class _ScopeMetrics(msgspec.Struct):
    scope: _Scope | None = None
    metrics: list[_Metric] = []


class _Resource(msgspec.Struct):
    attributes: list[_KeyValue] = []


class _ResourceMetrics(msgspec.Struct, rename="camel"):
    resource: _Resource | None = None
    scope_metrics: list[_ScopeMetrics] = []


class _Request(msgspec.Struct, rename="camel"):
    resource_metrics: list[_ResourceMetrics] = []


_decoder = msgspec.json.Decoder(_Request)


def read_points(value: bytes) -> Iterator[Point]:
    """Read the gauge and sum points of a request.

    Raises:
        Refused: If the bytes are not such a request.
    """
    request: _Request = decode_json(_decoder, value)
    for resource_metrics in request.resource_metrics:
        resource = _attributes(resource_metrics.resource or _Resource())
        for scope_metrics in resource_metrics.scope_metrics:
            scope = scope_metrics.scope.name if scope_metrics.scope else ""
            for metric in scope_metrics.metrics:
                if metric.gauge is not None:
                    for point in metric.gauge.data_points:
                        yield _point(point, metric.name, resource, scope, Temporality.GAUGE)
                if metric.sum is not None:
                    temporality = _temporality(metric.sum)
                    for point in metric.sum.data_points:
                        yield _point(point, metric.name, resource, scope, temporality)


_TEMPORALITIES = {
    name: temporality
    for temporality in (Temporality.DELTA, Temporality.CUMULATIVE)
    for name in (int(temporality), f"AGGREGATION_TEMPORALITY_{temporality.name}")
}
"""Protobuf's JSON writes an enum as its name or its number."""


def _temporality(points: _Sum) -> Temporality:
    number = points.aggregation_temporality
    known = _TEMPORALITIES.get(number, 0) if isinstance(number, int | str) else 0
    return temporality_of(known, monotonic=points.is_monotonic is True)


def _point(
    point: _DataPoint, name: str, resource: dict[str, Any], scope: str, temporality: Temporality
) -> Point:
    value = point.as_double if point.as_double is not None else integer(point.as_int)
    if point.flags & NO_RECORDED_VALUE:
        value = None
    if value == "NaN":  # protobuf's JSON writes NaN as a text
        value = float("nan")
    time_ns = integer(point.time_unix_nano)
    start_ns = integer(point.start_time_unix_nano)
    return Point(
        name, value, time_ns, resource, scope, lambda: _attributes(point), temporality, start_ns
    )


def _attributes(holder: _DataPoint | _Resource) -> dict[str, Any]:
    return {pair.key: _scalar(pair.value or {}) for pair in holder.attributes if pair.key}


def _scalar(value: dict[str, Any]) -> Any:
    for kind in ("stringValue", "boolValue", "doubleValue"):
        if kind in value:
            return value[kind]
    return integer(value.get("intValue"))


def integer(value: Any) -> Any:
    """Convert a 64-bit integer, which protobuf's JSON writes as a text; keep other values."""
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    return value
