"""Cost of a record and memory of a key as keys, channels, neurons and workers grow."""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.engine_bench import Bench
from benchmarks.fleet import Fleet
from benchmarks.frame import BenchmarkError, log_progress
from benchmarks.kafka_server import RealKafka
from benchmarks.processes import cpu_seconds
from benchmarks.progress import Sample, rate_between
from benchmarks.topic import TOPIC, fill
from benchmarks.worker import EmberWorker
from ember_core.pipeline import FleetModel

_START_SECONDS = 60.0
_ASK_SECONDS = 0.2


def add_options(parser: argparse.ArgumentParser) -> None:
    """Dimensions and their sizes; numbers with commas, empty for none."""
    parser.add_argument("--keys", default="1000,10000,100000,1000000")
    parser.add_argument("--channels", default="1,8,32,128")
    parser.add_argument("--hidden", default="16,32,64,128")
    parser.add_argument("--workers", default="1,2", help="on a real Kafka, with 8 partitions")
    parser.add_argument("--records", type=int, default=600_000, help="of the workers' topic")
    parser.add_argument("--batch", type=int, default=4_096)
    parser.add_argument("--kinds", type=int, default=8, help="kinds of keys in the fleet")
    parser.add_argument("--rows", type=int, default=500, help="of training history, each kind")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each point")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure one dimension at a time around 10,000 keys, 8 channels, 32 neurons and one worker.

    Returns:
        By dimension and size: `microseconds_per_record` of the engine, `bytes_per_key` it
        grew by, and `row_bytes`. For workers `records_per_second` from the broker; what a record
        took of the processors, in all workers together (`cpu_us_per_record`) and in the broker
        (`broker_cpu_us_per_record`); and `on_cores_of_their_own`, the records per second of as
        many workers that never wait for a processor.
    """
    out: dict[str, Any] = {}
    for name in ("keys", "channels", "hidden"):
        figures = {}
        for number in _numbers(getattr(options, name)):
            log_progress(f"{name} {number:,}")
            keys = number if name == "keys" else 10_000
            fleet = Fleet(keys, number if name == "channels" else 8, kinds=options.kinds)
            settings = {"hidden": number} if name == "hidden" else {}
            model = fleet.model(rows=options.rows, epochs=1, **settings)
            figures[str(number)] = _point(model, fleet, options)
        out[name] = figures
    workers = _numbers(options.workers)
    out["workers"] = _workers(workers, options) if workers else {}
    return out


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",") if word]


def _point(model: FleetModel, fleet: Fleet, options: argparse.Namespace) -> dict[str, float]:
    bytes_before = _resident()
    bench = Bench(model, fleet)
    blocks = bench.warm(rounds=1)
    grown = _resident() - bytes_before
    size = min(options.batch, len(fleet.keys))
    times = bench.run(blocks, size, options.seconds)
    return {
        "microseconds_per_record": round(float(np.median(times)), 3),
        "bytes_per_key": round(grown / len(fleet.keys)),
        "row_bytes": bench.engine.row_bytes,
    }


def _resident() -> int:
    gc.collect()
    return int(psutil.Process(os.getpid()).memory_info().rss)


def _workers(numbers: list[int], options: argparse.Namespace) -> dict[str, Any]:
    """Records/s of workers of one group that share a topic."""
    fleet = Fleet(10_000, 8, kinds=options.kinds)
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="ember-bench-") as scratch, RealKafka() as kafka:
        folder = Path(scratch)
        fleet.model(rows=options.rows).save(folder / "model")
        fill(kafka.bootstrap, fleet, options.records, 8)
        for number in numbers:
            log_progress(f"workers {number}")
            with ExitStack() as stack:
                team = [
                    stack.enter_context(_worker(folder, kafka.bootstrap, number, i))
                    for i in range(number)
                ]
                cpu_before = cpu_seconds(kafka.pid)
                samples = _watch(team, options.records)
                broker = cpu_seconds(kafka.pid) - cpu_before
                for worker in team:
                    worker.stop()
            rate = rate_between(samples, options.records, 0.2, 0.8)
            if rate is None:
                raise BenchmarkError("The run was too short to be measured. Raise --records.")
            figures[str(number)] = {
                "records_per_second": round(rate.records_per_second),
                "cpu_us_per_record": round(rate.cpu_us_per_record, 2),
                "broker_cpu_us_per_record": round(1e6 * broker / options.records, 2),
                "on_cores_of_their_own": round(number * 1e6 / rate.cpu_us_per_record),
            }
    return figures


def _worker(folder: Path, bootstrap: str, number: int, i: int) -> EmberWorker:
    worker_folder = folder / f"{number}-{i}"
    worker_folder.mkdir()
    return EmberWorker(
        worker_folder,
        bootstrap=bootstrap,
        topic=TOPIC,
        model=folder / "model",
        group=f"scale-{number}",
    )


def _watch(team: list[EmberWorker], records: int) -> list[Sample]:
    """Progress of all together until every record is processed; repeats do not count twice."""
    samples: list[Sample] = []

    def done() -> bool:
        looks = [worker.look() for worker in team]
        samples.append(
            Sample(
                looks[0].seconds, sum(s.records for s in looks), sum(s.cpu_seconds for s in looks)
            )
        )
        return samples[-1].records >= records

    team[0].until(done, 2 * _START_SECONDS + records / 1_000, _ASK_SECONDS)
    return samples
