"""Plan for a table: a history in a file, whose rows `ember replay` sends as JSON."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np

from ember_core.data.sources import DataOptions, Dataset, open_frames, read
from stream.cli.doctor.key_checks import CANDIDATES
from stream.errors import UserError
from stream.history import samples

from .ask import Questions
from .channels import examine_channels
from .plan import Decision, Plan
from .rows import lateness
from .source import require_file

_BLOCK: Final = 5_000
"""Rows of a part of the file that are looked at; the file may be sorted by key."""
_MOST_PARTS: Final = 40
_FEWEST: Final = 4
"""Rows of a key, at least on average: a column of more values names no streams."""
_SHARED: Final = 0.1


def plan_table(
    source: str,
    questions: Questions,
    *,
    key: str = "",
    time: str = "",
    zone: str = "",
    topic: str = "",
    interval_seconds: float | None = None,
) -> Plan:
    """Look at a table, and choose the settings for a topic of its rows.

    Args:
        source: Path of the file.
        questions: Questions to the user.
        key: Column of the stream key; empty: the likeliest.
        time: Column of the time; empty: the likeliest.
        zone: Time zone of times without an offset.
        topic: Name of the topic; empty: asked for.
        interval_seconds: Interval of the rows that the user names.

    Raises:
        UserError: If the file is no table with a time and numbers.
    """
    require_file(source)
    options = DataOptions(time=time, time_zone=zone)
    frames = list(_parts(source, options))
    if not frames:
        raise UserError(
            f"{source} has no rows. Expected a table with a time and numbers. Received: a header "
            "at most."
        )
    column, reason = (key, "as asked") if key else _key_column(frames, time)
    if not key and questions.enabled:
        options_shown = [str(name) for name in frames[0].columns]
        answer = questions.choose("Column of the stream key:", options_shown, column or "-")
        column, reason = ("" if answer == "-" else answer), "as answered"
    dataset = read([_Parts(source, frames)], replace(options, key=column))
    window, rows = _rows(dataset, interval_seconds)
    interval = window.get("interval_seconds") if window["mode"] == "time" else None
    channels = examine_channels(dataset.channels, samples(dataset), interval)
    topic = topic or questions.text("Topic that the rows will come from", "telemetry")
    arguments = [source, *(["--key", column] if column else [])]
    arguments += ["--time", time] if time else []
    arguments += ["--time-zone", zone] if zone else []
    decisions = [
        Decision("topic", topic, "a file names none (--topic)"),
        Decision("format", "json", "as `ember replay` sends the rows of a table"),
        Decision("key", column or "the file's name", reason),
        rows,
    ]
    return Plan(
        source=f"file {source}",
        data=shlex.join(arguments),
        input={"topics": [topic], "codec": "json"},
        window=window,
        channels=channels,
        decisions=decisions,
        texts=[remark.column for remark in dataset.remarks if remark.kind == "text_column"],
    )


class _Parts:
    """Parts of a file that were read, as a table of its name."""

    def __init__(self, source: str, parts: list[Any]) -> None:
        self.name = source
        self.default_key = Path(source).name.partition(".")[0].encode()
        self._frames = parts

    def frames(self) -> Iterator[Any]:
        """DataFrames of the parts."""
        return iter(self._frames)


def _parts(source: str, options: DataOptions) -> Iterator[Any]:
    """Yield the first rows of each part of the file, with their index anew."""
    reader = open_frames(source, options, text=options.text_columns())
    for frame in islice(reader.frames(), _MOST_PARTS):
        if len(frame):
            yield frame.iloc[:_BLOCK]


def _key_column(frames: list[Any], time: str) -> tuple[str, str]:
    """Return the column that names the streams, and the reason; empty where there is none."""
    best: tuple[tuple[bool, int, int], str, int] | None = None
    usual_names = [name.lower() for name in CANDIDATES["json"]]
    total = sum(len(frame) for frame in frames)
    for column in frames[0].columns:
        name = str(column)
        if name == time or any(column not in frame for frame in frames):
            continue
        values = {str(value) for frame in frames for value in frame[column].dropna().unique()}
        is_known = re.sub(r"\s+", "_", name.strip().lower()) in usual_names
        is_text = all(frame[column].dtype.kind not in "fciubM" for frame in frames)
        if len(values) * _FEWEST > total or not (is_known or is_text) or not values:
            continue
        if is_text and not is_known and (len(values) < 2 or _are_numbers(values)):
            continue
        rank = (
            not is_known,
            usual_names.index(name.lower()) if name.lower() in usual_names else 99,
        )
        candidate = ((*rank, -len(values)), name, len(values))
        if best is None or candidate[0] < best[0]:
            best = candidate
    if best is None:
        return "", "no column names streams: the file is one stream"
    return best[1], f"{best[2]:,} values in {total:,} rows"


def _are_numbers(values: set[str]) -> bool:
    return all(re.fullmatch(r"[\s\d.,:/TZ+-]+", value) for value in values)


def _rows(dataset: Dataset, interval_seconds: float | None) -> tuple[dict[str, Any], Decision]:
    """Choose the window by the times of the rows."""
    gaps, repeated, total, late = [], 0, 0, 0
    for table in dataset.tables:
        times = np.sort(table.time_us)
        steps = np.diff(times)
        repeated += int(np.count_nonzero(steps == 0))
        total += times.size
        late += int(np.count_nonzero(lateness([table.key] * times.size, table.time_us)))
        if (steps > 0).any():
            gaps.append(float(np.median(steps[steps > 0])) / 1e6)
    usual = float(np.median(gaps)) if gaps else 0.0
    summary = f"a row of a key every {usual:g} s" if gaps else "one row of each key"
    summary += f", {100 * late / total:.1f} % out of order" if late else ", in order"
    if interval_seconds is None and repeated <= _SHARED * total:
        return {"mode": "count"}, Decision("rows", "each record", summary)
    interval = interval_seconds or max(1.0, round(usual))
    reason = "as asked" if interval_seconds else f"several rows of one time; {summary}"
    window = {"mode": "time", "interval_seconds": float(interval)}
    return window, Decision("rows", f"intervals of {interval:g} s", reason)
