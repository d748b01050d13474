"""Parquet, a batch of rows at a time; needs the extra `frames`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ._csv import as_data_error
from ._errors import extra

if TYPE_CHECKING:
    import pandas as pd


class ParquetFrames:
    """Frames of a Parquet file."""

    def __init__(self, path: Path, key: bytes, chunk_rows: int) -> None:
        self.name = str(path)
        self.default_key = key
        self._path = path
        self._chunk_rows = chunk_rows

    def frames(self) -> Iterator[pd.DataFrame]:
        """DataFrames of at most `chunk_rows` rows."""
        parquet = extra("pyarrow.parquet", "pyarrow", "frames", self.name)
        with as_data_error(self.name), parquet.ParquetFile(self._path) as file:
            for batch in file.iter_batches(batch_size=self._chunk_rows):
                yield batch.to_pandas()

    def arrays(self, columns: tuple[str, ...], dtype: str) -> Iterator[NDArray[Any]] | None:
        """Columns of numbers, see `array_chunks`."""
        parquet = extra("pyarrow.parquet", "pyarrow", "frames", self.name)
        with as_data_error(self.name):
            schema = parquet.read_schema(self._path)
        kinds = extra("pyarrow.types", "pyarrow", "frames", self.name)
        numbers = [f.name for f in schema if kinds.is_integer(f.type) or kinds.is_floating(f.type)]
        for name in columns:
            if name not in numbers:
                return None  # converted, or reported, by the slower way
        return self._batches(columns or tuple(numbers), dtype)

    def _batches(self, names: tuple[str, ...], dtype: str) -> Iterator[NDArray[Any]]:
        parquet = extra("pyarrow.parquet", "pyarrow", "frames", self.name)
        with as_data_error(self.name), parquet.ParquetFile(self._path) as file:
            for batch in file.iter_batches(batch_size=self._chunk_rows, columns=list(names)):
                out = np.empty((len(names), batch.num_rows), dtype).T
                for index, name in enumerate(names):
                    out[:, index] = batch.column(name).to_numpy(zero_copy_only=False)
                yield out
