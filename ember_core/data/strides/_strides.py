"""Temporal strides: windows of rows from several perspectives of time, as features."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ember_core import ops
from ember_core.nn import Module
from ember_core.ops import Array

from ._rolling import STATISTICS, rolling
from ._stride_pca import Moments, components

Rows = Array | Iterable[Array] | Callable[[], Iterable[Array]]
"""Rows `(T, C)`: an array, chunks of one series in order, or a function that gives chunks."""


@dataclass(frozen=True)
class StrideWindows:
    """Features of the windows of one stride, and the rows they come from."""

    values: Array
    """`(n_windows, K)`, float, on the backend of the rows."""
    first: NDArray[np.int64]
    """Number of each window's oldest row since the series began, `(n_windows,)`."""
    last: NDArray[np.int64]
    """Number of its newest row, `(n_windows,)`: the window is known from that row on."""


@dataclass(frozen=True)
class StrideState:
    """State of a series: the rows that later windows still need."""

    rows: Array | None = None
    """The newest rows, `(m, C)`; None before the first."""
    seen: int = 0
    """Rows of the series so far."""


class TemporalStrides(Module):
    """Windows of a series at several strides.

    A stride `s` is a hop: windows of `window` consecutive rows that begin at rows 0, s, 2s, ...
    A stride `(hop, dilation)` also leaves rows out: a window is every `dilation`-th row.
    No window is lost or comes twice where a series is cut into chunks.

    Args:
        n_channels: Columns of a row, `C`.
        window: Rows in a window, `W`, at least 2.
        strides: Hops, or pairs of hop and dilation.
        summary: `"pca"`: principal components of the windows, fitted once per stride; `"rows"`:
            the window's rows themselves; or names of statistics per channel, of `mean`, `std`,
            `min`, `max`, `slope` and `departure` (newest row minus mean).
        n_components: Components per stride (one number, or one for each); None for half of
            `W * C`, at most 32. Windows that are too few allow fewer: their number less one.

    Attributes:
        windows_seen: Buffer `(S,)`, windows each stride was fitted on; 0 is unfitted.

    Examples:
        >>> from ember_core import ops
        >>> strides = TemporalStrides(2, window=4, strides=(1, 3), summary=("mean", "departure"))
        >>> x = ops.reshape(ops.arange(0, 20, dtype="float32"), (10, 2))
        >>> out = strides.transform(x)
        >>> out[3].values.shape, out[3].first.tolist(), out[3].last.tolist()
        ((3, 4), [0, 3, 6], [3, 6, 9])
        >>> strides.feature_names(3, ["a", "b"])
        ('a_mean_3', 'b_mean_3', 'a_departure_3', 'b_departure_3')
    """

    windows_seen: Array

    def __init__(
        self,
        n_channels: int,
        window: int = 10,
        strides: Sequence[int | Sequence[int]] = (1, 3, 5),
        *,
        summary: Literal["pca", "rows"] | Sequence[str] = "pca",
        n_components: int | Sequence[int] | None = None,
    ) -> None:
        self.n_channels = n_channels
        self.window = window
        self.strides = tuple(s if isinstance(s, int) else (int(s[0]), int(s[1])) for s in strides)
        self._pairs = [(s, 1) if isinstance(s, int) else s for s in self.strides]
        self.summary = summary if isinstance(summary, str) else tuple(summary)
        self.n_components = n_components
        self._check()
        self.register_buffer("windows_seen", np.zeros(len(self.strides), np.int64))
        if self.summary == "pca" and isinstance(n_components, Sequence):
            self._make_buffers(n_components)

    def _check(self) -> None:
        numbers = [n for pair in self._pairs for n in pair]
        if self.n_channels < 1 or self.window < 2 or not numbers or min(numbers) < 1:
            raise ValueError(
                "Windows cannot be made so. Expected n_channels >= 1, window >= 2 and strides of "
                f"at least 1. Received: n_channels={self.n_channels}, window={self.window}, "
                f"strides={self.strides}."
            )
        if len(set(self.strides)) < len(self.strides):
            raise ValueError(
                "A stride is there twice. Expected different strides. "
                f"Received: strides={self.strides}."
            )
        valid = self.summary in ("pca", "rows") or (
            not isinstance(self.summary, str)
            and bool(self.summary)
            and set(self.summary) <= set(STATISTICS)
        )
        if not valid:
            raise ValueError(
                f"Unknown summary of a window. Expected 'pca', 'rows' or some of "
                f"{', '.join(STATISTICS)}. Received: summary={self.summary!r}."
            )
        sizes = self.n_components
        sizes = [sizes] if isinstance(sizes, int) else list(sizes or ())
        per_stride = isinstance(self.n_components, Sequence)
        if min(sizes, default=1) < 1 or (per_stride and len(sizes) != len(self.strides)):
            raise ValueError(
                f"The number of components does not fit. Expected one of at least 1, or one for "
                f"each of {len(self.strides)} strides. Received: n_components={self.n_components}."
            )

    def _make_buffers(self, sizes: Sequence[int]) -> None:
        width = self.window * self.n_channels
        for i, k in enumerate(sizes):
            self.register_buffer(f"mean_{i}", np.zeros(width))
            self.register_buffer(f"components_{i}", np.zeros((int(k), width)))
            self.register_buffer(f"variance_{i}", np.zeros(int(k)))
            self.register_buffer(f"total_variance_{i}", np.zeros(1))

    def fit(self, data: Rows) -> TemporalStrides:
        """Learn the components of every stride, in one pass; other summaries learn nothing.

        Training data only: fitted values do not change again. Means and covariances are
        gathered in float64 on the host, chunk by chunk, so the result does not depend on the cuts.

        Args:
            data: Rows of one series in order.

        Returns:
            This object.

        Raises:
            ValueError: If a stride has fewer than two windows, or a value is not finite.
        """
        if self.summary != "pca":
            return self
        moments = [Moments(self.window * self.n_channels) for _ in self.strides]
        state = StrideState()
        for chunk in _chunks(data):
            rows = np.asarray(ops.to_numpy(self._checked(chunk)), np.float64)
            bad = ~np.isfinite(rows).all(axis=1)
            if bad.any():
                raise ValueError(
                    "Components cannot be learnt from gaps. Expected finite values. Received: NaN "
                    f"or infinity in row {state.seen + int(bad.argmax())}. Fill it first."
                )
            state, windows = self._windows(state, rows, self._flat)
            for moment, part in zip(moments, windows, strict=True):
                moment.add(part.values)
        for stride, moment in zip(self.strides, moments, strict=True):
            if moment.count < 2:
                raise ValueError(
                    f"The series is too short for stride {stride}. Expected at least two windows "
                    f"of {self.window} rows. Received: {state.seen} rows, {moment.count} windows."
                )
        requested = self.n_components
        limits = requested if isinstance(requested, Sequence) else [requested] * len(self.strides)
        bases = [components(moment, k) for moment, k in zip(moments, limits, strict=True)]
        self.n_components = [len(directions) for directions, _, _ in bases]
        self._make_buffers(self.n_components)
        for i, (directions, variance, total) in enumerate(bases):
            self.assign(
                {
                    f"mean_{i}": moments[i].mean,
                    f"components_{i}": np.ascontiguousarray(directions),
                    f"variance_{i}": np.ascontiguousarray(variance),
                    f"total_variance_{i}": np.array([total]),
                }
            )
        self.windows_seen = np.array([moment.count for moment in moments], np.int64)
        return self

    def forward(self, state: StrideState, x: Array) -> tuple[StrideState, dict[Any, StrideWindows]]:
        """The next rows of a series.

        Args:
            state: State that the last call returned; `StrideState()` at the beginning.
            x: Rows `(T, C)`; NaN makes the windows it is in NaN.

        Returns:
            The state after the rows, and by stride the windows that end in them. PCA is computed
            in the dtype of `x`.

        Raises:
            ValueError: For another width, or components that are not fitted.
        """
        x = self._checked(x)
        if self.summary == "pca":
            self._need_fit()
            summarise = self._project
        else:
            summarise = self._flat if self.summary == "rows" else self._statistics
        state, windows = self._windows(state, x, summarise)
        return state, dict(zip(self.strides, windows, strict=True))

    def transform(self, x: Array) -> dict[Any, StrideWindows]:
        """All windows of a whole series `(T, C)`, by stride."""
        return self.forward(StrideState(), x)[1]

    def transform_chunks(self, data: Rows) -> Iterator[dict[Any, StrideWindows]]:
        """The windows that end in each chunk of one series, by stride, in bounded memory."""
        state = StrideState()
        for chunk in _chunks(data):
            state, windows = self.forward(state, chunk)
            yield windows

    def n_features(self, stride: int | tuple[int, int]) -> int:
        """Features of a window, `K`."""
        return len(self.feature_names(stride))

    def feature_names(
        self, stride: int | tuple[int, int], channels: Sequence[str] | None = None
    ) -> tuple[str, ...]:
        """Names of the columns of a stride's features, `(K,)`."""
        i = self._place(stride)
        channels = channels or [f"x{c}" for c in range(self.n_channels)]
        end = "x".join(str(n) for n in (stride if isinstance(stride, tuple) else (stride,)))
        if self.summary == "pca":
            self._need_fit()
            return tuple(f"pca{k}_{end}" for k in range(len(getattr(self, f"variance_{i}"))))
        if self.summary == "rows":
            lags = range(self.window - 1, -1, -1)
            return tuple(f"{name}_back{b}_{end}" for b in lags for name in channels)
        return tuple(f"{name}_{kind}_{end}" for kind in self.summary for name in channels)

    def explained_variance(self, stride: int | tuple[int, int]) -> NDArray[np.float64]:
        """Share of the windows' variance that each component holds, `(K,)`, falling."""
        i = self._place(stride)
        self._need_fit()
        total = float(getattr(self, f"total_variance_{i}")[0])
        variance = np.asarray(ops.to_numpy(getattr(self, f"variance_{i}")), np.float64)
        return variance / total if total > 0 else np.zeros_like(variance)

    def importances(self, stride: int | tuple[int, int]) -> NDArray[np.float64]:
        """Weight of each value of a window in the components: the sum of |loading|.

        Returns:
            `(W, C)`, oldest row first.
        """
        i = self._place(stride)
        self._need_fit()
        loadings = np.asarray(ops.to_numpy(getattr(self, f"components_{i}")), np.float64)
        total: NDArray[np.float64] = np.abs(loadings).sum(axis=0)
        return total.reshape(self.window, self.n_channels)

    def rows_of(self, windows: StrideWindows, stride: int | tuple[int, int]) -> NDArray[np.int64]:
        """Numbers of the rows that each window covers, `(n_windows, W)`."""
        _, dilation = self._pairs[self._place(stride)]
        return windows.first[:, None] + dilation * np.arange(self.window)

    def _windows(
        self, state: StrideState, x: Array, summarise: Callable[[Array, int], Array]
    ) -> tuple[StrideState, list[StrideWindows]]:
        buffered = x if state.rows is None else ops.concatenate([state.rows, x], axis=0)
        total = state.seen + x.shape[0]
        origin = total - buffered.shape[0]
        out, first_needed = [], total
        for i, (hop, dilation) in enumerate(self._pairs):
            span = (self.window - 1) * dilation + 1
            begin = hop * max(0, (state.seen - span) // hop + 1)  # windows given out before
            count = max(0, (total - span - begin) // hop + 1)
            first = begin + hop * np.arange(count, dtype=np.int64)
            # A hop beyond the window may begin in rows that are yet to come.
            rows = buffered[min(begin - origin, buffered.shape[0]) :]
            out.append(StrideWindows(summarise(rows, i), first, first + span - 1))
            first_needed = min(first_needed, begin + hop * count)
        return StrideState(buffered[first_needed - origin :], total), out

    def _flat(self, rows: Array, i: int) -> Array:
        """Windows that begin at the first of `rows`, `(n_windows, W * C)`."""
        hop, dilation = self._pairs[i]
        span = (self.window - 1) * dilation + 1
        count = max(0, (rows.shape[0] - span) // hop + 1)
        parts = [
            rows[offset : offset + (count - 1) * hop + 1 : hop] if count else rows[:0]
            for offset in range(0, span, dilation)
        ]
        return ops.reshape(ops.stack(parts, axis=1), (count, self.window * self.n_channels))

    def _statistics(self, rows: Array, i: int) -> Array:
        hop, dilation = self._pairs[i]
        if isinstance(rows, np.ndarray):  # each written once, where it stays
            count = max(0, (len(rows) - (self.window - 1) * dilation - 1) // hop + 1)
            table = np.empty((len(self.summary), self.n_channels, count), rows.dtype)
            room = {name: part.T for name, part in zip(self.summary, table, strict=True)}
            rolling(rows, self.window, self.summary, dilation=dilation, hop=hop, out=room)
            return table.reshape(len(table) * self.n_channels, count).T
        statistics = rolling(rows, self.window, self.summary, dilation=dilation, hop=hop)
        return ops.concatenate([statistics[name] for name in self.summary], axis=1)

    def _project(self, rows: Array, i: int) -> Array:
        mean, directions = getattr(self, f"mean_{i}"), getattr(self, f"components_{i}")
        return ops.matmul(
            self._flat(rows, i) - _like(rows, mean), ops.transpose(_like(rows, directions))
        )

    def _place(self, stride: Any) -> int:
        stride = tuple(stride) if isinstance(stride, list) else stride
        if stride not in self.strides:
            raise ValueError(
                f"There is no such stride. Expected one of {self.strides}. "
                f"Received: stride={stride!r}."
            )
        return self.strides.index(stride)

    def _need_fit(self) -> None:
        if self.summary != "pca":
            raise ValueError(
                "Only components are fitted. Expected summary='pca'. "
                f"Received: summary={self.summary!r}."
            )
        if not int(self.windows_seen[0]):
            raise ValueError(
                "The strides' components are not fitted. Expected fit(data) with training rows "
                "first, or load(path). Received: windows_seen=0."
            )

    def _checked(self, x: Array) -> Array:
        shape = ops.shape(x)
        if len(shape) != 2 or shape[1] != self.n_channels:
            raise ValueError(
                f"The rows do not fit. Expected shape (T, {self.n_channels}). "
                f"Received: shape={shape}."
            )
        return x if ops.dtype(x).startswith("float") else ops.astype(x, "float32")


def _chunks(data: Rows) -> Iterable[Array]:
    source: Any = data() if callable(data) else data
    return [source] if hasattr(source, "shape") else source


def _like(x: Array, value: Any) -> Array:
    """A fitted array on the backend and device and in the dtype of `x`."""
    return ops.to(value, like=x, dtype=ops.dtype(x))
