"""Cost of the console: share of a core, memory and latency while a large fleet is read.

Messages of the scores topic are decoded and stored in a thread at the rate of the fleet, as the
console's reader does, and its API is asked meanwhile. There is no broker: fetching is librdkafka's.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import psutil
from starlette.testclient import TestClient

from benchmarks.frame import log_progress
from stream.console.app import make_app
from stream.console.console import Console, Reading
from stream.console.guard import Guard
from stream.console.store import Store
from stream.scores import ScoreBatch, decode, encode
from stream.settings import Settings

_MIB: Final = 1 << 20
_BEGIN_US: Final = 1_767_312_000_000_000
_VARIANTS: Final = 32
_THRESHOLD: Final = 3.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """The size of the measurement."""
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--channels", type=int, default=5)
    parser.add_argument("--rate", type=int, default=50_000, help="rows a second")
    parser.add_argument("--rows", type=int, default=2_048, help="rows of a message")
    parser.add_argument("--duration", type=float, default=60.0, help="seconds at that rate")
    parser.add_argument("--memory-mib", type=int, default=512, help="console.memory_mib")
    parser.add_argument(
        "--hours", type=float, default=24.0, help="event time before, at a lower rate"
    )


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure.

    Returns:
        `core_share`: CPU seconds a second for decoding and storing; `rss_mib`: memory of this
        process, with `messages_mib` of messages that wait in it; `store_mib`: memory of the store;
        `behind_seconds`: delay of the reader at the end; `latency_ms`: quantiles of each question.
    """
    settings = Settings.model_validate(
        {"input": {"topics": ["telemetry"]}, "console": {"memory_mib": options.memory_mib}}
    )
    store = Store(options.memory_mib * _MIB, 25.0)
    messages = _messages(options)
    log_progress(f"{options.hours:g} hours of history")
    _fill(store, messages, options)
    log_progress(f"{options.duration:g} s at {options.rate:,} rows/s")
    reader = _Reader(store, messages, options)
    console = Console(settings, store, Guard(settings.console), reading=Reading(phase="running"))
    with TestClient(make_app(console), base_url="http://127.0.0.1") as client:
        reader.start()
        latency = _ask(client, reader, options.duration)
        reader.join()
    memory = psutil.Process().memory_info().rss
    return {
        "rows": store.scores.taken,
        "core_share": round(reader.cpu_seconds / options.duration, 4),
        "behind_seconds": round(reader.behind_seconds, 3),
        "rss_mib": memory // _MIB,
        "messages_mib": reader.message_bytes // _MIB,
        "store_mib": store.nbytes // _MIB,
        "rows_in_full": store.scores.row_count,
        "latency_ms": latency,
    }


class _Reader(threading.Thread):
    """Thread that takes messages at a rate."""

    def __init__(
        self, store: Store, messages: Sequence[ScoreBatch], options: argparse.Namespace
    ) -> None:
        super().__init__()
        self._store, self._options = store, options
        begin_us = store.last_us + 1
        count = int(options.duration * options.rate / options.rows)
        step_us = options.rows / options.rate * 1e6
        # Encoded before: a worker does it.
        self._bodies = [
            encode(_at(messages[n % len(messages)], begin_us + int(n * step_us)))
            for n in range(count)
        ]
        self.message_bytes = sum(map(len, self._bodies))
        self.cpu_seconds = self.behind_seconds = 0.0

    def run(self) -> None:
        started = time.monotonic()
        for number, body in enumerate(self._bodies):
            due = started + number * self._options.rows / self._options.rate
            time.sleep(max(0.0, due - time.monotonic()))
            self.behind_seconds = max(0.0, time.monotonic() - due)
            before = time.thread_time()
            self._store.take_scores(decode(body))
            self.cpu_seconds += time.thread_time() - before


def _ask(client: TestClient, reader: threading.Thread, seconds: float) -> dict[str, Any]:
    """Ask every endpoint of the pages in turn; return quantiles in milliseconds."""
    paths = {
        "fleet": "/api/fleet?minutes=60&columns=240",
        "fleet_day": "/api/fleet?minutes=1440&columns=240",
        "keys": "/api/keys?limit=100",
        "series_rows": "/api/keys/host-00017/series?points=600&begin_us=9000000000000000",
        "series_day": "/api/keys/host-00017/series?points=600&begin_us=0",
    }
    samples: dict[str, list[float]] = {name: [] for name in paths}
    while reader.is_alive():
        for name, path in paths.items():
            started = time.perf_counter()
            client.get(path).raise_for_status()
            samples[name].append(1e3 * (time.perf_counter() - started))
        time.sleep(0.2)
    return {
        name: {
            "median": round(float(np.median(values)), 1),
            "p95": round(float(np.quantile(values, 0.95)), 1),
            "largest": round(max(values), 1),
            "questions": len(values),
        }
        for name, values in samples.items()
    }


def _fill(store: Store, messages: Sequence[ScoreBatch], options: argparse.Namespace) -> None:
    """Take rows of every key each five minutes, from hours ago on."""
    slots = int(options.hours * 12)
    per_slot = -(-options.keys // options.rows)
    for slot in range(slots):
        for part in range(per_slot):
            batch = messages[(slot * per_slot + part) % len(messages)]
            store.take_scores(_at(batch, _BEGIN_US + slot * 300_000_000))


def _messages(options: argparse.Namespace) -> list[ScoreBatch]:
    """Return rows of random keys and values, to be used again and again."""
    rng = np.random.default_rng(5)
    keys = [b"host-%05d" % number for number in range(options.keys)]
    channels = tuple(f"channel-{number}" for number in range(options.channels))
    n, width = options.rows, options.channels
    batches = []
    for _ in range(_VARIANTS):
        usual = rng.normal(size=(n, width))
        severity = rng.exponential(0.5, n).astype(np.float32)
        batches.append(
            ScoreBatch(
                topic="telemetry",
                partition=0,
                channels=channels,
                coverage=0.95,
                keys=[keys[number] for number in rng.permutation(options.keys)[:n]],
                time_us=np.zeros(n, np.int64),
                score=rng.normal(size=n).astype(np.float32),
                severity=severity,
                evidence=severity,
                threshold=np.full(n, _THRESHOLD, np.float32),
                firing=severity > _THRESHOLD,
                anomaly=severity > _THRESHOLD,
                trigger=np.zeros(n, np.int8),
                value=usual + rng.normal(size=(n, width)),
                usual=usual,
                lower=usual - 2.0,
                upper=usual + 2.0,
                contribution=np.full((n, width), 1.0 / width, np.float32),
            )
        )
    return batches


def _at(batch: ScoreBatch, time_us: int) -> ScoreBatch:
    return replace(batch, time_us=np.full(len(batch), time_us, np.int64))
