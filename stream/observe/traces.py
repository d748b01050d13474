"""Spans of a worker for OpenTelemetry: one per slice of records and one per checkpoint.

OpenTelemetry's own variables set their destination (`OTEL_EXPORTER_OTLP_*`, `OTEL_SERVICE_NAME`).
The headers of an event continue the trace of its record, with or without these spans. Attributes
follow the messaging conventions, which are still in development.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ember_core.distribution import install_command
from stream.errors import UserError
from stream.types import TP

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider


class Traces:
    """Writer of the spans.

    Args:
        provider: OpenTelemetry's provider of tracers.
        group: Consumer group.
        clock_ns: Wall clock, in nanoseconds since the epoch.
    """

    def __init__(
        self, provider: TracerProvider, group: str, *, clock_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("ember")
        self._group = group
        self._clock_ns = clock_ns

    def slice(
        self, tps: Sequence[TP], *, messages: int, events: int, refused: int, seconds: float
    ) -> None:
        """Write a span for a slice of an input topic's partitions that ended just now."""
        topic = tps[0][0]
        self._write(
            f"process {topic}",
            seconds,
            {
                "messaging.system": "kafka",
                "messaging.operation.name": "process",
                "messaging.operation.type": "process",
                "messaging.destination.name": topic,
                "messaging.destination.partition.id": ",".join(str(tp[1]) for tp in tps),
                "messaging.consumer.group.name": self._group,
                "messaging.batch.message_count": messages,
                "ember.events": events,
                "ember.records.rejected": refused,
            },
        )

    def checkpoint(self, reason: str, *, seconds: float, rows: int) -> None:
        """Write a span for a checkpoint that became durable just now."""
        self._write("checkpoint", seconds, {"ember.reason": reason, "ember.rows": rows})

    def _write(self, name: str, seconds: float, attributes: dict[str, Any]) -> None:
        # Spans are written at their end, from a measured duration: nothing is open while the
        # engine works.
        end = self._clock_ns()
        begin = end - round(seconds * 1e9)
        self._tracer.start_span(name, start_time=begin, attributes=attributes).end(end)

    def close(self) -> None:
        """Send the remaining spans and shut the exporter down."""
        self._provider.shutdown()


def make_traces(group: str, version: str) -> Traces:
    """Create traces that are exported over OTLP and HTTP, as OpenTelemetry's variables say.

    Raises:
        UserError: If the extra is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise UserError(
            "Traces need OpenTelemetry. Expected its SDK and OTLP exporter. Received: "
            f"traces.enabled=true. Install them with: {install_command('otel')}."
        ) from None
    resource = Resource.create({"service.version": version})
    if str(resource.attributes["service.name"]).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": "ember-stream"}))
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Traces(provider, group)
