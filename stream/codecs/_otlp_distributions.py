"""Statistics of OTLP's distributions: histograms, exponential histograms and summaries."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from stream.records import Reason, Temporality

from ._refused import Refused

_STATISTIC = re.compile(r"(.+)[._](count|sum|mean|min|max|p\d{1,2}(?:[._]\d+)?)", re.DOTALL)


class Exponential(NamedTuple):
    """Buckets whose limits are powers of `2 ** (2 ** -scale)`; a list begins at its offset."""

    scale: int
    zero_count: int
    zero_threshold: float
    positive: tuple[int, Sequence[int]]
    negative: tuple[int, Sequence[int]]


class Distribution(NamedTuple):
    """Point of a histogram, an exponential histogram or a summary.

    Attributes:
        metric: Name of the metric.
        count: Number of observations; None where there is no recorded value.
        total: Their sum; None where it is not recorded.
        smallest: Their minimum, if recorded.
        largest: Their maximum, if recorded.
        bounds: Upper limits of the explicit buckets, but for the last one.
        buckets: Observations in each explicit bucket.
        exponential: Exponential buckets, if any.
        quantiles: Quantiles of a summary, and their values.
        time_ns: Event time.
        resource: Attributes of the resource.
        scope: Name of the scope.
        attributes: Function that reads the attributes of the point.
        temporality: Temporality of count and sum.
        start_ns: Start of the time that they cover.
    """

    metric: str
    count: Any
    total: Any
    smallest: Any
    largest: Any
    bounds: Sequence[Any]
    buckets: Sequence[Any]
    exponential: Exponential | None
    quantiles: Sequence[tuple[Any, Any]]
    time_ns: Any
    resource: dict[str, Any]
    scope: str
    attributes: Callable[[], dict[str, Any]]
    temporality: Temporality
    start_ns: Any

    def statistic(self, name: str) -> tuple[Any, Temporality] | None:
        """Return a statistic and its temporality; None where the point cannot tell it.

        Mean, limits and quantiles describe the time since the last point. A cumulative point
        covers all the time since its start, so it has none of them.

        Args:
            name: `count`, `sum`, `mean`, `min`, `max`, or a quantile such as `p99` or `p99.9`.

        Raises:
            Refused: If the buckets are none.
        """
        if name == "count":
            return self.count, self.temporality
        if name == "sum":
            return (self.total, self.temporality) if self.total is not None else None
        value: Any = None
        if name.startswith("p") and self.quantiles:
            value = _recorded_quantile(self.quantiles, _share(name))
        elif self.temporality == Temporality.CUMULATIVE:
            return None
        elif name == "mean":
            value = _mean(self.total, self.count)
        elif name in ("min", "max"):
            value = self.smallest if name == "min" else self.largest
        else:
            value = self._quantile(_share(name))
        return None if value is None else (value, Temporality.GAUGE)

    def _quantile(self, share: float) -> float | None:
        if self.exponential is not None:
            return exponential_quantile(share, self.exponential)
        if not self.bounds:
            return None
        try:
            bounds = [float(bound) for bound in self.bounds]
            buckets = [int(bucket) for bucket in self.buckets]
        except (TypeError, ValueError, OverflowError):
            buckets = []
        if len(buckets) != len(self.bounds) + 1:
            raise Refused(
                Reason.WRONG_TYPE,
                f"Expected one bucket more than bounds, got {len(self.buckets)} and "
                f"{len(self.bounds)} - at `metric {self.metric}`",
            )
        return explicit_quantile(share, bounds, buckets)


def split_statistic(name: str) -> tuple[str, str] | None:
    """Split the name of a channel into a metric and its statistic; None where it has none.

    Examples:
        >>> split_statistic("http.duration.p99"), split_statistic("http_duration_count")
        (('http.duration', 'p99'), ('http_duration', 'count'))
    """
    match = _STATISTIC.fullmatch(name)
    return (match[1], match[2]) if match else None


def explicit_quantile(share: float, bounds: Sequence[float], buckets: Sequence[int]) -> float:
    """Return a quantile by linear interpolation in a bucket, as Prometheus does.

    Args:
        share: Share of the observations below it, 0 to 1.
        bounds: Upper limits of the buckets, but for the last one; at least one.
        buckets: Observations in each.

    Returns:
        The quantile; NaN without observations. In the last bucket it is that bucket's lower limit.
    """
    rank = share * sum(buckets)
    for i, count in enumerate(buckets):
        if count and rank <= count:
            if i == len(bounds):
                return bounds[-1]
            if i == 0 and bounds[0] <= 0:
                return bounds[0]
            lower = bounds[i - 1] if i else 0.0
            return lower + (bounds[i] - lower) * rank / count
        rank -= count
    return bounds[-1] if sum(buckets) else math.nan


def exponential_quantile(share: float, histogram: Exponential) -> float:
    """Return a quantile by interpolation of the exponent, as Prometheus does.

    Args:
        share: Share of the observations below it, 0 to 1.
        histogram: The buckets.

    Returns:
        The quantile; NaN without observations, or where it is too large for a float.
    """
    positive, negative = histogram.positive, histogram.negative
    total = sum(positive[1]) + sum(negative[1]) + histogram.zero_count
    if total <= 0:
        return math.nan
    rank = share * total
    try:
        for value_at, count in _buckets(histogram):
            if count and rank <= count:
                return value_at(max(0.0, rank) / count)
            rank -= count
        # Rounding left a rest: the quantile is the upper end of the last bucket.
        return [value_at(1.0) for value_at, count in _buckets(histogram) if count][-1]
    except OverflowError:
        return math.nan


def _buckets(histogram: Exponential) -> Iterator[tuple[Callable[[float], float], int]]:
    """Iterate over the buckets from the lowest on: value at a share of the bucket, and count."""
    step = math.ldexp(1.0, -histogram.scale)
    offset, counts = histogram.negative
    for i in reversed(range(len(counts))):
        end = offset + i + 1
        yield partial(_negative, end, step), counts[i]
    threshold = histogram.zero_threshold
    lower = -threshold if any(counts) else 0.0
    yield (lambda share: lower + (threshold - lower) * share), histogram.zero_count
    offset, counts = histogram.positive
    for i, count in enumerate(counts):
        start = offset + i
        yield partial(_positive, start, step), count


def _negative(end: int, step: float, share: float) -> float:
    return -math.pow(2.0, (end - share) * step)


def _positive(start: int, step: float, share: float) -> float:
    return math.pow(2.0, (start + share) * step)


def _share(name: str) -> float:
    """Return the share of a quantile's name: 0.99 of `p99`, 0.999 of `p99.9` and `p99_9`."""
    return float(name[1:].replace("_", ".")) / 100


def _recorded_quantile(quantiles: Sequence[tuple[Any, Any]], share: float) -> Any:
    for quantile, value in quantiles:
        if isinstance(quantile, int | float) and math.isclose(quantile, share, abs_tol=1e-9):
            return value
    return None


def _mean(total: Any, count: Any) -> float | None:
    try:
        return float(total) / int(count)
    except (TypeError, ValueError, ArithmeticError):
        return None
