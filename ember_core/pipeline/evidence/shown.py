"""Usual values of the channels of rows, and the severity of each of their statistics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ember_core import ops
from ember_core.pipeline.stage import State

from .signals import SPREAD
from .transforms import Transforms


class Usual:
    """Values that would have been usual for rows.

    Args:
        transforms: Transforms of the channels.
        lowest: Smallest value of each, `(C,)`.
        deviation: Usual unit of the channels of the rows' keys, `(R, C)`; 0 where unknown.
        columns: Columns of rows and channels, `(R, C)` each: the usual unit; the seasonal
            expectation, in usual units; the anchor, in usual sizes; the usual size, in usual
            units; its growth.
    """

    COLUMNS: Final = ("unit", "expected", "level", "size", "growth")

    def __init__(self, transforms: Transforms, lowest: Any, deviation: Any, *columns: Any) -> None:
        self._transforms, self._lowest, self._columns = transforms, lowest, columns
        self._deviation = deviation

    def is_known(self, rows: Any) -> Any:
        """Return True for channels with a usual value, `(N, C)`.

        Args:
            rows: Indices of the rows.
        """
        return self._deviation[rows] > 0

    def values(self, rows: Any, sizes: Any = 0.0) -> Any:
        """Return usual values `(N, C)`, float64, in the channels' own units.

        Args:
            rows: Indices of the rows.
            sizes: Usual sizes above them, a number or `(N, C)`: 3 and -3 give the usual range.
        """
        unit, expected, level, size, growth = (column[rows] for column in self._columns)
        shifted = ops.astype((level + sizes * growth) * size, "float64")
        values = self._transforms.inverse((expected + shifted) * unit)
        return ops.maximum(values, ops.astype(self._lowest, "float64"))

    def departures(self, rows: Any, values: Any) -> Any:
        """Return how far values are from the usual ones, `(N, C)`, float32, in usual sizes.

        Args:
            rows: Indices of the rows.
            values: Values of these, `(N, C)`; NaN stays NaN.
        """
        unit, expected, level, size, growth = (column[rows] for column in self._columns)
        distance = (self._transforms(values) / unit - expected) / size - level
        return ops.astype(distance / growth, "float32")


class ChannelStatistics:
    """Severity of the single statistics of rows, for those that are explained.

    Args:
        judge: Severity of statistics, by learnt fields, fields after the rows, and signals.
        usual: Learnt fields of each row's key, `(R, ...)`.
        followed: Fields after each row.
        signals: Signals of the rows, `(R, 8, C)`.
    """

    def __init__(
        self,
        judge: Callable[[State, State, Any], Any],
        usual: State,
        followed: State,
        signals: Any,
    ) -> None:
        self._judge, self._signals = judge, signals
        self._usual, self._followed = usual, dict(followed)

    def ratios(self, rows: Any) -> Any:
        """Return signals and spread over sizes that the key seldom passes, `(N, 9, C)`.

        Args:
            rows: Indices of the rows.
        """
        spread = self._followed["channel_averages"][rows][:, SPREAD:]
        values = ops.concatenate([self._signals[rows], spread], axis=1)
        return values / ops.maximum(self._usual["usual_extremes"][rows], 1e-3)

    def severity(self, rows: Any) -> Any:
        """Return the severity of each statistic, `(N, 18 C)`.

        Args:
            rows: Indices of the rows.
        """
        usual = {name: self._usual[name][rows] for name in ("usual_extremes", "usual_run")}
        followed = {name: self._followed[name][rows] for name in ("channel_averages", "equal_run")}
        return self._judge(usual, followed, self._signals[rows])
