"""A worker on a real Kafka under steady load: memory, lag and log, minute after minute."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from benchmarks.fleet import INTERVAL_US, Fleet
from benchmarks.kafka_client import Send, create_topics, produce
from benchmarks.kafka_server import RealKafka
from benchmarks.topic import TOPIC
from benchmarks.worker import EmberWorker

from .frame import Refuted

PARTITIONS: Final = 4
MOST_LAG_SECONDS: Final = 30.0
_KEPT: Final = {"retention.bytes": "100000000", "segment.bytes": "50000000"}
_PART: Final = 500
_AHEAD: Final = 200_000  # records sent and not processed at full load: retention must not get them
_NO_MACHINE_DOES: Final = 150_000
_LOOK_SECONDS: Final = 0.25


class Look(NamedTuple):
    """One look at the worker."""

    seconds: float
    resident_mib: float
    lag: int


def add_options(parser: argparse.ArgumentParser) -> None:
    """How long, and how much."""
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--warm-up-minutes", type=float, default=5.0)
    parser.add_argument(
        "--per-second", type=float, default=0.0, help="records sent; 0: `share` of the most"
    )
    parser.add_argument(
        "--most", type=float, default=0.0, help="records/s this machine does; 0: measured first"
    )
    parser.add_argument("--share", type=float, default=0.5, help="of the most this machine does")
    parser.add_argument(
        "--measure-seconds", type=float, default=60.0, help="at full load, to know the most"
    )
    parser.add_argument("--keys", type=int, default=5_000)
    parser.add_argument("--most-mib-a-minute", type=float, default=1.0, help="growth allowed")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two looks")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Watch it.

    Raises:
        Refuted: If memory grows, lag does, or the log has a warning.
    """
    fleet = Fleet(options.keys)
    with tempfile.TemporaryDirectory(prefix="ember-soak-") as scratch, RealKafka() as kafka:
        folder = Path(scratch)
        fleet.model().save(folder / "model")
        create_topics(kafka.bootstrap, {TOPIC: PARTITIONS}, _KEPT)
        log = folder / "ember run.err"
        source = Source(kafka.bootstrap, fleet, options)
        with EmberWorker(
            folder, bootstrap=kafka.bootstrap, topic=TOPIC, model=folder / "model"
        ) as worker:
            source.start()
            try:
                worker.until(worker.records, 60)
                said = log.stat().st_size  # a broker that has just begun has no coordinator yet
                most = options.most
                if not source.per_second:
                    most = _most(worker, source, options.measure_seconds)
                    source.pace(most * options.share)
                looks = _watch(worker, source, options)
                metrics = worker.metrics()
            finally:
                source.stop()
            worker.stop()
        complaints = _complaints(log.read_bytes()[said:].decode(errors="replace"))
    found = judged(looks, complaints, metrics, options, source.per_second)
    return {**found, **({"most_per_second": round(most)} if most else {})}


def judged(
    looks: list[Look],
    complaints: list[str],
    metrics: dict[str, float],
    options: argparse.Namespace,
    per_second: float,
) -> dict[str, Any]:
    """The figures, held against what is claimed.

    Args:
        looks: At the worker.
        complaints: Of its log.
        metrics: Its own, at the end.
        options: What is allowed.
        per_second: Records sent.

    Raises:
        Refuted: If they do not hold.
    """
    warm = [look for look in looks if look.seconds >= 60 * options.warm_up_minutes]
    minutes = np.array([look.seconds for look in warm]) / 60
    resident = np.array([look.resident_mib for look in warm])
    slope = float(np.polyfit(minutes, resident, 1)[0])
    lag_seconds = max(look.lag for look in warm) / per_second
    figures = {
        "per_second": round(per_second),
        "minutes": round(looks[-1].seconds / 60, 1),
        "records": int(sum(v for n, v in metrics.items() if n.startswith("ember_records_total"))),
        "resident_mib_first": round(float(resident[0]), 1),
        "resident_mib_last": round(float(resident[-1]), 1),
        "resident_mib_a_minute": round(slope, 3),
        "longest_lag_seconds": round(lag_seconds, 2),
        "mean_lag_seconds": round(float(np.mean([look.lag for look in warm])) / per_second, 2),
        "worker_cpu_share": round(
            metrics.get("process_cpu_seconds_total", 0.0) / looks[-1].seconds, 3
        ),
        "warnings": complaints[:20],
    }
    if slope >= options.most_mib_a_minute:
        raise Refuted(f"Memory grows by {slope:.2f} MiB a minute.", figures)
    if lag_seconds > MOST_LAG_SECONDS:
        raise Refuted(f"The worker was {lag_seconds:.1f} s of records behind.", figures)
    if complaints:
        raise Refuted(f"The log has {len(complaints)} warnings: {complaints[0]}", figures)
    return figures


class Source(threading.Thread):
    """Sends a fleet's records at a steady rate, beside everything else.

    Without a rate it sends what the worker takes, never far ahead of `done`.
    """

    def __init__(self, bootstrap: str, fleet: Fleet, options: argparse.Namespace) -> None:
        super().__init__(daemon=True)
        self._broker = bootstrap
        self.per_second: float = options.per_second or options.most * options.share
        seconds = 60 * options.minutes + options.measure_seconds + 120
        rounds = 1 + int(seconds * (self.per_second or _NO_MACHINE_DOES) / options.keys)
        start_us = time.time_ns() // 1000 - rounds * INTERVAL_US
        self._blocks = fleet.rounds(rounds, start_us - start_us % INTERVAL_US)
        self._fleet = fleet
        self._ended = threading.Event()
        self._since = (time.monotonic(), 0)
        self.sent = 0
        self.done = 0

    def pace(self, per_second: float) -> None:
        """From now on so many a second."""
        self._since = (time.monotonic(), self.sent)
        self.per_second = per_second

    def run(self) -> None:
        self.pace(self.per_second)
        sends = self._sends()

        def paced() -> Iterator[Send]:
            while not self._ended.is_set():
                self._wait()
                some = list(islice(sends, _PART))
                if not some:
                    return
                yield from some
                self.sent += len(some)

        produce(self._broker, TOPIC, paced())

    def _wait(self) -> None:
        if not self.per_second:
            while self.sent - self.done > _AHEAD and not self._ended.is_set():
                time.sleep(0.05)
            return
        began, sent = self._since
        ahead = (self.sent - sent) / self.per_second - (time.monotonic() - began)
        if ahead > 0:
            time.sleep(ahead)

    def _sends(self) -> Iterator[Send]:
        for block in self._blocks:
            for key, value in self._fleet.encoded(block):
                yield Send(key, value)

    def stop(self) -> None:
        """No more."""
        self._ended.set()
        self.join()


def _most(worker: EmberWorker, source: Source, seconds: float) -> float:
    """Records a second of the worker when it always has some to read, with all others beside."""
    looks = []
    began = time.monotonic()
    while (now := time.monotonic() - began) < seconds:
        source.done = worker.records()
        looks.append((now, source.done))
        time.sleep(_LOOK_SECONDS)
    warm = [look for look in looks if look[0] > seconds / 4]
    (first, before), (last, after) = warm[0], warm[-1]
    most = (after - before) / (last - first)
    print(f"at most {most:,.0f} records/s", file=sys.stderr, flush=True)
    return most


def _watch(worker: EmberWorker, source: Source, options: argparse.Namespace) -> list[Look]:
    looks: list[Look] = []
    began = time.monotonic()
    while (now := time.monotonic() - began) < 60 * options.minutes:
        metrics = worker.metrics()
        if metrics:
            done = int(metrics.get(f'ember_records_total{{topic="{TOPIC}"}}', 0))
            resident = metrics["process_resident_memory_bytes"] / 2**20
            looks.append(Look(now, resident, max(0, source.sent - done)))
            if len(looks) % 60 == 1:
                print(f"{now:6.0f} s {looks[-1]}", file=sys.stderr, flush=True)
        time.sleep(options.every)
    return looks


def _complaints(log: str) -> list[str]:
    """Lines of a worker's log that are warnings or worse, or no JSON at all."""
    found = []
    for line in filter(None, log.splitlines()):
        try:
            level = json.loads(line).get("level")
        except (ValueError, AttributeError):
            level = "unknown"
        if level not in ("debug", "info"):
            found.append(line[:300])
    return found
