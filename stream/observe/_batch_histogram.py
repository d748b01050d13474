"""Prometheus histogram that observes whole columns at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.utils import floatToGoString


class BatchHistogram(Collector):
    """Counterpart of `prometheus_client.Histogram` for arrays: one call per fetch, not per record.

    Args:
        name: Full metric name, with its unit.
        documentation: Help text, one sentence.
        buckets: `(K,)` upper edges, increasing, inclusive.
        topics: Values of the label `topic` that are shown from the start.
        registry: Registry of the metric.
    """

    def __init__(
        self,
        name: str,
        documentation: str,
        *,
        buckets: Sequence[float],
        topics: Sequence[str],
        registry: CollectorRegistry,
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._edges = np.array(buckets, dtype=np.float64)
        self._labels = [*map(floatToGoString, buckets), "+Inf"]
        self._lock = threading.Lock()
        self._counts = {topic: self._zeros() for topic in topics}
        self._sums = dict.fromkeys(topics, 0.0)
        registry.register(self)

    def observe(self, topic: str, values: NDArray[np.floating]) -> None:
        """Count `(n,)` finite values."""
        if not values.size:
            return
        # An upper edge belongs to its bucket: Prometheus' `le` is "less or equal".
        buckets = np.searchsorted(self._edges, values, side="left")
        counts = np.bincount(buckets, minlength=len(self._labels))
        with self._lock:
            self._counts[topic] = self._counts.get(topic, self._zeros()) + counts
            self._sums[topic] = self._sums.get(topic, 0.0) + float(values.sum(dtype=np.float64))

    def collect(self) -> Iterator[Metric]:
        """Return the histogram as `Collector.collect` asks for it."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=["topic"])
        with self._lock:
            for topic, counts in self._counts.items():
                cumulative = np.cumsum(counts).tolist()
                buckets = list(zip(self._labels, cumulative, strict=True))
                family.add_metric([topic], buckets, self._sums[topic])
        yield family

    def _zeros(self) -> NDArray[np.int64]:
        return np.zeros(len(self._labels), dtype=np.int64)
