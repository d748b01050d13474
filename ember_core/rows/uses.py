"""Uses of a channel: its value, its rate, or an aggregate of an interval's samples."""

from __future__ import annotations

import re

AGGREGATES = ("last", "first", "min", "max", "mean", "sum", "count", "std", "delta", "rate")
"""Aggregates by name; quantiles are the others."""
DIFFERENCES = ("delta", "rate")
"""Aggregates that also need the sample before the interval."""
USES_TEXT = "last, first, min, max, mean, sum, count, std, delta, rate or a quantile such as p95"
_QUANTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,3})?|100)", re.ASCII)


def quantile_of(use: str) -> float | None:
    """Return the share of a quantile; None where it is none.

    Examples:
        >>> quantile_of("p95"), quantile_of("p99.9"), quantile_of("max")
        (0.95, 0.999, None)
    """
    match = _QUANTILE.fullmatch(use)
    return None if match is None else round(float(match[1]) / 100, 6)


def is_aggregate(name: str) -> bool:
    """Tell if there is an aggregate of this name."""
    return name in AGGREGATES or quantile_of(name) is not None


def is_use(name: str) -> bool:
    """Tell if a channel can be used so: an aggregate, or its value as the window has it."""
    return name == "value" or is_aggregate(name)
