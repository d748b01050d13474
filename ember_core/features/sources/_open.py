"""From the words after a command to sources."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from ember_core.features.sources._chunk import CHUNK_ROWS, Chunk, Frames, Source
from ember_core.features.sources._csv import CsvFrames
from ember_core.features.sources._errors import DataError
from ember_core.features.sources._interpret import Interpreter, with_head
from ember_core.features.sources._json import JsonFrames
from ember_core.features.sources._options import DataOptions
from ember_core.features.sources._parquet import ParquetFrames
from ember_core.features.sources._query import BigQueryFrames, DuckDBFrames

Opener = Callable[[str, DataOptions], Source]
"""Opens what stands behind a scheme's colon: the hook for sources that live elsewhere."""

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
        options: What the user said about the columns.
    """

    def __init__(self, frames: Frames, options: DataOptions) -> None:
        self.name = frames.name
        self.default_key = frames.default_key
        self._frames = frames
        self._options = options
        self.columns: tuple[str, ...] = ()

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


def head_rows(head: tuple[float, bool], rows: int) -> int:
    """How many of `rows` records a `DataOptions.head` sets apart; a share is rounded down."""
    amount, percent = head
    return int(rows * amount / 100.0) if percent else min(int(amount), rows)


def open_sources(
    data: Sequence[str | Path],
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
            `bigquery:project.dataset.table`.
        options: What is to be known about the columns.
        chunk_rows: Rows read at once.
        schemes: Further `scheme:` names and what opens them, such as `kafka`.

    Raises:
        DataError: If something is not there or of no known kind. Contents are read later.
    """
    options = options or DataOptions()
    if not data:
        raise DataError("No data is named. Expected at least one file or query. Received: none.")
    sources: list[Source] = []
    for item in data:
        sources.extend(_open(str(item), options, chunk_rows, schemes or {}))
    return sources


def _open(
    item: str, options: DataOptions, chunk_rows: int, schemes: Mapping[str, Opener]
) -> list[Source]:
    scheme, colon, rest = item.partition(":")
    if colon and scheme in schemes:
        return [schemes[scheme](rest, options)]
    if scheme == "duckdb" and colon:
        return [TableSource(DuckDBFrames(rest, chunk_rows), options)]
    if scheme == "bigquery" and colon:
        return [TableSource(BigQueryFrames(rest, options, chunk_rows), options)]
    if scheme == "kafka" and colon:
        raise DataError(
            "A Kafka topic cannot be read here. Expected a file or a query; a topic's history "
            f"needs a command that connects to the broker. Received: {item}."
        )
    if re.match(r"\s*(select|with)\s", item, re.IGNORECASE):
        return [TableSource(DuckDBFrames(f"?{item}", chunk_rows), options)]
    path = Path(item)
    if path.is_dir():
        return _directory(path, options, chunk_rows)
    if not path.exists():
        raise DataError(
            f"There is no file {item!r}. Expected a file, a directory, duckdb:PATH?SELECT ... or "
            f"bigquery:project.dataset.table. Received: {item}."
        )
    frames = _reader(path, options, chunk_rows, named=True)
    if frames is None:
        raise DataError(
            f"{item} is of no known kind. Expected a name that ends in "
            f"{', '.join((*_CSV, *_CSV_IF_NAMED, *_JSON, *_JSON_IF_NAMED, *_PARQUET))} (text also "
            f"{', '.join(_PACKED)}). Received: {path.name}."
        )
    return [TableSource(frames, options)]


def _directory(path: Path, options: DataOptions, chunk_rows: int) -> list[Source]:
    found: list[Source] = []
    for file in sorted(path.rglob("*")):
        hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
        if file.is_file() and not hidden:
            frames = _reader(file, options, chunk_rows, named=False)
            if frames is not None:
                found.append(TableSource(frames, options))
    if not found:
        raise DataError(
            f"{path} holds no data. Expected files that end in "
            f"{', '.join((*_CSV, *_JSON, *_PARQUET))}. Received: none such."
        )
    return found


def _reader(path: Path, options: DataOptions, chunk_rows: int, *, named: bool) -> Frames | None:
    """The reader for a file's ending; None for another. Doubtful ones only where `named`."""
    stem = path.name.lower()
    for ending in _PACKED:
        stem = stem.removesuffix(ending)
    text = options.text_columns()
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
