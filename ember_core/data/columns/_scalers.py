"""Filling gaps and scaling: fitted on rows or chunks of rows, saved with their numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from ember_core import ops
from ember_core.nn import Module
from ember_core.ops import Array

from ._levels import Levels
from ._stats import ColumnStats, FilledStats

Rows = Array | Iterable[Array] | Callable[[], Iterable[Array]]
"""Rows `(n, C)`: an array, chunks of them, or a function that gives chunks."""

Strategy = Literal["median", "mean", "most_frequent", "constant", "forward"]
_LEVELS = 65_536


def chunks_of(data: Rows) -> Iterable[Any]:
    """The chunks of `Rows`."""
    source: Any = data() if callable(data) else data
    return [source] if hasattr(source, "shape") else source


class _Fitted(Module):
    """Base of everything fitted on columns of numbers: checks, and fitting in one pass."""

    n_features: int | None

    def _checked(self, x: Array) -> Array:
        shape = ops.shape(x)
        width = self.n_features
        if len(shape) != 2 or (width is not None and shape[1] != width):
            raise ValueError(
                f"The rows do not fit {type(self).__name__}. Expected shape "
                f"(n, {'C' if width is None else width}). Received: shape={shape}."
            )
        return x if ops.dtype(x).startswith("float") else ops.astype(x, "float64")

    def _need_fit(self) -> None:
        if self.n_features is None:
            raise ValueError(
                f"{type(self).__name__} is not fitted. Expected fit(data) with training rows "
                "first, or load(path). Received: n_features=None."
            )

    def _gathered(self, data: Rows, *, quantiles: bool) -> ColumnStats:
        stats: ColumnStats | None = None
        for chunk in chunks_of(data):
            rows = np.asarray(ops.to_numpy(self._any_width(chunk)), np.float64)
            if stats is None:
                stats = ColumnStats(rows.shape[1], quantiles=quantiles)
            if rows.shape[1] != len(stats.count):
                raise ValueError(
                    f"The chunks differ in width. Expected {len(stats.count)} columns. "
                    f"Received: shape={rows.shape}."
                )
            if np.isinf(rows).any():
                raise ValueError(
                    f"{type(self).__name__} cannot learn from infinity. Expected finite numbers "
                    "or NaN for a gap. Received: infinity in column "
                    f"{int(np.isinf(rows).any(axis=0).argmax())}."
                )
            self._watch(rows)
            stats.add(rows)
        if stats is None or not (stats.count + stats.missing).any():
            raise ValueError(
                f"{type(self).__name__} needs rows to learn from. Expected at least one. "
                "Received: none."
            )
        return stats

    def _watch(self, rows: NDArray[np.float64]) -> None:
        """Further statistics of the rows that are needed."""

    def _any_width(self, x: Array) -> Array:
        width, self.n_features = self.n_features, None
        try:
            return self._checked(x)
        finally:
            self.n_features = width


class Imputer(_Fitted):
    """Fills gaps (NaN) in columns of numbers.

    Args:
        strategy: `median` (of a `QuantileSketch`: exact up to 16,384 values), `mean`,
            `most_frequent` (the smallest of equally frequent ones; of the first 65,536 distinct
            values), `constant`, or `forward`: the last value before the gap, and the median where
            there is none yet.
        fill_value: The constant.
        n_features: Columns `C`; known once fitted.

    Attributes:
        fill: Buffer `(C,)`, value put into gaps.

    Examples:
        >>> x = np.array([[1.0], [np.nan], [4.0]])
        >>> Imputer("mean").fit(x)(x).ravel().tolist()
        [1.0, 2.5, 4.0]
        >>> Imputer("forward").fit(x)(x).ravel().tolist()
        [1.0, 1.0, 4.0]
    """

    fill: Array

    def __init__(
        self,
        strategy: Strategy = "median",
        *,
        fill_value: float = 0.0,
        n_features: int | None = None,
    ) -> None:
        if strategy not in get_args(Strategy):
            raise ValueError(
                f"Unknown way to fill gaps. Expected one of {', '.join(get_args(Strategy))}. "
                f"Received: strategy={strategy!r}."
            )
        self.strategy = strategy
        self.fill_value = fill_value
        self.n_features = n_features
        self._levels: list[Levels] = []
        self.register_buffer("fill", np.zeros(n_features or 0))

    def fit(self, data: Rows) -> Self:
        """Learn what to fill in, in one pass.

        Raises:
            ValueError: If a column has no value at all (unless the strategy is `constant`).
        """
        self._levels = []
        quantiles = self.strategy in ("median", "forward")
        stats = self._gathered(data, quantiles=quantiles)
        return self.fit_stats(stats, self._levels)

    def fit_stats(self, stats: ColumnStats, levels: list[Levels]) -> Self:
        """Fit from statistics gathered before."""
        empty = np.flatnonzero(stats.count == 0)
        if empty.size and self.strategy != "constant":
            raise ValueError(
                f"A column has no value to learn from. Expected at least one in each. Received: "
                f"only gaps in column {int(empty[0])}. Leave it out, or fill it with "
                "strategy='constant'."
            )
        if self.strategy == "constant":
            fill = np.full(len(stats.count), float(self.fill_value))
        elif self.strategy == "mean":
            fill = stats.mean.copy()
        elif self.strategy == "most_frequent":
            fill = np.array([_most_frequent(column) for column in levels])
        else:
            fill = stats.quantiles([0.5])[0]
        self.n_features = len(fill)
        self.fill = fill
        return self

    def _watch(self, rows: NDArray[np.float64]) -> None:
        if self.strategy != "most_frequent":
            return
        if not self._levels:
            self._levels = [Levels(_LEVELS) for _ in range(rows.shape[1])]
        for column, levels in zip(rows.T, self._levels, strict=True):
            values, counts = np.unique(column[~np.isnan(column)], return_counts=True)
            levels.add(values.tolist(), counts)

    def forward(self, x: Array) -> Array:
        """`x` `(n, C)` with its gaps filled, as float."""
        return self.carry(None, x)[1]

    def carry(self, last: Array | None, x: Array) -> tuple[Array, Array]:
        """The next rows of a series.

        Args:
            last: Last row that the previous call returned, `(C,)`; None at the beginning.
                Only `forward` reads it.
            x: `(n, C)`, NaN in its gaps.

        Returns:
            The values to carry on, and the rows without gaps.
        """
        self._need_fit()
        x = self._checked(x)
        fill = like(x, self.fill)
        if self.strategy != "forward":
            return fill, ops.where(ops.isnan(x), fill + ops.zeros_like(x), x)
        rows = ops.to_numpy(x)
        first = ops.to_numpy(fill if last is None else last)[None]
        extended = np.concatenate([np.where(np.isnan(first), ops.to_numpy(fill), first), rows])
        last_present = np.where(np.isnan(extended), 0, np.arange(len(extended))[:, None])
        filled = np.take_along_axis(extended, np.maximum.accumulate(last_present, axis=0), axis=0)
        return like(x, filled[-1]), like(x, filled[1:])

    def statistics(self, stats: ColumnStats) -> FilledStats:
        """Statistics of the columns after filling; of present values, where it is `forward`."""
        if self.strategy == "forward":
            return stats.observed()
        return stats.filled(np.asarray(ops.to_numpy(self.fill), np.float64))


def _most_frequent(levels: Levels) -> float:
    items = levels.items()
    return min(float(value) for value, count in items if count == items[0][1])


class Scaler(_Fitted):
    """`(x - center) / scale` per column; NaN stay NaN. The base of three kinds.

    Args:
        n_features: Columns `C`; known once fitted.

    Attributes:
        center: Buffer `(C,)`.
        scale: Buffer `(C,)`; 1 where a column does not vary.
    """

    center: Array
    scale: Array
    quantiles: bool = False

    def __init__(self, n_features: int | None = None) -> None:
        self.n_features = n_features
        self.register_buffer("center", np.zeros(n_features or 0))
        self.register_buffer("scale", np.ones(n_features or 0))

    def fit(self, data: Rows) -> Self:
        """Learn center and scale from present values, in one pass."""
        return self.fit_stats(self._gathered(data, quantiles=self.quantiles).observed())

    def fit_stats(self, stats: FilledStats) -> Self:
        """Fit from statistics gathered before."""
        center, scale = self._learn(stats)
        self.n_features = len(center)
        has_values = stats.count > 0
        self.center = np.where(has_values, center, 0.0)
        # Rounding leaves a constant column a deviation of some 1e-16 of its size.
        tiny = 1e-12 * np.maximum(np.abs(self.center), 1e-300)
        self.scale = np.where(has_values & (scale > tiny), scale, 1.0)
        return self

    def _learn(self, stats: FilledStats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        raise NotImplementedError

    def forward(self, x: Array) -> Array:
        """Scaled rows `(n, C)`, in the dtype and on the backend of `x`."""
        self._need_fit()
        x = self._checked(x)
        return (x - like(x, self.center)) / like(x, self.scale)

    def inverse(self, x: Array) -> Array:
        """Back to the columns' own units, `(n, C)`."""
        self._need_fit()
        x = self._checked(x)
        return x * like(x, self.scale) + like(x, self.center)


class StandardScaler(Scaler):
    """Mean 0 and standard deviation 1 (divided by the count).

    Examples:
        >>> scaler = StandardScaler().fit(np.array([[1.0], [3.0]]))
        >>> scaler(np.array([[5.0]])).tolist(), scaler.inverse(np.array([[3.0]])).tolist()
        ([[3.0]], [[5.0]])
    """

    def _learn(self, stats: FilledStats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return stats.mean, stats.std


class RobustScaler(Scaler):
    """Median 0 and distance of the quartiles 1, both from a `QuantileSketch`."""

    quantiles = True

    def _learn(self, stats: FilledStats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        first, middle, third = stats.quantiles([0.25, 0.5, 0.75])
        return middle, third - first


class MinMaxScaler(Scaler):
    """0 for the smallest and 1 for the largest value of training."""

    def _learn(self, stats: FilledStats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        with np.errstate(invalid="ignore"):  # infinity less infinity: a column without values
            return stats.low, stats.high - stats.low


def like(x: Array, value: Any) -> Array:
    """A fitted array on the backend and device and in the dtype of `x`."""
    return ops.to(value, like=x, dtype=ops.dtype(x))
