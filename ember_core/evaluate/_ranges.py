"""Runs of ones in a 0/1 series, and the checks every figure makes of its input."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def as_label(label: ArrayLike) -> NDArray[np.bool_]:
    """Label or flags as a boolean array of shape `(T,)`.

    Args:
        label: Zeros and ones (or booleans), shape `(T,)`.

    Raises:
        ValueError: If it is not one-dimensional or holds another value than 0 and 1.
    """
    array = np.asarray(label)
    if array.ndim != 1:
        raise ValueError(
            f"A label series must have one dimension. Expected shape (T,). "
            f"Received: shape={array.shape}."
        )
    if array.dtype == np.bool_:
        return array
    positive: NDArray[np.bool_] = array != 0
    if not bool(np.all(array[positive] == 1)):
        invalid = array[positive & (array != 1)][0]
        raise ValueError(f"A label must be 0 or 1. Expected 0 or 1. Received: label={invalid!r}.")
    return positive


def as_score(score: ArrayLike, n: int) -> NDArray[np.float64]:
    """Scores as float64 of shape `(n,)`; higher is more anomalous.

    Args:
        score: One score per record, shape `(n,)`; infinities are allowed.
        n: Number of records expected, that of the label.

    Raises:
        ValueError: If the shape is another, or a score is no number or NaN.
    """
    array = as_numbers(score, "A score").astype(np.float64)
    if array.shape != (n,):
        raise ValueError(
            f"Scores and labels must be of the same records. Expected shape ({n},). "
            f"Received: shape={array.shape}."
        )
    missing = np.isnan(array)
    if bool(missing.any()):
        raise ValueError(
            f"A score must be a number. Expected no NaN. Received: score[{int(missing.argmax())}]"
            f"=nan, {int(missing.sum())} of {n} are NaN. Leave out the records without a score."
        )
    return array


def as_numbers(values: Any, what: str) -> NDArray[Any]:
    """Numbers as an array; lists, objects and frames are converted to float64.

    Args:
        values: Numbers of any shape.
        what: Name of one of them, for the message.

    Raises:
        ValueError: If one is text, a date, or another thing.
    """
    array = np.asarray(values)
    if array.dtype.kind == "O" and not any(isinstance(x, (str, bytes)) for x in array.flat):
        try:
            return array.astype(np.float64)
        except (TypeError, ValueError):
            pass
    if array.dtype.kind not in "iufb":
        raise ValueError(
            f"{what} must be a number. Expected float64. Received: dtype={array.dtype}, "
            f"the first {next(iter(array.flat), None)!r}."
        )
    return array


def runs(flags: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Every maximal run of True.

    Args:
        flags: Boolean array, shape `(T,)`.

    Returns:
        int64 array of shape `(R, 2)`: first record of each run and the one *after* its last.

    Examples:
        >>> runs(np.array([0, 1, 1, 0, 1], bool)).tolist()
        [[1, 3], [4, 5]]
    """
    edges = np.diff(np.concatenate(([0], flags.astype(np.int8), [0])))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return np.stack([starts, ends], axis=1).astype(np.int64)
