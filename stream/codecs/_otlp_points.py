"""Number data point of OTLP, independent of its encoding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from stream.records import TIME_MAX_US, Temporality

NO_RECORDED_VALUE = 1
"""Bit of `NumberDataPoint.flags`: the point says that there is no value."""


class Point(NamedTuple):
    """Point of a gauge or a sum; `value` is None for a point without a value."""

    metric: str
    value: Any
    time_ns: Any
    resource: dict[str, Any]
    scope: str
    attributes: Callable[[], dict[str, Any]]
    temporality: Temporality = Temporality.GAUGE
    start_ns: Any = None


def temporality_of(number: int, *, monotonic: bool) -> Temporality:
    """Return the temporality of a sum.

    A cumulative sum that may fall is read like a gauge: it is the level itself. A delta is an
    increase in both cases.

    Args:
        number: OTLP's `AggregationTemporality`.
        monotonic: False for a sum that may fall.
    """
    if number == Temporality.DELTA or (number == Temporality.CUMULATIVE and monotonic):
        return Temporality(number)
    return Temporality.GAUGE


def start_us_of(start_ns: Any) -> int:
    """Return the start of a point in microseconds; 0 where it is unknown or no start."""
    return start_ns // 1000 if type(start_ns) is int and 0 < start_ns < TIME_MAX_US * 1000 else 0
