"""Copies of an engine's state on local disk, by the worker's own code, with no broker to ask."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from benchmarks.frame import BenchmarkError
from stream.engine import Engine, MetaRow, RowBlock, SnapshotScan
from stream.kafka.config import WorkerConfig
from stream.kafka.context import Context
from stream.kafka.lifecycle import Lifecycle
from stream.kafka.protocol.changelog import Changelog
from stream.kafka.protocol.ports import TopicStatus
from stream.kafka.protocol.positions import Positions
from stream.kafka.recovery.snapshot_files import SnapshotFiles
from stream.kafka.recovery.snapshots import Snapshots
from stream.observer import Observer
from stream.settings import Settings
from stream.types import TP


class _Timed(SnapshotScan):
    """A walk that notes the longest time it held the stream up."""

    longest = 0.0

    def take(self, limit: int) -> RowBlock | None:
        started = time.perf_counter()
        try:
            return super().take(limit)
        finally:
            _Timed.longest = max(_Timed.longest, time.perf_counter() - started)


class _Host:
    """Part of a session that snapshots use."""

    def __init__(self, engine: Engine, folder: Path, topics: Sequence[str]) -> None:
        self.engine: Any = engine
        self.changelog = Changelog(self.engine, Observer())
        config = replace(WorkerConfig.from_settings(Settings()), topics=tuple(topics))
        observer = Observer()
        context = Context(
            config=config, observer=observer, lifecycle=Lifecycle(observer), admin=self
        )
        checkpoint: Any = SimpleNamespace(taken={})
        self.changelog_of = config.changelog
        self.copies = Snapshots(
            context, SnapshotFiles(folder), engine, self.changelog, Positions(), checkpoint
        )

    async def describe(self, topics: Sequence[str]) -> Mapping[str, TopicStatus]:
        return {topic: TopicStatus(0, "here") for topic in topics}

    async def delete_records(self, offsets: Mapping[TP, int]) -> None:
        raise AssertionError("nobody deletes here")

    async def fence_producer(self, transactional_id: str) -> None:
        raise AssertionError("nobody writes here")

    async def tombstones_kept(self, topics: Sequence[str]) -> Mapping[str, float]:
        return dict.fromkeys(topics, 86_400.0)


async def copy(engine: Engine, folder: Path) -> dict[str, Any]:
    """Write copies of all partitions, whose rows are all clean."""
    host = _Host(engine, folder, [topic for topic, _ in engine.attached()])
    store = engine._store
    host.engine.scan = lambda tp: _Timed(store.slab, store.evictor, engine._parts[tp])
    start_offsets = {(host.changelog_of(topic), 0): 0 for topic, _ in engine.attached()}
    await host.copies.restore(start_offsets, {})  # asks what the changelogs are
    _Timed.longest = 0.0
    started = time.perf_counter()
    for tp in engine.attached():
        meta: MetaRow = engine.meta(tp)
        host.changelog.wrote(tp, 1, 0, meta.absorbed + 1, meta.encode())
        if not await host.copies.write(tp):
            raise BenchmarkError(f"No copy of {tp} was written.")
    elapsed = time.perf_counter() - started
    del host.engine.scan
    size = sum(path.stat().st_size for path in folder.iterdir())  # noqa: ASYNC240  # nobody waits
    return {
        "write_seconds": round(elapsed, 2),
        "write_longest_pause_seconds": round(_Timed.longest, 4),
        "mib": round(size / 2**20, 1),
    }


async def restore(engine: Engine, folder: Path, topic: str, partitions: int) -> dict[str, Any]:
    """Load the copies into an engine."""
    host = _Host(engine, folder, [topic])
    ends = {(host.changelog_of(topic), n): 10 for n in range(partitions)}
    for number in range(partitions):
        engine.attach((topic, number))
    started = time.perf_counter()
    await host.copies.restore(ends, {})
    elapsed = time.perf_counter() - started
    return {
        "recovery_seconds": round(elapsed, 2),
        "keys_per_second": round(engine.active_keys / elapsed),
    }
