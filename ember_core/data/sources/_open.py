"""Sources opened from the arguments of a command."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ._bigquery import BigQueryFrames
from ._chunk import CHUNK_ROWS, Chunk, Frames, Source
from ._csv import CsvFrames
from ._errors import DataError
from ._interpret import Interpreter, with_head
from ._json import JsonFrames
from ._options import DataOptions
from ._parquet import ParquetFrames
from ._query import DuckDBFrames
from ._remarks import Remark
from .memory import memory_frames

Opener = Callable[[str, DataOptions], Source]
"""Function that opens the address after a scheme's colon: the hook for other sources."""

_PACKED = (".gz", ".bz2", ".xz")
_CSV = (".csv", ".tsv")
_CSV_IF_NAMED = (".txt", ".dat")
_JSON = (".jsonl", ".ndjson")
_JSON_IF_NAMED = (".json",)
_PARQUET = (".parquet", ".pq")


class TableSource:
    """A source of tables: a format's reader, understood by the options.

    Args:
        frames: The reader.
        options: Meaning of the columns, as the user gave it.
    """

    def __init__(self, frames: Frames, options: DataOptions) -> None:
        self.name = frames.name
        self.default_key = frames.default_key
        self._frames = frames
        self._options = options
        self.columns: tuple[str, ...] = ()
        self.remarks: tuple[Remark, ...] = ()

    def chunks(self) -> Iterator[Chunk]:
        """The records from the beginning, in constant memory.

        A `train_head` in per cent needs the number of rows: then the source is read twice.
        """
        head = self._options.head()
        if head is None:
            yield from self.undivided()
            return
        amount, percent = head
        rows: Counter[bytes] = Counter()
        if percent:
            for chunk in self.undivided():
                rows.update(chunk.keys[index] for index in chunk.key_index.tolist())
        for chunk in self.undivided():
            shares = {
                key: head_rows(head, rows[key]) if percent else int(amount) for key in chunk.keys
            }
            yield with_head(chunk, shares)

    def undivided(self) -> Iterator[Chunk]:
        """The same without `train_head` (`split` is applied)."""
        interpreter = Interpreter(self._options, self.name, self.default_key)
        for frame in self._frames.frames():
            if len(frame):
                yield interpreter.chunk(frame)
        interpreter.finish()
        self.columns = tuple(interpreter.columns)
        self.remarks = tuple(interpreter.remarks)


def head_rows(head: tuple[float, bool], rows: int) -> int:
    """Number of `rows` records that `DataOptions.head` sets apart; a share is rounded down."""
    amount, percent = head
    return int(rows * amount / 100.0) if percent else min(int(amount), rows)


class JoinedFrames:
    """Tables of several readers, one reader after the other.

    Args:
        readers: Readers, at least one.
    """

    def __init__(self, readers: Sequence[Frames]) -> None:
        self.name = ", ".join(reader.name for reader in readers[:3])
        self.default_key = readers[0].default_key
        self._readers = readers

    def frames(self) -> Iterator[Any]:
        """DataFrames as each reader gives them."""
        for reader in self._readers:
            yield from reader.frames()


def open_frames(
    data: Any,
    options: DataOptions | None = None,
    *,
    text: Collection[str] = (),
    chunk_rows: int = CHUNK_ROWS,
) -> Frames:
    """Whatever holds a table, as one reader of it in chunks of constant memory.

    Args:
        data: One of what `open_sources` takes, or a list of such: the tables follow each other.
        options: Meaning of the columns (separator, order of a BigQuery table).
        text: Columns of a text file whose values are left as they stand.
        chunk_rows: Rows of a chunk.

    Raises:
        DataError: If something is not there or of no known kind. Contents are read later.

    Examples:
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"x": [1.0, 2.0, 3.0]})
        >>> [len(part) for part in open_frames(frame, chunk_rows=2).frames()]
        [2, 1]
    """
    options = options or DataOptions()
    items = data if isinstance(data, (list, tuple)) else [data]
    if not items:
        raise DataError("No data is named. Expected at least one table. Received: none.")
    readers = [frames for item in items for frames in _readers(item, options, text, chunk_rows)]
    return readers[0] if len(readers) == 1 else JoinedFrames(readers)


def open_sources(
    data: Sequence[Any],
    options: DataOptions | None = None,
    *,
    chunk_rows: int = CHUNK_ROWS,
    schemes: Mapping[str, Opener] | None = None,
) -> list[Source]:
    """The sources that DATA names.

    Args:
        data: Each a file (.csv .tsv .txt .dat, .jsonl .ndjson .json, packed as .gz .bz2 .xz or
            not; .parquet .pq), a directory of such (searched through, in order of names),
            `duckdb:PATH?SELECT ...`, a bare `SELECT ...` (run by DuckDB over files), or
            `bigquery:project.dataset.table`; or a table in memory (pandas, polars, pyarrow), a
            list of them, a function that returns an iterator of them, or any object with `name`,
            `default_key` and `frames()`.
        options: Meaning of the columns.
        chunk_rows: Rows read at once.
        schemes: Further `scheme:` names and what opens them, such as `kafka`.

    Raises:
        DataError: If something is not there or of no known kind. Contents are read later.
    """
    options = options or DataOptions()
    if not len(data):
        raise DataError("No data is named. Expected at least one file or query. Received: none.")
    sources: list[Source] = []
    for item in data:
        scheme, colon, address = str(item).partition(":") if isinstance(item, str) else ("", "", "")
        if colon and schemes and scheme in schemes:
            sources.append(schemes[scheme](address, options))
        else:
            frames = _readers(item, options, options.text_columns(), chunk_rows)
            sources.extend(TableSource(reader, options) for reader in frames)
    return sources


def _readers(
    item: Any, options: DataOptions, text: Collection[str], chunk_rows: int
) -> list[Frames]:
    if isinstance(item, (str, Path)):
        return _open(str(item), options, text, chunk_rows)
    frames = memory_frames(item, chunk_rows)
    if frames is None:
        raise DataError(
            "The data are of no known kind. Expected a path, a query, a table or chunks of "
            f"tables. Received: {type(item).__module__}.{type(item).__name__}."
        )
    return [frames]


def _open(item: str, options: DataOptions, text: Collection[str], chunk_rows: int) -> list[Frames]:
    scheme, colon, address = item.partition(":")
    if scheme == "duckdb" and colon:
        return [DuckDBFrames(address, chunk_rows)]
    if scheme == "bigquery" and colon:
        return [BigQueryFrames(address, options, chunk_rows)]
    if scheme == "kafka" and colon:
        raise DataError(
            "A Kafka topic cannot be read here. Expected a file or a query; a topic's history "
            f"needs a command that connects to the broker. Received: {item}."
        )
    if re.match(r"\s*(select|with)\s", item, re.IGNORECASE):
        return [DuckDBFrames(f"?{item}", chunk_rows)]
    path = Path(item)
    if path.is_dir():
        return _directory(path, options, text, chunk_rows)
    if not path.exists():
        raise DataError(
            f"There is no file {item!r}. Expected a file, a directory, duckdb:PATH?SELECT ... or "
            f"bigquery:project.dataset.table. Received: {item}."
        )
    frames = _reader(path, options, text, chunk_rows, named=True)
    if frames is None:
        raise DataError(
            f"{item} is of no known kind. Expected a name that ends in "
            f"{', '.join((*_CSV, *_CSV_IF_NAMED, *_JSON, *_JSON_IF_NAMED, *_PARQUET))} (text also "
            f"{', '.join(_PACKED)}). Received: {path.name}."
        )
    return [frames]


def _directory(
    path: Path, options: DataOptions, text: Collection[str], chunk_rows: int
) -> list[Frames]:
    readers: list[Frames] = []
    for file in sorted(path.rglob("*")):
        hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
        if file.is_file() and not hidden:
            frames = _reader(file, options, text, chunk_rows, named=False)
            if frames is not None:
                readers.append(frames)
    if not readers:
        raise DataError(
            f"{path} holds no data. Expected files that end in "
            f"{', '.join((*_CSV, *_JSON, *_PARQUET))}. Received: none such."
        )
    return readers


def _reader(
    path: Path, options: DataOptions, text: Collection[str], chunk_rows: int, *, named: bool
) -> Frames | None:
    """The reader for a file's ending; None for another. Doubtful ones only where `named`."""
    stem = path.name.lower()
    for ending in _PACKED:
        stem = stem.removesuffix(ending)
    key = file_key(path)
    if stem.endswith((*_CSV, *_CSV_IF_NAMED) if named else _CSV):
        return CsvFrames(path, key, text, options.sep, chunk_rows)
    if stem.endswith((*_JSON, *_JSON_IF_NAMED) if named else _JSON):
        return JsonFrames(path, key, text, chunk_rows)
    if path.suffix.lower() in _PARQUET:
        return ParquetFrames(path, key, chunk_rows)
    return None


def file_key(path: Path) -> bytes:
    """The file's name up to its first dot, as a stream key."""
    return (path.name.partition(".")[0] or path.name).encode("utf-8", "surrogateescape")
