"""Runs of every compiled function of a pipeline, on keys that nobody has.

A compiled function is made for the types of its arguments. So these are the calls of an engine:
rows of one key and of several, known and new ones, with rules of operators and without.
"""

from __future__ import annotations

from itertools import product
from typing import Any, Final

import numpy as np

from ember_core.pipeline.packing import PackedRows
from ember_core.pipeline.pipeline import Pipeline
from ember_core.pipeline.stage import Role, names_with

_SIZES: Final = ([3], [1], [3, 2, 1], [1, 1, 1])
"""Keys in each step of the packed rows: one row a key, and several; three keys, and one."""
_START_US: Final = 1_700_000_000_000_000
_STEP_US: Final = 60_000_000
_FAR: Final = np.float32(3e38)  # as the bound of a departure that counts however large it is


def warm_up(pipeline: Pipeline) -> None:
    """Run the compiled form of a pipeline; its functions are compiled or loaded by that.

    Args:
        pipeline: The pipeline, of nobody else meanwhile.

    Raises:
        NotCompiledError: Within `compiler.without_compiling`, if a function is not compiled.
    """
    pipeline.use_compiled()
    with np.errstate(all="ignore"):  # the rows mean nothing
        for sizes, is_known, has_rules in product(_SIZES, (True, False), (False, True)):
            _run(pipeline, PackedRows(sizes), is_known=is_known, has_rules=has_rules)


def _run(pipeline: Pipeline, packed: PackedRows, *, is_known: bool, has_rules: bool) -> None:
    """Observe and decide rows of a few keys.

    Args:
        pipeline: The pipeline; compiled.
        packed: Their layout.
        is_known: All keys have their scales; False: the last one learns them.
        has_rules: Rules of operators leave channels out and move thresholds.
    """
    shape = packed.row_count, len(pipeline.config.channels)
    values = np.random.default_rng(0).standard_normal(shape)
    time_us = _START_US + _STEP_US * packed.step
    state = pipeline.initial_state(packed.key_count)
    state["known"][...] = 1
    state["known"][-1] = is_known
    counted = None
    if has_rules:
        bounds = {"low": -_FAR, "high": _FAR, "held_low": -_FAR, "held_high": _FAR}
        counted = {name: np.full(shape, bound) for name, bound in bounds.items()}
        for bound in counted.values():
            bound[0, 0] = 0.0  # one that acts, as stages leave out those that do not
    observation = pipeline.observe(state, values, time_us, packed, counted=counted)
    score = pipeline.score(observation.visible)
    channels = pipeline.channel_rows(observation)
    groups = 1 if channels is None else shape[1] + 1
    share = np.ones((packed.row_count, groups), np.float32) if has_rules else None
    shift = np.zeros((packed.row_count, groups), np.float32) if has_rules else None
    decided = names_with(Role.DECIDED, pipeline.state_fields())
    of_keys: dict[str, Any] = {name: state[name] for name in decided}
    rest = score, observation.may_fire, observation.learning, packed, channels
    pipeline.decide(of_keys, *rest, share, shift)
    pipeline.decide(of_keys, *rest, observation.confidence)
    pipeline.explain(observation.visible)
