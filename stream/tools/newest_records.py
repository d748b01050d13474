"""Partitions where the newest records of keys are, read from the end of a topic backwards.

It needs no knowledge of the producers: it also finds keys that no partitioner put where they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from confluent_kafka import Message

from stream.codecs import Codec, make_codec
from stream.configure import load_models
from stream.settings import Settings
from stream.types import TP

from . import clients, reading

_FIRST_RECORDS: Final = 10_000
"""Records of each partition that are read first; then four times as many before them."""
_BATCH: Final = 1_000


@dataclass(frozen=True, slots=True)
class _Record:
    """A message with the fields that codecs read."""

    key: bytes | None
    value: bytes | None
    timestamp: int
    offset: int
    headers: Sequence[tuple[str, bytes]] = field(default=())


def newest_partitions(
    settings: Settings, topic: str, partitions: int, keys: Collection[bytes]
) -> dict[bytes, int]:
    """Return the partition of the newest record of each key; keys without a record are absent.

    Args:
        settings: Sections `kafka`, `input` and `model`.
        topic: Input topic.
        partitions: Number of its partitions.
        keys: Keys to look for.

    Raises:
        UserError: If the topic, or the bundle that names the channels, cannot be read.
    """
    reader = _Keys(settings)
    sought_keys, newest = set(keys), dict[bytes, tuple[int, int]]()
    consumer = clients.open_consumer(settings.kafka)
    try:
        bounds = reading.offset_ranges(consumer, {topic: partitions})
        ends = {tp: end for tp, (_, end) in bounds.items()}
        oldest_ms = dict[TP, int]()  # oldest time read so far
        count = _FIRST_RECORDS
        while any(ends[tp] > bounds[tp][0] for tp in ends):
            ranges = {tp: (max(bounds[tp][0], end - count), end) for tp, end in ends.items()}
            for messages in _batched(reading.read_range(consumer, ranges)):
                for tp, key, time_ms in reader.read(messages):
                    oldest_ms[tp] = min(oldest_ms.get(tp, time_ms), time_ms)
                    if key in sought_keys:
                        newest[key] = max(newest.get(key, (time_ms, tp[1])), (time_ms, tp[1]))
            ends = {tp: begin for tp, (begin, _) in ranges.items()}
            # Records that were not read are older than those that were, in their partition.
            unread_ms = [oldest_ms.get(tp, 2**62) for tp in ends if ends[tp] > bounds[tp][0]]
            found_ms = min((time_ms for time_ms, _ in newest.values()), default=-1)
            if len(newest) == len(sought_keys) and found_ms >= max(unread_ms, default=-1):
                break
            count *= 4
    finally:
        consumer.close()
    return {key: partition for key, (_, partition) in newest.items()}


class _Keys:
    """Reader of stream keys and times.

    Args:
        settings: Sections `input` and `model`.
    """

    def __init__(self, settings: Settings) -> None:
        source = settings.input
        self._codec: Codec | None = None
        if source.key or source.key_from != "kafka":
            model = load_models(settings)  # a record without a channel gives no sample, and no key
            self._codec = make_codec(source.codec, model.sources, **source.codec_options())

    def read(self, messages: Sequence[Message]) -> Iterator[tuple[TP, bytes, int]]:
        """Yield partition, stream key and time of the records; of several partitions mixed."""
        tps = [reading.partition_of(message) for message in messages]
        if self._codec is None:
            for tp, message in zip(tps, messages, strict=True):
                if message.key():
                    yield tp, message.key() or b"", message.timestamp()[1]
            return
        records = [_as_record(message) for message in messages]
        decoded = self._codec.decode(records)
        times_ms = (decoded.time_us // 1000).tolist()
        rows = zip(decoded.keys, decoded.message.tolist(), times_ms, strict=True)
        for key, index, time_ms in rows:
            stamp_ms = records[index].timestamp
            yield tps[index], key, stamp_ms if stamp_ms > 0 else time_ms


def _batched(messages: Iterator[Message]) -> Iterator[list[Message]]:
    while batch := list(islice(messages, _BATCH)):
        yield batch


def _as_record(message: Message) -> _Record:
    headers: Any = message.headers() or ()
    stamp_ms = message.timestamp()[1]
    return _Record(message.key(), message.value(), stamp_ms, message.offset() or 0, headers)
