"""Spans of a worker."""

from __future__ import annotations

import http.server
import sys
import threading
from typing import Any

import pytest

from ember_core.distribution import NAME
from stream.errors import UserError
from stream.observe import Traces, make_traces

pytest.importorskip("opentelemetry.sdk", reason="the extra otel is not installed")
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


def test_a_slice_and_a_checkpoint_are_a_span_each() -> None:
    """Spans have times and the attributes of the messaging conventions."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    traces = Traces(provider, "g", clock_ns=lambda: 10_000_000_000)
    traces.slice([("telemetry", 3)], messages=7, events=2, refused=1, seconds=0.25)
    traces.checkpoint("interval", seconds=2.0, rows=11)
    traces.close()
    first, second = exporter.get_finished_spans()
    assert first.name == "process telemetry"
    assert (first.start_time, first.end_time) == (9_750_000_000, 10_000_000_000)
    assert first.attributes is not None
    assert first.attributes["messaging.destination.name"] == "telemetry"
    assert first.attributes["messaging.destination.partition.id"] == "3"
    assert first.attributes["messaging.consumer.group.name"] == "g"
    assert first.attributes["messaging.batch.message_count"] == 7
    assert second.name == "checkpoint"
    assert second.start_time == 8_000_000_000
    assert dict(second.attributes or {}) == {"ember.reason": "interval", "ember.rows": 11}


class Collector(http.server.BaseHTTPRequestHandler):
    """Collector that accepts OTLP."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append((self.path, body))  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Write no access log."""


def test_spans_go_where_the_variables_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spans go out over OTLP and HTTP, the last at the close, with the service's name."""
    with http.server.HTTPServer(("127.0.0.1", 0), Collector) as server:
        requests: list[Any] = []
        server.taken = requests  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
        monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)
        traces = make_traces("g", "1.2.3")
        traces.slice([("telemetry", 0)], messages=1, events=0, refused=0, seconds=0.1)
        traces.close()
        server.shutdown()
        thread.join()
    ((path, body),) = requests
    assert path == "/v1/traces"
    for part in (b"process telemetry", b"ember-stream", b"1.2.3"):
        assert part in body


def test_without_the_extra_the_mend_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(UserError, match=rf"{NAME}\[otel\]"):
        make_traces("g", "1")
