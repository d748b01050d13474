"""Batches of rows, epoch after epoch, from an array or from a source that can start again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ember_core import ops
from ember_core.ops import Array

Rows = Array | Iterable[Array] | Callable[[], Iterable[Array]]
"""An array `(rows, V)`, an iterable of batches `(B, V)`, or a function that returns one."""


class Batches:
    """The batches of each epoch.

    Args:
        data: Rows. An array is cut into batches in a new random order each epoch; the batches of
            an iterable are taken as they come.
        width: Columns every batch must have, V.
        batch_size: Rows of a batch cut from an array.
        epochs: Epochs that will be asked for.
        generator: Of the order.

    Raises:
        ValueError: If `data` is an iterator, which can be read once, and `epochs` is above 1.
    """

    def __init__(
        self, data: Rows, *, width: int, batch_size: int, epochs: int, generator: Any
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

    def epoch(self) -> Iterator[Array]:
        """Batches `(B, V)` of the next epoch.

        Raises:
            ValueError: If a batch has another shape, or there is none.
        """
        self._epoch += 1
        rows = 0
        for batch in self._source():
            shape = ops.shape(batch)
            if len(shape) != 2 or shape[1] != self._width:
                raise ValueError(
                    f"A training batch does not fit the model. Expected shape (B, {self._width}). "
                    f"Received: shape={shape}."
                )
            rows += shape[0]
            if shape[0]:
                yield batch
        if not rows:
            raise ValueError(
                f"Epoch {self._epoch} of the training has no rows. Expected at least one. "
                f"Received: {type(self._data).__name__}. A function must return a new iterator "
                f"each time it is called, and data must not be empty."
            )

    def _source(self) -> Iterable[Array]:
        data: Any = self._data
        if callable(data):
            return data()  # type: ignore[no-any-return]
        if hasattr(data, "shape"):
            return self._cut(data)
        return data  # type: ignore[no-any-return]

    def _cut(self, data: Array) -> Iterator[Array]:
        if len(data.shape) != 2:
            raise ValueError(
                f"The training data are no table. Expected shape (rows, {self._width}). "
                f"Received: shape={tuple(data.shape)}."
            )
        count = data.shape[0]
        order = ops.permutation(self._generator, count)
        for start in range(0, count, self._batch_size):
            yield data[order[start : start + self._batch_size]]
