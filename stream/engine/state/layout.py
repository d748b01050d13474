"""The row: everything one stream key remembers, as one list of named fields.

Slabs, changelog bytes and their documentation are made from this list. A row is a packed,
aligned record: the bytes in memory are those written to the changelog.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline import KEPT_PAUSES, Role, StateField
from ember_core.rows import USES_TEXT, is_aggregate, quantile_of

LAYOUT_VERSION = 1
TOP = 3  # channels an open episode remembers of its peak
NEVER = -(2**62)
"""Time of a key that has sent nothing yet, microseconds."""


@dataclass(frozen=True)
class WindowSpec:
    """Windows that make rows of samples.

    Attributes:
        mode: `"count"`: each record is a row. `"time"`: tumbling intervals of event time.
        interval_us: Length of an interval.
        lateness_us: Time for which an interval stays open after its end, by the key's own time.
        aggregate: Aggregate of a channel's samples in one interval, see `ember_core.rows`.
        aggregates: Aggregates of single channels, by name.
    """

    mode: str = "count"
    interval_us: int = 10_000_000
    lateness_us: int = 5_000_000
    aggregate: str = "last"
    aggregates: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Refuse modes, aggregates and lengths that cannot work."""
        if self.mode not in ("count", "time"):
            raise ValueError(
                f"Unknown window mode. Expected 'count' or 'time'. Received: mode={self.mode!r}."
            )
        for aggregate in (self.aggregate, *(aggregate for _, aggregate in self.aggregates)):
            if not is_aggregate(aggregate):
                raise ValueError(
                    f"Unknown window aggregate. Expected {USES_TEXT}. "
                    f"Received: aggregate={aggregate!r}."
                )
        if self.interval_us < 1 or self.lateness_us < 0:
            raise ValueError(
                "A window needs a positive interval and a lateness of zero or more. "
                f"Received: interval_us={self.interval_us}, lateness_us={self.lateness_us}."
            )

    @property
    def open_windows(self) -> int:
        """Most intervals of a key that can be open at once; 0 in count mode."""
        # An interval stays open for the lateness, rounded up to whole intervals; one more is the
        # current one, and one more may have begun when the oldest closes.
        return 0 if self.mode == "count" else -(-self.lateness_us // self.interval_us) + 2


SAMPLE = 64
"""Values of an interval that a quantile is exact for."""


def engine_fields(
    channels: int, window: WindowSpec, uses: Sequence[str] = ()
) -> tuple[StateField, ...]:
    """Return the fields the engine adds to those of the pipeline.

    Args:
        channels: Number of columns that come from samples.
        window: Windows that make rows of samples.
        uses: Use of each of these columns; nothing else than the window's without it.
    """
    position, measured = Role.POSITION, Role.MEASURED
    sent_us = "the partition's clock when the key last sent, microseconds"
    idle_since = "event time from which it is idle"
    started = "event time the open episode began, microseconds"
    fields = [
        StateField("layout", "<u2", (), "version of this layout"),
        StateField("stale", "<u1", (), "1 while the key is idle, 2: without an event", position),
        StateField("model", "<u8", (), "first 8 bytes of the model's SHA-256"),
        StateField("offset", "<i8", (), "highest source offset absorbed", position),
        StateField("seq", "<i8", (), "count of scored rows, row_seq", position),
        StateField("late", "<i8", (), "count of late samples", position),
        StateField("seen", "<i8", (), sent_us, position),
        StateField("stale_since", "<i8", (), idle_since, position),
        StateField("episode_start", "<i8", (), started, measured),
        StateField("episode_rows", "<i8", (), "rows of the open episode", measured),
        StateField("peak_severity", "<f4", (), "largest severity of the open episode", measured),
        StateField("peak_score", "<f4", (), "score of that row", measured),
        StateField("peak_channel", "<i2", (TOP,), "its top channels, -1 for none", measured),
        StateField("peak_share", "<f4", (TOP,), "their shares", measured),
        StateField("peak_value", "<f8", (TOP,), "their values, NaN where missing", measured),
        StateField("peak_expected", "<f8", (TOP,), "their expected values", measured),
    ]
    if window.open_windows:
        o, c = window.open_windows, channels
        largest = "the key's largest event time, microseconds"
        value = "running aggregate of each channel"
        fields += [
            StateField("max_time", "<i8", (), largest, measured),
            StateField("window_start", "<i8", (o,), "start of each open interval", measured),
            StateField("window_open", "<u1", (o,), "1 where an interval is open", measured),
            StateField("window_value", "<f8", (o, c), value, measured),
            StateField("window_count", "<u4", (o, c), "samples in it", measured),
            StateField("window_time", "<i8", (o, c), "event time of the last sample", measured),
        ]
        # Fields of some aggregates; a row without these has none of them.
        more = (
            ("window_second", "seconds of a rate, or sum of deviations", ("rate", "std")),
            ("window_squares", "sum of squared deviations from the first value", ("std",)),
        )
        for name, doc, needed in more:
            if number := sum(use in needed for use in uses):
                fields.append(StateField(name, "<f8", (o, number), doc, measured))
        if number := sum(quantile_of(use) is not None for use in uses):
            sample = "values that a quantile is taken of"
            fields.append(StateField("window_sample", "<f8", (o, number, SAMPLE), sample, measured))
    if number := sum(use in ("rate", "delta") for use in uses):
        at = "its event time, microseconds"
        since = "start of the time that it counts, 0 where unknown"
        fields += [
            StateField("counter_value", "<f8", (number,), "newest sample of a counter", measured),
            StateField("counter_time", "<i8", (number,), at, measured),
            StateField("counter_start", "<i8", (number,), since, measured),
        ]
    return tuple(fields)


def channel_fields(channels: int) -> tuple[StateField, ...]:
    """Return the fields that tell which channels have stopped coming."""
    c, measured = (channels,), Role.MEASURED
    usual = "longest usual absence of each channel, in eighths of a row; 0 before it has come"
    return (
        StateField("usual_gap", "<u2", c, usual, measured),
        StateField("missing_rows", "<u2", c, "rows since the channel came last", measured),
        StateField("channel_gone", "<u1", c, "1 while its absence has been told", measured),
    )


def control_fields(channels: int) -> tuple[StateField, ...]:
    """Return the fields of operators' documents, which may change without another layout."""
    c, measured = channels, Role.MEASURED
    opened = "time since when the open alert's limit is broken, above and below; 0: none is open"
    since = "time since when that limit is broken, microseconds"
    return (
        StateField("limit_open", "<i8", (2, c), opened, measured),
        StateField("limit_since", "<i8", (2 * c,), since, measured),
        StateField("limit_mark", "<u4", (2 * c,), "marks of broken limits with a `for`", measured),
        StateField("normal_now", "<i8", (), "time of the newest `normal-now`", Role.POSITION),
    )


def band_fields(channels: int) -> tuple[StateField, ...]:
    """Return the field of a key's band, where scored rows are given in detail."""
    doc = "bounds of usual departures of each channel, below and above, in usual sizes"
    return (StateField("band", "<f4", (2, channels), doc),)


def pause_fields() -> tuple[StateField, ...]:
    """Return the fields that tell the usual pauses of a key, where keys may become idle."""
    longest = "longest pauses when they were noted, by falling length, seconds"
    noted = "the partition's clock at that time, microseconds"
    return (
        StateField("pauses", "<f4", (KEPT_PAUSES,), longest, Role.POSITION),
        StateField("pause_time", "<i8", (), noted, Role.POSITION),
    )


def dtype_of(spec: Sequence[tuple[str, str, tuple[int, ...]]]) -> np.dtype[np.void]:
    """Return the record of fields with these names, types and shapes, in this order.

    Raises:
        TypeError: If a type does not exist.
        ValueError: If a name occurs twice.
    """
    return np.dtype([(name, kind, tuple(shape)) for name, kind, shape in spec], align=True)


class RowLayout:
    """Byte positions of the fields in a row.

    Args:
        fields: All fields; `layout`, `model`, `offset` and `last_time` come first in the row, the
            others by falling alignment, so that there is no padding inside.
    """

    HEADER = ("layout", "stale", "model", "offset", "last_time")

    def __init__(self, fields: tuple[StateField, ...]) -> None:
        names = [f.name for f in fields]
        if len(set(names)) != len(names):
            raise ValueError(f"A field name occurs twice in the row. Received: {sorted(names)}.")
        by_name = {f.name: f for f in fields}
        head = [by_name[n] for n in self.HEADER]
        tail = sorted(
            (f for f in fields if f.name not in self.HEADER),
            key=lambda f: -np.dtype(f.dtype).itemsize,
        )
        self.fields = (*head, *tail)
        self.spec = [(f.name, f.dtype, f.shape) for f in self.fields]
        self.dtype = dtype_of(self.spec)
        self.nbytes = self.dtype.itemsize

    def views(self, rows: NDArray[np.uint8]) -> dict[str, Any]:
        """Return named views into rows, without a copy.

        Args:
            rows: Shape `(B, nbytes)`, C-contiguous.

        Returns:
            Field name -> view of shape `(B, *field.shape)`.
        """
        record = rows.view(self.dtype)[:, 0]
        return {f.name: record[f.name] for f in self.fields}

    def describe(self) -> list[dict[str, Any]]:
        """Return an entry per field: name, type, shape, byte offset and meaning."""
        dtype_fields: Any = self.dtype.fields
        return [
            {
                "name": f.name,
                "dtype": f.dtype,
                "shape": list(f.shape),
                "offset": int(dtype_fields[f.name][1]),
                "doc": f.doc,
            }
            for f in self.fields
        ]
