"""Times and values as people hand them in: as the pipeline's arrays, or one clear error."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ember_core import ops

LARGEST_VALUE: Final = 1e150
"""Largest value that is used; its square is still a number."""

# Years 1900 to 2261, as files and records have them.
_EARLIEST_US, _LATEST_US = -2_208_988_800_000_000, 9_214_646_400_000_000
_YEARS_2000_TO_2100 = (946_684_800, 4_102_444_800)  # seconds
# Longest usual interval, read as microseconds, of times that are taken for another unit. Real
# telemetry of January 1970 is rarer than a forgotten factor.
_SHORT_US = {"seconds": 100_000, "milliseconds": 100_000_000}
_FACTORS = {"seconds": 1, "milliseconds": 1_000}
_MEND = (
    "Give whole microseconds since the epoch, or datetime64: "
    "`pandas.to_datetime(times, unit=...).to_numpy()` or `times.astype('datetime64[ms]')`."
)


def as_times(times: Any) -> NDArray[np.int64]:
    """Return times as whole microseconds since the epoch, each later than the one before.

    Times of pandas, NumPy (`datetime64`) and Python (`datetime`) are converted, without a zone as
    UTC. Numbers must be microseconds already: other units are told by their size, and refused.

    Args:
        times: Array, list or pandas object, `(T,)`.

    Raises:
        ValueError: If they are no times, of another unit, missing, or do not increase.

    Examples:
        >>> import numpy as np
        >>> as_times(np.array(["2026-01-01T00:00:00"], dtype="datetime64[s]")).tolist()
        [1767225600000000]
    """
    moments = as_moments(times)
    later = moments[1:] > moments[:-1]
    if not later.all():
        row = int(later.argmin()) + 1
        raise ValueError(
            "The times of a series must increase. Expected each later than the one before. "
            f"Received: {moments[row - 1]} in row {row - 1}, then {moments[row]}; "
            f"{int((~later).sum())} rows in all are not later than the row before them. "
            "Sort the rows; keep one of each time."
        )
    return moments


def as_moments(times: Any) -> NDArray[np.int64]:
    """Return times as `as_times` does, in any order.

    Raises:
        ValueError: If they are no times, of another unit, or missing.
    """
    array = _times_array(times)
    if array.ndim != 1:
        raise ValueError(
            f"Times have one dimension. Expected shape (T,). Received: shape={array.shape}."
        )
    if array.dtype.kind != "M":  # numbers carry no unit, so that their size has to tell it
        return _whole_microseconds(array)
    _refuse_missing(np.isnat(array))
    _refuse_outside(array.astype("datetime64[s]").astype(np.int64) * 1_000_000)
    return array.astype("datetime64[us]").astype(np.int64)


def as_values(values: Any, rows: int) -> NDArray[np.float64]:
    """Return values as float64 of shape `(T, C)`; NaN where one is missing or infinite.

    Args:
        values: Array, list or pandas object, `(T, C)`, or `(T,)` for one channel.
        rows: Number of times, `T`.

    Raises:
        ValueError: If they are no numbers, of another length, or too large.
    """
    array = _values_array(values)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or len(array) != rows:
        raise ValueError(
            "Values and times belong together. Expected values of shape (T, C), or (T,) for one "
            f"channel, for T={rows} times. Received: shape={np.shape(values)}."
        )
    infinite = np.isinf(array)
    if infinite.any():
        array = np.where(infinite, np.nan, array)
    too_large = np.abs(array) > LARGEST_VALUE
    if too_large.any():
        row, column = np.argwhere(too_large)[0].tolist()
        raise ValueError(
            f"A value is too large. Expected at most {LARGEST_VALUE:g}, or NaN where it is "
            f"missing. Received: {array[row, column]:g} in row {row}, column {column}."
        )
    return array


def in_channel_order(values: Any, channels: Sequence[str]) -> Any:
    """Return the columns of a frame in the order of the channels; anything else as it is.

    Raises:
        ValueError: If a frame has other columns.
    """
    names = list(column_names(values))
    if not names:
        return values
    if sorted(names) != sorted(channels):
        raise ValueError(
            f"The frame has other columns than the model. Expected {', '.join(channels[:8])}. "
            f"Received: {', '.join(names[:8])}."
        )
    if names == list(channels):
        return values
    select = getattr(values, "select", None) if hasattr(values, "column_names") else None
    return values[list(channels)] if select is None else select(list(channels))


def column_names(values: Any) -> tuple[str, ...]:
    """Return the names of a frame's columns; none where it has numbers for names, or is no frame.

    Examples:
        >>> import pandas as pd
        >>> column_names(pd.DataFrame({"cpu": [1.0]})), column_names(pd.DataFrame([[1.0]]))
        (('cpu',), ())
    """
    names = getattr(values, "column_names", None)  # pyarrow, whose `columns` are the data
    if names is None:
        names = getattr(values, "columns", None)
    if names is None or all(isinstance(name, (int, np.integer)) for name in names):
        return ()
    return tuple(map(str, names))


def as_key(key: Any) -> bytes:
    """Return a stream key as bytes; text is encoded as UTF-8.

    Raises:
        ValueError: If it is neither.
    """
    if isinstance(key, str):
        key = key.encode("utf-8", "surrogateescape")
    if not isinstance(key, bytes):
        raise ValueError(f"A key is bytes or text. Received: key={key!r}.")
    return key


def require_positive(**numbers: float | None) -> None:
    """Refuse numbers that are not above 0; None passes.

    Raises:
        ValueError: With the first that is not.
    """
    for name, number in numbers.items():
        if number is not None and not number > 0:
            raise ValueError(f"{name} must be above 0. Received: {name}={number}.")


def _times_array(times: Any) -> NDArray[Any]:
    if str(getattr(times, "dtype", "")).startswith("datetime64"):
        # Of a time with a zone this makes UTC, where NumPy alone would make objects.
        to_numpy = getattr(times, "to_numpy", None)
        if to_numpy is not None:
            return np.asarray(to_numpy(dtype="datetime64[ns]"))
        return np.asarray(times)
    array = np.asarray(times)
    if array.dtype.kind != "O":
        return array
    if array.size and all(isinstance(moment, datetime) for moment in array.flat):
        utc = [moment.astimezone(UTC) if moment.tzinfo else moment for moment in array.flat]
        return np.array([m.replace(tzinfo=None) for m in utc], "datetime64[us]")
    if all(isinstance(moment, (int, np.integer)) for moment in array.flat):
        return array.astype(np.int64)
    return array


def _whole_microseconds(array: NDArray[Any]) -> NDArray[np.int64]:
    if not array.size:
        return np.zeros(0, np.int64)
    if array.dtype.kind not in "iuf":
        raise ValueError(
            f"Times are numbers or dates. Expected int64 or datetime64. Received: "
            f"dtype={array.dtype}, the first {array.flat[0]!r}. {_MEND}"
        )
    if array.dtype.kind == "f":
        _refuse_missing(np.isnan(array))
    _refuse_outside(array)
    _refuse_unit(array)
    whole = array.astype(np.int64)
    # Numbers of a table are often floats, and whole ones lose nothing.
    if array.dtype.kind == "f" and bool((whole != array).any()):
        raise ValueError(
            "Times are whole microseconds. Expected no fraction. "
            f"Received: {array[int((whole != array).argmax())]!r}. {_MEND}"
        )
    return whole


def _refuse_missing(missing: NDArray[np.bool_]) -> None:
    if missing.any():
        raise ValueError(
            "Every row needs a time. Expected none to be missing. Received: none in row "
            f"{int(missing.argmax())}, and {int(missing.sum())} in all. Leave these rows out."
        )


def _refuse_outside(array: NDArray[Any]) -> None:
    outside = (array < _EARLIEST_US) | (array >= _LATEST_US)
    if outside.any():
        value = array[int(outside.argmax())]
        unit = "nanoseconds" if 1e17 < abs(float(value)) < 9.3e18 else "another unit"
        raise ValueError(
            "Times are microseconds since the epoch. Expected years 1900 to 2261. "
            f"Received: {value}, which looks like {unit}. {_MEND}"
        )


def _refuse_unit(array: NDArray[Any]) -> None:
    """Refuse numbers that are plausible in seconds or milliseconds, and odd in microseconds."""
    low, high = float(array.min()), float(array.max())
    gaps = np.diff(np.sort(array))
    usual = float(np.median(gaps[gaps > 0])) if bool((gaps > 0).any()) else 0.0
    # Both tests must hold: a series that begins at 0 may well pass through these numbers.
    for unit, factor in _FACTORS.items():
        first, last = (factor * seconds for seconds in _YEARS_2000_TO_2100)
        if first <= low <= high < last and usual < _SHORT_US[unit]:
            raise ValueError(
                f"Times are microseconds since the epoch. Received: {array[0]}, which looks like "
                f"{unit} of {datetime.fromtimestamp(low / factor, UTC):%Y-%m-%d}. {_MEND}"
            )


def _values_array(values: Any) -> NDArray[np.float64]:
    raw = values
    if hasattr(values, "to_numpy") and hasattr(values, "isna"):  # pandas
        dtypes = values.dtypes if hasattr(values, "columns") else [values.dtype]
        if all(getattr(dtype, "kind", "O") in "iufb" for dtype in dtypes):
            return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan))
        raw = values.astype(object).where(values.notna(), np.nan).to_numpy()  # pandas.NA is none
    raw = _rectangular(raw)
    if raw.dtype.kind in "USMmc" or (
        raw.dtype.kind == "O" and any(isinstance(value, (str, bytes)) for value in raw.flat)
    ):
        text = next((v for v in raw.flat if isinstance(v, (str, bytes))), raw.dtype)
        raise ValueError(
            f"Values are numbers. Expected float64, NaN where one is missing. Received: {text!r}. "
            "Convert them first, such as with `pandas.to_numeric`."
        )
    try:
        return np.asarray(raw, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Values are numbers. Expected float64, NaN where one is missing. Received: {error}."
        ) from None


def _rectangular(values: Any) -> NDArray[Any]:
    try:
        return np.asarray(values)
    except ValueError:  # rows of different lengths
        raise ValueError(
            "Values form a table. Expected rows of one length, (T, C). "
            f"Received: rows of lengths {sorted({np.size(row) for row in values})[:5]}."
        ) from None


def is_foreign(x: Any) -> bool:
    """Test for an array of another backend than NumPy."""
    root = type(x).__module__.partition(".")[0]
    return root != "numpy" and root in ops.available_backends()


def on_host(x: Any) -> Any:
    """Return an array of another backend as one of NumPy; anything else as it is."""
    return ops.to_numpy(x) if is_foreign(x) else x


def as_given(checked: Any, given: Any) -> Any:
    """Return checked numbers on the backend and with the dtype that they were given on."""
    return ops.to(checked.astype(ops.dtype(given)), like=given) if is_foreign(given) else checked
