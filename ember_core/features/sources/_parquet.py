"""Parquet, a batch of rows at a time; needs the extra `frames`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ember_core.features.sources._csv import as_data_error
from ember_core.features.sources._errors import extra

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
