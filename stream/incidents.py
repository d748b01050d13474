"""Known incidents of a history, as an operator names them: windows, a file, or labels."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from ember_core.data.cells import TimeReader, Unreadable
from ember_core.data.sources import Dataset
from ember_core.pipeline.fit import Incident
from stream.engine import WindowSpec

from .errors import UserError
from .keys import key_of, quoted

EVERY_KEY = "*"
"""Name of all keys in a window."""
_COLUMNS = "columns start and end, and key unless they concern all keys"
_SEPARATORS = ",;\t|"


def window_of(text: str, reader: TimeReader) -> Incident:
    """Return the incident of `[KEY@]START..END`.

    Args:
        text: The window; without a key, or with `*`, it concerns all keys.
        reader: Reader of the times.

    Raises:
        UserError: If it is no such window.

    Examples:
        >>> window_of("web-1@2026-01-31T10:00Z..2026-01-31T11:00Z", TimeReader()).key
        b'web-1'
    """
    key, _, span = text.rpartition("@")
    start, dots, end = span.partition("..")
    if not dots:
        raise UserError(
            "The window is not understood. Expected [KEY@]START..END, such as "
            f"web-1@2026-01-31T10:00Z..2026-01-31T11:00Z. Received: --exclude {text}.",
            exit_code=2,
        )
    return _incident(key, start, end, reader, f"--exclude {text}")


def read_incidents(path: Path, reader: TimeReader) -> list[Incident]:
    """Return the incidents of a CSV file with a header, or of JSON, one object a line or a list.

    Args:
        path: The file.
        reader: Reader of the times.

    Raises:
        UserError: If it cannot be read, or a line is no incident.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UserError(
            "The incidents cannot be read. Expected a file of CSV or JSON lines. "
            f"Received: --incidents {path}: {reason}.",
            exit_code=2,
        ) from error
    incidents = []
    for place, fields in _records(text, path):
        lower = {str(name).strip().lower(): value for name, value in fields.items()}
        if "start" not in lower or "end" not in lower:
            raise UserError(
                f"{place} is no incident. Expected {_COLUMNS}. "
                f"Received: {', '.join(map(str, fields)) or 'nothing'}.",
                exit_code=2,
            )
        key = lower.get("key")
        key = "" if key is None else str(key)
        incidents.append(_incident(key, lower["start"], lower["end"], reader, place))
    return incidents


def labelled(dataset: Dataset) -> list[Incident]:
    """Return the runs of labelled training records.

    Raises:
        UserError: If the data have no labels.
    """
    if not any(table.label is not None for table in dataset.tables):
        raise UserError(
            "The data have no labels to leave out. Expected --label COLUMN with 1 in the records "
            "of known anomalies. Received: --exclude-labelled.",
            exit_code=2,
        )
    incidents = []
    for i, table in enumerate(dataset.tables):
        if table.label is None:
            continue
        rows = dataset.rows(i, "train")
        rows = rows[np.argsort(table.time_us[rows], kind="stable")]
        flags = np.concatenate([[0], table.label[rows] > 0, [0]]).astype(np.int8)
        edges = np.flatnonzero(np.diff(flags))
        times = table.time_us[rows]
        incidents += [
            Incident(table.key, int(times[a]), int(times[b - 1]))
            for a, b in zip(edges[::2], edges[1::2], strict=True)
        ]
    return incidents


def unknown_keys(incidents: Sequence[Incident], keys: Sequence[bytes]) -> list[bytes]:
    """Return the keys of incidents that a history does not have, each once."""
    incident_keys = dict.fromkeys(window.key for window in incidents if window.key is not None)
    return [key for key in incident_keys if key not in set(keys)]


def require_keys(incidents: Sequence[Incident], keys: Sequence[bytes]) -> None:
    """Refuse incidents of keys that a history does not have.

    Raises:
        UserError: If there is one, with keys that are close to it.
    """
    if not (unknown := unknown_keys(incidents, keys)):
        return
    names = [quoted(key) for key in keys]
    close = get_close_matches(quoted(unknown[0]), names, n=3) or names[:3]
    raise UserError(
        f"An incident is of a key that the history does not have. Expected one of its {len(keys):,}"
        f" keys, such as {', '.join(close)}. Received: {quoted(unknown[0])}.",
        exit_code=2,
    )


def on_rows(incidents: Sequence[Incident], window: WindowSpec) -> list[Incident]:
    """Return the incidents in the times of rows: a row of an interval has the time of its start."""
    if window.mode != "time":
        return list(incidents)
    length = window.interval_us
    return [replace(i, start_us=i.start_us - i.start_us % length) for i in incidents]


def _records(text: str, path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each record with the name of its place.

    Raises:
        UserError: If a line is no JSON object.
    """
    if text.lstrip()[:1] == "[":
        for number, fields in enumerate(_json(text, f"{path}"), 1):
            yield f"{path} entry {number:,}", _object(fields, f"{path} entry {number:,}")
    elif text.lstrip()[:1] == "{":
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                place = f"{path} line {number:,}"
                yield place, _object(_json(line, place), place)
    else:
        lines = text.splitlines()
        header = next((line for line in lines if line.strip()), "")
        separator = max(_SEPARATORS, key=header.count)
        reader = csv.DictReader(lines, delimiter=separator, restkey="", restval="")
        for fields in reader:
            yield f"{path} line {reader.line_num:,}", fields


def _json(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise UserError(
            f"{place} is no JSON. Expected an object with {_COLUMNS}. Received: {text[:80]!r}.",
            exit_code=2,
        ) from error


def _object(value: Any, place: str) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return value
    raise UserError(
        f"{place} is no incident. Expected an object with {_COLUMNS}. Received: {value!r:.80}.",
        exit_code=2,
    )


def _incident(key: str, start: Any, end: Any, reader: TimeReader, place: str) -> Incident:
    """Return the incident of cells.

    Raises:
        UserError: If a time cannot be read, or it ends before it starts.
    """
    times = []
    for name, cell in (("start", start), ("end", end)):
        try:
            times.append(reader.read(cell.strip() if isinstance(cell, str) else cell))
        except Unreadable as error:
            raise UserError(
                f"The {name} of an incident is no time. Expected a time such as "
                f"2026-01-31T10:00Z. Received: {cell!r} in {place}.",
                exit_code=2,
            ) from error
    if times[1] < times[0]:
        raise UserError(
            "An incident ends before it starts. Expected its start first. "
            f"Received: {start} to {end} in {place}.",
            exit_code=2,
        )
    name = key.strip()
    return Incident(None if name in ("", EVERY_KEY) else key_of(name), *times)
