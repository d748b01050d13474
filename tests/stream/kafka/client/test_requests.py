"""The wire form of requests aiokafka does not have, against bytes written by hand."""

from __future__ import annotations

from stream.kafka.client.requests import CreateTopics, FencedOffsets, TopicIds
from stream.kafka.protocol.ports import Membership


def test_offsets_of_a_transaction_carry_the_member() -> None:
    request = FencedOffsets(
        transactional_id="t",
        group="g",
        producer_id=5,
        producer_epoch=2,
        membership=Membership(7, "m", None),
        topics=[("in", [(3, 11, "t")])],
    ).prepare({28: (0, 5)})
    assert request.API_VERSION == 3
    expected = (
        b"\x02t\x02g"
        + (5).to_bytes(8, "big")
        + (2).to_bytes(2, "big")
        + (7).to_bytes(4, "big")
        + b"\x02m\x00"  # no instance id
        + b"\x02\x03in\x02"
        + (3).to_bytes(4, "big")
        + (11).to_bytes(8, "big")
        + b"\xff\xff\xff\xff\x02t\x00\x00\x00"
    )
    assert request.encode() == expected


def test_topics_are_asked_for_by_name_and_never_created() -> None:
    request = TopicIds(["in"]).prepare({3: (0, 13)})
    assert request.encode() == b"\x02" + bytes(16) + b"\x03in\x00\x00\x00\x00"


def test_default_replication_needs_version_4() -> None:
    request = CreateTopics([("in", 3, -1, {"cleanup.policy": "compact"})]).prepare({19: (2, 7)})
    assert request.API_VERSION == 4
    assert b"\xff\xff" in request.encode()
