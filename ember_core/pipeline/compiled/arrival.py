"""Arrival of rows, with the bits of `Arrival.forward`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core.pipeline.arrival import AGES, LEARNING_ROWS, LONGEST_GAP, SURE_ROWS, Arrival
from ember_core.pipeline.observation import Observation
from ember_core.pipeline.stage import State

from .arrays import contiguous
from .compiler import compiled

_SURE = len(AGES)
_SECOND, _LEAST_INTERVAL, _MOST_ELAPSED = 1e-6, 1e-6, 1e4


@compiled
def follow_arrivals(
    key: Any, time_us: Any, known: Any, fields: Any, rule: Any, tail_rows: Any, out: Any
) -> Any:
    """Count rows in their order, and write the fields of their keys.

    Args:
        key: Key of each row, `(R,)`, int64.
        time_us: Time of each row, `(R,)`, int64.
        known: 1 where the bundle brought the key's scales, `(K,)`, uint8.
        fields: Rows, time of the last row and usual interval of the keys, `(K,)` each, written to.
        rule: Rows in which a key learns; those before it is scored, before it may alarm, and
            before any key may; and whether the fleet has rehearsed new keys.
        tail_rows: Rows that the fleet's tail counts as, float64.
        out: Columns of `Observation`, `(R,)` each, written to: `rows`, `first`, `warming`,
            `elapsed`, `interval`, `scored`, `learning`, `may_fire` and `age`.

    Returns:
        Whether a row is of a key that is not yet sure of itself.
    """
    seen_rows, last_time, intervals = fields
    learning_rows, score_rows, alarm_rows, quiet_rows, is_rehearsed = rule
    rows, first, warming, elapsed, interval, scored, learning, may_fire, ages = out
    has_unsure = False
    for row in range(key.size):
        k = key[row]
        seen, usual = seen_rows[k], intervals[k]
        is_unknown, is_first = known[k] == 0, seen == 0
        is_warming = is_unknown and seen < learning_rows
        seconds = usual if is_first else np.float64(time_us[row] - last_time[k]) * _SECOND
        if is_warming and not is_first:
            gap, longest = seconds, LONGEST_GAP * usual
            gap = longest if usual > 0.0 and gap > longest else gap
            usual += 1.0 / np.float64(seen) * (gap - usual)
        steps = 1.0
        if usual > 0.0:
            steps = seconds / (_LEAST_INTERVAL if usual < _LEAST_INTERVAL else usual)
        steps = 0.0 if is_first or steps < 0.0 else steps
        steps = _MOST_ELAPSED if steps > _MOST_ELAPSED else steps

        is_scored = not is_unknown or seen >= score_rows
        scored_rows = np.float64(max(seen - score_rows, 0))
        weight = 1.0 / (scored_rows + tail_rows) if is_warming and is_scored else 0.0
        settled = seen >= quiet_rows or (is_rehearsed and is_unknown)
        age = _SURE
        if is_unknown and seen < SURE_ROWS:
            age, has_unsure = 0, True
            for begin in AGES[1:]:
                age += 1 if seen >= begin else 0
        rows[row], first[row], warming[row] = seen, is_first, is_warming
        elapsed[row], interval[row] = np.float32(steps), usual
        scored[row], learning[row], ages[row] = is_scored, np.float32(weight), age
        may_fire[row] = settled and (not is_unknown or seen >= alarm_rows)
        seen_rows[k], last_time[k], intervals[k] = seen + 1, time_us[row], usual
    return has_unsure


def arrival(stage: Arrival, state: State, x: Any, observation: Observation) -> tuple[State, Any]:
    """Count rows; arguments and result as `Arrival.forward` has them."""
    config = observation.config
    assert config is not None
    is_rehearsed, n = stage.is_rehearsed, observation.packed.row_count
    learning_rows = config.warmup_alarm
    if is_rehearsed:
        learning_rows = max(learning_rows, LEARNING_ROWS)
    rule = learning_rows, config.warmup_score, config.warmup_alarm, config.quiet_rows, is_rehearsed
    fields = state["rows"].copy(), state["last_time"].copy(), state["interval"].copy()
    columns = (
        *(np.empty(n, np.int64), np.empty(n, np.bool_), np.empty(n, np.bool_)),
        *(np.empty(n, np.float32), np.empty(n), np.empty(n, np.bool_)),
        *(np.empty(n, np.float32), np.empty(n, np.bool_), np.empty(n, np.int32)),
    )
    time_us = contiguous(observation.time_us, np.int64)
    known, tail_rows = contiguous(state["known"], np.uint8), float(stage.tail_rows[0])
    key = observation.packed.key
    has_unsure = follow_arrivals(key, time_us, known, fields, rule, tail_rows, columns)
    observation.rows, observation.first, observation.warming = columns[:3]
    observation.elapsed, observation.interval, observation.scored = columns[3:6]
    observation.learning, observation.may_fire = columns[6:8]
    if is_rehearsed and has_unsure:
        observation.age = columns[8]
        observation.confidence = stage.confidence[observation.age]
    rows, last_time, interval = fields
    new = {"rows": rows, "known": state["known"], "last_time": last_time, "interval": interval}
    return new, x
