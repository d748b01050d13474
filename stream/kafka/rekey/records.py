"""Re-keyed records of a slice of source messages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Final

from stream.codecs import RekeyedCodec
from stream.kafka.protocol.ports import Headers, Outgoing
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
        self._pending: dict[TP, list[tuple[int, Outgoing]]] = defaultdict(list)

    def in_order(self) -> dict[TP, list[Outgoing]]:
        """Return the records so far by partition, in the order of their times."""
        ordered = {}
        for tp, records in self._pending.items():
            # Stable, so that records of one source stay in its order.
            records.sort(key=itemgetter(0))
            ordered[tp] = [record for _, record in records]
        return ordered

    def add(
        self, tp: TP, messages: Sequence[Message], times: Sequence[int], decoded: Decoded
    ) -> None:
        """Add the records of a slice.

        Args:
            tp: Source partition.
            messages: Messages of the slice.
            times: Times by which they are ordered among those of other partitions.
            decoded: The slice, decoded.
        """
        topic, latest_ms = self._topic, self._now_ms + _MOST_AHEAD_MS
        pending, partition_of = self._pending, self._partition_of
        source_format = Source(*tp, 0).prefix()
        sequence: Headers = []
        if self._sequences is not None:
            sequence = [(SEQUENCE_HEADER, self._sequences[tp])]
        for index, number, key, value in self._codec.encode(decoded):
            message = messages[index]
            headers = [(SOURCE_HEADER, source_format % (message.offset, number)), *sequence]
            if message.headers:
                headers += trace_of(message)
            # -1 and 0 are no time; that of re-keying is then as near as can be.
            stamp = message.timestamp
            if stamp <= 0:
                stamp = self._now_ms
            elif stamp > latest_ms:
                stamp = latest_ms
            partition = partition_of(key)
            outgoing = Outgoing(topic, key, value, headers, stamp, partition)
            pending[topic, partition].append((times[index], outgoing))
