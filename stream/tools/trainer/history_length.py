"""Length of the history in topics, by the event times of a few records at both ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from confluent_kafka import Consumer

from ember_core.data.sources import DataError, DataOptions
from stream.settings import Settings
from stream.tools import clients, reading
from stream.tools.log_record import LogRecord, as_log_record
from stream.tools.record_source import RecordSource
from stream.types import TP

_RECORDS = 50
"""Records that are read at each end of a partition."""
_OUTLIERS = 0.1
"""Share of the records at an end whose times do not count: a clock may be wrong."""


class NoHistoryError(Exception):
    """There is no history yet; the text says why."""


def history_seconds(settings: Settings, since_ms: int) -> float:
    """Return the time between the oldest records and the newest ones.

    Args:
        settings: Sections `kafka`, `input` and `window`.
        since_ms: Oldest record that counts, by Kafka's timestamp in milliseconds.

    Raises:
        NoHistoryError: If there is no topic, or no record that can be read.
        UserError: If no broker answers, or refuses.
    """
    metadata = clients.fetch_metadata(settings.kafka)
    counts = clients.partition_counts(metadata)
    topics = settings.input.topics
    if missing := [topic for topic in topics if topic not in counts]:
        raise NoHistoryError(f"input topic {missing[0]!r} does not exist yet")
    partitions = {topic: counts[topic] for topic in topics}
    consumer = clients.open_consumer(settings.kafka)
    try:
        ranges = reading.offset_ranges(consumer, partitions)
        starts = {tp: low for tp, (low, _) in ranges.items()}
        if not clients.is_embedded(metadata):  # which cannot search by time
            starts |= reading.starts_since(consumer, partitions, since_ms)
        ends = {tp: high for tp, (_, high) in ranges.items()}
        heads = {tp: (first, min(first + _RECORDS, ends[tp])) for tp, first in starts.items()}
        tails = {tp: (max(ends[tp] - _RECORDS, first), ends[tp]) for tp, first in starts.items()}
        oldest = _time_us(settings, _records(consumer, heads), _OUTLIERS)
        newest = _time_us(settings, _records(consumer, tails), 1.0 - _OUTLIERS)
    finally:
        consumer.close()
    return max(0.0, (newest - oldest) * 1e-6)


def _records(consumer: Consumer, ranges: Mapping[TP, tuple[int, int]]) -> list[LogRecord]:
    return [as_log_record(message) for message in reading.read_range(consumer, ranges)]


def _time_us(settings: Settings, records: Sequence[LogRecord], share: float) -> float:
    """Return a quantile of the event times of records."""
    if not records:
        raise NoHistoryError("there is no record yet")
    source = RecordSource("the input", records, settings, DataOptions())
    try:
        times = [chunk.time_us for chunk in source.chunks()]
    except DataError as error:
        raise NoHistoryError(str(error).rstrip(".")) from None
    return float(np.quantile(np.concatenate(times), share))
