"""Number data point of OTLP, independent of its encoding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

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
