"""Clocks that are wrong, and records without a Kafka timestamp, through `ember run`."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from stream.engine import META_KEY
from tests.broker.conftest import Broker
from tests.broker.small_service import SmallService
from tests.e2e.service import Service, wait_until
from tests.stream.report import small

pytestmark = pytest.mark.broker

_YEARS = 10 * 365 * 86_400


def produce(broker: Broker, topic: str, records: list[tuple[bytes, float, int]]) -> None:
    """Send keys with an event time (seconds) and a Kafka timestamp as it is, -1 too."""

    async def send() -> None:
        async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
            for key, seconds, stamp_ms in records:
                values = dict.fromkeys(small.CHANNELS, 5.0)
                body = json.dumps({"ts": seconds, "values": values}).encode()
                await producer.send_and_wait(
                    topic, body, key=key, partition=0, timestamp_ms=stamp_ms
                )

    asyncio.run(send())


def meta(service: SmallService) -> dict[str, object]:
    rows = service.broker.read_changelog(service.changelog)
    found: dict[str, object] = json.loads(rows[0, META_KEY])
    return found


def test_wrong_clocks_harm_neither_their_key_nor_their_partition(
    broker: Broker, tmp_path: Path
) -> None:
    """Killed in between: the next life goes on under the bound that was kept."""
    lenient = {"message.timestamp.after.max.ms": str(2**62)}  # as before Kafka 3.6
    service = SmallService(broker, tmp_path, 1, lenient)
    now = time.time()
    stamp = round(now * 1000)
    before = [(b"a", now - 60 + i, stamp) for i in range(20)]
    wrong = [(b"a", now + _YEARS, stamp + _YEARS * 1000), (b"b", now + 7_200, -1)]
    undated = [(b"b", now - 20 + i, -1) for i in range(20)]
    after = [(b"a", now - 30 + i, stamp) for i in range(20)]
    produce(broker, service.topic, [*before, *wrong, *undated])
    for records in ([], after):
        produce(broker, service.topic, records)
        total = 42 + len(records)
        with Service(tmp_path, service.config, embedded=not broker.real) as running:
            wait_until("all", lambda n=total: sum(service.counts().values()) == n, running)
            running.kill()
    assert service.counts().get("future") == 2
    assert "late" not in service.counts()
    assert set(service.rows()) == {b"a", b"b"}
    kept = meta(service)
    assert abs(int(str(kept["clock_us"])) / 1e6 - now) < 61
    assert int(str(kept["clock_bound_us"])) > now * 1e6
    letters = service.broker.consume_all(f"{service.topic}.dead-letters")
    assert {dict(letter.headers)["ember.reason"] for letter in letters} == {b"future"}
