"""Channel evidence: rows alone and in batches, unknown keys, and what is usual."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ember_core.pipeline import FleetModel, PackedRows, PipelineConfig
from ember_core.pipeline.arrival import LEARNING_ROWS
from ember_core.pipeline.evidence import statistic_name
from ember_core.pipeline.evidence.channel_evidence import NOTHING
from ember_core.pipeline.evidence.signals import STATISTICS
from ember_core.pipeline.fit import Series, fit_pipeline
from ember_core.pipeline.fit.unseen.rehearsal import FIRST_ROWS
from ember_core.pipeline.stage import State
from tests.core.pipeline.evidence.fleet import CHANNELS, DAY_ROWS, DAYS, model, rows, times

NEXT = DAYS * DAY_ROWS


def _first(found: FleetModel, *keys: int) -> State:
    """First states of keys; below 0: a key never seen."""
    parts = [
        {n: v[k : k + 1] for n, v in found.key_state.items()} if k >= 0 else found.new_state
        for k in keys
    ]
    return {n: np.concatenate([part[n] for part in parts]) for n in parts[0]}


def _run(found: FleetModel, state: State, values: Any, at: Any) -> tuple[State, list[Any]]:
    """Observe rows of one key, one by one."""
    seen = []
    for i in range(len(values)):
        observation = found.pipeline.observe(state, values[i : i + 1], at[i : i + 1])
        state = state | observation.state
        seen.append(observation)
    return state, seen


def test_a_batch_gives_the_bits_of_single_rows() -> None:
    """Several rows of known and unknown keys at once, with holes."""
    found, rng, sizes = model(), np.random.default_rng(3), (31, 12, 1)
    values = [rows(k, NEXT, n) for k, n in enumerate(sizes)]
    for x in values:
        x[rng.random(x.shape) < 0.1] = np.nan
    at = [times(NEXT, n) for n in sizes]
    start = _first(found, 0, 1, -1)
    packed, keys, order = PackedRows.of(np.repeat(np.arange(3), sizes))
    together = found.pipeline.observe(
        {n: v[keys] for n, v in start.items()},
        np.concatenate(values)[order],
        np.concatenate(at)[order],
        packed,
    )
    severity = np.empty_like(together.channel_severity)
    severity[order] = together.channel_severity
    for i, k in enumerate(keys.tolist()):
        state, seen = _run(found, _first(found, (0, 1, -1)[k]), values[k], at[k])
        begin = sum(sizes[:k])
        alone = np.concatenate([o.channel_severity for o in seen])
        assert np.array_equal(alone, severity[begin : begin + sizes[k]])
        for name, value in together.state.items():
            assert np.array_equal(value[i], state[name][0], equal_nan=True), name


def test_a_row_far_off_is_severe_and_an_ordinary_one_is_not() -> None:
    """The channel that departs is the one that speaks."""
    found = model()
    values = rows(2, NEXT, 300)
    values[200:, 1] *= 3.0
    _, seen = _run(found, _first(found, 2), values, times(NEXT, 300))
    severity = np.concatenate([o.channel_severity for o in seen])
    assert severity[50:200].max() < 1.5
    assert severity[210].argmax() == CHANNELS.index("latency")
    assert severity[210].max() > 2.0


def test_what_is_held_ends_soon_after_the_fault() -> None:
    """Slow averages stay high for hours; they do not hold an episode."""
    found = model()
    values = rows(2, NEXT, 400)
    values[100:115, 1] *= 3.0
    _, seen = _run(found, _first(found, 2), values, times(NEXT, 400))
    hold = np.concatenate([o.channel_hold for o in seen])[:, 1]
    severity = np.concatenate([o.channel_severity for o in seen])[:, 1]
    assert hold[110] > 1.5
    assert severity[140:170].min() > 1.0
    calm = np.convolve(hold[130:190] < 1.0, np.ones(10), "valid")
    assert calm.max() == 10  # rows in a row in which nothing holds an episode


def test_a_usual_value_follows_day_and_week() -> None:
    """By day and by weekend, in the channel's own unit; the range holds nearly all rows."""
    found = model()
    n = 7 * DAY_ROWS
    values = rows(4, NEXT, n)
    _, seen = _run(found, _first(found, 4), values, times(NEXT, n))
    usual = np.concatenate([o.usual.values(np.array([0])) for o in seen])
    low = np.concatenate([o.usual.values(np.array([0]), -3.0) for o in seen])
    high = np.concatenate([o.usual.values(np.array([0]), 3.0) for o in seen])
    load = usual[:, 0]
    assert abs(load[36] - 68) < 4  # Monday, at the top of the day
    assert abs(load[5 * DAY_ROWS + 36] - 48) < 4  # Saturday
    inside = (values >= low) & (values <= high)
    assert inside[DAY_ROWS:].mean() > 0.97
    assert (low[:, 1:3] >= 0).all()  # no negative latency, no negative count


def test_a_frozen_channel_is_severe() -> None:
    """Equal values of a channel that always moves."""
    found = model()
    values = rows(3, NEXT, 60)
    values[20:, 0] = values[20, 0]
    _, seen = _run(found, _first(found, 3), values, times(NEXT, 60))
    severity = np.concatenate([o.channel_statistics.severity(slice(None)) for o in seen])
    assert statistic_name(severity[59], 0, len(CHANNELS)) == "the same value for too long"
    assert severity[59, -2 * len(CHANNELS)] > 1.5


def test_a_new_level_is_accepted_by_its_anchor() -> None:
    """A shift is told, and after some half-lives it is usual."""
    found = model()
    pipeline = found.pipeline
    assert pipeline.channels is not None
    half_life = float(pipeline.channels.anchor_half_life[CHANNELS.index("disk")])
    assert half_life > 0
    n = int(12 * half_life) + 700
    values = rows(5, NEXT, n)
    values[20:, 3] += 12.0
    _, seen = _run(found, _first(found, 5), values, times(NEXT, n))
    severity = np.concatenate([o.channel_severity for o in seen])[:, 3]
    assert severity[22:30].max() > 2.0
    assert severity[-20:].max() < 1.0


def test_an_unknown_key_learns_its_level() -> None:
    """Its profile and sizes are the fleet's; its level is its own, within what the fleet shows."""
    found = model()
    n = LEARNING_ROWS
    values = rows(20, NEXT, n)
    values[:, 0] += np.ptp(found.key_state["usual_level"][:, 0]) / 4
    _state, seen = _run(found, _first(found, -1), values, times(NEXT, n))
    late = np.concatenate([o.channel_severity for o in seen[-500:]])
    assert late[:, 0].max() < 2.5
    assert not any(bool(o.may_fire[0]) for o in seen[:FIRST_ROWS])
    assert all(bool(o.may_fire[0]) for o in seen[FIRST_ROWS:])


def test_the_first_rows_of_a_broken_key_are_not_its_normal() -> None:
    """A level that no key of the fleet comes near is not learnt."""
    found = model()
    n = 4 * FIRST_ROWS
    values = rows(20, NEXT, n)
    values[:, 0] += 100.0
    state, seen = _run(found, _first(found, -1), values, times(NEXT, n))
    late = np.concatenate([o.channel_severity for o in seen[FIRST_ROWS:]])
    assert late[:, 0].min() > 2.5
    assert state["usual_level"][0, 0] * state["usual_unit"][0, 0] < values[:, 0].min() - 10.0


@pytest.mark.parametrize("backend", ["torch"])
def test_other_backends_agree(backend: str, tmp_path: Any) -> None:
    """Scores and severities of a series, to float32."""
    pytest.importorskip(backend)
    found = model()
    found.save(tmp_path)
    other = FleetModel.load(tmp_path, backend=backend)
    values, at = rows(1, NEXT, 60), times(NEXT, 60)
    values[30:, 1] *= 3.0
    mine = FleetModel.load(tmp_path, backend="numpy")
    results = []
    for m in (mine, other):
        start = {n: v[1:2] for n, v in m.key_state.items()}
        results.append(m.pipeline.forward(values, at, start))
    for name in ("score", "severity", "trigger"):
        a, b = (np.asarray(result[name]) for result in results)
        assert np.allclose(a, b, rtol=1e-4, atol=1e-4), name


def test_a_bundle_keeps_all_of_it(tmp_path: Any) -> None:
    """Saved and loaded, the scores have the same bits."""
    found = model()
    found.save(tmp_path)
    again = FleetModel.load(tmp_path, backend="numpy")
    values, at = rows(1, NEXT, 50), times(NEXT, 50)
    results = [
        m.pipeline.forward(values, at, {n: v[1:2] for n, v in m.key_state.items()})
        for m in (found, again)
    ]
    for name in ("score", "severity", "trigger"):
        assert np.array_equal(results[0][name], results[1][name]), name


def _together(key: int, first: int, count: int) -> Any:
    """Rows of load, requests and a disk: a wandering load moves the first two."""
    rng = np.random.default_rng([key, first])
    wander = np.convolve(rng.normal(size=count + 5), np.ones(6), "valid")
    bursts = np.where(rng.random(count) < 0.02, rng.exponential(8.0, count), 0.0)
    load = 40 + 4 * (wander + bursts) + rng.normal(0, 1, count)
    requests = 300 + 30 * (wander + bursts) + rng.normal(0, 8, count)
    return np.stack([load, requests, 50 + rng.normal(size=count)], axis=1)


def test_a_channel_that_departs_alone_speaks_before_one_that_goes_with_others() -> None:
    """A burst of the whole key is usual; the load of the same size without requests is not."""
    n = 4 * DAY_ROWS
    series = [Series(f"host-{k}", times(0, n), _together(k, 0, n)) for k in range(5)]
    config = PipelineConfig(
        ("load", "requests", "disk"), evidence="channels+joint", hidden=16, rbm_hidden=16
    )
    found = fit_pipeline(series, config, epochs=1).to(backend="numpy")
    severity, names = {}, {}
    for kind, moved in (("both", [0, 1]), ("alone", [0])):
        values = _together(1, n, 60)
        values[50, moved] += np.array([40.0, 300.0, 0.0])[moved]
        _, seen = _run(found, _first(found, 1), values, times(n, 60))
        statistics = seen[50].channel_statistics.severity(np.array([0]))[0]
        severity[kind] = seen[50].channel_severity[0, 0]
        names[kind] = statistic_name(statistics, 0, 3)
    assert severity["alone"] > severity["both"] + 0.5
    assert names["alone"] == "above the value that goes with its other channels"


def test_the_words_of_each_statistic() -> None:
    """One statistic at a time is the most severe."""
    found, words = np.full((STATISTICS, 2), NOTHING), []
    for i in range(STATISTICS):
        severity = found.copy()
        severity[i, 1] = 3.0
        flat = severity[:-2].reshape(-1, 2, 2).transpose(0, 2, 1).reshape(-1)
        flat = np.concatenate([flat, severity[-2], severity[-1]])
        words.append(statistic_name(flat, 1, 2))
    assert len(set(words)) == STATISTICS
    assert words[8:10] == [
        "a sudden change, above the last 30 rows",
        "a sudden change, below the last 30 rows",
    ]
    assert words[-2:] == ["the same value for too long", "more noise than usual"]
