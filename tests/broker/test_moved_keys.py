"""Producers that choose partitions in another way: refused where it shows, and what mends it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.kafka_client import Send
from stream.engine import META_KEY
from stream.kafka._partitioners import Partitioner, crc32, murmur2
from tests.broker.conftest import Broker
from tests.e2e.service import Service, ember, wait_until
from tests.stream.report import small

PARTITIONS, KEYS, ROWS = 3, 31, 4
NAMES = [b"machine-%02d" % number for number in range(KEYS)]
MOVED = {name for name in NAMES if crc32(name, PARTITIONS) != murmur2(name, PARTITIONS)}
START = 1_700_000_000


def records(turn: int, partitioner: Partitioner) -> list[Send]:
    """Some rows of every key."""
    return [
        Send(name, body(turn * ROWS + row), partition=partitioner(name, PARTITIONS))
        for row in range(ROWS)
        for name in NAMES
    ]


def body(row: int) -> bytes:
    values = dict.fromkeys(small.CHANNELS, 5.0)
    return json.dumps({"ts": START + 10 * row, "values": values}).encode()


@pytest.mark.broker
def test_what_comes_in_another_partition_is_refused_until_the_keys_have_moved(
    broker: Broker, tmp_path: Path
) -> None:
    """Their states stay what they were; rebased, they go on where their records come now."""
    assert 10 < len(MOVED) < KEYS
    small.model().save(tmp_path / "model")
    topic, group = broker.topic("moved", PARTITIONS), broker.name("moved")
    config = tmp_path / "ember.toml"
    config.write_text(
        f'[kafka]\nbootstrap_servers = "{broker.bootstrap}"\ngroup = "{group}"\n'
        f'[input]\ntopics = ["{topic}"]\nstart = "earliest"\n[model]\npath = "model"\n'
        "[checkpoint]\ninterval_seconds = 0.3\n[http]\nport = 0\n"
        "[state]\nstandby_replicas = 0\nsnapshot_interval_seconds = 0\n"
    )
    changelog = f"{group}-state-{topic}-changelog"
    if not broker.real:
        outputs = [f"{topic}.{kind}" for kind in ("anomalies", "triggers", "dead-letters")]
        broker.create(dict.fromkeys([changelog, *outputs], PARTITIONS))

    def counts() -> dict[str, int]:
        total: dict[str, int] = {}
        for (_, key), row in broker.read_changelog(changelog).items():
            if key == META_KEY:
                for fate, number in json.loads(row)["counts"].items():
                    total[fate] = total.get(fate, 0) + number
        return total

    def rows() -> dict[bytes, tuple[int, bytes]]:
        found: dict[bytes, tuple[int, bytes]] = {}
        for (partition, key), row in broker.read_changelog(changelog).items():
            if key != META_KEY:
                assert key not in found
                found[key] = partition, row
        return found

    def run(turn: int, partitioner: Partitioner) -> str:
        log = tmp_path / "worker.log"
        said = log.stat().st_size if log.exists() else 0
        before = sum(counts().values())
        broker.produce(topic, records(turn, partitioner))
        with Service(tmp_path, config) as service:
            expected = before + KEYS * ROWS
            wait_until("all of it", lambda: sum(counts().values()) == expected, service)
            assert service.stop() == 0
        return log.read_text()[said:]

    assert "keys_in_two_partitions" not in run(0, murmur2)
    assert {key: at for key, (at, _) in rows().items()} == {
        name: murmur2(name, PARTITIONS) for name in NAMES
    }
    before = rows()
    said = run(1, crc32)
    assert "has its state in another partition" in said
    assert "ember state rebase --partitioner" in said
    refused: list[Any] = broker.consume_all(f"{topic}.dead-letters")
    assert {record.key for record in refused} == MOVED
    assert {dict(record.headers)["ember.reason"] for record in refused} == {b"wrong_partition"}
    assert len(refused) == counts()["wrong_partition"] == ROWS * len(MOVED)
    assert {key for key, row in rows().items() if row == before[key]} == MOVED

    if not broker.real:
        return  # its groups take no offsets from somebody who is no member
    rebase = ("state", "rebase", "--partitioner", "crc32", "--config", config)
    ember(*rebase, "--yes", cwd=tmp_path)
    moved = rows()
    assert {key: at for key, (at, _) in moved.items()} == {
        name: crc32(name, PARTITIONS) for name in NAMES
    }
    assert all(row[24:] == before[key][1][24:] for key, (_, row) in moved.items() if key in MOVED)
    run(2, crc32)
    assert counts()["wrong_partition"] == len(refused)
    assert {at for at, _ in rows().values()} == set(range(PARTITIONS))
