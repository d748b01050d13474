"""Seconds from a record's production to its alert in the anomaly topic, at a steady load."""

from __future__ import annotations

import argparse
import itertools
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition

from benchmarks.fleet import Fleet
from benchmarks.frame import BenchmarkError, say
from benchmarks.kafka_client import create_topics
from benchmarks.kafka_server import RealKafka
from benchmarks.topic import TOPIC
from benchmarks.worker import EmberWorker
from stream.codecs import encode_json

_MARK_US: Final = 1_111_111_111_000_000
_MARK: Final = b"1111111111000"
_START_SECONDS: Final = 60.0
_TICK_SECONDS: Final = 0.005
_PREPARED_ROUNDS: Final = 20
_FAULT_SCALES: Final = 15.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """The load and its length."""
    parser.add_argument(
        "--maximum", type=int, default=60_000, help="records/s: what `throughput` found"
    )
    parser.add_argument("--loads", default="10,50,90", help="percent of it, with commas")
    parser.add_argument("--seconds", type=float, default=10.0, help="measured, each load")
    parser.add_argument("--warm-seconds", type=float, default=6.0, help="before, each load")
    parser.add_argument("--faults", type=float, default=0.005, help="share of records far off")
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--kinds", type=int, default=64, help="kinds of keys in the fleet")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure.

    Returns:
        By load, in percent: `p50_seconds`, `p99_seconds`, `max_seconds`, and how many alerts were
        timed; and `p99_seconds` of the load nearest to half.

    Raises:
        BenchmarkError: If producer or worker do not keep up, or no alert comes.
    """
    fleet = Fleet(options.keys, options.channels, kinds=options.kinds)
    loads = [int(word) for word in options.loads.split(",")]
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="ember-bench-") as scratch, RealKafka() as kafka:
        folder = Path(scratch)
        say("training")
        fleet.model().save(folder / "model")
        create_topics(
            kafka.bootstrap,
            {TOPIC: options.partitions, f"{TOPIC}.anomalies": options.partitions},
        )
        records, sent = faulty(fleet, options.faults), 0
        with (
            EmberWorker(
                folder, bootstrap=kafka.bootstrap, topic=TOPIC, model=folder / "model"
            ) as worker,
            Alerts(kafka.bootstrap, f"{TOPIC}.anomalies", options.partitions) as alerts,
        ):
            for load in loads:
                say(f"{load} % of {options.maximum:,} records/s")
                rate = options.maximum * load // 100
                sent += produce_steadily(kafka.bootstrap, records, rate, options.warm_seconds)
                worker.until(worker.records, _START_SECONDS)
                worker.watch(sent, _START_SECONDS)
                alerts.forget()
                sent += produce_steadily(kafka.bootstrap, records, rate, options.seconds)
                worker.watch(sent, _START_SECONDS)
                time.sleep(1.0)
                found[str(load)] = {"records_per_second": rate, **quantiles(alerts.delays)}
            worker.stop()
    half = min(loads, key=lambda load: abs(load - 50))
    return {"p99_seconds": found[str(half)]["p99_seconds"], "loads": found}


def quantiles(delays: list[float]) -> dict[str, Any]:
    """Median, 99 % and largest of delays, in seconds.

    Raises:
        BenchmarkError: If there are none.
    """
    if not delays:
        raise BenchmarkError("No alert came. Raise --faults or --seconds.")
    return {
        "p50_seconds": round(float(np.quantile(delays, 0.5)), 4),
        "p99_seconds": round(float(np.quantile(delays, 0.99)), 4),
        "max_seconds": round(max(delays), 4),
        "alerts": len(delays),
    }


class _Body(msgspec.Struct):
    """What of an event's body is needed: the time of its row."""

    started: datetime = msgspec.field(name="startsAt")


class Alerts:
    """Reads the anomaly topic from now on, and notes how old the row of each alert is.

    Args:
        bootstrap: Broker.
        topic: Topic of anomalies.
        partitions: Its partitions.
    """

    def __init__(self, bootstrap: str, topic: str, partitions: int) -> None:
        self.delays: list[float] = []
        self._over = threading.Event()
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "latency",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 10,
                "log_level": 0,
            }
        )
        self._consumer.assign([TopicPartition(topic, part, 0) for part in range(partitions)])
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Alerts:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()
        self._consumer.close()

    def forget(self) -> None:
        """Begin anew."""
        self.delays.clear()

    def _read(self) -> None:
        decoder = msgspec.json.Decoder(_Body)
        while not self._over.is_set():
            for message in self._consumer.consume(100, timeout=0.05):
                if message.error() is None:
                    started = decoder.decode(message.value() or b"").started
                    self.delays.append(time.time() - started.timestamp())


def faulty(fleet: Fleet, share: float) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Key, and what stands before and after the event time in the JSON, without an end."""
    rng = np.random.default_rng(11)
    prepared = []
    for block in fleet.rounds(_PREPARED_ROUNDS, 0):
        hit = np.flatnonzero(rng.random(len(block.key)) < share)
        channel = rng.integers(len(fleet.channels), size=hit.size)
        spread = fleet.spread[block.key[hit], channel]
        block.values[hit, channel] += _FAULT_SCALES * spread
        for k, values in zip(block.key.tolist(), block.values.tolist(), strict=True):
            key = fleet.keys[k]
            text = encode_json(key, _MARK_US, fleet.channels, values)
            head, tail = text.split(_MARK, 1)
            prepared.append((key, head, tail))
    return itertools.cycle(prepared)


def produce_steadily(
    bootstrap: str, records: Iterator[tuple[bytes, bytes, bytes]], rate: int, seconds: float
) -> int:
    """Produce at a rate, each record's event time being the moment it is handed over.

    Returns:
        How many were sent.

    Raises:
        BenchmarkError: If this process cannot keep up.
    """
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "acks": "all",
            "partitioner": "murmur2_random",
            "linger.ms": 1,
            "log_level": 0,
        }
    )
    total, sent = round(rate * seconds), 0
    started = time.monotonic()
    while sent < total:
        due = min(round((time.monotonic() - started) * rate), total)
        now = b"%d" % (time.time_ns() // 1_000_000)
        for key, head, tail in itertools.islice(records, due - sent):
            producer.produce(TOPIC, key=key, value=head + now + tail)
        sent = max(sent, due)
        producer.poll(0)
        time.sleep(_TICK_SECONDS)
    producer.flush(30)
    took = time.monotonic() - started
    if took > 1.2 * seconds + 1.0:
        raise BenchmarkError(f"{sent} records took {took:.1f} s to produce. Lower --rate.")
    return sent
