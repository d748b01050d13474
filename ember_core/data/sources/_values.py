"""Columns of a pandas frame as texts or numbers, whatever their dtype."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ember_core.data.cells import TRUTH_LETTERS, NumberReader, Unreadable

if TYPE_CHECKING:
    import pandas as pd

Bad = tuple[int, Any]

_DIGIT_COMMA = re.compile(r"\d,\d|^[-+]?,\d")
_EITHER = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}")
_DECIMAL = re.compile(r"[-+]?(?:\d{1,3}(?:[. '\u2019\u00a0\u202f]\d{3})+|\d*),\d+(?:[eE][-+]?\d+)?")
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d*)?")


@dataclass
class Commas:
    """Meanings that the commas in a column's numbers can have, with the first row of each."""

    decimal: dict[int, str] = field(default_factory=dict)
    """A decimal sign: `21,5`, `1.234,5`."""
    thousands: dict[int, str] = field(default_factory=dict)
    """Groups of three digits: `1,234.5`, `1,234,567`."""
    either: dict[int, str] = field(default_factory=dict)
    """Both are possible: `1,234`."""
    count: int = 0
    """Cells that no reader can read without the sign."""

    def add(self, row: int, text: str) -> None:
        """Add a cell."""
        bare = text.strip()
        if _EITHER.fullmatch(bare):
            self.either.setdefault(row, text)
        elif _THOUSANDS.fullmatch(bare):
            self.thousands.setdefault(row, text)
        elif _DECIMAL.fullmatch(bare):
            self.decimal.setdefault(row, text)


@dataclass
class Cells:
    """A column as numbers. `n` rows."""

    values: NDArray[np.float64]
    """`(n,)`; NaN where missing or unreadable."""
    bad: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """Rows of the unreadable cells, rising."""
    told: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """Rows of missing cells that are not just empty, rising."""
    letters: frozenset[str] = frozenset()
    """Letters that stand for true and false."""
    lettered: int = 0
    """How many cells they are."""
    commas: Commas = field(default_factory=Commas)


def as_texts(column: pd.Series[Any]) -> NDArray[np.object_]:
    """Every value as str, empty where there is none, shape `(n,)`."""
    texts: NDArray[np.object_] = column.astype(str).to_numpy(dtype=object, copy=True)
    texts[np.asarray(column.isna(), bool)] = ""
    return texts


def is_empty(column: pd.Series[Any]) -> bool:
    """Test whether no row has a value."""
    return bool(column.isna().all())


def is_numeric(column: pd.Series[Any]) -> bool:
    """Test whether all values are numbers or truth values, none of them in text."""
    kind = getattr(column.dtype, "kind", "O")
    if kind in "iufb":
        return kind != "b"
    if kind != "O":
        return False
    cells = read_cells(column, NumberReader())
    return not len(cells.bad) and not any(isinstance(v, (str, bool)) for v in column)


def as_numbers(column: pd.Series[Any]) -> tuple[NDArray[np.float64], Bad | None]:
    """Every value as float64, NaN where there is none; the first that is no number, if any."""
    cells = read_cells(column, NumberReader())
    if not len(cells.bad):
        return cells.values, None
    row = int(cells.bad[0])
    return cells.values, (row, column.iloc[row])


def read_cells(column: pd.Series[Any], reader: NumberReader) -> Cells:
    """Read a column by the table of cells.

    Text is converted by Python's `float`, so that no digit depends on the reader of the file.
    """
    kind = getattr(column.dtype, "kind", "O")
    if kind in "iufb":
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
        values = reader.without_missing(numbers)
        if values is numbers:
            return Cells(values)
        return Cells(values, told=np.flatnonzero(np.isinf(numbers)))
    missing = np.asarray(column.isna(), bool)
    if kind in "mMc":
        return Cells(np.full(len(column), np.nan), np.flatnonzero(~missing))
    distinct, codes = _factorised(column, missing)
    numbers = np.full(len(distinct) + 1, np.nan)  # the last is that of the missing, code -1
    unreadable = np.zeros(len(distinct) + 1, bool)
    is_mentioned = np.zeros(len(distinct) + 1, bool)
    commas = Commas()
    letters: dict[int, str] = {}
    for i, value in enumerate(distinct):
        try:
            numbers[i] = reader.read(value)
        except Unreadable:
            unreadable[i] = True
        else:
            is_mentioned[i] = numbers[i] != numbers[i] and reader.is_told(value)
        if isinstance(value, str):
            if "," in value and not reader.decimal and _DIGIT_COMMA.search(value):
                rows = np.flatnonzero(codes == i)
                commas.add(int(rows[0]), value)
                commas.count += len(rows) if unreadable[i] else 0
            if value.strip().lower() in TRUTH_LETTERS:
                letters[i] = value.strip().lower()
    lettered = int(np.isin(codes, list(letters)).sum()) if letters else 0
    return Cells(
        numbers[codes],
        np.flatnonzero(unreadable[codes]),
        np.flatnonzero(is_mentioned[codes]),
        frozenset(letters.values()),
        lettered,
        commas,
    )


def _factorised(
    column: pd.Series[Any], missing: NDArray[np.bool_]
) -> tuple[list[Any], NDArray[np.int64]]:
    """Return the distinct values of a column, and the place of each row's among them, or -1."""
    import pandas as pd

    values = column.to_numpy(dtype=object)
    try:
        codes, distinct = pd.factorize(values)
    except TypeError:  # arrays and objects cannot be told apart by their hash
        return list(values), np.where(missing, -1, np.arange(len(values)))
    return list(distinct), np.where(missing, -1, codes)
