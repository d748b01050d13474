"""Records from a BigQuery table; needs the extra `bigquery`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ._chunk import CHUNK_ROWS
from ._errors import DataError, extra, unknown_column
from ._options import TIME_NAMES, DataOptions

if TYPE_CHECKING:
    import pandas as pd

# In this order: a bool is an int, and a datetime a date.
_SQL_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "BOOL"),
    (int, "INT64"),
    (float, "FLOAT64"),
    (str, "STRING"),
    (bytes, "BYTES"),
    (Decimal, "NUMERIC"),
    (datetime, "TIMESTAMP"),
    (date, "DATE"),
)


class BigQueryFrames:
    """Frames of a BigQuery table or of some of its rows, in one order.

    One query is asked, and its pages are read one after the other: they are of one moment and
    one order, so that no row is skipped or comes twice.

    Args:
        table: `project.dataset.table`.
        options: Names the time column that rows are ordered by where `order_by` does not, and
            the channels, where only some are wanted.
        chunk_rows: Rows of a page.
        columns: Columns to read; empty: those that `options` need, or all.
        where: A condition on rows, with `@name` for values: `"host = @host AND load > @least"`.
        parameters: Those values by name: text, numbers, times, or lists of such. They are bound
            to the query, never written into it.
        order_by: Columns that order the rows.
        limit: Most rows to read; None for all.
        client: A `google.cloud.bigquery.Client`; None for one with this machine's credentials.

    Raises:
        DataError: If a name cannot be one, or `where` and `parameters` do not fit together.
    """

    def __init__(
        self,
        table: str,
        options: DataOptions | None = None,
        chunk_rows: int = CHUNK_ROWS,
        *,
        columns: Sequence[str] = (),
        where: str = "",
        parameters: Mapping[str, Any] | None = None,
        order_by: Sequence[str] = (),
        limit: int | None = None,
        client: Any = None,
    ) -> None:
        if table.count(".") != 2 or not all(table.split(".")) or "`" in table:
            raise DataError(
                "A BigQuery table has three names. Expected bigquery:project.dataset.table. "
                f"Received: bigquery:{table}."
            )
        self.name = f"bigquery:{table}"
        self.default_key = table.rpartition(".")[2].encode()
        self._table = table
        self._options = options or DataOptions()
        self._chunk_rows = chunk_rows
        self._columns = tuple(columns)
        self._where = where
        self._parameters = dict(parameters or {})
        self._order_by = tuple(order_by)
        self._limit = limit
        self._client = client
        used = set(re.findall(r"@(\w+)", where))
        if used != self._parameters.keys():
            raise DataError(
                f"The condition and its values do not fit. Expected a parameter for each @name. "
                f"Received: where={where!r}, parameters={sorted(self._parameters)}."
            )
        if limit is not None and limit < 0:
            raise DataError(
                f"A limit is no negative number. Expected 0 or more. Received: {limit}."
            )

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
        client = self._client or bigquery.Client()
        names = [field.name for field in client.get_table(self._table).schema]
        arguments: dict[str, Any] = {}
        if self._parameters:
            bound = [_bound(bigquery, name, value) for name, value in self._parameters.items()]
            arguments["job_config"] = bigquery.QueryJobConfig(query_parameters=bound)
        rows = client.query(self.query(names), **arguments).result(page_size=self._chunk_rows)
        # Without a storage client this reads page after page: the order of the query holds.
        yield from rows.to_dataframe_iterable()

    def query(self, names: Sequence[str]) -> str:
        """The SQL that is asked of a table with columns `names`.

        Raises:
            DataError: If a column that is asked for is not among them.
        """
        for name in (*self._columns, *self._order_by):
            if name not in names:
                raise unknown_column(self.name, "column", name, names)
        columns = self._columns or self._needed(names)
        selected = ", ".join(_quoted(name) for name in columns) or "*"
        text = f"SELECT {selected} FROM `{self._table}`"  # noqa: S608 - names are checked and quoted
        if self._where:
            text += f" WHERE {self._where}"
        order = self._order_by or self._time(names)[:1]
        if order:
            text += f" ORDER BY {', '.join(_quoted(name) for name in order)}"
        if self._limit is not None:
            text += f" LIMIT {int(self._limit)}"
        return text

    def _time(self, names: Sequence[str]) -> tuple[str, ...]:
        # The order of a stored table is nobody's; a missing column is reported by the reader.
        times = (self._options.time,) if self._options.time else TIME_NAMES
        return tuple(name for name in times if name in names)

    def _needed(self, names: Sequence[str]) -> tuple[str, ...]:
        """Columns the options ask for; none where they leave it open."""
        options = self._options
        if not options.channels:
            return ()
        required = (*self._time(names)[:1], options.key, options.split, options.label)
        read_names = {*required, *options.channels}
        return tuple(name for name in names if name in read_names)


def _quoted(name: str) -> str:
    if "`" in name or "\\" in name:
        raise DataError(
            f"A column cannot be called so. Expected no ` and no \\. Received: {name!r}."
        )
    return f"`{name}`"


def _bound(bigquery: Any, name: str, value: Any) -> Any:
    if isinstance(value, (list, tuple)) and value:
        return bigquery.ArrayQueryParameter(name, _sql_type(name, value[0]), list(value))
    return bigquery.ScalarQueryParameter(name, _sql_type(name, value), value)


def _sql_type(name: str, value: Any) -> str:
    for kind, sql in _SQL_TYPES:
        if isinstance(value, kind):
            naive = isinstance(value, datetime) and value.tzinfo is None
            return "DATETIME" if naive else sql
    raise DataError(
        f"A parameter has no SQL type. Expected text, a number, a time, or a list of such. "
        f"Received: {name}={value!r}."
    )
