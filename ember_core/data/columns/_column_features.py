"""Tables of mixed columns to numbers, fitted on training data and the same ever after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from ember_core import ops
from ember_core.data.sources import CHUNK_ROWS, open_frames
from ember_core.nn import Module
from ember_core.ops import Array

from ._blocks import Block
from ._native import as_frame, like_frame
from ._plan import Choices, ColumnReport, plan
from ._profile import FORCED, Profile
from ._read import Values, flattened, read_values
from ._scalers import Strategy

if TYPE_CHECKING:
    import pandas as pd


class ColumnFeatures(Module):
    """Columns of any kind as numbers without gaps: typed, filled, scaled, encoded.

    One pass over the training data, in chunks of constant memory, tells each column's type
    (booleans before numbers, dates before texts, structs as their fields) and all that is fitted.
    What it gives does not depend on the cuts between chunks. `transform` then gives the same
    columns for every table, whatever categories occur in it.

    Identifiers, columns that are empty, constant, or mostly missing, and lists are left out;
    `report` says so of each. Infinite numbers and empty texts count as missing. Column order does
    not matter, and columns unknown from training are passed over.

    Args:
        numeric: Scaler of numbers, text lengths and components of times: `standard`,
            `robust`, `minmax` or `none`.
        impute: Filling of gaps in numbers: see `Imputer`.
        fill_value: The constant for `impute="constant"`.
        categorical: `onehot` (beyond `max_categories` distinct ones: hashed), `ordinal`, `hash`,
            or `target` (the smoothed mean of the target).
        datetime: `cyclical`, `components` or `both`.
        text: `basic` (lengths and shares), `hash` (of words and pairs of words) or `both`.
        target: Column that is predicted: never a feature, and what `categorical="target"` needs.
        key: Column that says whose row it is: never a feature, and `impute="forward"` fills each
            key's gaps with its own last value.
        drop: Columns to leave out.
        types: Type of columns by name, where the detected one would be wrong: `numeric`, `boolean`,
            `categorical`, `datetime`, `text` or `identifier`.
        null_threshold: Largest share of missing values of a column that is used.
        drop_constant: Leave out columns that never change.
        max_categories: Most columns of a one-hot code.
        n_hash: Columns of a hash.
        smoothing: Rows the mean of all counts for in target encoding.
        indicate_missing: Also a column `NAME_missing` for each column of numbers.
        handle_unknown: Treatment of an unseen category: `ignore` or `error`.
        blocks: Fitted blocks, as `get_config` returns them.
        reports: Fitted reports, as `get_config` returns them.

    Examples:
        >>> import pandas as pd
        >>> train = pd.DataFrame({"load": [1.0, None, 3.0], "rack": ["a", "b", "a"]})
        >>> features = ColumnFeatures(impute="mean", numeric="minmax").fit(train)
        >>> features.feature_names_out
        ('load', 'rack_a', 'rack_b')
        >>> features.transform(pd.DataFrame({"rack": ["c", "b"], "load": [2.0, 5.0]}))
           load  rack_a  rack_b
        0   0.5     0.0     0.0
        1   2.0     0.0     1.0
    """

    blocks: list[Block] | None

    def __init__(
        self,
        *,
        numeric: Literal["standard", "robust", "minmax", "none"] = "standard",
        impute: Strategy = "median",
        fill_value: float = 0.0,
        categorical: Literal["onehot", "ordinal", "hash", "target"] = "onehot",
        datetime: Literal["cyclical", "components", "both"] = "cyclical",
        text: Literal["basic", "hash", "both"] = "basic",
        target: str = "",
        key: str = "",
        drop: Sequence[str] = (),
        types: Mapping[str, str] | None = None,
        null_threshold: float = 0.9,
        drop_constant: bool = True,
        max_categories: int = 100,
        n_hash: int = 16,
        smoothing: float = 10.0,
        indicate_missing: bool = False,
        handle_unknown: Literal["ignore", "error"] = "ignore",
        blocks: Sequence[Block] | None = None,
        reports: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        self.numeric, self.impute, self.fill_value = numeric, impute, fill_value
        self.categorical, self.datetime, self.text = categorical, datetime, text
        self.target, self.key = target, key
        self.drop = tuple([drop] if isinstance(drop, str) else drop)
        self.types = dict(types or {})
        self.null_threshold, self.drop_constant = null_threshold, drop_constant
        self.max_categories, self.n_hash, self.smoothing = max_categories, n_hash, smoothing
        self.indicate_missing, self.handle_unknown = indicate_missing, handle_unknown
        self.blocks = None if blocks is None else list(blocks)
        self.reports = [dict(report) for report in reports or ()]
        self._choices().check()
        for name, kind in self.types.items():
            if kind not in FORCED:
                raise ValueError(
                    f"Unknown type of a column. Expected one of {', '.join(FORCED)}. "
                    f"Received: types={{{name!r}: {kind!r}}}."
                )
        if categorical == "target" and not target:
            raise ValueError(
                "Target encoding needs a target. Expected target=COLUMN. Received: target=''."
            )

    def _choices(self) -> Choices:
        names = Choices.__dataclass_fields__
        return Choices(**{name: getattr(self, name) for name in names})

    def fit(self, data: Any, *, chunk_rows: int = CHUNK_ROWS) -> Self:
        """Learn columns, types and statistics from training data, in one pass.

        Args:
            data: A table (pandas, polars, pyarrow), an array `(n, C)`, a file, directory or query
                (see `open_frames`), a list of such, or a function that gives chunks.
            chunk_rows: Rows read at once.

        Returns:
            This object.

        Raises:
            ValueError: If there are no rows, no column gives a feature, or a column that is named
                is not there. (`DataError`, if the data cannot be read, is one too.)
        """
        profiles: dict[str, Profile] = {}
        roots: dict[str, str] = {}
        rows, total, target_rows = 0, 0.0, 0
        for frame in self._frames(data, chunk_rows):
            if not len(frame):
                continue
            columns, root_of = flattened(frame)
            y = self._target(frame)
            if y is not None:
                total, target_rows = (
                    total + float(np.nansum(y)),
                    target_rows + int((~np.isnan(y)).sum()),
                )
            for name, root in root_of.items():
                if root in (self.target, self.key, *self.drop) or name in self.drop:
                    continue
                if name not in profiles:
                    roots[name] = root
                    profiles[name] = self._profile(name)
                    profiles[name].absent(rows)
                profiles[name].add(read_values(name, columns[name]), y)
            for name, profile in profiles.items():
                if name not in root_of:
                    profile.absent(len(frame))
            rows += len(frame)
        self._check_names(rows, profiles, target_rows)
        prior = total / target_rows if target_rows else None
        planned = [plan(p, roots[name], self._choices(), prior) for name, p in profiles.items()]
        blocks = [block for _, block in planned if block is not None]
        if not blocks:
            reasons = "; ".join(f"{report.column}: {report.why}" for report, _ in planned[:5])
            raise ValueError(
                f"No column gives a feature. Expected at least one. Received: {reasons}."
            )
        self.blocks = blocks
        self.reports = [report.as_dict() for report, _ in planned]
        return self

    def _frames(self, data: Any, chunk_rows: int) -> Iterator[pd.DataFrame]:
        if isinstance(data, np.ndarray):
            data = as_frame(data)
        # A code such as 007 is a text where it is to be a category.
        text = [n for n, kind in self.types.items() if kind in ("categorical", "text")]
        for frame in open_frames(data, text=text, chunk_rows=chunk_rows).frames():
            yield as_frame(frame)

    def _profile(self, name: str) -> Profile:
        choices = self._choices()
        return Profile(
            name,
            self.types.get(name, ""),
            max_categories=self.max_categories,
            quantiles=choices.quantiles,
            frequent=self.impute == "most_frequent",
            spread=self.numeric == "robust",
        )

    def _target(self, frame: pd.DataFrame) -> NDArray[np.float64] | None:
        if not self.target:
            return None
        if self.target not in frame.columns:
            raise ValueError(
                f"The target is not there. Expected one of {', '.join(frame.columns)}. "
                f"Received: target={self.target!r}."
            )
        return read_values(self.target, frame[self.target]).as_numbers().numbers

    def _check_names(self, rows: int, profiles: Mapping[str, Profile], known: int) -> None:
        if not rows:
            raise ValueError(
                "There is nothing to learn from. Expected at least one row. Received: none."
            )
        for name in self.types:
            if name not in profiles:
                raise ValueError(
                    f"A column is not there. Expected one of {', '.join(profiles)}. "
                    f"Received: types={{{name!r}: ...}}."
                )
        if self.target and not known:
            raise ValueError(
                "The target has no value. Expected at least one. "
                f"Received: only gaps in {self.target!r}."
            )

    def forward(self, data: Any) -> Array:
        """A table as features.

        Args:
            data: A DataFrame (pandas, polars, pyarrow), or an array `(n, C)`.

        Returns:
            float32 `(n, D)` of the default backend, in the order of `feature_names_out`.

        Raises:
            ValueError: Before `fit`, for a column that is missing, or a value of another type.
        """
        return ops.from_numpy(self._carry({}, as_frame(data))[1])

    def transform(self, data: Any) -> Any:
        """The same as the kind of table that `data` is, float32, its rows (and index) as they are.

        Rows stand alone, but `impute="forward"` carries values from row to row of one table, where
        there is a `key` from row to row of each key.
        """
        return like_frame(data, self._carry({}, as_frame(data))[1], self.feature_names_out)

    def fit_transform(self, data: Any) -> Any:
        """`fit(data)`, then `transform(data)`: for training data in memory."""
        return self.fit(data).transform(data)

    def transform_chunks(self, data: Any, *, chunk_rows: int = CHUNK_ROWS) -> Iterator[Array]:
        """Features of data of any size.

        Args:
            data: Table as for `fit`; filling forward goes on from chunk to chunk.
            chunk_rows: Rows read at once.

        Yields:
            float32 `(n, D)` of the default backend, a chunk's rows each.
        """
        state: dict[Any, Any] = {}
        for frame in self._frames(data, chunk_rows):
            state, values = self._carry(state, frame)
            yield ops.from_numpy(values)

    def _carry(
        self, state: Mapping[Any, Any], frame: pd.DataFrame
    ) -> tuple[dict[Any, Any], NDArray[np.float32]]:
        """The next rows of all keys: what to carry on, and the features."""
        if not self.key or self.impute != "forward":
            return self._carry_one(state, frame)
        self._fitted()
        if self.key not in frame.columns:
            raise ValueError(
                f"The key is not there. Expected one of {', '.join(frame.columns)}. "
                f"Received: key={self.key!r}."
            )
        names, owner = np.unique(frame[self.key].astype(str).to_numpy(str), return_inverse=True)
        order = np.argsort(owner, kind="stable")
        ends = np.cumsum(np.bincount(owner, minlength=len(names)))
        new_state = dict(state)
        out = np.empty((len(frame), len(self.feature_names_out)), np.float32)
        for name, rows in zip(names.tolist(), np.split(order, ends[:-1]), strict=False):
            new_state[name], out[rows] = self._carry_one(new_state.get(name, {}), frame.iloc[rows])
        return new_state, out

    def _carry_one(
        self, state: Mapping[int, Any], frame: pd.DataFrame
    ) -> tuple[dict[int, Any], NDArray[np.float32]]:
        """The next rows of one key."""
        blocks = self._fitted()
        roots = {report["column"]: report["root"] for report in self.reports}
        missing = dict.fromkeys(
            roots[block.column] for block in blocks if roots[block.column] not in frame.columns
        )
        if missing:
            raise ValueError(
                f"Columns of the training data are missing. Expected {', '.join(missing)} too. "
                f"Received: {', '.join(frame.columns)}."
            )
        columns, root_of = flattened(frame)
        new_state: dict[int, Any] = {}
        parts = []
        for number, block in enumerate(blocks):
            name = block.column
            values = (
                read_values(name, columns[name])
                if name in root_of
                else Values(name, "empty", len(frame))  # a field that no struct here has
            )
            new_state[number], part = block.carry(state.get(number), values)
            parts.append(part.astype(np.float32))
        return new_state, np.concatenate(parts, axis=1)

    def _fitted(self) -> list[Block]:
        if self.blocks is None:
            raise ValueError(
                "The features are not fitted. Expected fit(data) with training data first, or "
                "load(path). Received: blocks=None."
            )
        return self.blocks

    @property
    def feature_names_out(self) -> tuple[str, ...]:
        """Names of the features, `(D,)`; where two would be the same, the later has a number."""
        names: dict[str, None] = {}
        for block in self._fitted():
            for name in block.names():
                unique, number = name, 2
                while unique in names:
                    unique, number = f"{name}_{number}", number + 1
                names[unique] = None
        return tuple(names)

    @property
    def report(self) -> tuple[ColumnReport, ...]:
        """Reports of the columns: type, values seen and resulting features."""
        self._fitted()
        return tuple(ColumnReport(**report) for report in self.reports)

    @property
    def columns_in(self) -> tuple[str, ...]:
        """Columns that `transform` needs."""
        roots = {report["column"]: report["root"] for report in self.reports}
        names = dict.fromkeys(roots[block.column] for block in self._fitted())
        if self.key and self.impute == "forward":
            names[self.key] = None
        return tuple(names)
