"""Tables of every kind in, and the same kind out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ember_core.data.sources.memory import eager, is_frame, to_pandas

if TYPE_CHECKING:
    import pandas as pd


def as_frame(data: Any) -> pd.DataFrame:
    """A table, or an array `(n, C)` with columns x0, x1, ..., as pandas with names of text.

    Raises:
        DataError: If it is no table.
        ValueError: If two columns have one name.
    """
    import pandas as pd

    if isinstance(data, np.ndarray):
        if data.ndim != 2:
            raise ValueError(
                f"The array is no table. Expected shape (n, C). Received: shape={data.shape}."
            )
        return pd.DataFrame(data, columns=[f"x{c}" for c in range(data.shape[1])])
    frame = to_pandas(data)
    names = [str(name) for name in frame.columns]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(
            f"Two columns have one name. Expected different names. Received: {twice!r} twice."
        )
    if names != list(frame.columns):
        frame = frame.set_axis(names, axis="columns")
    return frame


def like_frame(data: Any, values: NDArray[Any], names: tuple[str, ...]) -> Any:
    """`values` `(n, D)` as the kind of table that `data` is; pandas keeps its index."""
    import pandas as pd

    if isinstance(data, pd.DataFrame):
        return pd.DataFrame(values, columns=list(names), index=data.index)
    if not is_frame(data):
        return values
    import narwhals

    native = narwhals.get_native_namespace(data)
    return narwhals.from_numpy(values, schema=list(names), backend=native).to_native()


def rows_of(data: Any, rows: NDArray[np.int64]) -> Any:
    """Some rows of a table or an array, as the kind it is."""
    import pandas as pd

    if isinstance(data, pd.DataFrame):
        return data.iloc[rows]
    if is_frame(data):
        return eager(data)[rows.tolist()].to_native()
    return data[rows]
