"""Training a whole pipeline: what it learns of each key, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ember_core import ops
from ember_core.pipeline import PipelineConfig
from ember_core.pipeline.fit import Series, fit_pipeline
from tests.core.conftest import ROW_US, START, fit, history, signal, times
from tests.core.pipeline.fit.test_liquid import mix


def test_each_key_brings_its_own_scale(fitted):
    """Mean, variance, range and usual interval of its own rows."""
    for k, series in enumerate(history()):
        state = {n: v[k] for n, v in fitted.key_state.items()}
        np.testing.assert_allclose(state["norm_mean"], series.values.mean(0))
        np.testing.assert_allclose(state["norm_var"], series.values.var(0))
        assert (state["norm_low"] == series.values.min(0)).all()
        assert (state["norm_high"] == series.values.max(0)).all()
        assert state["interval"] == ROW_US * 1e-6
        assert state["known"] == 1
    assert fitted.new_state["known"].tolist() == [0]


def test_severities_are_calibrated_on_rows_not_trained_on():
    """About one row in fifty reaches the 2 % severity, for every key, and half the median."""
    model = fit(history((1000, 900)))
    for k in range(2):
        state = {n: v[k : k + 1].copy() for n, v in model.key_state.items()}
        got = model.pipeline(signal(900, k, part=8), times(900), state)
        share = (got["severity"][64:] >= -np.log10(0.02)).mean()
        assert 0.005 < share < 0.08
        assert abs(np.median(got["severity"][64:]) - np.log10(2.0)) < 0.35


def test_first_states_hold_nothing_but_what_was_learnt(fitted):
    """Windows, neurons, forecasts and decisions begin at zero: no row of the past leaks in."""
    for name in ("rows", "ewma", "liquid", "anchor", "pending", "carried", "evidence", "firing"):
        assert not fitted.key_state[name].any(), name
    assert (fitted.key_state["ewvar"] > 0).all()  # the usual deviation of each window
    assert not fitted.new_state["ewvar"].any()


def test_the_same_data_and_seed_give_the_same_weights(fitted):
    again = fit()
    for name, value in fitted.pipeline.state_dict().items():
        assert (
            np.asarray(value).tobytes() == np.asarray(again.pipeline.state_dict()[name]).tobytes()
        )
    assert again.report == fitted.report
    other = fit(seed=2)
    assert other.report["digest"] == fitted.report["digest"]
    assert other.report["score_quantiles"] != fitted.report["score_quantiles"]


def test_the_digest_tells_data_apart_and_not_their_order():
    a, b = history()
    changed = replace(a, values=a.values + np.eye(len(a.values), 3))
    digests = [fit(s, epochs=1).report["digest"] for s in ([a, b], [b, a], [changed, b])]
    assert digests[0] == digests[1] != digests[2]


def test_short_keys_are_left_out_and_counted():
    model = fit([*history((150,)), Series(b"young", times(20), signal(20))], epochs=1)
    assert model.keys == [b"key-0"]
    assert (model.report["keys"], model.report["skipped_keys"]) == (1, 1)
    assert model.report["rows"] == 150


@pytest.mark.parametrize("series", [[], history((0,)), history((127, 20))])
def test_too_little_history_is_refused_with_the_numbers(series):
    longest = max((len(s.time_us) for s in series), default=0)
    with pytest.raises(ValueError, match=rf"at least 128 rows.*longest with {longest} rows"):
        fit(series)


def test_a_channel_without_a_value_is_refused():
    """By its name; half a channel is enough."""
    series = history((150,))
    series[0].values[:, 1] = np.nan
    with pytest.raises(ValueError, match="none in heat"):
        fit(series)
    series[0].values[40:100, 1] = signal(60)[:, 1]
    model = fit(series, epochs=1)
    assert model.key_state["norm_mean"][0, 1] == pytest.approx(series[0].values[40:100, 1].mean())


def test_a_period_of_the_fleet_sets_the_clock():
    """Keys in another phase have the same period; given periods are kept."""
    rows, period = 600, 48
    t = np.arange(rows)[:, None]
    series = [
        Series(
            b"%d" % n,
            times(rows),
            np.sin(2 * np.pi * t / period + n + np.arange(3))
            + 0.2 * np.random.default_rng(n).standard_normal((rows, 3)),
        )
        for n in range(2)
    ]
    small = {"residuals": (), "horizons": (1,)}
    found = fit(series, epochs=1, **small)
    assert found.report["periods_seconds"] == [pytest.approx(480.0, rel=0.03)]
    assert found.pipeline.clock.n_features == 4
    given = fit(series, epochs=1, periods_seconds=(123.0,), **small)
    assert given.report["periods_seconds"] == [123.0]
    assert fit(epochs=1, **small).report["periods_seconds"] == []


def test_many_rows_are_thinned_evenly_over_keys():
    """`max_rows` bounds what the weights are fitted on, not what scales are learnt from."""
    series = history((223, 180))
    config = PipelineConfig(channels=("load", "heat", "flow"), hidden=8, rbm_hidden=5)
    model = fit_pipeline(series, config, epochs=1, max_rows=150)
    np.testing.assert_allclose(model.key_state["norm_mean"][0], series[0].values.mean(0))
    assert np.isfinite(model.key_state["feature_var"]).all()


def test_progress_is_told_by_stage():
    told = []
    fit_pipeline(
        history((140,)),
        PipelineConfig(channels=("a", "b", "c"), hidden=8, rbm_hidden=5),
        epochs=1,
        progress=lambda stage, share: told.append((stage, share)),
    )
    stages = list(dict.fromkeys(s for s, _ in told))
    assert stages == ["scales", "history", "liquid network", "RBM", "tails", "thresholds", "done"]
    assert told[-1] == ("done", 1.0)
    assert all(0.0 <= share <= 1.0 for _, share in told)


def test_a_budget_sets_the_on_threshold():
    config = PipelineConfig(channels=("a", "b", "c"), hidden=8, rbm_hidden=5)
    on = [
        fit_pipeline(history((150,)), config, epochs=1, budget_per_week=b).pipeline.motor.on
        for b in (1e7, 1e-3)
    ]
    assert on[0] < on[1]


def test_history_before_the_epoch_is_history():
    series = [replace(s, time_us=s.time_us - 2 * START) for s in history((150,))]
    assert fit(series, epochs=1).keys == [b"key-0"]


def test_the_liquid_cell_is_refined_where_asked_for(gradients):
    """By the backend of the training; the report says what it brought, the rest follows it."""
    series = [Series(b"%d" % n, times(701), mix(701, n).astype(np.float64)) for n in (1, 2)]
    plain, refined = (
        fit_pipeline(
            series,
            PipelineConfig(channels=("a", "b", "c"), hidden=8, rbm_hidden=5),
            epochs=1,
            refine=epochs,
        )
        for epochs in (0, 3)
    )
    assert "held_refined" not in plain.report["liquid"]
    brought = refined.report["liquid"]
    better = brought["held_refined"] < brought["held_ridge"]
    assert better or brought["held_refined"] == brought["held_ridge"]  # what is worse is dropped
    changed = {
        name
        for name, value in plain.pipeline.liquid.state_dict().items()
        if not np.array_equal(
            ops.to_numpy(value), ops.to_numpy(refined.pipeline.liquid.state_dict()[name])
        )
    }
    assert changed >= ({"synapses", "content_gate", "readout"} if better else set())
    assert "tau" not in changed
    assert ops.backend_name(refined.pipeline.liquid.readout.data) == gradients
    key = {name: value[:1] for name, value in refined.key_state.items()}
    own = refined.pipeline.liquid.readout.data
    _, seen, score, _ = refined.pipeline.step(
        key,
        ops.from_numpy(series[0].values[-1:], like=own),
        ops.from_numpy(series[0].time_us[-1:] + ROW_US, like=own),
    )
    assert not refined.pipeline.liquid.training
    assert np.isfinite(ops.to_numpy(score)).all()
    assert np.isfinite(ops.to_numpy(seen.expected)).all()
