"""aiokafka as it is patched: what it reads, and how it hands records out."""

from __future__ import annotations

import gc
import inspect
import struct
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka import errors as kafka_errors
from aiokafka.consumer import fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c

from stream.kafka.client.patches import (
    FetchedRecord,
    _PartitionRecords,
    on_heartbeat,
    patch_fetches,
)

PRODUCER = 5
TRANSACTIONAL, CONTROL = 0x10, 0x20


def batch(first: int, last: int, attributes: int, records: bytes = b"", count: int = 0) -> bytes:
    """A record batch of format 2."""
    body = struct.pack(">hiqqqhii", attributes, last - first, 0, 0, PRODUCER, 0, first, count)
    body += records
    crc = calc_crc32c(body)
    return struct.pack(">qiibI", first, 9 + len(body), 0, 2, crc) + body


def record(delta: int, key: bytes, value: bytes) -> bytes:
    """One record; all its numbers are small."""
    body = b"\x00\x00" + bytes([2 * delta, 2 * len(key)]) + key + bytes([2 * len(value)]) + value
    body += b"\x00"
    return bytes([2 * len(body)]) + body


def reader(records: type[Any], log: bytes, aborted: list[tuple[int, int]]) -> Any:
    """A reader of committed records."""
    return records(
        TopicPartition("changelog", 0),
        MemoryRecords(log),
        aborted,
        0,
        None,
        None,
        True,
        fetcher.READ_COMMITTED,
    )


def read(records: type[Any], log: bytes, aborted: list[tuple[int, int]]) -> tuple[list[int], int]:
    """Offsets of what a reader of committed records sees, and where it goes on."""
    reading = reader(records, log, aborted)
    return [each.offset for each in reading], reading.next_fetch_offset


PLAIN = next(c for c in _PartitionRecords.__mro__ if c.__module__ == fetcher.__name__)
ROW = batch(0, 0, TRANSACTIONAL, record(0, b"k", b"row"), 1)
EMPTY = batch(1, 1, TRANSACTIONAL | CONTROL)
LATER = batch(2, 2, TRANSACTIONAL, record(0, b"k", b"new"), 1)


def test_an_empty_marker_is_read_past() -> None:
    assert read(_PartitionRecords, ROW + EMPTY + LATER, []) == ([0, 2], 3)


def test_a_marker_still_ends_what_it_aborts() -> None:
    abort = batch(1, 1, TRANSACTIONAL | CONTROL, record(0, b"\x00\x00\x00\x00", b"\x00" * 6), 1)
    assert read(_PartitionRecords, ROW + abort + LATER, [(PRODUCER, 0)]) == ([2], 3)


def test_aiokafka_alone_stops_at_it() -> None:
    """When this fails, the patch can go."""
    with pytest.raises(kafka_errors.KafkaError, match="did not contain any records"):
        read(PLAIN, ROW + EMPTY + LATER, [])


def test_records_have_what_aiokafkas_own_have() -> None:
    """And the garbage collector leaves them alone."""
    builder = DefaultRecordBatchBuilder(
        2,
        0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=0,
        batch_size=9_999,
    )
    builder.append(0, 7, key=b"k", value=b"v", headers=[("a", b"b"), ("c", None)])
    builder.append(1, 8, key=None, value=b"", headers=[])
    builder.append(2, 9, key=b"", value=None, headers=[])
    log = bytes(builder.build())
    records = list(reader(_PartitionRecords, log, []))
    for ours, theirs in zip(records, reader(PLAIN, log, []), strict=True):
        for name in FetchedRecord.__struct_fields__:
            assert getattr(ours, name) == getattr(theirs, name)
    assert len(records) == 3
    assert not any(map(gc.is_tracked, records))


def test_consumers_of_this_process_use_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetcher, "PartitionRecords", fetcher.PartitionRecords)
    patch_fetches()
    patch_fetches()
    assert fetcher.PartitionRecords is _PartitionRecords


async def test_only_a_confirmed_heartbeat_is_noted() -> None:
    """The name that is replaced must stay the one that aiokafka calls."""
    answers = iter([True, False, True])

    async def heartbeat() -> bool:
        return next(answers)

    coordinator = SimpleNamespace(_do_heartbeat=heartbeat)
    noted: list[None] = []
    on_heartbeat(SimpleNamespace(_coordinator=coordinator), lambda: noted.append(None))
    assert [await coordinator._do_heartbeat() for _ in range(3)] == [True, False, True]
    assert len(noted) == 2
    assert "self._do_heartbeat()" in inspect.getsource(GroupCoordinator)
