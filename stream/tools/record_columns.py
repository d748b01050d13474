"""Decoded records put together to samples, and to chunks of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ember_core.data.sources import CHUNK_ROWS, Chunk
from stream.records import Decoded


def picked(decoded: Decoded, samples: NDArray[np.bool_] | NDArray[np.int64]) -> Decoded:
    """Return some of the samples, in their order."""
    lines = np.flatnonzero(samples) if samples.dtype == np.bool_ else samples
    kinds, starts = decoded.temporality, decoded.start_us
    return replace(
        decoded,
        keys=[decoded.keys[line] for line in lines.tolist()],
        time_us=decoded.time_us[lines],
        values=decoded.values[lines],
        message=decoded.message[lines],
        temporality=None if kinds is None else kinds[lines],
        start_us=None if starts is None else starts[lines],
    )


def together(decoded: Decoded) -> Decoded:
    """Put samples of one key together that follow one another at one time with other channels.

    Programs that send one metric a record give as many samples as records; of a hundred channels
    each sample has few. Intervals are the same without them, bit for bit, and memory holds a part
    only: the values of every channel keep their order. Samples of another temporality, or that
    cover another time, stay apart.

    Args:
        decoded: Samples of a slice.
    """
    count = len(decoded)
    if count < 2:
        return decoded
    numbers: dict[bytes, int] = {}
    key = np.array([numbers.setdefault(key, len(numbers)) for key in decoded.keys])
    order = np.argsort(key, kind="stable")
    key_of, time_of = key[order], decoded.time_us[order]
    follows = (key_of[1:] == key_of[:-1]) & (time_of[1:] == time_of[:-1])
    if not follows.any():
        return decoded
    run = np.empty(count, np.int64)
    run[order] = np.concatenate([[0], np.cumsum(~follows)])
    columns: list[NDArray[Any]] = [run]
    columns += [c for c in (decoded.temporality, decoded.start_us) if c is not None]
    _, group = np.unique(np.stack(columns).astype(np.int64), axis=1, return_inverse=True)
    rows, channels = np.nonzero(~np.isnan(decoded.values))
    cell, number = np.unique(np.stack([run[rows], channels]), axis=1, return_counts=True)
    # Where a channel has two values at one time, the samples of that time stay as they are.
    repeated = np.isin(run, cell[0, number > 1])
    group = np.where(repeated, count + np.arange(count), group.reshape(-1))
    _, first, group = np.unique(group, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))  # in order of arrival
    group, first = rank[group.reshape(-1)], np.sort(first)
    values = np.full((len(first), decoded.values.shape[1]), np.nan)
    values[group[rows], channels] = decoded.values[rows, channels]
    return replace(picked(decoded, first), values=values)


def chunks_of(slices: Iterable[Decoded], channels: tuple[str, ...]) -> Iterator[Chunk]:
    """Yield decoded slices as chunks of some hundred thousand rows."""
    positions: Counter[bytes] = Counter()
    pending: list[Decoded] = []
    rows = 0
    for decoded in slices:
        pending.append(decoded)
        rows += len(decoded)
        if rows >= CHUNK_ROWS:
            yield _chunk(pending, channels, positions)
            pending, rows = [], 0
    if rows:
        yield _chunk(pending, channels, positions)


def _chunk(
    slices: Sequence[Decoded], channels: tuple[str, ...], positions: Counter[bytes]
) -> Chunk:
    keys = [key for decoded in slices for key in decoded.keys]
    numbers: dict[bytes, int] = {}
    key_index = np.fromiter(
        (numbers.setdefault(key, len(numbers)) for key in keys), np.int64, len(keys)
    )
    position = np.empty(len(keys), np.int64)
    order = np.argsort(key_index, kind="stable")
    sizes = np.bincount(key_index, minlength=len(numbers))
    begins = sizes.cumsum() - sizes
    offsets = np.fromiter((positions[key] for key in numbers), np.int64, len(numbers))
    position[order] = np.arange(len(keys)) - np.repeat(begins - offsets, sizes)
    for key, size in zip(numbers, sizes.tolist(), strict=True):
        positions[key] += size
    return Chunk(
        keys=tuple(numbers),
        key_index=key_index,
        position=position,
        time_us=np.concatenate([decoded.time_us for decoded in slices]),
        time_text=None,
        channels=channels,
        values=np.concatenate([decoded.values for decoded in slices]),
        is_train=np.zeros(len(keys), np.bool_),
        label=None,
        temporality=_joined([(decoded.temporality, len(decoded)) for decoded in slices], np.uint8),
        start_us=_joined([(decoded.start_us, len(decoded)) for decoded in slices], np.int64),
    )


def _joined(
    columns: Sequence[tuple[NDArray[Any] | None, int]], dtype: type[np.generic]
) -> NDArray[Any] | None:
    """Join columns of which some may be absent, which stands for zeros; None: all are."""
    if all(column is None for column, _ in columns):
        return None
    return np.concatenate(
        [np.zeros(size, dtype) if column is None else column for column, size in columns]
    )
