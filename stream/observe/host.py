"""One `/metrics` page for all workers of a host, with a label `worker` on every sample.

Nothing is summed here: PromQL sums counters, and a sum of gauges such as the newest event time has
no meaning. A worker that does not answer has no samples, but its `ember_worker_up` is 0.
"""

from __future__ import annotations

import hmac
import socket
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector, CollectorRegistry

from stream.http_client import bearer, opener

from .metrics import WORKER_UP

_TIMEOUT_SECONDS = 3.0
_CLIENT_SECONDS = 10.0


class _Merged(Collector):
    """Collector of the metric families of several pages."""

    def __init__(self, pages: Sequence[Sequence[Metric] | None]) -> None:
        self._pages = pages

    def collect(self) -> Iterator[Metric]:
        name, text, label = WORKER_UP
        answered = GaugeMetricFamily(name, text, labels=[label])
        families: dict[str, Metric] = {name: answered}
        for worker, page in enumerate(self._pages):
            answered.add_metric([str(worker)], page is not None)
            for source in page or ():
                family = families.setdefault(
                    source.name, Metric(source.name, source.documentation, source.type)
                )
                for sample in source.samples:
                    labels = {**sample.labels, label: str(worker)}
                    family.samples.append(sample._replace(labels=labels))
        yield from families.values()


def merge(pages: Sequence[str | None]) -> bytes:
    """Merge the pages of workers 0, 1, ...; a page is None when its worker did not answer."""
    registry = CollectorRegistry()
    registry.register(_Merged([None if page is None else _families(page) for page in pages]))
    return generate_latest(registry)


def _families(page: str) -> list[Metric] | None:
    try:
        return list(text_string_to_metric_families(page))
    except ValueError:  # another program listens on the worker's port
        return None


class HostMetrics:
    """Server of the merged page, in a thread of its own.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0: any free port.
        workers: Addresses of the workers, http://host:port.
        token: Bearer token of the workers, also required here; empty: none.

    Raises:
        OSError: If the address cannot be listened on.
    """

    def __init__(self, host: str, port: int, workers: Sequence[str], token: str = "") -> None:
        self._server = _Server(host, port, _handler(workers, token))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Port that the server listens on."""
        return self._server.server_port

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    def __init__(self, host: str, port: int, handler: Callable[..., Any]) -> None:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family = addresses[0][0]  # IPv4 or IPv6
        super().__init__((host, port), handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that hang up; `http.server` would print a traceback."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def _handler(workers: Sequence[str], token: str) -> Callable[..., BaseHTTPRequestHandler]:
    fetch = _fetcher(token)

    class Handler(BaseHTTPRequestHandler):
        timeout = _CLIENT_SECONDS  # an idle connection must not keep its thread forever

        def do_GET(self) -> None:  # http.server's name
            if self.path.partition("?")[0] != "/metrics":
                self.send_error(404)
                return
            scheme, _, credentials = self.headers.get("Authorization", "").partition(" ")
            received = credentials.strip().encode("latin-1", "replace")  # http.server reads Latin-1
            is_valid = hmac.compare_digest(received, token.encode())
            if token and (scheme.lower() != "bearer" or not is_valid):
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Bearer realm="ember"')
                self.end_headers()
                return
            # In parallel: workers that hang must not add up to more than a scrape may take.
            with ThreadPoolExecutor(len(workers)) as pool:
                body = merge(list(pool.map(fetch, workers)))
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE_LATEST)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # its name
            """Write no access log."""

    return Handler


def _fetcher(token: str) -> Callable[[str], str | None]:
    """Return a function that fetches a worker's page, or None when the worker does not answer."""
    ask = opener()
    headers = {"Authorization": bearer(token)} if token else {}

    def fetch(worker: str) -> str | None:
        request = urllib.request.Request(f"{worker}/metrics", headers=headers)  # noqa: S310  # made by us
        try:
            with ask.open(request, timeout=_TIMEOUT_SECONDS) as answer:
                text: str = answer.read().decode()
                return text
        except (OSError, HTTPException, ValueError):
            return None

    return fetch
