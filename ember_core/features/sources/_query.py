"""Records from a query: DuckDB (and whatever it can read), or a BigQuery table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ember_core.features.sources._errors import DataError, extra
from ember_core.features.sources._options import TIME_NAMES, DataOptions

if TYPE_CHECKING:
    import pandas as pd

_VECTOR_ROWS = 2048  # DuckDB hands out multiples of this


class DuckDBFrames:
    """Frames of a DuckDB query, in the order the query gives.

    Args:
        spec: `PATH?SELECT ...`; without a PATH the query reads files by their names
            (`duckdb:?SELECT * FROM 'metrics/*.parquet' ORDER BY ts`).
        chunk_rows: Rows of a frame, about.
    """

    def __init__(self, spec: str, chunk_rows: int) -> None:
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
                cursor = database.execute(self._query)
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


class BigQueryFrames:
    """Frames of a BigQuery table, in the order of its time column.

    Args:
        table: `project.dataset.table`, read with the machine's default credentials.
        options: Names the time column that rows are ordered by.
        chunk_rows: Rows of a page.
    """

    def __init__(self, table: str, options: DataOptions, chunk_rows: int) -> None:
        if table.count(".") != 2 or not all(table.split(".")) or "`" in table:
            raise DataError(
                "A BigQuery table has three names. Expected bigquery:project.dataset.table. "
                f"Received: bigquery:{table}."
            )
        self.name = f"bigquery:{table}"
        self.default_key = table.rpartition(".")[2].encode()
        self._table = table
        self._options = options
        self._chunk_rows = chunk_rows

    def frames(self) -> Iterator[pd.DataFrame]:
        """DataFrames of one page each."""
        bigquery = extra("google.cloud.bigquery", "google-cloud-bigquery", "bigquery", self.name)
        try:
            yield from self._pages(bigquery)
        except Exception as error:
            # Credentials, rights, names: errors of a dozen classes in modules of one vendor.
            if not type(error).__module__.startswith("google."):
                raise
            raise DataError(
                f"{self.name} cannot be read. Expected a table that this machine's credentials "
                f"may read. Received: {' '.join(str(error).split())}."
            ) from error

    def _pages(self, bigquery: Any) -> Iterator[pd.DataFrame]:
        client = bigquery.Client()
        names = [field.name for field in client.get_table(self._table).schema]
        times = (self._options.time,) if self._options.time else TIME_NAMES
        # The order of a stored table is nobody's; a missing column is reported by the reader.
        order = next((f" ORDER BY `{name}`" for name in times if name in names), "")
        query = f"SELECT * FROM `{self._table}`{order}"  # noqa: S608 - checked above
        rows = client.query(query).result(page_size=self._chunk_rows)
        yield from rows.to_dataframe_iterable()
