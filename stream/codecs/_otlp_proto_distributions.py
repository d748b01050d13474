"""Reader of OTLP's distributions in protobuf."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stream.records import Temporality

from ._otlp_distributions import Distribution, Exponential
from ._otlp_points import NO_RECORDED_VALUE
from ._wire import (
    BYTES,
    FIXED64,
    VARINT,
    double,
    doubles,
    fields,
    fixed64,
    fixed64s,
    raw_bytes,
    sint,
    varints,
)

_LIMITS = {"histogram": (11, 12), "exponential": (12, 13), "summary": (0, 0)}
"""Fields of minimum and maximum."""
_FLAGS = {"histogram": 10, "exponential": 10, "summary": 8}


def read_distribution(
    point: memoryview,
    name: str,
    resource: dict[str, Any],
    scope: str,
    temporality: Temporality,
    kind: str,
    attributes: Callable[[], dict[str, Any]],
) -> Distribution:
    """Read a point of a histogram, an exponential histogram or a summary.

    Args:
        point: The point.
        name: Name of the metric.
        resource: Attributes of the resource.
        scope: Name of the scope.
        temporality: Temporality of the metric.
        kind: `histogram`, `exponential` or `summary`.
        attributes: Function that reads the attributes of the point.

    Raises:
        WireError: If the bytes are no such point.
    """
    numbers: dict[int, Any] = {}
    bounds: list[float] = []
    buckets: list[int] = []
    quantiles: list[tuple[float, float]] = []
    parts: dict[int, tuple[int, list[int]]] = {}
    smallest, largest = _LIMITS[kind]
    for number, wire, value in fields(point):
        if wire == FIXED64 and number in (2, 3, 4):
            numbers[number] = fixed64(raw_bytes(value))
        elif wire == FIXED64 and (number in (5, smallest, largest) or number == 14):
            numbers[number] = double(raw_bytes(value))
        elif kind == "histogram" and number == 6 and wire in (BYTES, FIXED64):
            buckets += fixed64s(value)
        elif kind == "histogram" and number == 7 and wire in (BYTES, FIXED64):
            bounds += doubles(value)
        elif kind == "exponential" and number == 6 and isinstance(value, int):
            numbers[6] = sint(value)
        elif kind == "exponential" and number == 7 and wire == FIXED64:
            numbers[7] = fixed64(raw_bytes(value))
        elif kind == "exponential" and number in (8, 9) and wire == BYTES:
            parts[number] = _buckets(raw_bytes(value))
        elif kind == "summary" and number == 6 and wire == BYTES:
            quantiles.append(_quantile(raw_bytes(value)))
        elif number == _FLAGS[kind] and wire == VARINT:
            numbers[-1] = value
    exponential = None
    if kind == "exponential":
        empty: tuple[int, list[int]] = (0, [])
        exponential = Exponential(
            numbers.get(6, 0),
            numbers.get(7, 0),
            numbers.get(14, 0.0),
            parts.get(8, empty),
            parts.get(9, empty),
        )
    return Distribution(
        metric=name,
        count=None if numbers.get(-1, 0) & NO_RECORDED_VALUE else numbers.get(4, 0),
        # A summary always has a sum: protobuf leaves out a zero.
        total=numbers.get(5, 0.0 if kind == "summary" else None),
        smallest=numbers.get(smallest),
        largest=numbers.get(largest),
        bounds=bounds,
        buckets=buckets,
        exponential=exponential,
        quantiles=quantiles,
        time_ns=numbers.get(3, 0),
        resource=resource,
        scope=scope,
        attributes=attributes,
        temporality=temporality,
        start_ns=numbers.get(2, 0),
    )


def _buckets(message: memoryview) -> tuple[int, list[int]]:
    offset, counts = 0, []
    for number, _, value in fields(message):
        if number == 1 and isinstance(value, int):
            offset = sint(value)
        elif number == 2:
            counts += varints(value)
    return offset, counts


def _quantile(message: memoryview) -> tuple[float, float]:
    numbers = {1: 0.0, 2: 0.0}  # protobuf leaves out zeros
    for number, wire, value in fields(message):
        if number in numbers and wire == FIXED64:
            numbers[number] = double(raw_bytes(value))
    return numbers[1], numbers[2]
