"""Frames that are there already: a DataFrame of any kind, or chunks of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ember_core.data.cells import cells_of

from ._chunk import Frames
from ._errors import DataError, extra

if TYPE_CHECKING:
    import pandas as pd

_NARWHALS_ROOTS = ("polars", "pyarrow", "modin", "cudf", "narwhals")
_KEY = b"frame"
_SAMPLE_ROWS = 100
"""Rows that tell whether a column holds objects."""


def is_frame(item: Any) -> bool:
    """Test for a table in memory: pandas, polars, pyarrow or another that narwhals supports."""
    kind = type(item)
    root = kind.__module__.partition(".")[0]
    return (root == "pandas" and kind.__name__ == "DataFrame") or (
        root in _NARWHALS_ROOTS and kind.__name__ in ("DataFrame", "LazyFrame", "Table")
    )


def to_pandas(frame: Any, name: str = "The frame") -> pd.DataFrame:
    """A table of any kind as pandas; pandas itself is handed through, not copied.

    Raises:
        DataError: If it is none, is lazy, or narwhals is not installed.
    """
    root = type(frame).__module__.partition(".")[0]
    if root == "pandas" and type(frame).__name__ == "DataFrame":
        return frame  # type: ignore[no-any-return]
    if not is_frame(frame):
        raise DataError(
            f"{name} is no table. Expected a DataFrame of pandas or polars, or a pyarrow.Table. "
            f"Received: {type(frame).__module__}.{type(frame).__name__}."
        )
    return eager(frame, name).to_pandas()  # type: ignore[no-any-return]


def eager(frame: Any, name: str = "The frame") -> Any:
    """A table in memory as narwhals sees it.

    Raises:
        DataError: If it is lazy, or narwhals is not installed.
    """
    narwhals = extra("narwhals", "narwhals", "frames", name)
    try:
        return narwhals.from_native(frame, eager_only=True)
    except TypeError:
        raise DataError(
            f"{name} is not in memory. Expected an eager table. Received: "
            f"{type(frame).__module__}.{type(frame).__name__}. Call its collect() first."
        ) from None


def with_index(frame: pd.DataFrame) -> pd.DataFrame:
    """A table with its index as columns, unless that only counts the rows.

    An index of times without a name becomes the column `time`.
    """
    import pandas as pd

    index = frame.index
    names = [name for name in index.names if name is not None]
    is_time = isinstance(index, (pd.DatetimeIndex, pd.PeriodIndex))
    if not names and not is_time and not isinstance(index, pd.MultiIndex):
        return frame
    if set(map(str, names)) <= set(map(str, frame.columns)) and names:
        return frame  # an index that was made of a column and left in place
    if isinstance(index, pd.PeriodIndex):
        frame = frame.set_axis(index.to_timestamp(), axis=0)
    if is_time and not names:
        column_names = set(map(str, frame.columns))
        name = next(n for n in ("time", "ts", "timestamp", "index_time") if n not in column_names)
        frame = frame.rename_axis(name)
    elif isinstance(index, pd.MultiIndex):
        levels = [
            name or ("time" if isinstance(level, pd.DatetimeIndex) else f"level_{i}")
            for i, (name, level) in enumerate(zip(index.names, index.levels, strict=True))
        ]
        frame = frame.rename_axis(levels)
    return frame.reset_index()


def with_members(frame: pd.DataFrame) -> pd.DataFrame:
    """A table with the members of its objects as columns, by dotted paths."""
    import pandas as pd

    if not frame.columns.is_unique:
        return frame
    nested = [
        name
        for name in frame.columns
        if getattr(frame[name].dtype, "kind", "O") == "O" and _holds_objects(frame[name])
    ]
    for name in nested:
        members = pd.DataFrame([cells_of({name: cell}) for cell in frame[name]], index=frame.index)
        frame = pd.concat([frame.drop(columns=name), members], axis=1)
    return frame


def _holds_objects(column: pd.Series[Any]) -> bool:
    return any(isinstance(cell, Mapping) for cell in column.head(_SAMPLE_ROWS))


class TableFrames:
    """Slices of one table in memory.

    Args:
        table: A DataFrame of pandas or polars, a pyarrow.Table, or what else narwhals knows.
        chunk_rows: Rows of a slice.
    """

    def __init__(self, table: Any, chunk_rows: int) -> None:
        self.name = f"the {type(table).__module__.partition('.')[0]} {type(table).__name__}"
        self.default_key = _KEY
        self._table = table
        self._chunk_rows = chunk_rows

    def frames(self) -> Iterator[pd.DataFrame]:
        """DataFrames of at most `chunk_rows` rows; only a slice at a time is converted."""
        import pandas as pd

        if isinstance(self._table, pd.DataFrame):
            for start in range(0, len(self._table), self._chunk_rows):
                yield self._table.iloc[start : start + self._chunk_rows]
            return
        table = eager(self._table, self.name)
        for start in range(0, len(table), self._chunk_rows):
            yield table[start : start + self._chunk_rows].to_pandas()


class ChunkFrames:
    """Tables that come one after the other.

    Args:
        chunks: A list of tables, or a function that returns a new iterator each time it is
            called. An iterator is read once: callers that need a second pass refuse it.
    """

    def __init__(self, chunks: Iterable[Any] | Callable[[], Iterable[Any]]) -> None:
        self.name = "the chunks"
        self.default_key = _KEY
        self.is_repeatable = not isinstance(chunks, Iterator)
        self._chunks = chunks
        self._spent = False

    def frames(self) -> Iterator[pd.DataFrame]:
        """The tables as pandas.

        Raises:
            DataError: If they were read before and cannot be again, or one is no table.
        """
        if isinstance(self._chunks, Iterator):
            if self._spent:
                raise DataError(
                    "The chunks can be read only once. Expected a list, or a function that "
                    f"returns a new iterator. Received: {type(self._chunks).__name__}. Pass the "
                    "function itself, not its result."
                )
            self._spent = True
        chunks = self._chunks() if callable(self._chunks) else self._chunks
        for number, chunk in enumerate(chunks):
            yield to_pandas(chunk, f"Chunk {number}")


def memory_frames(item: Any, chunk_rows: int) -> Frames | None:
    """A reader of something in memory; None where it is nothing of the kind."""
    if is_frame(item):
        return TableFrames(item, chunk_rows)
    if callable(getattr(item, "frames", None)):
        return item  # type: ignore[no-any-return]
    if isinstance(item, Iterable) or callable(item):
        return ChunkFrames(item)
    return None
