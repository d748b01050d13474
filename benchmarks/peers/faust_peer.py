"""Faust as its documentation writes it: an agent, one event at a time.

It is given raw bytes and msgspec, which is quicker than its own JSON codec.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from typing import Any

import faust
import msgspec

from benchmarks.kafka_client import create_topics
from benchmarks.peers import Job
from benchmarks.peers.progress import PeerProgress
from benchmarks.progress import Reporter


def agent(job: Job) -> None:
    """Decode, and count each key's records in a dict."""
    progress = PeerProgress(job)
    counts: dict[bytes, int] = {}
    decode = msgspec.json.decode

    def declare(app: Any) -> None:
        topic = app.topic(job.topic, key_serializer="raw", value_serializer="raw")

        @app.agent(topic)  # type: ignore[untyped-decorator]
        async def count(stream: Any) -> None:
            async for key, value in stream.items():
                decode(value)
                counts[key] = counts.get(key, 0) + 1
                progress.count += 1

    _run(job, "faust-agent", declare, progress, counts)


def table(job: Job) -> None:
    """The same, with the count in a table and one send a record."""
    progress = PeerProgress(job)
    rows_by_key: dict[bytes, int] = {}
    decode = msgspec.json.decode
    create_topics(job.bootstrap, {"faust-counts": job.partitions})

    def declare(app: Any) -> None:
        topic = app.topic(job.topic, key_serializer="raw", value_serializer="raw")
        out = app.topic("faust-counts", key_serializer="raw", value_serializer="raw")
        counts = app.Table("counts", default=int, partitions=job.partitions)

        @app.agent(topic)  # type: ignore[untyped-decorator]
        async def count(stream: Any) -> None:
            async for key, value in stream.items():
                decode(value)
                counts[key] += 1
                rows_by_key[key] = counts[key]
                progress.count += 1  # before the await: the end may come in it
                await out.send(key=key, value=b"%d" % rows_by_key[key])

    _run(job, "faust-table", declare, progress, rows_by_key)


def _run(
    job: Job,
    name: str,
    declare: Callable[[Any], None],
    progress: PeerProgress,
    counts: dict[bytes, int],
) -> None:
    logging.basicConfig(level=logging.ERROR)
    app = faust.App(
        name,
        broker=f"kafka://{job.bootstrap}",
        store="memory://",
        datadir=f"{job.folder}/{name}",
        topic_replication_factor=1,
        topic_disable_leader=True,
        table_standby_replicas=0,
        web_enabled=False,
        autodiscover=False,
        stream_recovery_delay=0,
    )
    declare(app)

    async def work() -> None:
        starting = asyncio.ensure_future(app.start())
        while not progress.is_over():
            await asyncio.sleep(0.05)
            if starting.done():
                starting.result()
        # Its orderly end takes minutes with a full buffer, and nothing of it is measured.

    with Reporter(lambda: progress.count):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(work())
    progress.print_counts(counts)
    os._exit(0)
