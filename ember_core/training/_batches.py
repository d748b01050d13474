"""Batches of rows, epoch after epoch, from data that can be read again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from ember_core import ops
from ember_core.ops import Array

Rows = Array | Iterable[Any] | Callable[[], Iterable[Any]]
"""An array or frame, an iterable of them, or a function that returns one.

An array has shape `(rows, ...)`; a frame of pandas, polars or pyarrow counts as one of
`(rows, columns)`, float32. Where a model takes several arrays (inputs and targets), a tuple of
them, all with the same rows, stands for one.
"""


class Batches:
    """The batches of each epoch.

    Args:
        data: Rows. An array is cut into batches in a new random order each epoch. The items of
            an iterable come in their order; one of more than `batch_size` rows, such as the
            chunk of a file, is cut like an array.
        width: Columns every batch must have, V; of any shape without one.
        batch_size: Most rows of a batch.
        epochs: Epochs that will be asked for.
        generator: Generator of the order; without one an array is cut as it stands.

    Raises:
        ValueError: If `data` is an iterator, which can be read once, and `epochs` is above 1.
    """

    def __init__(
        self,
        data: Rows,
        *,
        width: int | None = None,
        batch_size: int,
        epochs: int,
        generator: Any,
    ) -> None:
        if batch_size < 1:
            raise ValueError(
                f"A batch needs rows. Expected batch_size >= 1. Received: batch_size={batch_size}."
            )
        if isinstance(data, Iterator) and epochs > 1:
            raise ValueError(
                "The training data can be read only once. Expected an array, a list of batches, "
                f"or a function that returns a new iterator for each of {epochs} epochs. "
                f"Received: {type(data).__name__}. Pass the function itself, not its result."
            )
        self._data = data
        self._width = width
        self._batch_size = batch_size
        self._generator = generator
        self._epoch = 0

    def epoch(self) -> Iterator[Any]:
        """Batches of the next epoch: arrays `(B, ...)`, or tuples of them.

        Raises:
            ValueError: If a batch has another shape, or there is none.
        """
        self._epoch += 1
        rows = 0
        for batch in self._batches():
            rows += row_count(batch)
            if row_count(batch):
                yield batch
        if not rows:
            raise ValueError(
                f"Epoch {self._epoch} of the training has no rows. Expected at least one. "
                f"Received: {type(self._data).__name__}. A function must return a new iterator "
                f"each time it is called, and data must not be empty."
            )

    def _batches(self) -> Iterator[Any]:
        data: Any = self._data() if callable(self._data) else self._data
        if hasattr(data, "shape") or isinstance(data, tuple):
            yield from self._cut(self._checked(data))
            return
        for item in data:
            batch = self._checked(item)
            # Batches from outside keep their order; only those that are too large are cut.
            if row_count(batch) <= self._batch_size:
                yield batch
            else:
                yield from self._cut(batch)

    def _cut(self, rows: Any) -> Iterator[Any]:
        """Batches of rows, in random order."""
        count = row_count(rows)
        tupled = isinstance(rows, tuple)
        # A new permutation each epoch: the generator goes on.
        order = None if self._generator is None else ops.random.permutation(self._generator, count)
        for start in range(0, count, self._batch_size):
            span = slice(start, start + self._batch_size)
            indices = span if order is None else order[span]
            yield tuple(_pick(x, indices) for x in rows) if tupled else _pick(rows, indices)

    def _checked(self, item: Any) -> Any:
        """An item as arrays that fit."""
        item = _arrays_of(item)
        if isinstance(item, tuple):
            rows = {ops.shape(x)[:1] for x in item}
            if len(rows) != 1 or () in rows:
                raise ValueError(
                    "The arrays of a batch do not belong together. Expected the same number of "
                    f"rows in each. Received: shapes={[ops.shape(x) for x in item]}."
                )
            return item
        shape = ops.shape(item)
        if self._width is not None and (len(shape) != 2 or shape[1] != self._width):
            raise ValueError(
                f"A training batch does not fit the model. Expected shape (B, {self._width}). "
                f"Received: shape={shape}."
            )
        return item


def row_count(batch: Any) -> int:
    """Rows of a batch."""
    return int(ops.shape(batch[0] if isinstance(batch, tuple) else batch)[0])


def placed(batch: Any, like: Array) -> Any:
    """A batch on the backend and device of `like`, its floats of that dtype."""
    if isinstance(batch, tuple):
        return tuple(placed(x, like) for x in batch)
    _refuse_no_numbers(batch)
    x = ops.to(batch, like=like)
    kind = ops.dtype(like)
    return ops.astype(x, kind) if ops.dtype(x).startswith("float") and ops.dtype(x) != kind else x


def _pick(x: Array, picked: Any) -> Array:
    """Rows of `x` by a slice or by numbers of whatever backend and device."""
    return x[picked if isinstance(picked, slice) else ops.to(picked, like=x)]


def _arrays_of(item: Any) -> Any:
    """A batch as arrays; frames become float32."""
    if isinstance(item, tuple):
        return tuple(_arrays_of(x) for x in item)
    if hasattr(item, "column_names"):  # pyarrow
        return np.column_stack([np.asarray(c, np.float32) for c in item.columns])
    if hasattr(item, "columns") and hasattr(item, "to_numpy"):  # pandas, polars
        table = item.to_numpy()
        if table.dtype.kind == "O" and hasattr(item, "notna"):
            table = item.astype(object).where(item.notna(), np.nan).to_numpy()  # pandas.NA is none
        _refuse_no_numbers(table)
        return np.asarray(table, np.float32)
    return item


def _refuse_no_numbers(x: Any) -> None:
    """Refuse text and dates, which NumPy would convert."""
    if not isinstance(x, np.ndarray) or x.dtype.kind in "iufbV":
        return
    text = next((value for value in x.flat if isinstance(value, (str, bytes))), None)
    if x.dtype.kind != "O" or text is not None:
        raise ValueError(
            f"Training data are numbers. Expected an array of floats. Received: dtype={x.dtype}, "
            f"such as {text if text is not None else next(iter(x.flat), None)!r}."
        )
