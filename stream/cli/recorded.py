"""Records of a recorded data set: wide or one channel each, in order or shuffled."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterable, Iterator

from ember_core.data.sources import Dataset, Rows, interleaved
from stream.codecs import encode_json
from stream.errors import UserError
from stream.tools.replay import Outbound


def wide(dataset: Dataset, rows: Rows) -> Iterator[Outbound]:
    """Yield one record per row, in order of time over all keys."""
    for keys, times, values in _batches(dataset, rows):
        for key, time_us, row in zip(keys, times, values, strict=True):
            yield Outbound(key, time_us, encode_json(key, time_us, dataset.channels, row))


def long(dataset: Dataset, rows: Rows) -> Iterator[Outbound]:
    """Yield one record per row and channel that has a value, as monitoring systems send them."""
    names = [(name,) for name in dataset.channels]
    for keys, times, values in _batches(dataset, rows):
        for key, time_us, row in zip(keys, times, values, strict=True):
            for name, value in zip(names, row, strict=True):
                if value == value:  # NaN is a channel that is missing
                    yield Outbound(key, time_us, encode_json(key, time_us, name, (value,)))


def shuffled(records: Iterable[Outbound], seconds: float, seed: int) -> Iterator[Outbound]:
    """Yield records out of order, none more than `seconds` of event time after a later one.

    Args:
        records: Records in order of time.
        seconds: Largest lateness in event time.
        seed: Seed of the order.
    """
    bound_us = round(seconds * 1e6)
    generator = random.Random(seed)
    heap: list[tuple[int, int, Outbound]] = []
    newest = -(2**63)
    for number, record in enumerate(records):
        newest = max(newest, record.time_us)
        while heap and heap[0][0] <= newest:
            yield heapq.heappop(heap)[2]  # nothing that comes can be due before it
        due = record.time_us + generator.randint(0, bound_us)
        heapq.heappush(heap, (due, number, record))
    while heap:
        yield heapq.heappop(heap)[2]


def _batches(
    dataset: Dataset, rows: Rows
) -> Iterator[tuple[list[bytes], list[int], list[list[float]]]]:
    for batch in interleaved(dataset, rows):
        keys = [dataset.tables[index].key for index in batch.key_index.tolist()]
        yield keys, batch.time_us.tolist(), batch.values.tolist()


def checked(records: Iterable[Outbound]) -> Iterator[Outbound]:
    """Yield records; raise the encoder's errors as a sentence for the user."""
    try:
        yield from records
    except ValueError as error:
        raise UserError(f"The data cannot be sent. {error}") from None
