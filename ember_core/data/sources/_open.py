"""Sources opened from the arguments of a command."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ._bigquery import BigQueryFrames
from ._bytes import PACKED
from ._chunk import CHUNK_ROWS, Chunk, Frames, Source
from ._csv import CsvFrames
from ._errors import DataError
from ._interpret import KEY_COLUMN, Conventions, Interpreter, with_channels, with_head
from ._json import JsonFrames
from ._options import DataOptions
from ._parquet import ParquetFrames
from ._query import DuckDBFrames
from ._remarks import Remark
from .memory import memory_frames, with_index, with_members

Opener = Callable[[str, DataOptions], Source]
"""Function that opens the address after a scheme's colon: the hook for other sources."""

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
        self.is_local = False
        """Whether times without an offset were taken for UTC."""

    def load(self) -> list[Chunk]:
        """All records in memory, `train_head` not applied.

        What only all rows can tell, such as the decimal sign, may ask for a second reading.
        """
        conventions: Conventions | None = None
        while True:
            interpreter = self._interpreter(conventions)
            chunks = list(self._chunks(interpreter))
            conventions = interpreter.finish()
            if conventions is None:
                channels = interpreter.channels()
                self._keep(interpreter)
                return [with_channels(chunk, channels) for chunk in chunks]
            del chunks

    def chunks(self) -> Iterator[Chunk]:
        """The records from the beginning, in constant memory.

        The source is read twice: which columns are channels is settled by all rows, and a
        `train_head` in per cent needs their number. One that can be read only once is loaded.
        """
        head = self._options.head()
        if not getattr(self._frames, "is_repeatable", True):
            chunks = self.load()
            rows = _row_counts(chunks)
            yield from (_headed(chunk, head, rows) for chunk in chunks)
            return
        interpreter, rows = self._survey()
        channels = interpreter.channels()
        for chunk in self._chunks(self._interpreter(interpreter.conventions)):
            yield _headed(with_channels(chunk, channels), head, rows)

    def _survey(self) -> tuple[Interpreter, Counter[bytes]]:
        conventions: Conventions | None = None
        while True:
            interpreter = self._interpreter(conventions)
            rows = _row_counts(self._chunks(interpreter))
            conventions = interpreter.finish()
            if conventions is None:
                self._keep(interpreter)
                return interpreter, rows

    def _interpreter(self, conventions: Conventions | None) -> Interpreter:
        return Interpreter(
            self._options,
            self.name,
            self.default_key,
            conventions,
            is_record=getattr(self._frames, "is_record", False),
        )

    def _chunks(self, interpreter: Interpreter) -> Iterator[Chunk]:
        frames = self._frames
        decimal = interpreter.conventions.decimal
        if decimal and isinstance(frames, CsvFrames):
            frames = self._frames = frames.with_decimal(decimal)
        for frame in frames.frames():
            if len(frame):
                yield interpreter.chunk(with_members(with_index(frame)))

    def _keep(self, interpreter: Interpreter) -> None:
        self.is_local = interpreter.is_local
        self.columns = tuple(name for name in interpreter.columns if name != KEY_COLUMN)
        self.remarks = (*getattr(self._frames, "remarks", ()), *interpreter.remarks)


def _row_counts(chunks: Iterable[Chunk]) -> Counter[bytes]:
    rows: Counter[bytes] = Counter()
    for chunk in chunks:
        for key, count in zip(
            chunk.keys, np.bincount(chunk.key_index, minlength=len(chunk.keys)), strict=True
        ):
            rows[key] += int(count)
    return rows


def _headed(chunk: Chunk, head: tuple[float, bool] | None, rows: Counter[bytes]) -> Chunk:
    """The chunk with the rows of `train_head` marked for training."""
    if head is None:
        return chunk
    return with_head(chunk, {key: head_rows(head, rows[key]) for key in chunk.keys})


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
            f"{', '.join(PACKED)}). Received: {path.name}."
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
    for ending in PACKED:
        stem = stem.removesuffix(ending)
    key = file_key(path)
    if stem.endswith((*_CSV, *_CSV_IF_NAMED) if named else _CSV):
        return CsvFrames(path, key, text, options, chunk_rows)
    if stem.endswith((*_JSON, *_JSON_IF_NAMED) if named else _JSON):
        return JsonFrames(path, key, text, options, chunk_rows)
    if path.suffix.lower() in _PARQUET:
        return ParquetFrames(path, key, chunk_rows)
    return None


def file_key(path: Path) -> bytes:
    """The file's name up to its first dot, as a stream key."""
    return (path.name.partition(".")[0] or path.name).encode("utf-8", "surrogateescape")
