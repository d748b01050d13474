"""One number data point of OTLP, whichever way it was encoded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

NO_RECORDED_VALUE = 1
"""Bit of `NumberDataPoint.flags`: the point says that there is no value."""


class Point(NamedTuple):
    """A point of a gauge or a sum; `value` None is a point without a value."""

    metric: str
    value: Any
    time_ns: Any
    resource: dict[str, Any]
    scope: str
    attributes: Callable[[], dict[str, Any]]
