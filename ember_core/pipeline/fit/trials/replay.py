"""Rows of a model's keys from their first state on: pages, episodes, and states at moments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline.fit.series import Series
from ember_core.pipeline.pipeline import Pipeline
from ember_core.pipeline.stage import State

from .walk import walk

Flags = NDArray[np.bool_]


class Stop(NamedTuple):
    """Moment at which the state of a key is wanted.

    Attributes:
        key: Place of the key.
        row: Its first row after the moment.
    """

    key: int
    row: int


class Replay(NamedTuple):
    """Course of a replay.

    Attributes:
        pages: Rows that page, `(T,)` by key.
        firing: Rows in an open episode, `(T,)` by key.
        states: State at each stop, `(M, ...)`, in their order; empty without stops.
    """

    pages: list[Flags]
    firing: list[Flags]
    states: State


def replay(
    pipeline: Pipeline,
    state: State,
    series: Sequence[Series],
    stops: Sequence[Stop] = (),
    expected: Sequence[Any] = (),
) -> Replay:
    """Run rows of keys, and note states on the way.

    Args:
        pipeline: The pipeline, on NumPy, with its threshold.
        state: First states of the keys, written to.
        series: Rows of the keys, the longest first.
        stops: Moments at which states are noted, in any order.
        expected: Expectation of each key's channels from other rows, `(T, C)`.
    """
    longest = len(series[0].time_us)
    pages = [np.zeros(len(s.time_us), np.bool_) for s in series]
    firing = [np.zeros(len(s.time_us), np.bool_) for s in series]
    noted: dict[Stop, State] = {}
    begin = 0
    for row in [*sorted({stop.row for stop in stops}), longest]:
        part = slice(begin, row)
        for block in walk(
            pipeline,
            state,
            [s.values[part] for s in series],
            [s.time_us[part] for s in series],
            [usual[part] for usual in expected],
        ):
            first = begin + block.begin
            for k in range(block.pages.shape[1]):
                block_rows = slice(first, first + len(block.pages))
                n = len(pages[k][block_rows])
                pages[k][block_rows] = block.pages[:n, k]
                firing[k][block_rows] = block.firing[:n, k]
        begin = row
        for stop in stops:
            if stop.row == row:
                key = slice(stop.key, stop.key + 1)
                noted[stop] = {name: value[key].copy() for name, value in state.items()}
    states = {}
    if stops:
        states = {name: np.concatenate([noted[stop][name] for stop in stops]) for name in state}
    return Replay(pages, firing, states)


def episodes(firing: Flags) -> Iterator[slice]:
    """Yield the rows of each episode."""
    bounds = np.flatnonzero(np.diff(np.r_[False, firing, False].astype(np.int8)))
    for begin, end in zip(bounds[::2].tolist(), bounds[1::2].tolist(), strict=True):
        yield slice(begin, end)
