"""A column of a table as numbers, times or texts, whatever its dtype."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ember_core.data.sources.times import BadTimeError, datetime_microseconds, to_microseconds

from ._times import MISSING

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["empty", "boolean", "numeric", "datetime", "text", "unsupported"]
_DATE = re.compile(r"\d{4}-\d\d(-\d\d|$)")
_TRUTH = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True)
class Values:
    """One column of a chunk. `n` rows, `d` distinct values."""

    name: str
    kind: Kind
    size: int
    """Rows, `n`."""
    numbers: NDArray[np.float64] | None = None
    """Of numeric and boolean columns, `(n,)`; NaN where missing (infinity too)."""
    time_us: NDArray[np.int64] | None = None
    """Of datetime columns, microseconds, `(n,)`; `MISSING` where missing."""
    codes: NDArray[np.int64] | None = None
    """Of text columns, each row's place among the distinct ones, `(n,)`; -1 where missing."""
    distinct: tuple[str, ...] = ()
    """The distinct texts, in order of appearance, `(d,)`."""

    @property
    def missing(self) -> int:
        """Rows without a value."""
        if self.numbers is not None:
            return int(np.isnan(self.numbers).sum())
        if self.time_us is not None:
            return int((self.time_us == MISSING).sum())
        return self.size if self.codes is None else int((self.codes < 0).sum())

    def as_numbers(self) -> Values:
        """As numbers.

        Raises:
            ValueError: If a value is none.
        """
        if self.kind in ("numeric", "boolean"):
            return self
        if self.kind == "empty":
            return replace(self, kind="numeric", numbers=np.full(self.size, np.nan))
        numbers = np.full(len(self.distinct) + 1, np.nan)
        for i, text in enumerate(self.distinct):
            try:
                numbers[i] = float(text)
            except ValueError:
                raise self._wrong("a number or nothing", text) from None
        if self.codes is None:
            raise self._wrong("a number or nothing", f"values of kind {self.kind}")
        return Values(self.name, "numeric", self.size, numbers=numbers[self.codes])

    def as_times(self) -> Values:
        """As times; numbers are seconds, ms, us or ns by their size.

        Raises:
            ValueError: If a value is none.
        """
        if self.kind == "datetime":
            return self
        times = np.full(self.size, MISSING)
        if self.kind == "empty":
            return replace(self, kind="datetime", time_us=times)
        if self.kind == "numeric" and self.numbers is not None:
            present = np.flatnonzero(~np.isnan(self.numbers))
            raw: NDArray[Any] = self.numbers[present]
        elif self.codes is not None:
            present = np.flatnonzero(self.codes >= 0)
            raw = np.array(self.distinct, dtype=object)
        else:
            raise self._wrong("a time", f"values of kind {self.kind}")
        try:
            microseconds = to_microseconds(raw, "auto")
        except BadTimeError as bad:
            raise self._wrong("a time (ISO 8601, or a number)", raw[bad.row]) from None
        times[present] = microseconds if self.codes is None else microseconds[self.codes[present]]
        return Values(self.name, "datetime", self.size, time_us=times)

    def as_texts(self) -> Values:
        """As texts, whatever it is."""
        if self.kind == "text":
            return self
        import pandas as pd

        if self.numbers is not None:
            codes, distinct = pd.factorize(self.numbers)
            write = truth_text if self.kind == "boolean" else number_text
            texts = tuple(write(float(value)) for value in distinct)
        elif self.time_us is not None:
            stamps = self.time_us.astype("datetime64[us]")  # MISSING is its NaT
            codes, distinct = pd.factorize(stamps)
            texts = tuple(str(value) for value in distinct)
        else:
            codes, texts = np.full(self.size, -1), ()
        return Values(self.name, "text", self.size, codes=codes.astype(np.int64), distinct=texts)

    def texts(self) -> NDArray[np.object_]:
        """The texts themselves, `(n,)`; None where missing."""
        column = self.as_texts()
        return np.array([*column.distinct, None], dtype=object)[column.codes]

    def _wrong(self, expected: str, received: Any) -> ValueError:
        return ValueError(
            f"Column {self.name!r} has another type than in training. Expected {expected}. "
            f"Received: {received!r}. Mend the data, or say what it is with types={{...}}."
        )


def number_text(value: float) -> str:
    """A number as text; whole ones without a point, as they stood before a gap made them float."""
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)


def truth_text(value: float) -> str:
    """True or False as text."""
    return "True" if value else "False"


def read_values(name: str, column: pd.Series[Any]) -> Values:
    """Understand one column by its dtype, and one of objects by what it holds."""
    import pandas as pd

    size, dtype = len(column), column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        codes = column.cat.codes.to_numpy().astype(np.int64)
        names = [_as_text(value) or None for value in column.cat.categories]
        return _from_texts(name, np.array([*names, None], dtype=object)[codes])
    kind = getattr(dtype, "kind", "O")
    if kind == "b" or kind in "iuf":
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return _numeric(name, "boolean" if kind == "b" else "numeric", numbers)
    if kind == "M":
        return _datetime(name, column)
    if kind == "m":
        return _numeric(name, "numeric", column.dt.total_seconds().to_numpy())
    inferred = pd.api.types.infer_dtype(column, skipna=True)
    if inferred == "empty":
        return Values(name, "empty", size)
    if inferred == "boolean":
        numbers = np.array([np.nan if pd.isna(v) else float(v) for v in column])
        return _numeric(name, "boolean", numbers)
    if inferred in ("integer", "floating", "mixed-integer-float", "decimal"):
        numbers = np.array([np.nan if pd.isna(v) else float(v) for v in column])
        return _numeric(name, "numeric", numbers)
    if inferred in ("datetime", "datetime64", "date"):
        return _datetime(name, pd.to_datetime(column, utc=True))
    if inferred in ("timedelta", "timedelta64"):
        return _numeric(name, "numeric", pd.to_timedelta(column).dt.total_seconds().to_numpy())
    present = column[~column.isna()] if inferred == "string" else column.dropna()
    if inferred != "string" and any(not isinstance(v, (str, int, float, bool)) for v in present):
        return Values(name, "unsupported", size)
    missing = np.asarray(column.isna(), bool)
    texts: NDArray[Any] = column.to_numpy(dtype=object, copy=True)
    if inferred != "string":
        texts = np.array([None if pd.isna(v) else _as_text(v) for v in texts], dtype=object)
    texts[missing | (texts == "")] = None
    return _from_texts(name, texts)


def _as_text(value: Any) -> str:
    if isinstance(value, (bool, str)):
        return str(value)
    return number_text(float(value)) if isinstance(value, (int, float)) else str(value)


def _numeric(name: str, kind: Kind, numbers: NDArray[Any]) -> Values:
    numbers = np.where(np.isfinite(numbers), numbers, np.nan).astype(np.float64)
    if np.isnan(numbers).all():
        kind = "empty"
        return Values(name, kind, len(numbers))
    return Values(name, kind, len(numbers), numbers=numbers)


def _datetime(name: str, column: pd.Series[Any]) -> Values:
    missing = np.asarray(column.isna(), bool)
    if missing.all():
        return Values(name, "empty", len(column))
    times = np.full(len(column), MISSING)
    try:
        times[~missing] = datetime_microseconds(column[~missing])
    except BadTimeError as bad:
        raise ValueError(
            f"Column {name!r} has a time out of range. Expected the years 1900 to 2261. "
            f"Received: {column[~missing].iloc[bad.row]}."
        ) from None
    return Values(name, "datetime", len(column), time_us=times)


def _from_texts(name: str, texts: NDArray[Any]) -> Values:
    import pandas as pd

    codes, distinct = pd.factorize(texts)
    if not len(distinct):
        return Values(name, "empty", len(texts))
    if len(distinct) <= 4 and all(text.lower() in _TRUTH for text in distinct):
        truth = np.array([*(_TRUTH[text.lower()] for text in distinct), np.nan])
        return Values(name, "boolean", len(texts), numbers=truth[codes])
    return Values(name, "text", len(texts), codes=codes.astype(np.int64), distinct=tuple(distinct))


def all_dates(texts: tuple[str, ...]) -> bool:
    """Test whether every text is a date or time of ISO 8601."""
    import pandas as pd

    if not all(_DATE.match(text) for text in texts):
        return False
    parsed = pd.to_datetime(pd.Series(texts), utc=True, format="ISO8601", errors="coerce")
    return not bool(parsed.isna().any())


def flattened(frame: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    """Columns of structs as a column per field, `outer.inner`, and the column each comes from.

    Raises:
        ValueError: If such a name is there already.
    """
    import pandas as pd

    columns: dict[str, Any] = {}
    roots: dict[str, str] = {}
    pending = [(str(name), str(name), frame[name]) for name in reversed(frame.columns)]
    while pending:
        name, root, column = pending.pop()
        if getattr(column.dtype, "kind", "O") == "O" and any(
            isinstance(value, Mapping) for value in column
        ):
            rows = [value if isinstance(value, Mapping) else {} for value in column]
            fields = dict.fromkeys(str(field) for row in rows for field in row)
            pending += [
                (
                    f"{name}.{field}",
                    root,
                    pd.Series([row.get(field) for row in rows], index=frame.index, dtype=object),
                )
                for field in reversed(fields)
            ]
            continue
        if name in columns:
            raise ValueError(
                f"A field of a struct and a column have one name. Expected different names. "
                f"Received: {name!r} twice. Rename one."
            )
        columns[name], roots[name] = column, root
    return (frame if list(columns) == list(frame.columns) else pd.DataFrame(columns)), roots
