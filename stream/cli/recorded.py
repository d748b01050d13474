"""From files to records to send: wide or one channel each, in order or out of it."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterable, Iterator

from ember_core.data.sources import Dataset, Rows, interleaved
from stream.codecs import encode_json
from stream.errors import UserError
from stream.tools.replay import Outbound


def wide(dataset: Dataset, rows: Rows) -> Iterator[Outbound]:
    """One record per row, in global order of time."""
    for keys, times, values in _batches(dataset, rows):
        for key, time_us, row in zip(keys, times, values, strict=True):
            yield Outbound(key, time_us, encode_json(key, time_us, dataset.channels, row))


def long(dataset: Dataset, rows: Rows) -> Iterator[Outbound]:
    """One record per row and channel that has a value, as monitoring systems send them."""
    names = [(name,) for name in dataset.channels]
    for keys, times, values in _batches(dataset, rows):
        for key, time_us, row in zip(keys, times, values, strict=True):
            for name, value in zip(names, row, strict=True):
                if value == value:  # NaN is a channel that is missing
                    yield Outbound(key, time_us, encode_json(key, time_us, name, (value,)))


def shuffled(records: Iterable[Outbound], seconds: float, seed: int) -> Iterator[Outbound]:
    """Out of order, but none later than `seconds` of event time behind one sent before it.

    Args:
        records: In order of time.
        seconds: The bound.
        seed: The same seed gives the same order.
    """
    bound_us = round(seconds * 1e6)
    generator = random.Random(seed)
    heap: list[tuple[int, int, Outbound]] = []
    newest = -(2**63)
    for number, record in enumerate(records):
        newest = max(newest, record.time_us)
        while heap and heap[0][0] <= newest:
            yield heapq.heappop(heap)[2]
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
    """Turn what the encoder refuses into the user's sentence."""
    try:
        yield from records
    except ValueError as error:
        raise UserError(f"The data cannot be sent. {error}") from None
