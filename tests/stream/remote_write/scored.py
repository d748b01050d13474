"""Scored rows and triggers of some keys, and a store that takes their series."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import cramjam
import numpy as np

from stream.remote_write import _protocol
from stream.scores import ScoreBatch
from tests.serving import serving

CHANNELS = ("cpu", "disk", "latency")
SECOND_US = 1_000_000
START_US = 1_764_000_000 * SECOND_US
Point = tuple[int, float]


def scored(
    keys: Sequence[bytes],
    time_us: Sequence[int],
    *,
    topic: str = "telemetry",
    partition: int = 0,
    channels: tuple[str, ...] = CHANNELS,
) -> ScoreBatch:
    """Rows whose values say when they were: that of channel `c` is the second of the hour + c."""
    times = np.asarray(time_us, dtype=np.int64)
    n, width = len(times), len(channels)
    value = times[:, None] / SECOND_US % 3_600 + np.arange(width)
    ones = np.ones(n, dtype=np.float32)
    usual = value + 0.5
    usual[:, -1] = np.nan  # the model knows nothing of the last one
    return ScoreBatch(
        topic=topic,
        partition=partition,
        channels=channels,
        coverage=0.95,
        keys=list(keys),
        time_us=times,
        score=-7 * ones,
        severity=2 * ones,
        evidence=3 * ones,
        threshold=5 * ones,
        firing=np.zeros(n, dtype=np.bool_),
        anomaly=np.zeros(n, dtype=np.bool_),
        trigger=np.zeros(n, dtype=np.int8),
        value=value,
        usual=usual,
        lower=usual - 1,
        upper=usual + 1,
        contribution=np.zeros((n, width), dtype=np.float32),
    )


class FakeStore(ThreadingHTTPServer):
    """Takes remote-write; `refuses` may name a fault of a request."""

    status = 204
    fault = ""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[Any] = []
        self.headers: list[Any] = []
        self.points: dict[tuple[tuple[str, str], ...], list[Point]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/api/v1/write"

    def refuses(self, labels: dict[str, str], point: Point) -> bool:
        """Whether a sample is refused."""
        return False

    def take(self, body: bytes) -> tuple[int, str]:
        if self.status != 204:
            return self.status, self.fault
        request = _protocol._request_class().FromString(bytes(cramjam.snappy.decompress_raw(body)))
        self.requests.append(request)
        taken = []
        for series in request.timeseries:
            pairs = tuple((label.name, label.value) for label in series.labels)
            assert list(pairs) == sorted(pairs)
            assert all(value for _, value in pairs)
            for sample in series.samples:
                point = sample.timestamp, sample.value
                if self.refuses(dict(pairs), point):
                    return 400, "out of order sample"
                taken.append((pairs, point))
        for pairs, point in taken:
            self.points.setdefault(pairs, []).append(point)
        return 204, ""

    def series(self, metric: str, key: str, **labels: str) -> list[Point]:
        """Samples of one series, in their order."""
        wanted = {"__name__": metric, "key": key, "topic": "telemetry", **labels}
        return self.points.get(tuple(sorted(wanted.items())), [])

    def keys(self) -> set[str]:
        """Keys that were written."""
        return {dict(pairs)["key"] for pairs in self.points}


class _Handler(BaseHTTPRequestHandler):
    server: FakeStore

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.headers.append(self.headers)
        status, text = self.server.take(body)
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def store() -> Iterator[FakeStore]:
    with serving(FakeStore()) as server:
        yield server
