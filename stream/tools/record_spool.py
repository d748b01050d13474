"""Records of topics on disk, so that a broker is asked for them once."""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any, Final, Self

import cramjam
import msgspec

from stream.types import TP

from .log_record import LogRecord

_BLOCK: Final = 500
"""Records of a partition that are written at once."""


class RecordSpool:
    """Records in a file that has no name, and ends with this object.

    They come in the order in which partitions answer, which differs from time to time. They leave
    in one that does not: partition after partition, or by Kafka's timestamps.
    """

    def __init__(self) -> None:
        self._file: Any = tempfile.TemporaryFile(prefix="ember-")  # noqa: SIM115  # as long as self
        self._blocks: dict[TP, list[tuple[int, int]]] = {}
        self._pending: dict[TP, list[LogRecord]] = {}
        self._end = 0
        self.count = 0
        """Records so far."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, records: Iterable[LogRecord]) -> None:
        """Add records; those of a partition in its order."""
        for record in records:
            pending = self._pending.setdefault((record.topic, record.partition), [])
            pending.append(record)
            self.count += 1
            if len(pending) >= _BLOCK:
                self._write((record.topic, record.partition))

    def _write(self, tp: TP) -> None:
        rows = [(r.key, r.value, r.timestamp, r.offset, r.headers) for r in self._pending[tp]]
        block = bytes(cramjam.lz4.compress_block(msgspec.msgpack.encode(rows)))
        self._file.seek(self._end)
        self._file.write(block)
        self._blocks.setdefault(tp, []).append((self._end, len(block)))
        self._end += len(block)
        self._pending[tp] = []

    def by_partition(self) -> Iterator[LogRecord]:
        """Yield the records of one partition after the other."""
        for tp in sorted(self._pending):
            yield from self._partition(tp)

    def by_time(self) -> Iterator[LogRecord]:
        """Yield all records in the order in which re-keying copies them.

        A record waits for those of other partitions with an earlier Kafka timestamp; within a
        partition none is earlier than the one before it (`stream.kafka.rekey.merge`).
        """
        partitions = [self._timed(number, tp) for number, tp in enumerate(sorted(self._pending))]
        for _, _, record in heapq.merge(*partitions, key=lambda item: item[:2]):
            yield record

    def _timed(self, number: int, tp: TP) -> Iterator[tuple[int, int, LogRecord]]:
        latest = -(2**63)
        for record in self._partition(tp):
            latest = max(latest, record.timestamp)
            yield latest, number, record

    def _partition(self, tp: TP) -> Iterator[LogRecord]:
        topic, partition = tp
        for begin, size in self._blocks.get(tp, ()):
            self._file.seek(begin)
            block = cramjam.lz4.decompress_block(self._file.read(size))
            for key, value, timestamp, offset, headers in msgspec.msgpack.decode(bytes(block)):
                pairs = [(name, content) for name, content in headers]
                yield LogRecord(key, value, timestamp, offset, partition, pairs, topic)
        yield from self._pending[tp]
