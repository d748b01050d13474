"""All keys' records in one order of time: what a topic would have carried."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._dataset import Dataset, Rows


class Batch(NamedTuple):
    """Records of several keys as columns. `n` records, `C` channels."""

    key_index: NDArray[np.int64]
    """Place of each record's key in `Dataset.tables`, `(n,)`."""
    row_index: NDArray[np.int64]
    """Its row in that table, `(n,)`."""
    time_us: NDArray[np.int64]
    """Event time in microseconds, `(n,)`."""
    values: NDArray[np.float64]
    """`(n, C)`; NaN where missing."""


def interleaved(dataset: Dataset, rows: Rows = "scored", batch_rows: int = 4096) -> Iterator[Batch]:
    """Batches in global time order; ties in the order of the keys.

    A key's own records always stay in the order of the input: one whose time is before its
    predecessor's comes right after it, late, as it would on a topic.

    Args:
        dataset: Tables of all keys.
        rows: Selection of records, see `Dataset.rows`.
        batch_rows: Records in a batch; the last may hold fewer.

    Raises:
        ValueError: If `batch_rows` is less than 1.
    """
    if batch_rows < 1:
        raise ValueError(
            f"A batch needs rows. Expected batch_rows >= 1. Received: batch_rows={batch_rows}."
        )
    selected = [dataset.rows(index, rows) for index in range(len(dataset.tables))]
    sizes = np.array([part.size for part in selected], np.int64)
    if not sizes.sum():
        return
    key_index = np.repeat(np.arange(len(selected)), sizes)
    row_index = np.concatenate(selected)
    times = [table.time_us[part] for table, part in zip(dataset.tables, selected, strict=True)]
    # By the largest time so far, not the time: that never falls, so a stable sort keeps the order.
    order = np.argsort(
        np.concatenate([np.maximum.accumulate(part) for part in times]), kind="stable"
    )
    time_us = np.concatenate(times)
    for start in range(0, len(order), batch_rows):
        part = order[start : start + batch_rows]
        keys, row_numbers = key_index[part], row_index[part]
        yield Batch(keys, row_numbers, time_us[part], _values(dataset, keys, row_numbers))


def _values(
    dataset: Dataset, keys: NDArray[np.int64], rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    values = np.empty((len(keys), len(dataset.channels)))
    by_key = np.argsort(keys, kind="stable")
    distinct, starts = np.unique(keys[by_key], return_index=True)
    for key, positions in zip(distinct, np.split(by_key, starts[1:]), strict=True):
        values[positions] = dataset.tables[key].values[rows[positions]]
    return values
