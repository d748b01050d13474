"""Columns in files without a name: the system may write them out, and needs no memory for them."""

from __future__ import annotations

import math
import tempfile
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._chunk import Chunk

_PER_KEY = frozenset(("keys", "channels", "time_text"))
"""Fields of a chunk that are no arrays of numbers."""


class Space:
    """Room for times and values of all keys, handed out one key after the other.

    Args:
        rows: Rows of all keys together.
        channels: Number of channels.
        on_disk: Whether it is a file.
    """

    def __init__(self, rows: int, channels: int, *, on_disk: bool) -> None:
        self._columns: tuple[NDArray[np.int64], NDArray[np.float64]] | None = None
        if on_disk:
            self._columns = (
                array_on_disk((rows,), np.int64),
                array_on_disk((rows, channels), np.float64),
            )
        self._channels = channels
        self._taken = 0

    def take(self, rows: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return times and values of the next rows, not filled in."""
        if self._columns is None:
            return np.empty(rows, np.int64), np.empty((rows, self._channels))
        part = slice(self._taken, self._taken + rows)
        self._taken = part.stop
        return self._columns[0][part], self._columns[1][part]


def array_on_disk(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Return an array in a file that is deleted with it; its folder is that of `TMPDIR`."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if not size:  # an empty file cannot be mapped
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile(prefix="ember-") as file:
        file.truncate(size)
        # The mapping keeps the file, which has no name, until the last view of it is gone.
        return np.asarray(np.memmap(file, dtype, "r+", shape=shape))


def kept_on_disk(chunk: Chunk) -> Chunk:
    """Return the chunk with its columns of numbers on disk."""
    columns: dict[str, Any] = {}
    for field in fields(chunk):
        column = getattr(chunk, field.name)
        if column is not None and field.name not in _PER_KEY:
            columns[field.name] = array_on_disk(column.shape, column.dtype)
            columns[field.name][:] = column
    return replace(chunk, **columns)
