"""Base class of the metrics of a process: constructors, their description and their rendering."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import (
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import CollectorRegistry

# prometheus_client adds a second series, `_created`, to each counter; nothing reads it.
disable_created_metrics()  # type: ignore[no-untyped-call]


class MetricSet:
    """A registry of its own, and the metrics in it.

    Args:
        process: Add CPU, memory and file descriptors of the process.
    """

    def __init__(self, *, process: bool) -> None:
        self.registry = CollectorRegistry()
        if process:
            ProcessCollector(registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)

    def describe(self) -> list[tuple[str, str, tuple[str, ...], str]]:
        """Return exposed name, type, labels and meaning of every metric, sorted by name."""
        label_names: dict[str, tuple[str, ...]] = {}
        for collector in vars(self).values():
            if isinstance(collector, MetricWrapperBase):
                # prometheus_client has no public way to the labels of a metric without samples.
                label_names[collector._name] = collector._labelnames  # noqa: SLF001
        rows = []
        for family in self.registry.collect():
            if not family.name.startswith("ember_"):
                continue
            suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
            labels = label_names.get(family.name) or tuple(
                sorted({name for s in family.samples for name in s.labels} - {"le"})
            )
            rows.append((f"{family.name}{suffix}", family.type, labels, str(family.documentation)))
        return sorted(rows)

    def render(self) -> bytes:
        """Render the metrics in Prometheus' text format."""
        return generate_latest(self.registry)
