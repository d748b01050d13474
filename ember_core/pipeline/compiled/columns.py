"""Columns of rows that repeat values of their keys, made for the rows that are asked for."""

from __future__ import annotations

from typing import Any


class KeyColumn:
    """Column of rows, `(R, ...)`, of which each has the values of its key.

    Most rows are never explained: a copy of their keys' values for each of them costs more than the
    few that are.

    Args:
        values: Values of the keys, `(K, ...)`; not to be changed while the column is in use.
        key: Key of each row, `(R,)`.
    """

    def __init__(self, values: Any, key: Any) -> None:
        self._values, self._key = values, key

    def __getitem__(self, rows: Any) -> Any:
        """Return the values of rows, `(N, ...)`.

        Args:
            rows: Indices of the rows, or a slice of them.
        """
        return self._values[self._key[rows]]


class WeighedColumn:
    """Column of rows times one of factors.

    Args:
        column: The column, `(R, ...)`.
        factors: Column of factors, of the same shape.
    """

    def __init__(self, column: Any, factors: Any) -> None:
        self._column, self._factors = column, factors

    def __getitem__(self, rows: Any) -> Any:
        """Return the products of rows, `(N, ...)`.

        Args:
            rows: Indices of the rows, or a slice of them.
        """
        return self._column[rows] * self._factors[rows]
