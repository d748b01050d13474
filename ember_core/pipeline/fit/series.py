"""One pass over a fleet's history through the recurrent stages, and the rows it leaves."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline.pipeline import Pipeline
from ember_core.pipeline.stage import State

SETTLE = 64  # rows at the start of a series that no fit uses: windows still fill
SEQUENCED_ROWS = 100_000  # that the liquid read-out is fitted on, of all keys
FloatArray = NDArray[np.float64]


class Series(NamedTuple):
    """History of one key: times `(T,)` int64 microseconds, values `(T, C)` float64."""

    key: bytes
    time_us: NDArray[np.int64]
    values: FloatArray


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
    def joined(cls, parts: list[tuple[Any, Any, Any]]) -> Any:
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
class Gathered(Rows):
    """Rows kept from one pass over the history.

    Attributes:
        sequences: Inputs of the liquid read-out's fit, per key.
        consecutive: Every row of some keys, to calibrate the thresholds on.
    """

    sequences: list[tuple[Any, Any, Any, Any]] = field(default_factory=list)
    consecutive: Rows | None = None


def tiles(rows: Any, size: int = 8192) -> list[Any]:
    """Cut rows in pieces that fit the cache."""
    return [rows[i : i + size] for i in range(0, len(rows), size)]


def lockstep(
    pipeline: Pipeline, series: Sequence[Series], lengths: Any, state: State
) -> Iterator[tuple[int, int, Any]]:
    """Observe all keys one row at a time, their state in place.

    Args:
        pipeline: The pipeline.
        series: History of the keys, the longest first.
        lengths: Rows of each key, never rising.
        state: State of the keys, written to.

    Yields:
        Row number, number of keys that have this row, and its observation.
    """
    pipeline.freeze()
    for t in range(int(lengths[0])):
        n = int(np.count_nonzero(lengths > t))
        values = np.stack([s.values[t] for s in series[:n]])
        times = np.array([s.time_us[t] for s in series[:n]], dtype=np.int64)
        observation = pipeline.observe({k: v[:n] for k, v in state.items()}, values, times)
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
    """
    parts: list[tuple[Any, Any, Any]] = []
    consecutive: list[tuple[Any, Any, Any]] = []
    basis: list[list[Any]] = [[] for _ in series]
    z: list[list[Any]] = [[] for _ in series]
    anchor: list[list[Any]] = [[] for _ in series]
    elapsed: list[list[Any]] = [[] for _ in series]
    sequenced = max(1, min(len(series), SEQUENCED_ROWS // max(1, int(lengths[0])))) * sequences
    for t, n, observation in lockstep(pipeline, series, lengths, state):
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
        if sequenced:
            times = observation.state["last_time"][:m]
            consecutive.append((np.arange(m), times, observation.raw[:m]))
    kept_sequences = [
        (np.stack(b[SETTLE:]), np.stack(v[SETTLE:]), np.stack(a[SETTLE:]), np.stack(e[SETTLE:]))
        for b, v, a, e in zip(basis, z, anchor, elapsed, strict=True)
        if len(b) > SETTLE
    ]
    rows = Rows.joined(parts)
    all_rows = Rows.joined(consecutive) if consecutive else None
    return Gathered(rows.owner, rows.time_us, rows.raw, kept_sequences, all_rows)


def digest(series: Sequence[Series]) -> str:
    """Return a SHA-256 over keys, times and values: the identity of the training data."""
    h = hashlib.sha256()
    for s in sorted(series, key=lambda s: s.key):
        h.update(len(s.key).to_bytes(4, "big") + s.key)
        h.update(np.ascontiguousarray(s.time_us).tobytes())
        h.update(np.ascontiguousarray(s.values).tobytes())
    return h.hexdigest()
