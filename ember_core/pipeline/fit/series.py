"""One pass over a fleet's history through the recurrent parts, and the rows it leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline.pipeline import Pipeline
from ember_core.pipeline.stage import State

SETTLE = 64  # rows at the start of a series that no fit uses: windows still fill
SEQUENCED_ROWS = 100_000  # the liquid read-out is fitted on
FloatArray = NDArray[np.float64]


class Series(NamedTuple):
    """History of one key: times `(T,)` int64 microseconds, values `(T, C)` float64."""

    key: bytes
    time_us: NDArray[np.int64]
    values: FloatArray


@dataclass
class Rows:
    """Rows of the history: whose, when, unscaled features."""

    owner: NDArray[np.int64]
    time_us: NDArray[np.int64]
    raw: NDArray[np.float32]

    @classmethod
    def joined(cls, parts: list[tuple[Any, Any, Any]]) -> Any:
        """Rows of all parts, in order."""
        return cls(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def visible(self, pipeline: Pipeline, first: State) -> NDArray[np.float32]:
        """Visible units of the rows, not yet whitened unless the pipeline is, `(R, V)`."""
        fields = pipeline.scaler.state_fields()
        out = np.empty((len(self.owner), pipeline.n_visible), dtype=np.float32)
        for i in range(0, len(out), 8192):
            part = slice(i, i + 8192)
            scales = {f.name: first[f.name][self.owner[part]] for f in fields}
            scaled = pipeline.scaler.scale(scales, self.raw[part])
            out[part] = pipeline.visible.units(scaled, pipeline.clock.features(self.time_us[part]))
        return out


@dataclass
class Gathered(Rows):
    """Rows kept from one pass over the history.

    Attributes:
        sequences: Per key what the liquid read-out is fitted on.
        whole: All rows of some keys, to calibrate alarms on.
    """

    sequences: list[tuple[Any, Any, Any, Any]] = field(default_factory=list)
    whole: Rows | None = None


def tiles(rows: Any, size: int = 8192) -> list[Any]:
    """Rows in pieces that fit the cache."""
    return [rows[i : i + size] for i in range(0, len(rows), size)]


def lockstep(
    pipeline: Pipeline, series: Sequence[Series], lengths: Any, state: State
) -> Iterator[tuple[int, int, Any]]:
    """All keys one row at a time: `(t, keys still running, observation)`; state in place."""
    pipeline.freeze()
    for t in range(int(lengths[0])):
        n = int(np.count_nonzero(lengths > t))
        values = np.stack([s.values[t] for s in series[:n]])
        times = np.array([s.time_us[t] for s in series[:n]], dtype=np.int64)
        seen = pipeline.observe({k: v[:n] for k, v in state.items()}, values, times)
        for name, value in seen.state.items():
            state[name][:n] = value
        yield t, n, seen


def gather(
    pipeline: Pipeline,
    series: Sequence[Series],
    lengths: Any,
    state: State,
    stride: int,
    tell: Callable[[str, float], None] | None = None,
    *,
    sequences: bool = True,
) -> Gathered:
    """Run the history through the recurrent parts and keep every `stride`-th row of a key."""
    parts: list[tuple[Any, Any, Any]] = []
    every: list[tuple[Any, Any, Any]] = []
    basis: list[list[Any]] = [[] for _ in series]
    z: list[list[Any]] = [[] for _ in series]
    anchor: list[list[Any]] = [[] for _ in series]
    elapsed: list[list[Any]] = [[] for _ in series]
    sequenced = max(1, min(len(series), SEQUENCED_ROWS // max(1, int(lengths[0])))) * sequences
    for t, n, seen in lockstep(pipeline, series, lengths, state):
        if tell and t % 512 == 0:
            tell("history", t / int(lengths[0]))
        m = min(n, sequenced)
        for k in range(m):
            basis[k].append(seen.basis[k])
            z[k].append(seen.z[k])
            anchor[k].append(seen.state["anchor"][k])
            elapsed[k].append(seen.elapsed[k])
        if t < SETTLE:
            continue
        kept = np.flatnonzero((np.arange(n) + t) % stride == 0)
        if kept.size:
            parts.append((kept, seen.state["last_time"][kept], seen.raw[kept]))
        if sequenced:
            now = min(n, sequenced)
            every.append((np.arange(now), seen.state["last_time"][:now], seen.raw[:now]))
    kept_sequences = [
        (np.stack(b[SETTLE:]), np.stack(v[SETTLE:]), np.stack(a[SETTLE:]), np.stack(e[SETTLE:]))
        for b, v, a, e in zip(basis, z, anchor, elapsed, strict=True)
        if len(b) > SETTLE
    ]
    rows = Rows.joined(parts)
    whole = Rows.joined(every) if every else None
    return Gathered(rows.owner, rows.time_us, rows.raw, kept_sequences, whole)
