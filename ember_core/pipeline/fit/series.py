"""One pass over a fleet's history through the recurrent stages, and the rows it leaves."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline.arguments import as_key, as_times, as_values, column_names
from ember_core.pipeline.pipeline import Pipeline
from ember_core.pipeline.stage import State

SETTLE = 64  # rows at the start of a series that no fit uses: windows still fill
MIN_ROWS = 2 * SETTLE
"""Rows that a key needs to be trained on."""
SEQUENCED_ROWS = 100_000  # that the liquid read-out is fitted on, of all keys
CONSECUTIVE_ROWS = 600_000  # that the thresholds are calibrated on, with channel evidence
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Series:
    """History of one key: times `(T,)` int64 microseconds, values `(T, C)` float64.

    Dates, lists, frames and other types of numbers are converted; a likely mistake is
    refused. Infinite values count as missing.

    Attributes:
        key: Stream key; text is encoded.
        time_us: Times, each later than the one before.
        values: NaN where a channel is missing; `(T,)` for one channel.
        channels: Names of the columns, where `values` is a frame that has them.

    Raises:
        ValueError: If times are of another unit, missing or do not increase, if lengths differ, or
            a value is no number.

    Examples:
        >>> Series("web-1", [1_767_225_600_000_000, 1_767_225_660_000_000], [0.5, 0.7]).values.shape
        (2, 1)
    """

    key: bytes
    time_us: NDArray[np.int64]
    values: FloatArray
    channels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Convert the arguments, and check them."""
        key = as_key(self.key)
        names = self.channels or column_names(self.values)
        try:
            time_us = as_times(self.time_us)
            values = as_values(self.values, len(time_us))
        except ValueError as error:
            raise ValueError(f"Key {key.decode(errors='replace')!r}: {error}") from None
        for name, value in zip(
            ("key", "time_us", "values", "channels"), (key, time_us, values, names), strict=True
        ):
            object.__setattr__(self, name, value)

    def rows(self, begin: int, end: int | None = None) -> Series:
        """Return the rows from `begin` up to `end`."""
        part = slice(begin, end)
        return _series(self.key, self.time_us[part], self.values[part], self.channels)

    def with_values(self, values: FloatArray) -> Series:
        """Return the same times with other values of the same channels."""
        return _series(self.key, self.time_us, values, self.channels)


def _series(key: bytes, time_us: Any, values: FloatArray, channels: tuple[str, ...]) -> Series:
    # Times as dates, since a part of small numbers could look like another unit.
    return Series(key, time_us.view("datetime64[us]"), values, channels)


def checked_fleet(series: Sequence[Series], channels: Sequence[str]) -> list[Series]:
    """Return the history of a fleet in the order of the channels.

    Args:
        series: History per key.
        channels: Names of the model's channels, in column order.

    Raises:
        ValueError: If a key is there twice, or a series has other channels.
    """
    counts = Counter(s.key for s in series)
    if doubled := [key for key, count in counts.items() if count > 1]:
        raise ValueError(
            "Every key has one history. Expected each key once. Received: "
            f"{doubled[0].decode(errors='replace')!r} {counts[doubled[0]]} times, "
            f"{len(doubled)} such keys. Join their rows in order of time."
        )
    return [_in_order(s, tuple(channels)) for s in series]


def _in_order(series: Series, channels: tuple[str, ...]) -> Series:
    named, columns = series.channels, series.values.shape[1]
    if columns != len(channels) or (named and set(named) != set(channels)):
        raise ValueError(
            f"Key {series.key.decode(errors='replace')!r} has other channels. Expected "
            f"{len(channels)}: {', '.join(channels[:8])}. Received {columns}"
            f"{': ' + ', '.join(named[:8]) if named else ' columns'}."
        )
    if not named or named == channels:
        return series
    values = series.values[:, [named.index(name) for name in channels]]
    return _series(series.key, series.time_us, values, channels)


@dataclass
class Rows:
    """Rows of the history.

    Attributes:
        owner: Index of each row's key, `(R,)`.
        time_us: Event times, `(R,)`.
        raw: Unscaled features, `(R, D)`.
    """

    owner: NDArray[np.int64]
    time_us: NDArray[np.int64]
    raw: NDArray[np.float32]

    @classmethod
    def joined(cls, parts: list[tuple[Any, ...]]) -> Any:
        """Join the rows of all parts, in order."""
        return cls(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def visible(self, pipeline: Pipeline, key_state: State) -> NDArray[np.float32]:
        """Return the visible units of the rows, `(R, V)`, under first states of the keys."""
        fields = pipeline.scaler.state_fields()
        out = np.empty((len(self.owner), pipeline.n_visible), dtype=np.float32)
        for i in range(0, len(out), 8192):
            part = slice(i, i + 8192)
            scales = {f.name: key_state[f.name][self.owner[part]] for f in fields}
            scaled = pipeline.scaler.scale(scales, self.raw[part])
            out[part] = pipeline.visible.units(scaled, pipeline.clock.features(self.time_us[part]))
        return out


@dataclass
class ConsecutiveRows(Rows):
    """Every row of some keys, to calibrate the thresholds on.

    Attributes:
        severity: Severity of each channel, `(R, C)`; no columns without channel evidence.
        hold: Severity of what still goes on in it, `(R, C)`.
        elapsed: Usual intervals since the key's row before, `(R,)`.
    """

    severity: NDArray[np.float32]
    hold: NDArray[np.float32]
    elapsed: NDArray[np.float32]


@dataclass
class Gathered(Rows):
    """Rows kept from one pass over the history.

    Attributes:
        sequences: Inputs of the liquid read-out's fit, per key.
        consecutive: Every row of some keys, to calibrate the thresholds on.
    """

    sequences: list[tuple[Any, Any, Any, Any]] = field(default_factory=list)
    consecutive: ConsecutiveRows | None = None


def tiles(rows: Any, size: int = 8192) -> list[Any]:
    """Cut rows in pieces that fit the cache."""
    return [rows[i : i + size] for i in range(0, len(rows), size)]


def lockstep(
    pipeline: Pipeline,
    series: Sequence[Series],
    lengths: Any,
    state: State,
    expected: Sequence[Any] = (),
) -> Iterator[tuple[int, int, Any]]:
    """Observe all keys one row at a time, their state in place.

    Args:
        pipeline: The pipeline.
        series: History of the keys, the longest first.
        lengths: Rows of each key, never rising.
        state: State of the keys, written to.
        expected: Expectation of each key's channels without the rows themselves, `(T, C)` each;
            only with channel evidence.

    Yields:
        Row number, number of keys that have this row, and its observation.
    """
    pipeline.freeze()
    for t in range(int(lengths[0])):
        n = int(np.count_nonzero(lengths > t))
        values = np.stack([s.values[t] for s in series[:n]])
        times = np.array([s.time_us[t] for s in series[:n]], dtype=np.int64)
        usual = np.stack([e[t] for e in expected[:n]]) if expected else None
        fields = {k: v[:n] for k, v in state.items()}
        observation = pipeline.observe(fields, values, times, expected=usual)
        for name, value in observation.state.items():
            state[name][:n] = value
        yield t, n, observation


def gather(
    pipeline: Pipeline,
    series: Sequence[Series],
    lengths: Any,
    state: State,
    thinning: int,
    progress: Callable[[str, float], None] | None = None,
    *,
    sequences: bool = True,
    expected: Sequence[Any] = (),
) -> Gathered:
    """Run the history through the recurrent stages and keep one row in `thinning` of each key.

    Args:
        pipeline: The pipeline.
        series: History of the keys, the longest first.
        lengths: Rows of each key, never rising.
        state: State of the keys, written to.
        thinning: Distance of the rows that are kept.
        progress: Called with the stage's name and the share done.
        sequences: Also keep the inputs of the liquid read-out's fit, of some keys.
        expected: See `lockstep`.
    """
    parts: list[tuple[Any, ...]] = []
    consecutive: list[tuple[Any, ...]] = []
    basis: list[list[Any]] = [[] for _ in series]
    z: list[list[Any]] = [[] for _ in series]
    anchor: list[list[Any]] = [[] for _ in series]
    elapsed: list[list[Any]] = [[] for _ in series]
    longest, has_channels = max(1, int(lengths[0])), pipeline.channels is not None
    sequenced = max(1, min(len(series), SEQUENCED_ROWS // longest)) * sequences
    whole = max(1, min(len(series), CONSECUTIVE_ROWS // longest)) if has_channels else sequenced
    whole *= sequences
    no_columns = np.zeros((len(series), 0), np.float32)
    for t, n, observation in lockstep(pipeline, series, lengths, state, expected):
        if progress and t % 512 == 0:
            progress("history", t / int(lengths[0]))
        m = min(n, sequenced)
        for k in range(m):
            basis[k].append(observation.basis[k])
            z[k].append(observation.z[k])
            anchor[k].append(observation.state["anchor"][k])
            elapsed[k].append(observation.elapsed[k])
        if t < SETTLE:
            continue
        indices = np.flatnonzero((np.arange(n) + t) % thinning == 0)
        if indices.size:
            parts.append(
                (indices, observation.state["last_time"][indices], observation.raw[indices])
            )
        if whole:
            m = min(n, whole)
            times, raw = observation.state["last_time"][:m], observation.raw[:m]
            severity = observation.channel_severity[:m] if has_channels else no_columns[:m]
            hold = observation.channel_hold[:m] if has_channels else no_columns[:m]
            first_elapsed = observation.elapsed[:m]
            consecutive.append((np.arange(m), times, raw, severity, hold, first_elapsed))
    kept_sequences = [
        (np.stack(b[SETTLE:]), np.stack(v[SETTLE:]), np.stack(a[SETTLE:]), np.stack(e[SETTLE:]))
        for b, v, a, e in zip(basis, z, anchor, elapsed, strict=True)
        if len(b) > SETTLE
    ]
    rows = Rows.joined(parts)
    all_rows = ConsecutiveRows.joined(consecutive) if consecutive else None
    return Gathered(rows.owner, rows.time_us, rows.raw, kept_sequences, all_rows)


def digest(series: Sequence[Series]) -> str:
    """Return a SHA-256 over keys, times and values: the identity of the training data."""
    h = hashlib.sha256()
    for s in sorted(series, key=lambda s: s.key):
        h.update(len(s.key).to_bytes(4, "big") + s.key)
        h.update(np.ascontiguousarray(s.time_us).tobytes())
        h.update(np.ascontiguousarray(s.values).tobytes())
    return h.hexdigest()
