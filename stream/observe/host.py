"""One `/metrics` for all workers of a host: each one's own samples, with a label that says whose.

Nothing is added up here. Sums of counters are PromQL's business, and a sum of gauges such as the
newest event time would be none.
"""

from __future__ import annotations

import hmac
import threading
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector, CollectorRegistry

_TIMEOUT_SECONDS = 3.0


class _Merged(Collector):
    """Families of several pages, as one."""

    def __init__(self, pages: Sequence[str | None]) -> None:
        self._pages = pages

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for worker, page in enumerate(self._pages):
            for found in text_string_to_metric_families(page or ""):
                family = families.setdefault(
                    found.name, Metric(found.name, found.documentation, found.type)
                )
                for sample in found.samples:
                    labels = {**sample.labels, "worker": str(worker)}
                    family.samples.append(sample._replace(labels=labels))
        yield from families.values()


def merge(pages: Sequence[str | None]) -> bytes:
    """Pages of workers 0, 1, ... as one, in Prometheus' text format; None: it did not answer."""
    registry = CollectorRegistry()
    registry.register(_Merged(pages))
    silent = [f"# worker {i} did not answer\n" for i, page in enumerate(pages) if page is None]
    return generate_latest(registry) + "".join(silent).encode()


class HostMetrics:
    """Serves the merged page, from a thread.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0: any free one.
        workers: Addresses of the workers, http://host:port.
        token: Bearer token of the workers, and asked for here; empty: none.

    Raises:
        OSError: If it cannot listen there.
    """

    def __init__(self, host: str, port: int, workers: Sequence[str], token: str = "") -> None:
        self._server = ThreadingHTTPServer((host, port), _handler(workers, token))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._server.server_port

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _handler(workers: Sequence[str], token: str) -> Callable[..., BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # http.server's name
            if self.path.partition("?")[0] != "/metrics":
                self.send_error(404)
                return
            scheme, _, brought = self.headers.get("Authorization", "").partition(" ")
            same = hmac.compare_digest(brought.strip().encode(), token.encode())
            if token and (scheme.lower() != "bearer" or not same):
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Bearer realm="ember"')
                self.end_headers()
                return
            body = merge([_fetch(f"{worker}/metrics", token) for worker in workers])
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE_LATEST)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # its name
            """Say nothing."""

    return Handler


def _fetch(url: str, token: str) -> str | None:
    request = urllib.request.Request(url)  # noqa: S310  # made by us
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310
            text: str = answer.read().decode()
            return text
    except OSError:
        return None
