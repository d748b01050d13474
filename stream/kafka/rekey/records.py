"""Re-keyed records of a slice of source messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream.codecs import RekeyedCodec
from stream.kafka.protocol.ports import Headers, LogEntry
from stream.kafka.runtime.trace_headers import trace_of
from stream.records import Decoded, Message
from stream.rekeying import SEQUENCE_HEADER, SOURCE_HEADER, Source
from stream.types import TP

_MOST_AHEAD_MS: Final = 3_000_000
"""Most time by which a Kafka timestamp is kept ahead of this clock. Kafka 4 refuses a whole batch
with a timestamp an hour ahead (`message.timestamp.after.max.ms`)."""


class RekeyedRecords:
    """Records to write, of one or several source partitions.

    Args:
        topic: Repartition topic.
        partition_of: Partitioner of stream keys.
        codec: Encoder of the values.
        sequences: Names of the source partitions, for records that may be written twice; None
            where a transaction keeps them from it.
        now_ms: Clock of this machine, in milliseconds since the epoch.
    """

    def __init__(
        self,
        topic: str,
        partition_of: Callable[[bytes], int],
        codec: RekeyedCodec,
        sequences: Mapping[TP, bytes] | None,
        now_ms: int,
    ) -> None:
        self._topic = topic
        self._partition_of = partition_of
        self._codec = codec
        self._sequences = sequences
        self._now_ms = now_ms
        self._stamps: list[int] = []
        self._keys: list[bytes] = []
        self._values: list[bytes] = []
        self._sources: list[bytes] = []
        self._more: dict[int, Headers] = {}  # by row, besides the source
        self._partitions: list[int] = []
        self._times: list[NDArray[np.int64]] = []

    def in_order(self) -> dict[TP, Iterator[LogEntry]]:
        """Return the records so far by partition, in the order of their times."""
        if not self._keys:
            return {}
        # Stable, so that records of one source stay in its order.
        order = np.argsort(np.concatenate(self._times), kind="stable")
        partition_of = np.array(self._partitions)[order]
        return {
            (self._topic, partition): self._entries(order[partition_of == partition].tolist())
            for partition in np.unique(partition_of).tolist()
        }

    def _entries(self, rows: Sequence[int]) -> Iterator[LogEntry]:
        # Made one by one: thousands of short lists at once would keep the garbage collector busy.
        stamps, keys, values, sources = self._stamps, self._keys, self._values, self._sources
        for row in rows:
            headers: Headers = [(SOURCE_HEADER, sources[row])]
            if row in self._more:
                headers += self._more[row]
            yield stamps[row], keys[row], values[row], headers

    def add(
        self, tp: TP, messages: Sequence[Message], times: NDArray[np.int64], decoded: Decoded
    ) -> None:
        """Add the records of a slice.

        Args:
            tp: Source partition.
            messages: Messages of the slice.
            times: Times by which they are ordered among those of other partitions.
            decoded: The slice, decoded.
        """
        encoded = self._codec.encode(decoded)
        sources = list(map(messages.__getitem__, encoded.message))
        stamps = np.fromiter((source.timestamp for source in sources), np.int64, len(sources))
        stamps = np.minimum(stamps, self._now_ms + _MOST_AHEAD_MS)
        # -1 and 0 are no time; that of re-keying is then as near as can be.
        stamps[stamps <= 0] = self._now_ms
        sequence: Headers = []
        if self._sequences is not None:
            sequence = [(SEQUENCE_HEADER, self._sequences[tp])]
        for row, source in enumerate(sources, len(self._keys)):
            if sequence or source.headers:
                self._more[row] = [*sequence, *trace_of(source)]
        source_format = Source(*tp, 0).prefix()
        self._sources += [
            source_format % (source.offset, number)
            for source, number in zip(sources, encoded.number, strict=True)
        ]
        self._stamps += stamps.tolist()
        self._keys += encoded.key
        self._values += encoded.value
        self._partitions += map(self._partition_of, encoded.key)
        self._times.append(times[encoded.message])
