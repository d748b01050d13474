"""Messages of the scores topic as JSON lines, a row each, and as lines for people, a key each."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from typing import Any

import numpy as np
from confluent_kafka import Message
from rich.text import Text

from stream.keys import key_text
from stream.records import rfc3339
from stream.scores import CHANNEL_COLUMNS, ScoreBatch, ScoresError, decode

_SHOWN_CHANNELS = 3


def score_records(message: Message) -> Iterator[dict[str, Any]]:
    """Yield the rows of a message: columns, channels by name, and coordinates."""
    for batch in _batches(message):
        for row in range(len(batch)):
            yield _record(batch, row, message)


def newest_records(message: Message) -> Iterator[dict[str, Any]]:
    """Yield the newest row of each key of a message."""
    for batch in _batches(message):
        newest = {key: row for row, key in enumerate(batch.keys)}
        for row in newest.values():
            yield _record(batch, row, message)


def score_line(record: dict[str, Any]) -> Text:
    """Return a line of severity, evidence, key, time, and the channels beside their bands."""
    line = Text(no_wrap=True, overflow="ellipsis")
    status = "FIRING" if record["firing"] else "anomaly" if record["anomaly"] else ""
    line.append(f"{status:<8} ", "bold red" if record["firing"] else "yellow")
    line.append(f"{record['severity']:4.1f} ")
    threshold = record["threshold"]
    bound = "may not fire yet" if threshold is None else f"of {threshold:.2f}"
    line.append(f" {record['evidence']:.2f} {bound} ", "dim")
    line.append(f" {record['key']} ", "bold cyan")
    line.append(f" {str(record['time']).replace('T', ' ')} ", "dim")
    channels = sorted(record["channels"].items(), key=lambda item: -(item[1]["contribution"] or 0))
    for name, channel in channels[:_SHOWN_CHANNELS]:
        value, lower, upper = (channel[column] for column in ("value", "lower", "upper"))
        line.append(f"  {key_text(name.encode())}", "bold")
        line.append(" missing" if value is None else f" {value:.4g}")
        if lower is not None and upper is not None:
            line.append(f" ({lower:.4g} to {upper:.4g})", "dim")
    return line


def _batches(message: Message) -> Iterator[ScoreBatch]:
    """Yield the rows of a message; one that holds none is left out, as a foreign producer's."""
    try:
        batch = decode(message.value() or b"")
    except ScoresError:
        return
    yield batch


def _record(batch: ScoreBatch, row: int, message: Message) -> dict[str, Any]:
    record: dict[str, Any] = {
        "key": key_text(batch.keys[row]),
        "time": rfc3339(int(batch.time_us[row])),
    }
    for name in ("score", "severity", "evidence", "threshold"):
        number = _number(getattr(batch, name)[row])
        record[name] = None if number is None else round(number, 6)
    record |= {
        "firing": bool(batch.firing[row]),
        "anomaly": bool(batch.anomaly[row]),
        "trigger": int(batch.trigger[row]),
        "channels": {
            channel: {name: _number(getattr(batch, name)[row, c]) for name in CHANNEL_COLUMNS}
            for c, channel in enumerate(batch.channels)
        },
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
    }
    return record


def _number(number: np.floating[Any]) -> float | None:
    return float(number) if isfinite(number) else None
