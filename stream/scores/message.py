"""Scored rows as an Arrow IPC stream, and back."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, Final

import numpy as np

from stream.errors import UserError

from .batch import CHANNEL_COLUMNS, ROW_COLUMNS, ScoreBatch

VERSION: Final = 1
"""Version of the schema; changes are additive only."""
_METADATA: Final = b"ember.scores"


class ScoresError(UserError, ValueError):
    """A message that holds no scored rows, or a missing library; the message says why."""


def require_arrow() -> None:
    """Refuse where pyarrow is not installed.

    Raises:
        ScoresError: If it is not.
    """
    _arrow()


def encode(batch: ScoreBatch) -> bytes:
    """Return rows as an Arrow IPC stream of one record batch.

    Args:
        batch: The rows.

    Raises:
        ScoresError: If pyarrow is not installed.
    """
    arrow = _arrow()
    schema = _schema(arrow, batch.topic, batch.partition, batch.channels, batch.coverage)
    width = len(batch.channels)
    columns = [
        arrow.array(batch.keys, type=arrow.binary()),
        arrow.array(batch.time_us).view(arrow.timestamp("us", tz="UTC")),
        *(arrow.array(getattr(batch, name)) for name in ROW_COLUMNS),
        *(
            arrow.FixedSizeListArray.from_arrays(getattr(batch, name).ravel(), width)
            for name in CHANNEL_COLUMNS
        ),
    ]
    sink = arrow.BufferOutputStream()
    with arrow.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(arrow.record_batch(columns, schema=schema))
    body: bytes = sink.getvalue().to_pybytes()
    return body


def decode(body: bytes) -> ScoreBatch:
    """Read a message of the scores topic.

    Args:
        body: Value of the record.

    Raises:
        ScoresError: If it holds no scored rows of a version that is known, or pyarrow is not
            installed.
    """
    arrow = _arrow()
    try:
        with arrow.ipc.open_stream(body) as reader:
            table = reader.read_all().combine_chunks()
        description = json.loads(table.schema.metadata[_METADATA])
        channels = tuple(description["channels"])
        rows = {
            name: table[name].to_numpy().astype(kind, copy=False)
            for name, kind in ROW_COLUMNS.items()
        }
        wide = {
            name: _values(table[name], len(channels)).astype(kind, copy=False)
            for name, kind in CHANNEL_COLUMNS.items()
        }
        return ScoreBatch(
            topic=description["topic"],
            partition=description["partition"],
            channels=channels,
            coverage=description["coverage"],
            keys=table["key"].to_pylist(),
            time_us=table["time"].to_numpy().astype("datetime64[us]").astype(np.int64),
            **rows,
            **wide,
        )
    except (arrow.ArrowException, KeyError, TypeError, ValueError) as error:
        raise ScoresError(
            "A record of the scores topic cannot be read. Expected an Arrow IPC stream as workers "
            f"write it. Received: {error}. See whether something else writes to the topic."
        ) from None


def _values(column: Any, width: int) -> Any:
    """Return a column of lists as an array `(n, width)`."""
    chunks = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    return np.concatenate([np.zeros(0), *chunks]).reshape(-1, width)


@cache
def _schema(
    arrow: Any, topic: str, partition: int, channels: tuple[str, ...], coverage: float
) -> Any:
    """Return the schema of the messages of a partition; made once."""
    width = len(channels)
    columns = [
        arrow.field("key", arrow.binary(), nullable=False),
        arrow.field("time", arrow.timestamp("us", tz="UTC"), nullable=False),
    ]
    for name, kind in ROW_COLUMNS.items():
        columns.append(arrow.field(name, arrow.from_numpy_dtype(kind)))
    for name, kind in CHANNEL_COLUMNS.items():
        each = arrow.field("item", arrow.from_numpy_dtype(kind))
        columns.append(arrow.field(name, arrow.list_(each, width)))
    description = {
        "version": VERSION,
        "topic": topic,
        "partition": partition,
        "channels": channels,
        "coverage": coverage,
    }
    return arrow.schema(columns, metadata={_METADATA: json.dumps(description).encode()})


@cache
def _arrow() -> Any:
    try:
        import pyarrow as pa
    except ImportError:
        raise ScoresError(
            "Scores need one package more. Expected the extra `scores`. Received: none. Install "
            "it with pip install 'ember-anomaly[scores]'."
        ) from None
    return pa
