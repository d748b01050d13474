"""The ridge read-out: forecasts better than none, of the right rows."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core import ops
from ember_core.pipeline import LiquidNetwork, Observation, PackedRows, zero_state
from ember_core.pipeline.fit import fit_liquid

C = 3


def network(horizons=(1, 2, 5)):
    return LiquidNetwork(C, 0, 16, horizons, tau_max=50.0, seed=1)


def trace(net, z):
    """What the network gives for one key: `(basis, z, anchor)`, and the forecasts due."""
    state, out, due = zero_state(net.state_fields(), 1), [], []
    for t, row in enumerate(z):
        rows = np.array([t])
        elapsed = np.array([float(t > 0)], dtype=np.float32)
        seen = Observation(PackedRows([1]), rows=rows, first=rows == 0)
        seen.z, seen.clock, seen.elapsed = row[None], row[None, :0], elapsed
        state, _ = net.forward(state, row[None], seen)
        out.append((seen.basis[0], row, state["anchor"][0]))
        due.append(seen.due[0])
    basis, values, anchor = (np.stack(x) for x in zip(*out, strict=True))
    return (basis, values, anchor), np.stack(due)


def sine(rows, shift=0.0, noise=0.02):
    t = np.arange(rows)[:, None]
    rng = np.random.default_rng(int(shift * 10))
    x = np.sin(2 * np.pi * t / 29 + np.arange(C) + shift) + noise * rng.standard_normal((rows, C))
    return x.astype(np.float32)


def test_it_beats_persistence_on_a_sine():
    """By far, at every horizon, also on rows it was not fitted on; the report says the same."""
    net = network()
    report = fit_liquid(net, [trace(net, sine(400, s))[0] for s in (0.0, 1.3)])
    fresh = sine(300, 4.0)
    _, due = trace(net, fresh)
    for i, horizon in enumerate(net.horizons):
        assert report[f"mse_{horizon}"] < 0.2 * report[f"persistence_{horizon}"]
        error = ((due[100:, i] - fresh[100:]) ** 2).mean()
        still = ((fresh[100 - horizon : -horizon] - fresh[100:]) ** 2).mean()
        assert error < 0.3 * still
        assert error < 2.0 * report[f"mse_{horizon}"]


def test_the_read_out_is_the_ridge_solution():
    """Of the normal equations with the constant, all keys together."""
    net = network((2,))
    parts = [trace(net, sine(90, s, 0.3))[0] for s in (0.0, 2.0)]
    fit_liquid(net, parts, ridge=0.01)
    x = np.vstack([np.hstack([b[:-2], np.ones((len(b) - 2, 1))]) for b, _, _ in parts])
    y = np.vstack([z[2:] - a[:-2] for _, z, a in parts])
    gram = x.astype(np.float64).T @ x
    penalty = 0.01 * np.trace(gram) / len(gram) * np.eye(len(gram))
    np.testing.assert_allclose(
        net.readout.data, np.linalg.solve(gram + penalty, x.T @ y), rtol=1e-3, atol=1e-5
    )


def test_the_cell_stays_as_it_was():
    net = network()
    before = {n: np.array(v) for n, v in net.state_dict().items() if n not in ("readout", "growth")}
    fit_liquid(net, [trace(net, sine(100))[0]])
    after = net.state_dict()
    assert all((after[n] == v).all() for n, v in before.items())
    assert np.abs(after["readout"]).max() > 0


def test_a_history_shorter_than_the_horizon_is_refused():
    """With the numbers; shorter keys beside a long one are left out."""
    net = network((1, 5))
    short = trace(net, sine(5))[0]
    with pytest.raises(ValueError, match=r"more than 5 rows.*Received: 5"):
        fit_liquid(net, [short])
    with pytest.raises(ValueError, match="Received: 0"):
        fit_liquid(net, [])
    fit_liquid(net, [short, trace(net, sine(80))[0]])


def test_residuals_are_held_against_their_usual_size_for_the_time_that_passed():
    """A walk's departures grow with the root of the time; none is shrunk at the usual interval."""
    net = network()
    walk = np.cumsum(np.random.default_rng(3).standard_normal((3001, 3)), axis=0) * 0.05
    fit_liquid(net, [trace(net, walk.astype(np.float32))[0]])
    growth = np.asarray(net.growth)[0]
    assert (growth[0] == 1.0).all()
    assert (np.diff(growth, axis=0) >= 0).all()
    assert (growth[3] > 1.3).all()  # after 8 intervals; 8 ** 0.25 where nothing can be forecast
    z = np.full((4, 3), 2.0, dtype=np.float32)
    due = np.zeros((4, len(net.horizons), 3), dtype=np.float32)
    elapsed = np.array([0.5, 1.0, 8.0, 1e4], dtype=np.float32)
    got = net.residual(z, due, elapsed)[:, 0]
    np.testing.assert_array_equal(got[:2], 2.0)
    np.testing.assert_allclose(got[2], 2.0 / growth[3], rtol=1e-6)
    np.testing.assert_allclose(got[3], 2.0 / growth[-1], rtol=1e-6)


def mix(rows, seed):
    """Channels that multiply: an oscillation whose size follows a slow noise with a memory."""
    rng = np.random.default_rng(seed)
    noise = np.zeros((rows, C))
    for t in range(1, rows):
        noise[t] = 0.9 * noise[t - 1] + 0.3 * rng.standard_normal(C)
    t = np.arange(rows)[:, None]
    x = np.sin(2 * np.pi * t / np.array([23.0, 31.0, 11.0])) * (1.0 + noise[:, [1, 2, 0]])
    return (x + 0.3 * noise).astype(np.float32)


def held_out_error(net):
    fresh = mix(701, 9)
    _, due = trace(net, fresh)
    return float(((due[100:] - fresh[100:, None]) ** 2).mean())


@pytest.mark.slow
def test_a_refined_cell_forecasts_better_than_the_ridge_alone(gradients):
    """On rows of no training; the wiring and the time constants stay."""
    with ops.default_backend("numpy"):
        plain, net = network(), network()
        parts = [trace(net, mix(1009, s))[0] for s in (1, 2, 3)]
        fit_liquid(plain, parts)
    net.to(backend=gradients)
    report = fit_liquid(net, parts, refine=10)
    net.to(backend="numpy")
    assert not net.training
    assert report["held_refined"] < report["held_ridge"]
    assert held_out_error(net) < 0.97 * held_out_error(plain)
    for name in ("synapses", "content_gate"):
        before, after = plain.state_dict()[name], net.state_dict()[name]
        assert ((before == 0) == (after == 0)).all()
        assert (before != after).any()
    assert (plain.tau == net.tau).all()
