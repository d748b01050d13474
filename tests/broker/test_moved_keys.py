"""Producers that choose partitions in another way: refused, and fixed by a rebase."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.kafka_client import Send
from stream.tools.partitioners import Partitioner, crc32, murmur2
from tests.broker.conftest import Broker
from tests.broker.small_service import SmallService, body
from tests.e2e.service import ember

PARTITIONS, KEYS, ROWS = 3, 31, 4
NAMES = [b"machine-%02d" % number for number in range(KEYS)]
MOVED = {name for name in NAMES if crc32(name, PARTITIONS) != murmur2(name, PARTITIONS)}


def records(turn: int, partitioner: Partitioner) -> list[Send]:
    """Some rows of every key."""
    return [
        Send(name, body(turn * ROWS + row), partition=partitioner(name, PARTITIONS))
        for row in range(ROWS)
        for name in NAMES
    ]


def places(partitioner: Partitioner) -> dict[bytes, int]:
    return {name: partitioner(name, PARTITIONS) for name in NAMES}


@pytest.mark.broker
@pytest.mark.slow
def test_what_comes_in_another_partition_is_refused_until_the_keys_have_moved(
    broker: Broker, tmp_path: Path
) -> None:
    """Their states stay what they were; rebased, they go on where their records come now."""
    assert 10 < len(MOVED) < KEYS
    service = SmallService(broker, tmp_path, PARTITIONS)
    assert "keys_in_two_partitions" not in service.run(records(0, murmur2))
    before = service.rows()
    assert {key: at for key, (at, _) in before.items()} == places(murmur2)
    said = service.run(records(1, crc32))
    assert "has its state in another partition" in said
    assert "ember state rebase --partitioner" in said
    refused: list[Any] = broker.consume_all(f"{service.topic}.dead-letters")
    assert {record.key for record in refused} == MOVED
    assert {dict(record.headers)["ember.reason"] for record in refused} == {b"wrong_partition"}
    assert len(refused) == service.counts()["wrong_partition"] == ROWS * len(MOVED)
    assert {key for key, row in service.rows().items() if row == before[key]} == MOVED

    rebase = ("state", "rebase", "--partitioner", "crc32", "--config", service.config)
    ember(*rebase, "--yes", cwd=tmp_path)
    moved = service.rows()
    assert {key: at for key, (at, _) in moved.items()} == places(crc32)
    assert all(moved[key][1][24:] == before[key][1][24:] for key in MOVED)
    service.run(records(2, crc32))
    assert service.counts()["wrong_partition"] == len(refused)
    assert {key: at for key, (at, _) in service.rows().items()} == places(crc32)
