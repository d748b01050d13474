"""Seconds to recover the state of many keys, and what checkpoints and copies hold up.

The rows are those of the real engine, written as a checkpoint writes them and read as a worker's
recovery reads them: whole fetches of committed records, merged into the slab; or the copies on
local disk, written and read by the worker's own code. Kafka Streams restores the same changelog
into RocksDB beside it. Faust's rebalance before it is not part of
the figures. The checkpoints' share is measured by steps at full load, with and without them.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from benchmarks.checkpoint_share import share
from benchmarks.fleet import Fleet
from benchmarks.frame import BenchmarkError, log_progress
from benchmarks.kafka_client import create_topics
from benchmarks.kafka_server import RealKafka
from benchmarks.local_copies import copy, restore
from benchmarks.streams_restore import CHANGELOG, streams
from ember_core.pipeline import FleetModel
from stream.engine import Engine, Limits, SliceOffsets
from stream.kafka.client.producers import append_rows
from stream.kafka.protocol.changelog import Changelog
from stream.observer import Observer
from stream.records import Decoded

_TOPIC: Final = "telemetry"
_NEVER: Final = 1e9  # intervals without a record after which a key is idle
_START_US: Final = 1_700_000_000_000_000
_STEP: Final = 4096
_WRITTEN: Final = 20_000
"""Rows of one checkpoint, as of a worker that makes them every other second."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Number and shape of the keys."""
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--dirty", type=int, default=10_000, help="keys of the checkpoint timed")
    parser.add_argument("--load-seconds", type=float, default=8.0, help="of each load")
    parser.add_argument("--checkpoint-seconds", type=float, default=2.0, help="between two of them")
    parser.add_argument("--repeats", type=int, default=5, help="checkpoints timed")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure.

    Returns:
        `recovery_seconds` and its rates, `kafka_streams` beside it, `write_seconds`, the pause of
        the copy that a checkpoint takes, `local_disk` (seconds to write and to load copies), and
        `load` (share of checkpoints at full load, their pauses and the longest turns of the event
        loop, by number of keys).

    Raises:
        BenchmarkError: If a row is lost on the way.
    """
    fleet = Fleet(options.keys, options.channels)
    log_progress("training")
    model = fleet.model(rows=600, epochs=1)
    with RealKafka() as kafka:
        create_topics(
            kafka.bootstrap,
            dict.fromkeys((_TOPIC, CHANGELOG), options.partitions),
            {"cleanup.policy": "compact"},
        )
        with tempfile.TemporaryDirectory(prefix="ember-copies-") as folder:
            log_progress("writing")
            written = asyncio.run(_write(kafka.bootstrap, model, fleet, options, Path(folder)))
            gc.collect()
            log_progress("recovering")
            figures = asyncio.run(_recover(kafka.bootstrap, model, options))
            gc.collect()
            log_progress("recovering from local disk")
            # The load goes on years later: keys that went idle meanwhile are not measured. The rows
            # keep the fields of idle keys, or the copy would be of another layout.
            engine = Engine(model, limits=Limits(max_keys=options.keys, stale_intervals=_NEVER))
            local = asyncio.run(restore(engine, Path(folder), _TOPIC, options.partitions))
        with tempfile.TemporaryDirectory(prefix="ember-streams-") as folder:
            log_progress("recovering with Kafka Streams")
            peer = streams(kafka.bootstrap, _TOPIC, Path(folder))
        for keys in (figures["keys"], engine.active_keys):
            if keys != options.keys:
                raise BenchmarkError(f"{keys:,} keys came back of {options.keys:,}.")
        log_progress("checkpoints at full load")
        loads = {
            str(keys): asyncio.run(share(kafka.bootstrap, engine, fleet, keys, options))
            for keys in sorted({min(10_000, options.keys), options.keys})
        }
    copied = written.pop("local_disk")
    ratio = peer["seconds"] / figures["recovery_seconds"] if "seconds" in peer else None
    return {
        **figures,
        "kafka_streams": peer,
        "kafka_streams_over_it": None if ratio is None else round(ratio, 2),
        **written,
        "local_disk": {**copied, **local},
        "load": loads,
    }


async def _write(
    bootstrap: str, model: FleetModel, fleet: Fleet, options: argparse.Namespace, folder: Path
) -> dict[str, Any]:
    """One row of every key, in checkpoints and on disk; how long a checkpoint's copy takes."""
    engine = Engine(model, limits=Limits(max_keys=options.keys))
    names = np.arange(options.keys)
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        enable_idempotence=True,
        max_batch_size=786_432,
        max_request_size=4 * 1_048_576,
    )
    await producer.start()
    spent, sent = 0.0, 0
    pauses: list[float] = []
    try:
        for partition in range(options.partitions):
            tp = _TOPIC, partition
            engine.attach(tp)
            partition_names = names[partition :: options.partitions]
            for begin in range(0, partition_names.size, _STEP):
                _step(engine, tp, fleet, partition_names[begin : begin + _STEP], begin)
            remaining = partition_names.size
            while remaining > 0:
                dirty = engine.take_dirty(tp, _WRITTEN)
                started = time.perf_counter()
                await append_rows(producer, CHANGELOG, partition, dirty.keys, dirty.rows, [], [])
                spent += time.perf_counter() - started
                remaining -= len(dirty.keys) - 1
                sent += len(dirty.keys) - 1
        log_progress("copying to local disk")
        local = await copy(engine, folder)
        first = names[:: options.partitions][: options.dirty]
        for repeat in range(options.repeats):
            tp, offset = (_TOPIC, 0), 10**9 + repeat * options.dirty
            for begin in range(0, first.size, _STEP):
                _step(engine, tp, fleet, first[begin : begin + _STEP], offset + begin, repeat + 1)
            started = time.perf_counter()
            engine.take_dirty(tp)
            pauses.append(time.perf_counter() - started)
    finally:
        await producer.stop()
    return {
        "local_disk": local,
        "write_seconds": round(spent, 2),
        "written_rows_per_second": round(sent / spent),
        "row_bytes": engine.row_bytes,
        "checkpoint_rows": int(first.size),
        "checkpoint_pause_seconds": round(float(np.median(pauses)), 4),
        "checkpoint_longest_pause_seconds": round(max(pauses), 4),
    }


def _step(
    engine: Engine, tp: Any, fleet: Fleet, keys: Any, first_offset: int, turn: int = 0
) -> None:
    n = len(keys)
    rng = np.random.default_rng((turn, first_offset))
    times = np.full(n, _START_US + turn * 10_000_000, dtype=np.int64)
    batch = Decoded(
        [fleet.keys[k] for k in keys.tolist()],
        times,
        rng.standard_normal((n, len(fleet.channels))) + 50.0,
        np.arange(n, dtype=np.int32),
        [],
    )
    offsets = np.arange(first_offset, first_offset + n, dtype=np.int64)
    engine.step(tp, batch, SliceOffsets(offsets, times // 1000))


async def _recover(
    bootstrap: str, model: FleetModel, options: argparse.Namespace
) -> dict[str, Any]:
    engine = Engine(model, limits=Limits(max_keys=options.keys))
    changelog = Changelog(engine, Observer())
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_bytes=52_428_800,
        max_partition_fetch_bytes=4_194_304,
    )
    await consumer.start()
    try:
        tps = [TopicPartition(CHANGELOG, n) for n in range(options.partitions)]
        for tp in tps:
            engine.attach((_TOPIC, tp.partition))
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        merging = 0.0
        load_started = time.perf_counter()
        while any([(await consumer.position(tp)) < ends[tp] for tp in tps]):
            for tp, records in (await consumer.getmany(timeout_ms=200)).items():
                started = time.perf_counter()
                changelog.load((_TOPIC, tp.partition), records)
                merging += time.perf_counter() - started
        elapsed = time.perf_counter() - load_started
    finally:
        await consumer.stop()
    return {
        "keys": engine.active_keys,
        "recovery_seconds": round(elapsed, 2),
        "keys_per_second": round(options.keys / elapsed),
        "mib_per_second": round(options.keys * engine.row_bytes / elapsed / 2**20, 1),
        "of_it_merging_seconds": round(merging, 2),
        "resident_gib": round(psutil.Process().memory_info().rss / 2**30, 2),
    }
