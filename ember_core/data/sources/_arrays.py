"""Columns of numbers as arrays: the fast way through a file that needs no understanding."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ._chunk import CHUNK_ROWS
from ._errors import DataError, unknown_column
from ._open import open_frames
from ._values import as_numbers, is_empty, is_numeric

_AHEAD = 2  # chunks that wait while the caller works
# glibc gives freed memory back to the system, to be zeroed page by page for the next chunk, beyond
# twice the largest block it has seen freed; blocks from 32 MiB on do not count.
_KEPT_BYTES = 31 << 20
T = TypeVar("T")


def array_chunks(
    data: Any,
    columns: Sequence[str] = (),
    *,
    chunk_rows: int = CHUNK_ROWS,
    dtype: str = "float32",
) -> Iterator[NDArray[Any]]:
    """Columns of numbers, chunk by chunk in constant memory.

    A thread reads ahead while the caller works. Plain CSV and Parquet files are read by pyarrow
    where it is installed (extra `frames`), some times faster than by pandas.

    Args:
        data: Data as for `open_frames`.
        columns: Their names; empty: every column of numbers of the first chunk.
        chunk_rows: Most rows of a chunk.
        dtype: Type of the arrays.

    Yields:
        `(n, C)`, each column contiguous (Fortran's order), NaN where a value is missing.

    Raises:
        DataError: If the data cannot be read, a column is not there, or a value is no number.

    Examples:
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"], "c": [0.5, None, 2.5]})
        >>> [chunk.tolist() for chunk in array_chunks(frame, chunk_rows=2)]
        [[[1.0, 0.5], [2.0, nan]], [[3.0, 2.5]]]
    """
    np.empty(_KEPT_BYTES, np.uint8)  # freed at once, its pages never touched
    reader: Any = open_frames(data, chunk_rows=chunk_rows)
    arrays = getattr(reader, "arrays", None)
    chunks = arrays(tuple(columns), dtype) if arrays is not None else None
    if chunks is None:
        chunks = _from_frames(reader, tuple(columns), dtype)
    for chunk in ahead(chunks):
        step = -(-len(chunk) // max(1, -(-len(chunk) // chunk_rows)))  # pieces of one size
        for start in range(0, len(chunk), max(1, step)):
            yield chunk[start : start + step]


def _from_frames(reader: Any, columns: tuple[str, ...], dtype: str) -> Iterator[NDArray[Any]]:
    rows = 0
    for frame in reader.frames():
        if not columns:
            names = [n for n in frame.columns if is_numeric(frame[n]) and not is_empty(frame[n])]
            columns = tuple(names)
        out = np.empty((len(columns), len(frame)), dtype).T
        for index, name in enumerate(columns):
            if name not in frame.columns:
                raise unknown_column(reader.name, "column", name, map(str, frame.columns))
            out[:, index], bad = as_numbers(frame[name])
            if bad is not None:
                raise DataError(
                    f"{reader.name} row {rows + bad[0] + 1} has no number in column {name!r}. "
                    f"Expected a number or nothing. Received: {bad[1]!r}."
                )
        rows += len(frame)
        yield out


def ahead(items: Iterator[T], count: int = _AHEAD) -> Iterator[T]:
    """The same items, read in a thread up to `count` ahead; ends with its caller."""
    waiting: queue.Queue[tuple[str, Any]] = queue.Queue(count)
    finished = threading.Event()

    def put(kind: str, item: Any) -> bool:
        while not finished.is_set():
            try:
                waiting.put((kind, item), timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def read() -> None:
        try:
            for item in items:
                if not put("item", item):
                    return
            put("end", None)
        except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
            put("error", error)

    thread = threading.Thread(target=read, name="read-ahead", daemon=True)
    thread.start()
    try:
        while True:
            kind, item = waiting.get()
            if kind == "error":
                raise item
            if kind == "end":
                return
            yield item
    finally:
        finished.set()
        thread.join()
