"""Histories of keys: rows in batches, many a key or one, through a stage and its compiled form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ember_core.pipeline import Observation, PackedRows, zero_state
from ember_core.pipeline.stage import Stage, State
from tests.core.pipeline.compiled.bits import assert_same_bits

BATCHES = st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=17), min_size=1, max_size=4)
"""Owner of each row, batch by batch."""

Batch = tuple[PackedRows, Any, Observation]


def batches(owners: list[list[int]], seen: int = 0) -> Iterator[Batch]:
    """Yield the packed rows of each batch, its keys, and an observation with their counters.

    Args:
        owners: Key of each row, batch by batch.
        seen: Rows that every key has had before.
    """
    counts = np.full(8, seen)
    for owner in owners:
        packed, keys, _ = PackedRows.of(np.array(owner))
        rows = counts[keys][packed.key] + packed.step
        counts[keys] += np.bincount(packed.key, minlength=keys.size)
        yield packed, keys, Observation(packed, rows=rows, first=rows == 0)


def assert_same_history(
    stage: Stage,
    form: Callable[..., Any],
    owners: list[list[int]],
    rows_of: Callable[[PackedRows, Any, Observation], Any],
    columns: tuple[str, ...],
    *,
    start: State | None = None,
    seen: int = 0,
) -> None:
    """Assert that a stage and its compiled form have the same bits after every batch.

    Args:
        stage: The plain stage.
        form: Its compiled form.
        owners: Key of each row, batch by batch.
        rows_of: Function that adds the columns of a batch and returns the stage's input.
        columns: Names of the columns that the stage adds.
        start: State of eight keys at the beginning; zero without it.
        seen: Rows that every key has had before.
    """
    state = zero_state(stage.state_fields(), 8) | (start or {})
    for packed, keys, observation in batches(owners, seen):
        x = rows_of(packed, keys, observation)
        fields = {name: value[keys] for name, value in state.items()}
        before = {name: value.copy() for name, value in fields.items()}
        other = Observation(**vars(observation))
        with np.errstate(all="ignore"):
            expected, y = stage.forward(fields, x, observation)
        got, output = form(stage, fields, x, other)
        assert_same_bits(output, y, "output")
        assert got.keys() == expected.keys()
        for name, value in expected.items():
            assert_same_bits(got[name], value, name)
            assert_same_bits(fields[name], before[name], f"{name} before")
            state[name] = state[name].copy()
            state[name][keys] = value
        for name in columns:
            assert_same_bits(getattr(other, name), getattr(observation, name), name)
