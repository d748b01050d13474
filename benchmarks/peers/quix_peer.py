"""Quix Streams: librdkafka below, a dataframe above; values as bytes, decoded with msgspec."""

from __future__ import annotations

import threading
import time
from typing import Any

import msgspec

from benchmarks.peers import Job
from benchmarks.peers.progress import PeerProgress
from benchmarks.progress import Reporter


def quix(job: Job) -> None:
    """Decode, and count each key's records in a dict."""
    counts: dict[bytes, int] = {}
    decode = msgspec.json.decode
    progress = PeerProgress(job)

    def count(value: bytes, key: bytes, _timestamp: int, _headers: Any) -> None:
        decode(value)
        counts[key] = counts.get(key, 0) + 1
        progress.count += 1

    _run(job, "quix", progress, count, stateful=False)
    progress.print_counts(counts)


def quix_state(job: Job) -> None:
    """The same, the count in its state: RocksDB with a changelog topic."""
    counts: dict[bytes, int] = {}
    decode = msgspec.json.decode
    progress = PeerProgress(job)

    def count(value: bytes, key: bytes, _timestamp: int, _headers: Any, state: Any) -> None:
        decode(value)
        number = state.get("count", 0) + 1
        state.set("count", number)
        counts[key] = number
        progress.count += 1

    _run(job, "quix-state", progress, count, stateful=True)
    progress.print_counts(counts)


def _run(job: Job, name: str, progress: PeerProgress, count: Any, *, stateful: bool) -> None:
    from quixstreams import Application

    app = Application(
        broker_address=job.bootstrap,
        consumer_group=name,
        auto_offset_reset="earliest",
        state_dir=f"{job.folder}/{name}",
        loglevel="ERROR",
    )
    topic = app.topic(job.topic, key_deserializer="bytes", value_deserializer="bytes")
    frame = app.dataframe(topic)
    frame.update(count, metadata=True, stateful=stateful)

    def watch() -> None:
        while not progress.is_over():
            time.sleep(0.05)
        app.stop()

    threading.Thread(target=watch, daemon=True).start()
    with Reporter(lambda: progress.count):
        app.run()
