"""Share of a worker's time that checkpoints take at full load: the same steps with and without."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import time
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from benchmarks.fleet import Fleet
from benchmarks.frame import BenchmarkError
from benchmarks.kafka_client import create_topics
from stream.engine import TP, Engine, SliceOffsets
from stream.kafka.client.fenced_producer import FencedProducer
from stream.kafka.client.producers import TransactionalLog
from stream.kafka.protocol.checkpoint import Checkpoint
from stream.kafka.protocol.outbox import Outbox
from stream.kafka.protocol.ports import Membership
from stream.kafka.protocol.positions import Positions
from stream.observer import Observer
from stream.records import Decoded

_STEP: Final = 4096
_START_US: Final = 1_800_000_000_000_000
_GROUP: Final = "share"


class _Pauses(Observer):
    """Notes what checkpoints said of themselves."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.stalled: list[float] = []
        self.rows = 0

    def checkpointed(self, reason: str, seconds: float, stalled: float, rows: int) -> None:
        self.seconds.append(seconds)
        self.stalled.append(stalled)
        self.rows += rows


class LoopTurns:
    """The longest turn of the event loop: nothing else runs that long.

    A turn holds the callbacks that were ready together: a step, and the rows that a checkpoint
    encodes between two of its awaits.
    """

    def __init__(self) -> None:
        self.longest = {False: 0.0, True: 0.0}
        self._on_its_way = self._touched = False

    @contextlib.contextmanager
    def checkpoint(self) -> Iterator[None]:
        """A checkpoint is on its way."""
        self._on_its_way = self._touched = True
        try:
            yield
        finally:
            self._on_its_way = False

    def begin(self) -> None:
        """Discard earlier measurements."""
        self.longest = {False: 0.0, True: 0.0}

    async def watch(self) -> None:
        """Time every turn, and note it by whether a checkpoint had a part in it."""
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0)
            now = time.perf_counter()
            self.longest[self._touched] = max(self.longest[self._touched], now - last)
            last, self._touched = now, self._on_its_way


class _Member:
    def membership(self) -> Membership:
        return Membership(-1, "")


class _Load:
    """Steps over keys in turn, one partition after the other, as fast as they go."""

    def __init__(self, engine: Engine, fleet: Fleet, keys: int, positions: Positions) -> None:
        self._engine, self._positions = engine, positions
        self._tps: list[TP] = engine.attached()
        n = len(self._tps)
        names = [np.arange(keys)[part::n] for part in range(n)]
        self._turns = [
            (tp, [fleet.keys[k] for k in names_of_partition[begin : begin + _STEP].tolist()])
            for tp, names_of_partition in zip(self._tps, names, strict=True)
            for begin in range(0, names_of_partition.size, _STEP)
        ]
        rng = np.random.default_rng(3)
        self._values = rng.standard_normal((_STEP, len(fleet.channels))) + 50.0
        self._at = 0
        for tp in self._tps:
            positions.start(tp, engine.meta(tp).absorbed + 1, -1)

    async def run(self, seconds: float) -> float:
        """Rows a second."""
        started, rows = time.perf_counter(), 0
        while (elapsed := time.perf_counter() - started) < seconds:
            turn, position = divmod(self._at, len(self._turns))
            tp, keys = self._turns[position]
            self._at += 1
            n, first = len(keys), self._positions.position(tp)
            times = np.full(n, _START_US + turn * 10_000_000, dtype=np.int64)
            batch = Decoded(keys, times, self._values[:n], np.arange(n, dtype=np.int32), [])
            slice_offsets = SliceOffsets(np.arange(first, first + n, dtype=np.int64), times // 1000)
            self._engine.step(tp, batch, slice_offsets)
            self._positions.advance(tp, first + n)
            rows += n
            for _ in range(3):
                await asyncio.sleep(0)
        return rows / elapsed


async def share(
    bootstrap: str, engine: Engine, fleet: Fleet, keys: int, options: argparse.Namespace
) -> dict[str, Any]:
    """Measure.

    Args:
        bootstrap: A real broker.
        engine: Has all keys.
        fleet: Their names.
        keys: Those that send.
        options: `load_seconds` and `checkpoint_seconds`.

    Returns:
        Rows a second and what checkpoints said of themselves; `longest_pause_seconds` is the copy
        of dirty rows alone, `longest_turn_seconds` the longest turn of the event loop while a
        checkpoint was on its way, a step of the load included, and `longest_turn_seconds_without`
        that of the load alone.

    Raises:
        BenchmarkError: If no checkpoint came to its end.
    """
    topics = {f"share-{keys}": len(engine.attached())}
    create_topics(bootstrap, topics, {"cleanup.policy": "compact"})
    (changelog,) = topics
    producer = FencedProducer(
        transactional_id=f"share-{keys}",
        bootstrap_servers=bootstrap,
        max_batch_size=786_432,
        max_request_size=4 * 1_048_576,
    )
    await producer.start()
    positions, pauses, turns = Positions(), _Pauses(), LoopTurns()
    checkpoint = Checkpoint(
        engine=engine,
        positions=positions,
        outbox=Outbox(None, limit=1000, on_full=lambda: None),
        log=TransactionalLog(producer, lambda _: changelog, _GROUP),
        group=_Member(),
        clock=time.perf_counter,
        observer=pauses,
    )
    load = _Load(engine, fleet, keys, positions)

    async def checkpoints() -> None:
        while True:
            await asyncio.sleep(options.checkpoint_seconds)
            with turns.checkpoint():
                await checkpoint.run("interval")

    watching = asyncio.ensure_future(turns.watch())
    try:
        await load.run(1.0)
        turns.begin()
        free = [await load.run(options.load_seconds / 2)]
        await checkpoint.run("interval")
        pauses.seconds, pauses.stalled, pauses.rows = [], [], 0
        writing = asyncio.ensure_future(checkpoints())
        busy = await load.run(options.load_seconds)
        writing.cancel()
        await asyncio.wait({writing})
        free.append(await load.run(options.load_seconds / 2))
        await checkpoint.run("interval")
    finally:
        watching.cancel()
        await asyncio.wait({watching})
        await producer.stop()
    if not pauses.seconds:
        raise BenchmarkError(
            "No checkpoint came to its end. Expected some within the load. Received: "
            f"load_seconds={options.load_seconds:g}, "
            f"checkpoint_seconds={options.checkpoint_seconds:g}. Raise --load-seconds."
        )
    rate_without = sum(free) / len(free)
    return {
        "rows_per_second_without": round(rate_without),
        "rows_per_second": round(busy),
        "checkpoint_share": round(max(0.0, 1 - busy / rate_without), 4),
        "checkpoints": len(pauses.seconds),
        "rows_a_checkpoint": round(pauses.rows / max(len(pauses.seconds), 1)),
        "checkpoint_seconds": round(float(np.median(pauses.seconds)), 3),
        "longest_pause_seconds": round(max(pauses.stalled), 4),
        "longest_turn_seconds": round(turns.longest[True], 4),
        "longest_turn_seconds_without": round(turns.longest[False], 4),
    }
