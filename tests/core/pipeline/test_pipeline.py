"""The chain: one row at a time, missing channels, warm-up, elapsed time."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core.pipeline import Pipeline, PipelineConfig
from tests.core.conftest import CHANNELS, ROW_US, SMALL, START, fit, history, signal, times


def first_state(model, key=0):
    """State of a known key, or of a new one for None."""
    own = model.new_state if key is None else model.key_state
    at = slice(0, 1) if key is None else slice(key, key + 1)
    return {n: v[at].copy() for n, v in own.items()}


def trace(model, values, when, state):
    """Observation, score and decision of every row."""
    out = []
    for t in range(len(values)):
        state, seen, score, decision = model.pipeline.step(
            state, values[t : t + 1], when[t : t + 1]
        )
        out.append((seen, float(score[0]), decision))
    return out, state


def test_a_series_is_the_rows_one_by_one(fitted):
    """`forward` gives what `step` gives; where the key is not warm there is no score."""
    values, when = signal(140), times(140)
    for key in (0, None):
        rows, last = trace(fitted, values, when, first_state(fitted, key))
        got = fitted.pipeline(values, when, first_state(fitted, key))
        warm = np.array([bool(s.scored[0]) for s, _, _ in rows])
        assert warm.tolist() == ([True] * 140 if key == 0 else [False] * 70 + [True] * 70)
        assert np.isnan(got["score"]).tolist() == (~warm).tolist()
        expected = np.array([s for _, s, _ in rows], dtype=np.float32)
        assert (got["score"][warm] == expected[warm]).all()
        severity = np.array([d.severity[0] for _, _, d in rows])
        assert (got["severity"][warm] == severity[warm]).all()
        assert all((got["state"][n] == last[n]).all() for n in last)
    half = fitted.pipeline(values[:61], when[:61], first_state(fitted))
    rest = fitted.pipeline(values[61:], when[61:], half["state"])
    whole = fitted.pipeline(values, when, first_state(fitted))
    assert np.concatenate([half["score"], rest["score"]]).tobytes() == whole["score"].tobytes()


def test_nothing_looks_ahead(fitted):
    values, when = signal(90), times(90)
    other = values.copy()
    other[50:] = -1e5
    a = fitted.pipeline(values, when, first_state(fitted))
    b = fitted.pipeline(other, when, first_state(fitted))
    assert a["score"][:50].tobytes() == b["score"][:50].tobytes()
    assert (a["score"][50:] != b["score"][50:]).all()


def test_keys_in_one_call_do_not_mix(fitted):
    """A known key beside a new one that learns: the bits it has alone."""
    known, new = first_state(fitted, 0), first_state(fitted, None)
    both = {n: np.concatenate([known[n], new[n]]) for n in known}
    a, b, when = signal(80), signal(80, 5), times(80)
    for t in range(80):
        both, seen, score, _ = fitted.pipeline.step(
            both, np.stack([a[t], b[t]]), np.repeat(when[t], 2)
        )
        known, own, own_score, _ = fitted.pipeline.step(known, a[t : t + 1], when[t : t + 1])
        assert score[:1].tobytes() == own_score.tobytes()
        assert seen.visible[:1].tobytes() == own.visible.tobytes()
        for name, value in known.items():
            assert both[name][:1].tobytes() == value.tobytes(), name


def test_a_missing_channel_is_carried_for_max_gap_then_at_its_mean(fitted):
    """Exactly the usual intervals of the setting; a value ends it."""
    values = signal(40)
    values[10:25, 1] = np.nan
    rows, _ = trace(fitted, values, times(40), first_state(fitted))
    z = np.array([s.z[0, 1] for s, _, _ in rows])
    gap = int(fitted.pipeline.config.max_gap)
    assert (z[10 : 10 + gap] == z[9]).all()
    assert z[9] != 0.0
    assert (z[10 + gap : 25] == 0.0).all()
    assert (z[25:] != 0.0).all()
    assert all(np.isfinite(s.visible).all() for s, _, _ in rows)
    full, _ = trace(fitted, signal(40), times(40), first_state(fitted))
    for other in (0, 2):  # channels that came are what they are without the gap
        assert [s.z[0, other] for s, _, _ in rows] == [s.z[0, other] for s, _, _ in full]


def test_max_gap_counts_time_not_rows(fitted):
    """Rows at five times the usual interval use the patience up five times as fast."""
    values = signal(12)
    values[4:, 1] = np.nan
    when = times(12)
    when[4:] += 4 * ROW_US * np.arange(1, 9)
    rows, _ = trace(fitted, values, when, first_state(fitted))
    z = np.array([s.z[0, 1] for s, _, _ in rows])
    assert (z[4:6] == z[3]).all()
    assert (z[6:] == 0.0).all()


def test_a_channel_never_seen_is_at_its_mean(fitted):
    values = signal(9)
    values[:, 2] = np.nan
    rows, _ = trace(fitted, values, times(9), first_state(fitted))
    assert all(s.z[0, 2] == 0.0 for s, _, _ in rows)


def test_a_new_key_learns_its_own_scale_then_stands_still(fitted):
    """Its moments are those of its first `warmup_alarm` rows, NaN left out."""
    alarm = fitted.pipeline.config.warmup_alarm
    values = signal(alarm + 30, 7) * 50.0
    values[:3, 1] = np.nan
    values[alarm:] *= 3.0
    _, state = trace(fitted, values, times(len(values)), first_state(fitted, None))
    np.testing.assert_allclose(state["norm_mean"][0], np.nanmean(values[:alarm], axis=0))
    prior, own = fitted.pipeline.normaliser.prior_rows, np.isfinite(values[:alarm]).sum(axis=0)
    usual = prior * fitted.new_state["norm_var"][0]  # the fleet's, as so many rows
    wanted = (usual + own * np.nanvar(values[:alarm], axis=0)) / (prior + own)
    assert (usual > 0).all()
    np.testing.assert_allclose(state["norm_var"][0], wanted)
    assert state["interval"][0] == pytest.approx(ROW_US * 1e-6)


def test_a_new_keys_scores_become_like_a_known_keys():
    """The same signal, known or not: its own rows give it a scale as good as training."""
    model = fit(history((1000, 900)), warmup_score=200, warmup_alarm=300)
    values, when = signal(900, part=8), times(900)
    known = model.pipeline(values, when, first_state(model, 0))["score"][400:]
    new = model.pipeline(values, when, first_state(model, None))["score"][400:]
    assert np.corrcoef(known, new)[0, 1] > 0.7
    assert abs(np.median(new) - np.median(known)) < 2.0 * np.std(known)


@pytest.mark.parametrize("jitter", [0.0, 0.3])
def test_the_usual_interval_is_learnt_and_one_gap_does_not_spoil_it(fitted, jitter):
    """A pause of a day among steps of ten seconds counts as five of them."""
    rng = np.random.default_rng(0)
    steps = ROW_US * (1.0 + jitter * rng.uniform(-1, 1, 89))
    steps[40] = 86_400e6
    when = START + np.concatenate([[0], np.cumsum(steps)]).astype(np.int64)
    _, state = trace(fitted, signal(90), when, first_state(fitted, None))
    assert state["interval"][0] == pytest.approx(10.0, rel=0.1)


def test_a_faulty_row_is_improbable_and_explained(fitted):
    values = signal(60)
    values[50, 1] += 90.0
    rows, _ = trace(fitted, values, times(60), first_state(fitted))
    severity = [float(d.severity[0]) for _, _, d in rows]
    assert severity[50] > 3.0 > np.quantile(severity[:50], 0.9)
    shares = fitted.pipeline.explain(rows[50][0].visible)
    assert shares.argmax() == 1
    assert shares.sum() == pytest.approx(1.0)
    assert rows[50][2].probability[0] == pytest.approx(10.0 ** -severity[50])


def test_warming_rows_leave_the_decision_untouched(fitted):
    """Tail and motor neuron of a new key are those of the bundle until it is scored."""
    state = first_state(fitted, None)
    decided = [
        f.name
        for part in (fitted.pipeline.tail, fitted.pipeline.motor)
        for f in part.state_fields()
    ]
    values, when = 1e3 * signal(71), times(71)
    _, after = trace(fitted, values[:70], when[:70], state)
    assert all((after[n] == state[n]).all() for n in decided)
    _, after = trace(fitted, values, when, state)
    assert any((after[n] != state[n]).any() for n in decided)


@pytest.mark.parametrize(
    ("options", "per_channel", "clock"),
    [
        ({}, 8 + 1, 0),
        ({"levels": False, "residuals": ()}, 7, 0),
        ({"periods_seconds": (3600.0,)}, 9, 4),
        ({"periods_seconds": (3600.0,), "clock_visible": False}, 9, 0),
        ({"windows": "dilated", "residuals": (1, 2)}, 1 + 9 + 2, 0),
    ],
)
def test_visible_units_follow_the_configuration(options, per_channel, clock):
    config = PipelineConfig(channels=CHANNELS, **(SMALL | options))
    pipeline = Pipeline(config)
    assert pipeline.n_visible == 3 * per_channel + clock
    seen = pipeline.observe(pipeline.initial_state(2), signal(2), times(2))
    assert seen.visible.shape == (2, pipeline.n_visible)
    owners = np.array(pipeline.explainer.channel_of_visible)
    assert (np.bincount(owners[owners >= 0]) == per_channel).all()
    assert (owners == -1).sum() == clock
    again = PipelineConfig.from_json(config.as_json())
    assert again == config


def test_every_field_of_the_state_is_named_once_and_handed_back(fitted):
    fields = fitted.pipeline.state_fields()
    assert len({f.name for f in fields}) == len(fields)
    state, *_ = fitted.pipeline.step(first_state(fitted), signal(1), times(1))
    assert set(state) == {f.name for f in fields}
    for f in fields:
        assert state[f.name].shape == (1, *f.shape), f.name
        assert state[f.name].dtype == np.dtype(f.dtype), f.name


@pytest.mark.parametrize("windows", ["dilated", "hop"])
def test_windows_of_rows_fit_and_score(windows):
    model = fit(history((150,)), windows=windows, residuals=())
    got = model.pipeline(signal(30), times(30), first_state(model))
    assert np.isfinite(got["score"]).all()
