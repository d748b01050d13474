"""Seconds from a record's production to its alert in the anomaly topic, at a steady load.

The fleet's event times are its own: ten seconds from a key's record to its next, whatever the load,
so that the model sees what it was trained on. They also number the records, and the moment of an
alert's record is looked up by its number.
"""

from __future__ import annotations

import argparse
import bisect
import itertools
import os
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition

from benchmarks.fleet import INTERVAL_US, Block, Fleet
from benchmarks.frame import BenchmarkError, log_progress
from benchmarks.kafka_client import Send, create_topics, produce
from benchmarks.kafka_server import RealKafka
from benchmarks.processes import cpu_seconds
from benchmarks.topic import TOPIC
from benchmarks.worker import EmberWorker

_START_SECONDS: Final = 120.0
_TICK_SECONDS: Final = 0.002
_HISTORY_ROUNDS: Final = 140  # until the keys may alarm
_FAULT_SCALES: Final = 15.0
_FAULTS: Final = 0.0005  # windows hold a fault for rows: 4 alerts in 1,000 records
_PARTIES: Final = ("worker", "broker", "producer")
_FLOOD: Final = 120_000  # records/s that are offered to find how many the worker takes


def add_options(parser: argparse.ArgumentParser) -> None:
    """The load and its length."""
    parser.add_argument(
        "--maximum", type=int, default=0, help="records/s; 0: measured before the loads"
    )
    parser.add_argument("--loads", default="10,50,90", help="percent of it, with commas")
    parser.add_argument("--seconds", type=float, default=15.0, help="measured, each load")
    parser.add_argument("--warm-seconds", type=float, default=5.0, help="before, each load")
    parser.add_argument("--faults", type=float, default=_FAULTS, help="share of records far off")
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--kinds", type=int, default=64, help="kinds of keys in the fleet")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure.

    Returns:
        By load, in percent: `p50_seconds`, `p99_seconds`, `max_seconds`, how many alerts were
        timed, and `cpu_shares`, what worker, broker and this producer took of one processor; and
        `p99_seconds` of the load nearest to half.

    Raises:
        BenchmarkError: If producer or worker do not keep up, or no alert comes.
    """
    fleet = Fleet(options.keys, options.channels, kinds=options.kinds)
    loads = [int(word) for word in options.loads.split(",")]
    longest = options.warm_seconds + options.seconds
    max_rate = options.maximum or _FLOOD
    rates = [max_rate * load // 100 for load in loads] + [0 if options.maximum else _FLOOD]
    turns_ahead = sum(rate * longest for rate in rates) / options.keys + 2
    rounds = _HISTORY_ROUNDS + round(turns_ahead)
    by_load: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="ember-bench-") as scratch, RealKafka() as kafka:
        folder = Path(scratch)
        log_progress("training")
        fleet.model().save(folder / "model")
        create_topics(
            kafka.bootstrap,
            {TOPIC: options.partitions, f"{TOPIC}.anomalies": options.partitions},
        )
        start_us = time.time_ns() // 1000 - rounds * INTERVAL_US
        blocks = fleet.rounds(10**9, start_us - start_us % INTERVAL_US)
        log_progress("writing the history")
        history = itertools.islice(blocks, _HISTORY_ROUNDS)
        sent = produce(
            kafka.bootstrap,
            TOPIC,
            (Send(*pair) for block in history for pair in fleet.encoded(block)),
        )
        source = Load(fleet, blocks, options.faults)
        with (
            EmberWorker(
                folder, bootstrap=kafka.bootstrap, topic=TOPIC, model=folder / "model"
            ) as worker,
            Alerts(kafka.bootstrap, f"{TOPIC}.anomalies", options.partitions, source) as alerts,
        ):
            worker.until(worker.records, _START_SECONDS)
            worker.watch(sent, _START_SECONDS)
            maximum = options.maximum or _taken(worker, source, kafka.bootstrap, options)
            worker.watch(sent + source.sent, _START_SECONDS)
            for load in loads:
                rate = maximum * load // 100
                log_progress(f"{load} %: {rate:,} records/s")
                source.prepare(round(rate * longest) + 2)
                source.produce(kafka.bootstrap, rate, options.warm_seconds)
                first, pids = source.sent, (worker.pid, kafka.pid, os.getpid())
                started, cpu_before = time.monotonic(), list(map(cpu_seconds, pids))
                source.produce(kafka.bootstrap, rate, options.seconds)
                elapsed, cpu_after = time.monotonic() - started, list(map(cpu_seconds, pids))
                worker.watch(sent + source.sent, _START_SECONDS)
                time.sleep(1.0)
                by_load[str(load)] = {
                    "records_per_second": rate,
                    **quantiles(alerts.since(first)),
                    "cpu_shares": {
                        name: round((end - begin) / elapsed, 3)
                        for name, begin, end in zip(_PARTIES, cpu_before, cpu_after, strict=True)
                    },
                }
            worker.stop()
    half = min(loads, key=lambda load: abs(load - 50))
    return {
        "p99_seconds": by_load[str(half)]["p99_seconds"],
        "maximum_records_per_second": maximum,
        "loads": by_load,
    }


def _taken(worker: EmberWorker, source: Load, bootstrap: str, options: argparse.Namespace) -> int:
    """Records a second that the worker takes while more are produced beside it."""
    source.prepare(round(_FLOOD * (options.warm_seconds + options.seconds)) + 2)
    source.produce(bootstrap, _FLOOD, options.warm_seconds)
    started, records_before = time.monotonic(), worker.records()
    source.produce(bootstrap, _FLOOD, options.seconds)
    maximum = round((worker.records() - records_before) / (time.monotonic() - started))
    log_progress(f"takes {maximum:,} records/s")
    return maximum


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


class Load:
    """Records of a fleet at a rate, and when each was handed over.

    Args:
        fleet: Fleet that the records come from.
        blocks: Its rounds without end; event times go on from the first of the first.
        share: Share of records with one channel far off.

    Attributes:
        sent: Records handed over so far.
    """

    def __init__(self, fleet: Fleet, blocks: Iterator[Block], share: float) -> None:
        self.sent = 0
        self._fleet, self._blocks, self._share = fleet, blocks, share
        self._rng = np.random.default_rng(11)
        first = next(blocks)
        self._start_us = int(first.time_us[0])
        self._step_us = int(first.time_us[1]) - self._start_us
        self._ready = deque(fleet.encoded(self._with_faults(first)))
        self._moments: list[float] = []  # of each tick
        self._firsts: list[int] = []  # first record of each tick

    def prepare(self, count: int) -> None:
        """Have records ready: encoding them costs more than a producer can spare at full load."""
        while len(self._ready) < count:
            self._ready.extend(self._fleet.encoded(self._with_faults(next(self._blocks))))

    def _with_faults(self, block: Block) -> Block:
        hit = np.flatnonzero(self._rng.random(len(block.key)) < self._share)
        channel = self._rng.integers(len(self._fleet.channels), size=hit.size)
        values = block.values.copy()
        values[hit, channel] += _FAULT_SCALES * self._fleet.spread[block.key[hit], channel]
        return block._replace(values=values)

    def number(self, time_us: int) -> int:
        """Number of the record that has an event time; below 0 before the first."""
        turn, remainder_us = divmod(time_us - self._start_us, INTERVAL_US)
        return turn * len(self._fleet.keys) + remainder_us // self._step_us

    def handed_over(self, number: int) -> float:
        """Moment of the monotonic clock at which a record was handed over; early by one tick."""
        return self._moments[bisect.bisect_right(self._firsts, number) - 1]

    def take(self, count: int) -> Iterator[tuple[bytes, bytes]]:
        """The next records, handed over now."""
        self._moments.append(time.monotonic())
        self._firsts.append(self.sent)
        for _ in range(count):
            yield self._ready.popleft()
            self.sent += 1

    def produce(self, bootstrap: str, rate: int, seconds: float) -> None:
        """Produce prepared records at a rate.

        Raises:
            BenchmarkError: If this process cannot keep up.
        """
        producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "acks": "all",
                "partitioner": "murmur2_random",
                "linger.ms": 1,
                "queue.buffering.max.messages": 1_000_000,
                "log_level": 0,
            }
        )
        begin, total = self.sent, round(rate * seconds)
        started = time.monotonic()
        while self.sent - begin < total:
            due = min(round((time.monotonic() - started) * rate), total)
            for key, value in self.take(due - (self.sent - begin)):
                producer.produce(TOPIC, key=key, value=value)
            producer.poll(0)
            time.sleep(_TICK_SECONDS)
        elapsed = time.monotonic() - started
        producer.flush(30)
        if elapsed > 1.1 * seconds + 0.5:
            raise BenchmarkError(
                f"{total} records took {elapsed:.1f} s to produce. Expected {seconds:.1f} s. "
                "Lower --maximum."
            )


class _Body(msgspec.Struct):
    """Field of an event's body that is needed: the time of its row."""

    started: datetime = msgspec.field(name="startsAt")


class Alerts:
    """Reads the anomaly topic, and notes how long ago the row of each alert was handed over.

    Args:
        bootstrap: Broker.
        topic: Topic of anomalies.
        partitions: Its partitions.
        load: Load that knows the moments of its records; alerts of earlier records are skipped.
    """

    def __init__(self, bootstrap: str, topic: str, partitions: int, load: Load) -> None:
        self._load = load
        self._delays: list[tuple[int, float]] = []
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

    def since(self, number: int) -> list[float]:
        """Seconds from production to alert, of the records from one on."""
        return [delay for record_number, delay in self._delays if record_number >= number]

    def _read(self) -> None:
        decoder = msgspec.json.Decoder(_Body)
        while not self._over.is_set():
            for message in self._consumer.consume(100, timeout=0.01):
                if message.error() is None:
                    now = time.monotonic()
                    started = decoder.decode(message.value() or b"").started
                    number = self._load.number(round(started.timestamp() * 1e6))
                    if number >= 0:
                        self._delays.append((number, now - self._load.handed_over(number)))
