"""All of DATA in memory, one table per key."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ._chunk import CHUNK_ROWS, Chunk
from ._errors import DataError, unknown_column
from ._on_disk import Space, kept_on_disk
from ._open import Opener, TableSource, head_rows, open_sources
from ._options import DataOptions
from ._order import clock_change, falls
from ._remarks import Remark
from .times import utc_text

Rows = Literal["scored", "train", "all"]


@dataclass(frozen=True, eq=False)
class KeyTable:
    """The records of one key, in the order of the input. `T` records, `C` channels."""

    key: bytes
    """The stream key."""
    time_us: NDArray[np.int64]
    """Event time in microseconds since the epoch, `(T,)`; may fall, as in the input."""
    time_text: NDArray[np.object_] | None
    """The time as it stood in the input (str), `(T,)`; None: `texts` writes it in UTC."""
    values: NDArray[np.float64]
    """`(T, C)`; NaN where missing. Infinities are kept as they stood."""
    is_train: NDArray[np.bool_]
    """Whether the record is one to train on, `(T,)`; all False where nothing divides them."""
    label: NDArray[np.int8] | None
    """1 for a known anomaly, `(T,)`; None where there is no such column."""
    temporality: NDArray[np.uint8] | None = None
    """Kind of each sample, `(T,)`: 0 gauge, 1 delta, 2 cumulative; None where nothing tells."""
    start_us: NDArray[np.int64] | None = None
    """Start of the time that each sample covers, `(T,)`, 0 where unknown; None as above."""

    def texts(self, rows: NDArray[np.int64]) -> list[str]:
        """Return the times of some rows as they stood in the input, or else as ISO 8601 in UTC."""
        if self.time_text is not None:
            return list(self.time_text[rows].tolist())
        return [utc_text(time) for time in self.time_us[rows].tolist()]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Tables of all keys, in order of first appearance."""

    channels: tuple[str, ...]
    """Union over all sources in order of first appearance, or as the options name them."""
    tables: tuple[KeyTable, ...]
    divided: bool
    """Whether some rows are set apart for training."""
    remarks: tuple[Remark, ...] = ()
    """What the sources hold that is not used as it stands: columns, values, rows."""

    @property
    def keys(self) -> tuple[bytes, ...]:
        """The stream keys."""
        return tuple(table.key for table in self.tables)

    @property
    def span_us(self) -> tuple[int, int]:
        """First and last time of all records, microseconds; both 0 where there are none."""
        times = [table.time_us for table in self.tables if table.time_us.size]
        if not times:
            return 0, 0
        return min(int(t.min()) for t in times), max(int(t.max()) for t in times)

    def rows(self, table: int, which: Rows = "scored") -> NDArray[np.int64]:
        """Record numbers of one key's table.

        Args:
            table: Its place in `tables`.
            which: `train`, `scored` (all others) or `all`. Where nothing is set apart for
                training, all three mean all rows.

        Returns:
            int64 of shape `(n,)`, rising.
        """
        in_training = self.tables[table].is_train
        if which == "all" or not self.divided:
            return np.arange(in_training.size)
        return np.flatnonzero(in_training if which == "train" else ~in_training)

    def select(self, channels: Sequence[str]) -> Dataset:
        """The same records with the channels in another order; one that is not there is NaN."""
        if tuple(channels) == self.channels:
            return self
        position = {name: number for number, name in enumerate(self.channels)}
        present = [number for number, name in enumerate(channels) if name in position]
        origin = [position[channels[number]] for number in present]
        tables = []
        for table in self.tables:
            values = np.full((len(table.values), len(channels)), np.nan)
            values[:, present] = table.values[:, origin]
            tables.append(replace(table, values=values))
        return replace(self, channels=tuple(channels), tables=tuple(tables))

    def digest(self) -> str:
        """Hash of keys, channels, times, values and division (not of labels), for a bundle."""
        total = hashlib.sha256(repr((self.channels, self.divided)).encode())
        for table in self.tables:
            total.update(repr((table.key, table.values.shape)).encode())
            for array in (table.time_us, table.values, table.is_train):
                total.update(np.ascontiguousarray(array).tobytes())
        return total.hexdigest()


@dataclass
class _Parts:
    """Chunks read for one key."""

    source: str
    chunks: list[tuple[Chunk, NDArray[np.int64]]] = field(default_factory=list)
    is_log: bool = False
    """Whether the order of the records is that of a log, whatever their times are."""
    is_local: bool = False
    """Whether times without an offset were taken for UTC."""


def read(
    data: Sequence[Any],
    options: DataOptions | None = None,
    *,
    chunk_rows: int = CHUNK_ROWS,
    schemes: Mapping[str, Opener] | None = None,
    on_disk: bool = False,
) -> Dataset:
    """Read all of DATA into memory; `open_sources` reads in constant memory instead.

    Args:
        data: See `open_sources`.
        options: Meaning of the columns.
        chunk_rows: Rows read at once.
        schemes: See `open_sources`.
        on_disk: Keep the columns in files that are deleted with them, instead of in memory.

    Returns:
        One table per key. A file that lacks a channel of another has NaN there.

    Raises:
        DataError: If it cannot be read as asked, or two files without a key column have one name.

    Examples:
        >>> read(["host-7.csv"], DataOptions(time="t", drop="note")).keys  # doctest: +SKIP
        (b'host-7',)
    """
    options = options or DataOptions()
    channels: dict[str, None] = {}
    columns: dict[str, None] = {}
    parts: dict[bytes, _Parts] = {}
    remarks: list[Remark] = []
    sources = open_sources(data, options, chunk_rows=chunk_rows, schemes=schemes)
    for source in sources:
        plain = isinstance(source, TableSource)
        chunks = source.load() if isinstance(source, TableSource) else source.chunks()
        for chunk in chunks:
            channels |= dict.fromkeys(chunk.channels)
            chunk = kept_on_disk(chunk) if on_disk else chunk
            for key, rows in _by_key(chunk):
                entry = parts.setdefault(key, _Parts(source.name))
                entry.is_log |= getattr(source, "is_log", False)
                if entry.source != source.name and plain and not options.key:
                    raise DataError(
                        f"Two sources give the key {key.decode('utf-8', 'replace')!r}. Expected "
                        f"names that differ before the first dot. Received: {entry.source} and "
                        f"{source.name}. Name the column that tells them apart with --key COL."
                    )
                entry.chunks.append((chunk, rows))
        if isinstance(source, TableSource):
            columns |= dict.fromkeys(source.columns)
            for key in {key for chunk in chunks for key in chunk.keys}:
                parts[key].is_local |= source.is_local
        remarks += getattr(source, "remarks", ())
    if columns:
        _check_names(options, columns)
    names = options.channels or tuple(channels)
    total = sum(rows.size for counted_part in parts.values() for _, rows in counted_part.chunks)
    space = Space(total, len(names), on_disk=on_disk)
    # Popped one by one, so that copied chunks are released.
    tables = tuple(
        _table(key, parts.pop(key), names, options, remarks, space) for key in list(parts)
    )
    return Dataset(names, tables, options.divided, tuple(remarks))


def _by_key(chunk: Chunk) -> Iterator[tuple[bytes, NDArray[np.int64]]]:
    """Each key of a chunk with its rows there."""
    order = np.argsort(chunk.key_index, kind="stable")
    ends = np.bincount(chunk.key_index, minlength=len(chunk.keys)).cumsum()
    yield from zip(chunk.keys, np.split(order, ends[:-1]), strict=True)


def _check_names(options: DataOptions, columns: dict[str, None]) -> None:
    """A channel, label or dropped column may be missing in some files, but not in all."""
    requested = [("--channels", name) for name in options.channels]
    requested += [("--drop", name) for name in options.drop]
    requested += [("--label", options.label)] if options.label else []
    for flag, name in requested:
        if name not in columns:
            raise unknown_column("The data", flag, name, columns)


def _table(
    key: bytes,
    known: _Parts,
    names: tuple[str, ...],
    options: DataOptions,
    remarks: list[Remark],
    space: Space,
) -> KeyTable:
    size = sum(rows.size for _, rows in known.chunks)
    has_kinds = any(chunk.temporality is not None for chunk, _ in known.chunks)
    has_text = all(chunk.time_text is not None for chunk, _ in known.chunks)
    time_us, values = space.take(size)
    values[:] = np.nan
    time_text = np.empty(size if has_text else 0, object)
    is_train = np.empty(size, np.bool_)
    label = np.zeros(size, np.int8)
    temporality = np.zeros(size if has_kinds else 0, np.uint8)
    start_us = np.zeros(size if has_kinds else 0, np.int64)
    position = {name: number for number, name in enumerate(names)}
    start = 0
    for chunk, rows in known.chunks:
        part = slice(start, start + rows.size)
        time_us[part] = chunk.time_us[rows]
        if has_text and chunk.time_text is not None:
            time_text[part] = chunk.time_text[rows]
        # A later file may lack channels or have them in another order; missing ones stay NaN.
        values[part, [position[name] for name in chunk.channels]] = chunk.values[rows]
        is_train[part] = chunk.is_train[rows]
        if chunk.label is not None:
            label[part] = chunk.label[rows]
        if chunk.temporality is not None and chunk.start_us is not None:
            temporality[part], start_us[part] = chunk.temporality[rows], chunk.start_us[rows]
        start = part.stop
    if known.is_log:
        pass  # in the order of the log, which is that of the stream
    elif falls(time_us):
        for column in (time_us, time_text, values, is_train, label, temporality, start_us):
            column[:] = column[::-1].copy()
        text = "the newest rows come first: they were taken in the order of time"
        remarks.append(Remark("newest_first", text, known.source))
    elif known.is_local and (remark := clock_change(known.source, time_us, time_text)):
        remarks.append(remark)
    head = options.head()
    if head is not None:
        is_train = np.arange(size) < head_rows(head, size)
    labelled = any(chunk.label is not None for chunk, _ in known.chunks)
    texts = time_text if has_text else None
    table = KeyTable(key, time_us, texts, values, is_train, label if labelled else None)
    if has_kinds:
        table = replace(table, temporality=temporality, start_us=start_us)
    return table
