"""Categories as numbers. Each encoder takes one column of texts, None where one is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from ember_core.nn import Module

from ._levels import Levels
from ._texts import hashed

Texts = Sequence[str | None] | NDArray[Any]
TextChunks = Texts | Iterable[Texts] | Callable[[], Iterable[Texts]]
"""One column: texts, chunks of them, or a function that gives chunks."""

_MOST = 100_000


def factorise(texts: Texts) -> tuple[NDArray[np.int64], list[str]]:
    """Place of each text among the distinct ones, -1 where missing, and the distinct ones."""
    import pandas as pd

    values = np.asarray(texts, dtype=object)
    if values.ndim != 1:
        raise ValueError(
            f"An encoder takes one column. Expected shape (n,). Received: shape={values.shape}."
        )
    codes, distinct = pd.factorize(values)
    return codes.astype(np.int64), [str(value) for value in distinct]


class Encoder(Module):
    """The base of encoders: fits levels in one pass and looks them up.

    Args:
        levels: The known categories in order; None until fitted.
        max_levels: Most categories to know, the most frequent ones.
        handle_unknown: Result of an unseen category: `"ignore"` its neutral value, `"error"` a
            ValueError.
    """

    levels: list[str] | None

    def __init__(
        self,
        levels: Sequence[str] | None = None,
        *,
        max_levels: int = _MOST,
        handle_unknown: Literal["ignore", "error"] = "ignore",
    ) -> None:
        if handle_unknown not in ("ignore", "error") or max_levels < 1:
            raise ValueError(
                "An encoder cannot be made so. Expected handle_unknown 'ignore' or 'error' and "
                f"max_levels >= 1. Received: handle_unknown={handle_unknown!r}, "
                f"max_levels={max_levels}."
            )
        self.levels = None if levels is None else list(levels)
        self.max_levels = max_levels
        self.handle_unknown = handle_unknown

    def fit(self, data: TextChunks) -> Self:
        """Learn the categories; they are known in the order of their text."""
        counted = Levels(_MOST)
        for chunk in _chunks(data):
            codes, values = factorise(chunk)
            counted.add(values, np.bincount(codes[codes >= 0], minlength=len(values)))
        self.levels = counted.top(self.max_levels)
        return self

    def codes(self, texts: Texts) -> NDArray[np.int64]:
        """Place of each text in `levels`, `(n,)`: -1 for an unseen one, -2 for a missing one.

        Raises:
            ValueError: For an unseen one where `handle_unknown` says so, or before `fit`.
        """
        if self.levels is None:
            raise ValueError(
                f"{type(self).__name__} is not fitted. Expected fit(data) with training rows "
                "first, or load(path). Received: levels=None."
            )
        positions = {level: i for i, level in enumerate(self.levels)}
        codes, distinct = factorise(texts)
        if self.handle_unknown == "error":
            unseen = [value for value in distinct if value not in positions]
            if unseen:
                raise ValueError(
                    f"A category was not seen in training. Expected one of {len(positions)} known "
                    f"ones. Received: {unseen[0]!r}. Use handle_unknown='ignore' to let it pass."
                )
        lookup = np.array([positions.get(value, -1) for value in distinct] + [-2], np.int64)
        return lookup[codes]  # a code of -1 takes the last one

    def forward(self, texts: Texts) -> NDArray[np.float64]:
        """Codes as numbers, `(n, K)`."""
        raise NotImplementedError


def _chunks(data: TextChunks) -> Iterable[Texts]:
    source: Any = data() if callable(data) else data
    if hasattr(source, "shape") or not isinstance(source, Iterable):
        return [source]
    if isinstance(source, (list, tuple)) and all(x is None or isinstance(x, str) for x in source):
        return [source]
    return source


class OneHotEncoder(Encoder):
    """A column per category: 1 in that of the row's own, 0 elsewhere.

    Unseen and missing ones give zeros; with `missing`, a missing one has the last column.

    Args:
        levels: See `Encoder`.
        max_levels: See `Encoder`.
        handle_unknown: See `Encoder`.
        missing: Give a column to missing values.

    Examples:
        >>> OneHotEncoder().fit(["b", "a", "b"])(["a", "c", None]).tolist()
        [[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
    """

    def __init__(
        self,
        levels: Sequence[str] | None = None,
        *,
        max_levels: int = 100,
        handle_unknown: Literal["ignore", "error"] = "ignore",
        missing: bool = False,
    ) -> None:
        super().__init__(levels, max_levels=max_levels, handle_unknown=handle_unknown)
        self.missing = missing

    def forward(self, texts: Texts) -> NDArray[np.float64]:
        """`(n, K)`, `K` the number of levels, one more with `missing`."""
        codes = self.codes(texts)
        assert self.levels is not None
        width = len(self.levels) + int(self.missing)
        out = np.zeros((len(codes), width))
        if self.missing:
            codes = np.where(codes == -2, width - 1, codes)
        rows = np.flatnonzero(codes >= 0)
        out[rows, codes[rows]] = 1.0
        return out


class OrdinalEncoder(Encoder):
    """The category's place among the known ones; -1 for an unseen, -2 for a missing one.

    Examples:
        >>> OrdinalEncoder().fit(["b", "a", "b"])(["b", "c", None]).ravel().tolist()
        [1.0, -1.0, -2.0]
    """

    def forward(self, texts: Texts) -> NDArray[np.float64]:
        """`(n, 1)`."""
        return self.codes(texts).astype(np.float64)[:, None]


class HashEncoder(Module):
    """One of `width` columns, and a sign, by a hash that is the same everywhere; nothing to fit.

    Args:
        width: Columns `K`.
        seed: Seed of the hash.

    Examples:
        >>> bool((HashEncoder(4)(["db-1"]) == HashEncoder(4)(["db-1"])).all())
        True
    """

    def __init__(self, width: int = 16, *, seed: int = 0) -> None:
        if width < 1:
            raise ValueError(f"A hash needs columns. Expected width >= 1. Received: width={width}.")
        self.width = width
        self.seed = seed

    def forward(self, texts: Texts) -> NDArray[np.float64]:
        """`(n, K)`: 1 or -1 in one column of each row, zeros where missing."""
        codes, distinct = factorise(texts)
        table = np.concatenate(
            [
                hashed([[text] for text in distinct], self.width, self.seed),
                np.zeros((1, self.width)),
            ]
        )
        return table[codes]


class TargetEncoder(Encoder):
    """The mean of a target over each category's rows, drawn towards the mean of all.

    `(sum + smoothing * mean) / (count + smoothing)` (Micci-Barreca 2001); unseen and missing ones
    give the mean of all. Fit it on training rows only: it looks at their target.

    Args:
        smoothing: Rows that the mean of all counts for.
        levels: See `Encoder`.
        handle_unknown: See `Encoder`.

    Attributes:
        values: Buffer `(K + 1,)`: of each level, and last the mean of all.

    Examples:
        >>> encoder = TargetEncoder(smoothing=1.0).fit(["a", "a", "b"], np.array([1.0, 0.0, 0.5]))
        >>> encoder(["a", "b", "c"]).ravel().tolist()
        [0.5, 0.5, 0.5]
    """

    values: Any

    def __init__(
        self,
        smoothing: float = 10.0,
        *,
        levels: Sequence[str] | None = None,
        handle_unknown: Literal["ignore", "error"] = "ignore",
    ) -> None:
        super().__init__(levels, handle_unknown=handle_unknown)
        if smoothing < 0:
            raise ValueError(
                f"Smoothing counts rows. Expected 0 or more. Received: smoothing={smoothing}."
            )
        self.smoothing = smoothing
        self.register_buffer("values", np.zeros(len(self.levels or ()) + 1))

    def fit(  # type: ignore[override]
        self, data: TextChunks, target: Sequence[NDArray[Any]] | NDArray[Any]
    ) -> Self:
        """Learn each category's mean.

        Args:
            data: One column of texts, or a list of chunks.
            target: Numbers `(n,)`, or a list of chunks; NaN rows are passed over.
        """
        counted = Levels(_MOST)
        total = count = 0.0
        targets = [target] if hasattr(target, "shape") else target
        for texts, numbers in zip(_chunks(data), targets, strict=True):
            y = np.asarray(numbers, np.float64)
            codes, distinct = factorise(texts)
            add_with_target(counted, codes, distinct, y)
            total, count = total + np.nansum(y), count + np.count_nonzero(~np.isnan(y))
        return self.fit_levels(counted, total / max(count, 1.0))

    def fit_levels(self, found: Levels, prior: float) -> Self:
        """Fit from counts made before, with `prior` the target's mean."""
        self.levels = found.top(self.max_levels)
        self.values = np.append(found.means(self.levels, self.smoothing, prior), prior)
        return self

    def forward(self, texts: Texts) -> NDArray[np.float64]:
        """`(n, 1)`."""
        codes = self.codes(texts)
        return np.asarray(self.values, np.float64)[np.maximum(codes, -1)][:, None]


def add_with_target(
    levels: Levels, codes: NDArray[np.int64], distinct: list[Any], y: NDArray[np.float64] | None
) -> None:
    """Count the distinct values of a chunk, and sum the target over the rows of each."""
    present = codes >= 0
    counts = np.bincount(codes[present], minlength=len(distinct))
    if y is None:
        levels.add(distinct, counts)
        return
    has_target = present & ~np.isnan(y)
    sums: NDArray[np.float64] = np.bincount(
        codes[has_target], weights=y[has_target], minlength=len(distinct)
    ).astype(np.float64)
    levels.add(distinct, counts, sums, np.bincount(codes[has_target], minlength=len(distinct)))
