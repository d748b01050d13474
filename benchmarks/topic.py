"""A topic filled with a fleet's records."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from benchmarks.fleet import INTERVAL_US, Fleet
from benchmarks.kafka_client import Send, create_topics, produce

TOPIC: Final = "telemetry"


def fill(bootstrap: str, fleet: Fleet, records: int, partitions: int, topic: str = TOPIC) -> None:
    """Create the topic and write records into it: every key in turn, rounds in another order.

    Args:
        bootstrap: Broker.
        fleet: Fleet that the records come from.
        records: Number of records.
        partitions: Partitions of the topic.
        topic: Name of the topic.
    """
    create_topics(bootstrap, {topic: partitions})
    rounds = -(-records // len(fleet.keys))
    start_us = time.time_ns() // 1000 - rounds * INTERVAL_US
    start_us -= start_us % INTERVAL_US
    sends = _sends(fleet, records, rounds, start_us)
    produce(bootstrap, topic, sends)


def _sends(fleet: Fleet, records: int, rounds: int, start_us: int) -> Iterator[Send]:
    remaining = records
    for block in fleet.rounds(rounds, start_us):
        for key, value in fleet.encoded(block):
            if not remaining:
                return
            remaining -= 1
            yield Send(key, value)
