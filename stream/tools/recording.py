"""Files of the samples of a topic, which are read with the same result as the topic."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ember_core.data.sources import Chunk
from ember_core.distribution import install_command
from stream.errors import UserError
from stream.keys import quoted
from stream.records import rfc3339

Writer = Callable[[Chunk], None]

_TIME_NAMES = ("ts", "time", "timestamp", "event_time")
_KEY_NAMES = ("key", "stream_key", "ember_key")


def column_names(channels: Sequence[str]) -> tuple[str, str]:
    """Return names for the columns of time and key that no channel has."""
    time, key = (
        next((name for name in names if name not in channels), f"{names[0]}_of_record")
        for names in (_TIME_NAMES, _KEY_NAMES)
    )
    return time, key


@contextmanager
def recorder(path: Path) -> Iterator[Writer]:
    """Give a function that writes chunks; the file is there once all of them are.

    Args:
        path: File to write; its ending says the format.

    Raises:
        UserError: If the format is none of these, or the file cannot be written.
    """
    formats = {".parquet": _parquet, ".jsonl": _json_lines, ".ndjson": _json_lines}
    if path.suffix.lower() not in formats:
        raise UserError(
            "Samples are written as Parquet or JSON lines. Expected a name ending in .parquet or "
            f".jsonl. Received: {path}.",
            exit_code=2,
        )
    unfinished = path.with_name(f"{path.name}.partial")
    try:
        with formats[path.suffix.lower()](unfinished) as write:
            yield write
        unfinished.replace(path)
    except OSError as error:
        cause = error.strerror or error
        raise UserError(f"The file {path} cannot be written: {cause}.", exit_code=2) from None
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def _json_lines(path: Path) -> Iterator[Writer]:
    encoder = msgspec.json.Encoder()
    with path.open("wb") as file:

        def write(chunk: Chunk) -> None:
            time, key = column_names(chunk.channels)
            keys = [_json_key(key) for key in chunk.keys]
            # The first line has all channels, so that they are read in this order.
            is_first = not file.tell()
            rows = zip(
                chunk.key_index.tolist(),
                chunk.time_us.tolist(),
                chunk.values.tolist(),
                strict=True,
            )
            for number, (index, time_us, cells) in enumerate(rows):
                has_all = is_first and not number
                values = {
                    name: cell if cell == cell else None  # NaN is not itself
                    for name, cell in zip(chunk.channels, cells, strict=True)
                    if has_all or cell == cell
                }
                row = {time: rfc3339(time_us), key: keys[index], "values": values}
                file.write(encoder.encode(row) + b"\n")

        yield write


def _json_key(key: bytes) -> msgspec.Raw:
    """Return a key as JSON; bytes that are no UTF-8 are escapes, which readers turn back."""
    return msgspec.Raw(json.dumps(key.decode("utf-8", "surrogateescape")).encode())


@contextmanager
def _parquet(path: Path) -> Iterator[Writer]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise UserError(
            f"Parquet needs pyarrow. Expected it to be installed. Received: {path.stem}. Install "
            f"it with {install_command('frames')}, or write JSON lines (.jsonl).",
            exit_code=2,
        ) from None
    writer: Any = None

    def write(chunk: Chunk) -> None:
        nonlocal writer
        time, key = column_names(chunk.channels)
        keys = pa.array([_text(key) for key in chunk.keys], pa.string())
        columns = {
            time: pa.array(chunk.time_us, pa.timestamp("us", tz="UTC")),
            key: keys.take(pa.array(chunk.key_index)),
        }
        for number, channel in enumerate(chunk.channels):
            cells = np.ascontiguousarray(chunk.values[:, number])
            columns[channel] = pa.array(cells, pa.float64(), mask=np.isnan(cells))
        table = pa.table(columns)
        writer = writer or parquet.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table)

    try:
        yield write
    finally:
        if writer is not None:
            writer.close()


def _text(key: bytes) -> str:
    try:
        return key.decode()
    except UnicodeDecodeError:
        raise UserError(
            f"A key of the topic is no text. Expected UTF-8 for a Parquet file. Received: "
            f"{quoted(key)}. Write JSON lines (.jsonl), which hold any key."
        ) from None
