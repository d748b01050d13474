"""Partitioners give what the clients themselves give."""

from __future__ import annotations

from typing import get_args

import pytest
from confluent_kafka import Producer
from hypothesis import given
from hypothesis import strategies as st

from stream.testing import EmbeddedBroker
from stream.tools.partitioners import (
    HASHES,
    PartitionerName,
    crc32,
    fitting_partitioners,
    fnv1a,
    fnv1a_reference,
    murmur2,
    partitioner_of,
)

SARAMA = [
    ("7765622d31", (1, 1, 5), (11, 11, 4), (55, 55, 16)),
    ("7765622d32", (6, 6, 4), (10, 10, 6), (74, 74, 74)),
    ("64622d31", (3, 3, 5), (9, 9, 11), (53, 53, 23)),
    ("6772c3b6c39f65", (6, 3, 3), (2, 6, 5), (82, 66, 53)),
    ("ff00", (3, 3, 0), (2, 2, 9), (34, 34, 93)),
    ("61", (6, 3, 4), (0, 8, 3), (76, 72, 7)),
    ("686f73742e6578616d706c652e636f6d", (6, 6, 1), (4, 4, 0), (88, 88, 12)),
    ("f610fb1c7fd92d5fe81478", (1, 1, 0), (4, 4, 3), (76, 76, 19)),
    ("768b0dc357d311cc1e6a12", (1, 1, 5), (1, 1, 2), (97, 97, 70)),
    ("1c69309e4b5e119e71", (4, 4, 1), (5, 5, 2), (13, 13, 82)),
    ("7889da2130517400f8", (4, 4, 2), (4, 4, 5), (84, 84, 5)),
    ("35", (3, 3, 6), (8, 8, 10), (68, 68, 66)),
    ("5de70f4aba744b506b23f6", (6, 3, 4), (9, 11, 1), (49, 99, 1)),
    ("fc2d894300ffac10f454", (4, 4, 1), (7, 7, 1), (75, 75, 21)),
    ("27a8ab9f73ab86f44e3253f4", (1, 1, 2), (7, 7, 9), (79, 79, 61)),
    ("7bbbfa960397bf", (6, 3, 6), (2, 6, 0), (78, 70, 16)),
    ("f42a5f353a57", (6, 6, 5), (8, 8, 8), (32, 32, 36)),
    ("42bffc4f9baf", (3, 6, 1), (7, 1, 11), (75, 73, 15)),
    ("005098fcc499", (4, 4, 5), (6, 6, 9), (74, 74, 33)),
]
"""Key as hexadecimal; then for 7, 12 and 100 partitions what `NewHashPartitioner`,
`NewReferenceHashPartitioner` and `NewConsistentCRCHashPartitioner` of IBM/sarama 1.61.1 give."""

JAVA = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}
"""Hashes in the tests of Kafka's Java client (`UtilsTest.testMurmur2`)."""


@pytest.mark.parametrize("row", SARAMA, ids=lambda row: row[0][:12])
def test_sarama(row: tuple[str, tuple[int, ...], tuple[int, ...], tuple[int, ...]]) -> None:
    """Telegraf and most Go clients use the first; signs decide between the first two."""
    key = bytes.fromhex(row[0])
    for partitions, expected in zip((7, 12, 100), row[1:], strict=True):
        found = tuple(hash_(key, partitions) for hash_ in (fnv1a, fnv1a_reference, crc32))
        assert found == expected


@pytest.mark.parametrize("key", list(JAVA))
def test_java(key: bytes) -> None:
    for partitions in (1, 3, 12, 100):
        assert murmur2(key, partitions) == (JAVA[key] & 0x7FFFFFFF) % partitions


@pytest.mark.parametrize("name", [n for n in get_args(PartitionerName) if "reference" not in n])
def test_librdkafka(name: PartitionerName) -> None:
    """Each of its own names, on a broker."""
    keys = [bytes.fromhex(row[0]) for row in SARAMA] + list(JAVA)
    own = {"crc32": "consistent"}.get(name, name)
    found: dict[bytes, int] = {}
    with EmbeddedBroker() as broker:
        broker.create_topics({"in": 12})
        producer = Producer({"bootstrap.servers": broker.bootstrap, "partitioner": own})
        for key in keys:
            producer.produce(
                "in", b"", key, on_delivery=lambda _, m: found.update({m.key(): m.partition()})
            )
        producer.flush(10)
    place = partitioner_of(name)
    assert found == {key: place(key, 12) for key in keys}


@given(st.binary(min_size=1, max_size=40), st.integers(1, 500))
def test_every_partition_exists(key: bytes, partitions: int) -> None:
    assert all(0 <= place(key, partitions) < partitions for place in HASHES.values())


@pytest.mark.parametrize("name", list(HASHES))
def test_the_partitioner_of_a_topic_is_found(name: str) -> None:
    keys = [b"host-%d" % number for number in range(64)]
    placed = [(key, HASHES[name](key, 12)) for key in keys]
    assert fitting_partitioners(placed, 12) == [name]
    assert fitting_partitioners([*placed, (b"x", (HASHES[name](b"x", 12) + 1) % 12)], 12) == []
    assert fitting_partitioners([], 12) == list(HASHES)
