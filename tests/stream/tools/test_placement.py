"""Where the keys of a topic that has grown have gone."""

from __future__ import annotations

import pytest

from stream.errors import UserError
from stream.kafka.protocol.ports import TopicStatus
from stream.tools.partitioners import HASHES, crc32, fnv1a, murmur2
from stream.tools.placement import infer_partitioner
from stream.tools.state import PartitionState


def placed(keys: list[bytes], place: object, count: int = 2) -> list[PartitionState]:
    states = [PartitionState(number) for number in range(count)]
    for key in keys:
        states[place(key, count)].rows[key] = b""  # type: ignore[operator]
    return states


@pytest.mark.parametrize("name", list(HASHES))
def test_many_keys_tell_their_partitioner(name: str) -> None:
    states = placed([b"host-%d" % number for number in range(40)], HASHES[name], 3)
    assert infer_partitioner("t", TopicStatus(5, ""), states) == name


def test_keys_may_fit_several() -> None:
    """Few by chance; of an even number the two of FNV-1a do. It matters where these part ways."""
    many = placed([b"host-%d" % number for number in range(40)], fnv1a)
    with pytest.raises(
        UserError, match=r"several partitioners put them \(fnv1a, fnv1a_reference\)"
    ):
        infer_partitioner("t", TopicStatus(5, ""), many)
    key = next(
        key
        for key in (b"k%d" % number for number in range(99))
        if murmur2(key, 2) == fnv1a(key, 2) and murmur2(key, 5) != fnv1a(key, 5)
    )
    with pytest.raises(UserError, match=r"where several partitioners put them .*murmur2.*newest"):
        infer_partitioner("t", TopicStatus(5, ""), placed([key], murmur2))
    alike = next(
        key
        for key in (b"k%d" % number for number in range(9999))
        if len({(hash_(key, 2), hash_(key, 5)) for hash_ in HASHES.values()}) == 1
    )
    assert infer_partitioner("t", TopicStatus(5, ""), placed([alike], crc32)) == "murmur2"


def test_keys_that_no_partitioner_put_there() -> None:
    states = [PartitionState(0), PartitionState(1)]
    for number in range(40):
        states[number % 2].rows[b"host-%d" % number] = b""
    with pytest.raises(UserError, match=r"none of the partitioners murmur2, crc32, fnv1a.*newest"):
        infer_partitioner("t", TopicStatus(5, ""), states)
