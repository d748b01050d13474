"""Rows of several keys through a whole pipeline, motor neuron included, some steps at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ember_core import ops
from ember_core.pipeline.fit.series import Series
from ember_core.pipeline.fleet import FleetModel
from ember_core.pipeline.packing import PackedRows
from ember_core.pipeline.pipeline import Pipeline
from ember_core.pipeline.stage import Role, State, names_with

BLOCK_ROWS = 16_384
"""Rows that go through the pipeline at once, about."""

Flags = NDArray[np.bool_]


class Block(NamedTuple):
    """Some steps of all keys, arrays of shape `(S, K)`; what a key has no row for is False.

    Attributes:
        begin: Number of the first step.
        pages: Rows that page: an episode begins, or another group joins it.
        firing: Rows in an open episode.
        evidence: Evidence that the motor neuron compares with its threshold, float32.
    """

    begin: int
    pages: Flags
    firing: Flags
    evidence: NDArray[np.float32]


def walk(
    pipeline: Pipeline,
    state: State,
    values: Sequence[Any],
    times: Sequence[Any],
    expected: Sequence[Any] = (),
) -> Iterator[Block]:
    """Run the rows of keys, their state in place.

    Args:
        pipeline: The pipeline, on NumPy.
        state: State of the keys, written to.
        values: Values of each key, `(T, C)`, the longest first.
        times: Their times, `(T,)`.
        expected: Expectation of each key's channels from other rows, `(T, C)`; see `Observation`.
    """
    lengths = np.array([len(x) for x in times])
    if not lengths.size or not lengths[0]:
        return
    block_steps = max(1, BLOCK_ROWS // len(lengths))
    for begin in range(0, int(lengths[0]), block_steps):
        steps = min(block_steps, int(lengths[0]) - begin)
        present = lengths[None, :] > np.arange(begin, begin + steps)[:, None]
        n = int(present[0].sum())
        part = {name: value[:n] for name, value in state.items()}
        new, rows = _run(
            pipeline,
            part,
            PackedRows(present.sum(axis=1).tolist()),
            _laid_out(values[:n], begin, steps, present),
            _laid_out(times[:n], begin, steps, present),
            _laid_out(expected[:n], begin, steps, present) if expected else None,
        )
        for name, value in new.items():
            state[name][:n] = value
        columns = []
        for row_values in rows:
            column = np.zeros(present.shape, row_values.dtype)
            column[present] = row_values
            columns.append(column)
        yield Block(begin, *columns)


def first_state(model: FleetModel, series: Sequence[Series]) -> State:
    """Return the states with which keys begin: the model's own, or that of a key never seen."""
    place_of = {key: k for k, key in enumerate(model.keys)}
    key_places = [place_of.get(s.key, -1) for s in series]
    state = {}
    for name, first in model.key_state.items():
        new = ops.to_numpy(model.new_state[name])
        state[name] = np.concatenate([ops.to_numpy(first), new])[key_places].copy()
    return state


def _laid_out(columns: Sequence[Any], begin: int, steps: int, present: Flags) -> Any:
    """Return rows of all keys, step by step."""
    first = columns[0]
    out = np.zeros((steps, len(columns), *first.shape[1:]), first.dtype)
    for k, column in enumerate(columns):
        part = column[begin : begin + steps]
        out[: len(part), k] = part
    return out[present[:, : len(columns)]]


def _run(
    pipeline: Pipeline, state: State, packed: PackedRows, values: Any, times: Any, expected: Any
) -> tuple[State, tuple[Any, Any, Any]]:
    """Return the state after rows; and pages, open episodes and evidence of each of them."""
    observation = pipeline.observe(state, values, times, packed, expected)
    new = dict(state) | observation.state
    pages, firing = np.zeros(len(times), np.bool_), np.zeros(len(times), np.bool_)
    evidence = np.zeros(len(times), np.float32)
    index = np.flatnonzero(observation.scored)
    if not index.size:
        return new, (pages, firing, evidence)
    # Keys that warm up have no score yet: the rows that have one are laid out anew.
    decided_rows, keys, order = PackedRows.of(packed.key[index])
    index = index[order]
    names = names_with(Role.DECIDED, pipeline.state_fields())
    decision = pipeline.decide(
        {name: state[name][keys] for name in names},
        pipeline.score(observation.visible[index]),
        observation.may_fire[index],
        observation.learning[index],
        decided_rows,
        pipeline.channel_rows(observation, index),
    )
    for name, value in decision.state.items():
        new[name] = new[name].copy()
        new[name][keys] = value
    is_page = decision.fires if decision.updates is None else decision.fires | decision.updates
    pages[index], firing[index], evidence[index] = is_page, decision.firing, decision.evidence
    return new, (pages, firing, evidence)
