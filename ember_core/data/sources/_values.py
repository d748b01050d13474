"""Columns of a pandas frame as texts or numbers, whatever their dtype."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Bad = tuple[int, Any]


def as_texts(column: pd.Series[Any]) -> NDArray[np.object_]:
    """Every value as str, empty where there is none, shape `(n,)`."""
    texts: NDArray[np.object_] = column.astype(str).to_numpy(dtype=object, copy=True)
    texts[np.asarray(column.isna(), bool)] = ""
    return texts


def is_empty(column: pd.Series[Any]) -> bool:
    """Test whether no row has a value."""
    return bool(column.isna().all())


def is_numeric(column: pd.Series[Any]) -> bool:
    """Test whether all values are numbers; true and false are not."""
    kind = getattr(column.dtype, "kind", "O")
    if kind in "iuf":
        return True
    if kind != "O":
        return False
    present = column[~column.isna()]
    return all(
        isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)
        for value in present
    )


def as_numbers(column: pd.Series[Any]) -> tuple[NDArray[np.float64], Bad | None]:
    """Every value as float64, NaN where there is none; the first that is no number, if any.

    Text is converted by Python's `float`, so that no digit depends on the reader.
    """
    if getattr(column.dtype, "kind", "O") in "iufb":
        return column.to_numpy(dtype=np.float64, na_value=np.nan), None
    missing = np.asarray(column.isna(), bool)
    numbers = np.full(len(column), np.nan)
    for row, value in enumerate(column):
        if missing[row]:
            continue
        try:
            numbers[row] = float(value)
        except (TypeError, ValueError, OverflowError):
            return numbers, (row, value)
    return numbers, None
