"""Faults of each kind and size that a model would catch, told at its training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from ember_core import ops
from ember_core.pipeline.fit.incidents import Marks
from ember_core.pipeline.fit.series import Series
from ember_core.pipeline.pipeline import Pipeline
from ember_core.pipeline.stage import State

from .cases import FAULT_ROWS, KEYS, PLACES, Case, Moment, cases_of, fault_rows
from .faults import Catches, catches, run_cases
from .kinds import KINDS, SIZES, Habits
from .replay import Stop, replay

WARM_ROWS = (256, 2_000)
"""Rows of a key before its first moment: a day of them, within these bounds."""
SPAN_DAYS, SPAN_ROWS = 2.0, 4_000
"""Span of a key's history that its moments lie in; rows of it, at most."""
HUGE: Final = 1_000.0
"""Size of a fault beyond which evidence grows no more, in usual ranges."""
ROWS_PER_PLACE, FEWEST_PLACES = 2_000, 8
"""Rows of the history for each moment, so that the trial stays short beside the training."""
_QUANTILES: Final = 21
_LEAST: Final = -9.0

_DAY: Final = 86_400.0


@ops.default_backend("numpy")  # a history is read on the host
def faults_report(
    pipeline: Pipeline,
    key_state: State,
    series: Sequence[Series],
    marks: Marks,
    expected: Sequence[Any] = (),
    usable: Sequence[int] | None = None,
) -> dict[str, Any]:
    """Return what a model would catch, of faults put into its own history.

    Args:
        pipeline: The pipeline, fitted, with its threshold.
        key_state: First states of the keys.
        series: Their history.
        marks: Rows that faults are not put into.
        expected: Expectation of each key's channels from other rows than these, so that no row
            is judged by a profile that was learnt from it.
        usable: Places of the keys that may be taken; None for all.

    Returns:
        For each kind and size: how many of how many faults page at the threshold, and quantiles
        of the largest thresholds at which they would. Empty where no key has
        enough rows.
    """
    rng = np.random.default_rng(pipeline.config.seed)
    interval = float(np.median(key_state["interval"]))
    able = list(range(len(series))) if usable is None else list(usable)
    quiet = pipeline.config.quiet_rows
    longest = max((len(series[k].time_us) for k in able), default=0)
    # In a short history a fault is shorter, so that there is room for several.
    rows = min(fault_rows(interval), max((longest - quiet) // 3, FAULT_ROWS[0]))
    day_rows = _DAY / max(interval, 1e-6)
    able = [k for k in able if len(series[k].time_us) > quiet + 2 * rows]
    if not able:
        return {}
    keys = np.sort(rng.choice(able, min(KEYS, len(able)), replace=False)).tolist()
    shortest = min(len(series[k].time_us) for k in keys)
    warm = int(np.clip(day_rows, *WARM_ROWS))
    warm = max(quiet, min(warm, shortest // 2))
    span = min(int(np.clip(SPAN_DAYS * day_rows, rows, SPAN_ROWS)), shortest - warm - rows)
    begins = [int(rng.integers(0, len(series[k].time_us) - warm - span - rows + 1)) for k in keys]
    total = sum(len(s.time_us) for s in series)
    n_places = int(np.clip(total // ROWS_PER_PLACE, FEWEST_PLACES, PLACES))
    count = min(-(-n_places // len(keys)), span)
    rows_at = np.sort(rng.choice(span, count, replace=False)) + warm
    parts = [series[k].rows(b, b + warm + span + rows) for k, b in zip(keys, begins, strict=True)]
    usual = [expected[k][b:] for k, b in zip(keys, begins, strict=True)] if expected else []

    marked = [marks.rows[k][b:] for k, b in zip(keys, begins, strict=True)]
    stops = [
        Stop(i, row)
        for row in rows_at.tolist()
        for i in range(len(keys))
        if not marked[i][row : row + rows].any()
    ]
    if not stops:
        return {}
    state = {name: value[keys].copy() for name, value in key_state.items()}
    states = replay(pipeline, state, parts, stops, usual).states
    moments = [Moment(parts[key], row) for key, row in stops]
    habits = {
        series[k].key: [Habits.of(column) for column in series[k].values[~marks.rows[k]].T]
        for k in keys
    }
    cases = cases_of(moments, habits, pipeline.config.channels, rows, rng)
    times = [m.series.time_us[m.row : m.row + rows] for m in moments]

    def expectation(place: int) -> Any:
        key, row = stops[place]
        return usual[key][row : row + rows]

    expectation_of = expectation if usual else None
    found, at_rest = catches(pipeline, states, cases, times, expectation_of)
    return {
        "keys": len(keys),
        "moments": len(moments),
        "rows": rows,
        "seconds": round(rows * interval, 3),
        "on": float(pipeline.motor.on),
        "reach": _reach(
            pipeline, states, moments[0], habits[moments[0].series.key], rows, expectation_of
        ),
        "kinds": _by_kind(found, at_rest),
    }


def _reach(
    pipeline: Pipeline,
    states: State,
    moment: Moment,
    own: Sequence[Habits],
    rows: int,
    expected: Any,
) -> dict[str, float]:
    """Return the largest evidence of one channel that leaves every range, and of all of them."""
    course = moment.series.values[moment.row : moment.row + rows]
    shift = np.array([HUGE * (habits.size or 1.0) for habits in own])
    channel_sets = [*np.eye(len(own), dtype=np.bool_), np.ones(len(own), np.bool_)]
    cases = [
        Case("level shift", HUGE, 0, "", course + np.where(c, shift, 0.0)) for c in channel_sets
    ]
    state = {name: value[:1] for name, value in states.items()}
    times = [moment.series.time_us[moment.row : moment.row + rows]]
    _, evidence = run_cases(pipeline, state, cases, times, expected)
    return {
        "channel": round(float(evidence[:-1].max()), 2),
        "all": round(float(evidence.max()), 2),
    }


def _by_kind(found: Catches, at_rest: Any) -> dict[str, list[dict[str, Any]]]:
    """Return the figures of each kind that had a place, one object for each size."""
    out: dict[str, list[dict[str, Any]]] = {}
    for name, kind in KINDS.items():
        for size in SIZES if kind.is_sized else (None,):
            faults = found.of(name, size) & at_rest
            if not faults.any():
                continue
            evidence = np.maximum(found.evidence[faults], _LEAST)
            levels = np.quantile(evidence, np.linspace(0.0, 1.0, _QUANTILES), method="inverted_cdf")
            out.setdefault(name, []).append(
                {
                    "size": size,
                    "faults": int(faults.sum()),
                    "caught": int(found.caught[faults].sum()),
                    "evidence": [round(float(level), 2) for level in levels],
                }
            )
    return out
