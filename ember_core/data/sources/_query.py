"""Records from a query by DuckDB, over its database or whatever files it can read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._chunk import CHUNK_ROWS
from ._errors import DataError, extra

if TYPE_CHECKING:
    import pandas as pd

_VECTOR_ROWS = 2048  # DuckDB hands out multiples of this


class DuckDBFrames:
    """Frames of a DuckDB query, in the order the query gives.

    Args:
        spec: `PATH?SELECT ...`; without a PATH the query reads files by their names
            (`duckdb:?SELECT * FROM 'metrics/*.parquet' ORDER BY ts`).
        chunk_rows: Rows of a frame, about.
        parameters: Values for the query's `?` (a sequence) or `$name` (a mapping), which are
            bound, never written into the text.
    """

    def __init__(
        self,
        spec: str,
        chunk_rows: int = CHUNK_ROWS,
        parameters: Sequence[Any] | Mapping[str, Any] = (),
    ) -> None:
        path, mark, query = spec.partition("?")
        if not mark or not query.strip():
            raise DataError(
                "A DuckDB source needs a query. Expected duckdb:PATH?SELECT ... (PATH may be "
                f"empty). Received: duckdb:{spec}."
            )
        self.name = f"duckdb:{path}"
        self.default_key = (Path(path).name.partition(".")[0] or "duckdb").encode()
        self._path = path
        self._query = query
        self._parameters = parameters
        self._vectors = max(1, chunk_rows // _VECTOR_ROWS)

    def frames(self) -> Iterator[pd.DataFrame]:
        """DataFrames of about the chunk size."""
        duckdb = extra("duckdb", "duckdb", "frames", self.name)
        if self._path and not Path(self._path).is_file():
            raise DataError(
                f"There is no database {self._path!r}. Expected a DuckDB file, or nothing before "
                f"the question mark. Received: {self.name}?{self._query}."
            )
        try:
            with duckdb.connect(self._path or ":memory:", read_only=bool(self._path)) as database:
                cursor = database.execute(self._query, self._parameters or None)
                if cursor is None or cursor.description is None:
                    raise DataError(
                        f"{self.name} gives no records. Expected a query such as SELECT. "
                        f"Received: {self._query}."
                    )
                while len(frame := cursor.fetch_df_chunk(self._vectors)):
                    yield frame
        except duckdb.Error as error:
            raise DataError(
                f"{self.name} refused the query. Expected SQL that DuckDB understands. "
                f"Received: {self._query} ({' '.join(str(error).split())})."
            ) from None
