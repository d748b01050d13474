"""Reader of OTLP metrics in JSON (`otlp_json` of the collector)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import msgspec

from stream.records import Temporality

from ._base import decode_json, json_refusal
from ._otlp_distributions import Distribution, Exponential
from ._otlp_points import NO_RECORDED_VALUE, Point, temporality_of

_INTEGER = re.compile(r"[-+]?\d{1,20}", re.ASCII)
_SNAKE = re.compile(r"_([a-z])")


class _KeyValue(msgspec.Struct):
    key: str = ""
    value: dict[str, Any] | None = None


class _Attributed(msgspec.Struct, rename="camel"):
    attributes: list[_KeyValue] | None = None


class _Point(_Attributed, rename="camel"):
    start_time_unix_nano: Any = None
    time_unix_nano: Any = None
    flags: Any = 0


class _DataPoint(_Point, rename="camel"):
    as_double: Any = None
    as_int: Any = None


class _ValueAtQuantile(msgspec.Struct):
    quantile: Any = 0.0
    value: Any = 0.0


class _Buckets(msgspec.Struct, rename="camel"):
    offset: Any = 0
    bucket_counts: list[Any] | None = None


class _Distribution(_Point, rename="camel"):
    count: Any = 0
    sum: Any = None
    min: Any = None
    max: Any = None
    bucket_counts: list[Any] | None = None
    explicit_bounds: list[Any] | None = None
    scale: Any = 0
    zero_count: Any = 0
    zero_threshold: Any = 0.0
    positive: _Buckets | None = None
    negative: _Buckets | None = None
    quantile_values: list[_ValueAtQuantile] | None = None


class _Gauge(msgspec.Struct, rename="camel"):
    data_points: list[_DataPoint] | None = None


class _Sum(_Gauge, rename="camel"):
    aggregation_temporality: Any = 0
    is_monotonic: Any = False


class _Distributions(msgspec.Struct, rename="camel"):
    data_points: list[_Distribution] | None = None
    aggregation_temporality: Any = 0


class _Metric(msgspec.Struct, rename="camel"):
    name: str = ""
    gauge: _Gauge | None = None
    sum: _Sum | None = None
    histogram: _Distributions | None = None
    exponential_histogram: _Distributions | None = None
    summary: _Distributions | None = None


class _Scope(msgspec.Struct):
    name: str = ""


class _ScopeMetrics(msgspec.Struct):
    scope: _Scope | None = None
    metrics: list[_Metric] | None = None


class _ResourceMetrics(msgspec.Struct, rename="camel"):
    resource: _Attributed | None = None
    scope_metrics: list[_ScopeMetrics] | None = None


class _Request(msgspec.Struct, rename="camel"):
    resource_metrics: list[_ResourceMetrics] | None = None


_decoder = msgspec.json.Decoder(_Request)
_any_decoder = msgspec.json.Decoder()


def read_points(value: bytes, wanted: Callable[[str], bool]) -> Iterator[Point | Distribution]:
    """Read the points of a request.

    Args:
        value: The request.
        wanted: Function that tells if the points of a metric are needed.

    Raises:
        Refused: If the bytes are not such a request.
    """
    for resource_metrics in _request(value).resource_metrics or ():
        resource = _attributes(resource_metrics.resource)
        for scope_metrics in resource_metrics.scope_metrics or ():
            scope = scope_metrics.scope.name if scope_metrics.scope else ""
            for metric in scope_metrics.metrics or ():
                if wanted(metric.name):
                    yield from _metric(metric, resource, scope)


def _request(value: bytes) -> _Request:
    request: _Request
    if b'"resource_metrics"' in value:  # protobuf's JSON may have the names of the .proto file
        tree = _camel(decode_json(_any_decoder, value))
        try:
            request = msgspec.convert(tree, _Request)
        except msgspec.ValidationError as error:
            raise json_refusal(error, value) from None
    else:
        request = decode_json(_decoder, value)
    return request


def _camel(tree: Any) -> Any:
    """Rename the fields of all objects: `time_unix_nano` becomes `timeUnixNano`."""
    if isinstance(tree, dict):
        return {_SNAKE.sub(lambda m: m[1].upper(), k): _camel(v) for k, v in tree.items()}
    return [_camel(item) for item in tree] if isinstance(tree, list) else tree


def _metric(
    metric: _Metric, resource: dict[str, Any], scope: str
) -> Iterator[Point | Distribution]:
    if metric.gauge is not None:
        for point in metric.gauge.data_points or ():
            yield _point(point, metric.name, resource, scope, Temporality.GAUGE)
    if metric.sum is not None:
        monotonic = metric.sum.is_monotonic is True
        temporality = _temporality(metric.sum.aggregation_temporality, monotonic=monotonic)
        for point in metric.sum.data_points or ():
            yield _point(point, metric.name, resource, scope, temporality)
    for kind, points in (
        ("histogram", metric.histogram),
        ("exponential", metric.exponential_histogram),
        ("summary", metric.summary),
    ):
        if points is not None:
            # The counts of a summary are cumulative, but it does not say so.
            number: Any = 2 if kind == "summary" else points.aggregation_temporality
            temporality = _temporality(number, monotonic=True)
            for item in points.data_points or ():
                yield _distribution(item, metric.name, resource, scope, temporality, kind)


_TEMPORALITIES = {
    name: temporality
    for temporality in (Temporality.DELTA, Temporality.CUMULATIVE)
    for name in (int(temporality), f"AGGREGATION_TEMPORALITY_{temporality.name}")
}
"""Protobuf's JSON writes an enum as its name or its number."""


def _temporality(number: Any, *, monotonic: bool) -> Temporality:
    kind = _TEMPORALITIES.get(number, 0) if isinstance(number, int | str) else 0
    return temporality_of(kind, monotonic=monotonic)


def _is_recorded(point: _Point) -> bool:
    flags = integer(point.flags)
    return not (isinstance(flags, int) and flags & NO_RECORDED_VALUE)


def _point(
    point: _DataPoint, name: str, resource: dict[str, Any], scope: str, temporality: Temporality
) -> Point:
    value = point.as_double if point.as_double is not None else integer(point.as_int)
    return Point(
        name,
        value if _is_recorded(point) else None,
        integer(point.time_unix_nano),
        resource,
        scope,
        partial(_attributes, point),
        temporality,
        integer(point.start_time_unix_nano),
    )


def _distribution(
    point: _Distribution,
    name: str,
    resource: dict[str, Any],
    scope: str,
    temporality: Temporality,
    kind: str,
) -> Distribution:
    exponential = None
    if kind == "exponential":
        exponential = Exponential(
            _whole(point.scale),
            _whole(point.zero_count),
            _real(point.zero_threshold),
            _buckets(point.positive),
            _buckets(point.negative),
        )
    return Distribution(
        metric=name,
        count=integer(point.count) if _is_recorded(point) else None,
        total=0.0 if point.sum is None and kind == "summary" else _real_or_none(point.sum),
        smallest=_real_or_none(point.min),
        largest=_real_or_none(point.max),
        bounds=[_real(bound) for bound in point.explicit_bounds or ()],
        buckets=[_whole(count) for count in point.bucket_counts or ()],
        exponential=exponential,
        quantiles=[
            (_real(item.quantile), _real_or_none(item.value))
            for item in point.quantile_values or ()
        ],
        time_ns=integer(point.time_unix_nano),
        resource=resource,
        scope=scope,
        attributes=partial(_attributes, point),
        temporality=temporality,
        start_ns=integer(point.start_time_unix_nano),
    )


def _buckets(buckets: _Buckets | None) -> tuple[int, list[int]]:
    if buckets is None:
        return 0, []
    return _whole(buckets.offset), [_whole(count) for count in buckets.bucket_counts or ()]


def _whole(value: Any) -> int:
    """Return a count or an offset; 0 for anything else, as protobuf leaves a zero out."""
    number = integer(value)
    return int(number) if isinstance(number, int) and abs(number) < 1 << 64 else 0


def _real(value: Any) -> float:
    number = _real_or_none(value)
    return float("nan") if number is None else number


def _real_or_none(value: Any) -> float | None:
    """Return a double, which protobuf's JSON may write as a text: `NaN`, `-Infinity`."""
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _attributes(holder: _Attributed | None) -> dict[str, Any]:
    pairs = (holder.attributes if holder else None) or ()
    return {pair.key: _scalar(pair.value or {}) for pair in pairs if pair.key}


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
