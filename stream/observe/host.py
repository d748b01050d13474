"""One `/metrics` for all workers of a host: each one's own samples, with a label that says whose.

Nothing is added up here. Sums of counters are PromQL's business, and a sum of gauges such as the
newest event time would be none. A worker that does not answer has no samples, but
`ember_worker_up` of it is 0.
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
    """Families of several pages, as one."""

    def __init__(self, pages: Sequence[Sequence[Metric] | None]) -> None:
        self._pages = pages

    def collect(self) -> Iterator[Metric]:
        name, text, label = WORKER_UP
        up = GaugeMetricFamily(name, text, labels=[label])
        families: dict[str, Metric] = {name: up}
        for worker, page in enumerate(self._pages):
            up.add_metric([str(worker)], page is not None)
            for found in page or ():
                family = families.setdefault(
                    found.name, Metric(found.name, found.documentation, found.type)
                )
                for sample in found.samples:
                    labels = {**sample.labels, label: str(worker)}
                    family.samples.append(sample._replace(labels=labels))
        yield from families.values()


def merge(pages: Sequence[str | None]) -> bytes:
    """Pages of workers 0, 1, ... as one, in Prometheus' text format; None: it did not answer."""
    registry = CollectorRegistry()
    registry.register(_Merged([None if page is None else _families(page) for page in pages]))
    return generate_latest(registry)


def _families(page: str) -> list[Metric] | None:
    try:
        return list(text_string_to_metric_families(page))
    except ValueError:  # something else answers there
        return None


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
        self._server = _Server(host, port, _handler(workers, token))
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


class _Server(ThreadingHTTPServer):
    def __init__(self, host: str, port: int, handler: Callable[..., Any]) -> None:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family = found[0][0]  # IPv4 or IPv6
        super().__init__((host, port), handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is nothing to print a traceback for."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def _handler(workers: Sequence[str], token: str) -> Callable[..., BaseHTTPRequestHandler]:
    fetch = _fetcher(token)

    class Handler(BaseHTTPRequestHandler):
        timeout = _CLIENT_SECONDS  # else who connects and says nothing keeps a thread

        def do_GET(self) -> None:  # http.server's name
            if self.path.partition("?")[0] != "/metrics":
                self.send_error(404)
                return
            scheme, _, brought = self.headers.get("Authorization", "").partition(" ")
            found = brought.strip().encode("latin-1", "replace")  # http.server reads Latin-1
            same = hmac.compare_digest(found, token.encode())
            if token and (scheme.lower() != "bearer" or not same):
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Bearer realm="ember"')
                self.end_headers()
                return
            # All at once: those that hang do not add up to more than a scrape may take.
            with ThreadPoolExecutor(len(workers)) as pool:
                body = merge(list(pool.map(fetch, workers)))
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE_LATEST)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # its name
            """Say nothing."""

    return Handler


def _fetcher(token: str) -> Callable[[str], str | None]:
    """A worker's page, or None where it does not answer as it should."""
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
