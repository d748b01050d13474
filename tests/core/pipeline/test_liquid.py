"""Liquid network: the cell as written down, elapsed time, and forecasts that arrive in time."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core import nn, ops
from ember_core.pipeline import LiquidNetwork, Observation, PackedRows, zero_state

B, C, K, H = 3, 5, 2, 13


def network(horizons=(1, 2, 5), seed=3, channels=C, clock=K, **options):
    """With a read-out that says something."""
    net = LiquidNetwork(channels, clock, H, horizons, seed=seed, **options)
    rng = np.random.default_rng(seed)
    net.readout.data = (0.3 * rng.standard_normal(net.readout.data.shape)).astype(np.float32)
    net.freeze()
    return net


def inputs(rows, seed=0, batch=B, channels=C, clock=K):
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((rows, batch, channels)).astype(np.float32)
    c = np.sin(rng.uniform(0, 6, (rows, batch, clock))).astype(np.float32)
    elapsed = rng.exponential(1.0, (rows, batch)).astype(np.float32)
    elapsed[0] = 0.0
    return z, c, elapsed


def run(net, z, clock, elapsed, state=None, begin=0):
    """Per row: state after it, forecasts due at it, basis."""
    state = zero_state(net.state_fields(), z.shape[1]) if state is None else state
    out = []
    for t in range(len(z)):
        rows = np.full(z.shape[1], begin + t)
        state, due, basis = step(net, state, z[t], clock[t], elapsed[t], rows)
        out.append((state, due, basis))
    return out


def step(net, state, z, clock, elapsed, rows):
    """State after one row per key, forecasts due at it, basis."""
    seen = Observation(PackedRows([len(z)]), rows=rows, first=rows == 0)
    seen.z, seen.clock, seen.elapsed = z, clock, elapsed
    state, _ = net.forward(state, z, seen)
    return state, seen.due, seen.basis


def plain(net, z, clock, elapsed):
    """The same in float64 and plain NumPy, from the formulas of the module."""
    p = {n: np.asarray(v, dtype=np.float64) for n, v in net.state_dict().items()}
    tau = np.asarray(net.tau, dtype=np.float64)
    h, anchor, trace = np.zeros((z.shape[1], H)), None, []
    for t in range(len(z)):
        x = z[t].astype(np.float64)
        dt = elapsed[t].astype(np.float64)[:, None]
        anchor = x if anchor is None else anchor
        anchor = anchor + (1 - 2.0 ** (-dt / net.anchor_half_life)) * (x - anchor)
        u = np.hstack([x - anchor, clock[t]])
        inner = np.tanh(np.hstack([u, h]) @ p["synapses"] + p["bias"])
        content, gate = np.split(inner @ p["content_gate"], 2, axis=1)
        a = np.exp(-dt * np.exp(np.clip(gate, -2, 2)) / tau)
        h = a * h + (1 - a) * np.tanh(content)
        ahead = np.hstack([h, u, np.ones((len(h), 1))]) @ p["readout"]
        trace.append((h, anchor, anchor[:, None, :] + ahead.reshape(len(h), -1, net.n_channels)))
    return trace


def test_the_cell_equals_a_plain_restatement():
    """State, slow average and forecasts, over irregular times.

    Within 1e-5 but for single neurons: the grid of exact products has steps of 0.8e-5.
    """
    net = network()
    z, clock, elapsed = inputs(40)
    for (state, _, basis), (h, anchor, _) in zip(
        run(net, z, clock, elapsed), plain(net, z, clock, elapsed), strict=True
    ):
        np.testing.assert_allclose(state["liquid"], h, atol=2e-5)
        assert np.median(np.abs(state["liquid"] - h)) < 2e-6
        np.testing.assert_allclose(state["anchor"], anchor, atol=1e-5)
        assert (basis[:, :H] == state["liquid"]).all()


@pytest.mark.parametrize("horizons", [(1,), (1, 2, 5), (5, 2), (3,)])
def test_forecasts_arrive_at_the_row_they_were_made_for(horizons):
    """What is due at row t is what was made `horizon` rows before; until then, the slow average."""
    net = network(horizons)
    z, clock, elapsed = inputs(23)
    trace = plain(net, z, clock, elapsed)
    for t, (_, due, _) in enumerate(run(net, z, clock, elapsed)):
        assert due.shape == (B, len(horizons), C)
        for i, horizon in enumerate(horizons):
            made = z[0] if t == 0 else trace[t - 1][1]
            if t >= horizon:
                made = trace[t - horizon][2][:, i]
            np.testing.assert_allclose(due[:, i], made, atol=3e-5)


def test_the_state_forgets_with_elapsed_time():
    """By each neuron's time constant: nothing at once, and no faster or slower than it says."""
    net = network(clock=0, tau_max=200.0)
    weights = net.synapses.data.copy()
    weights[C:] = 0.0  # what drives the cell is then the input alone
    net.synapses.data = weights
    net.freeze()
    z = np.zeros((2, C), dtype=np.float32)
    state = zero_state(net.state_fields(), 2)
    state["liquid"][0], state["liquid"][1] = 0.9, -0.9
    rows = np.ones(2, dtype=np.int64)
    last = np.full(H, 1.8)
    for dt in (0.0, 0.5, 3.0, 40.0, 1e4):
        elapsed = np.full(2, dt, dtype=np.float32)
        after, _, _ = step(net, state, z, z[:, :0], elapsed, rows)
        apart = np.abs(after["liquid"][0] - after["liquid"][1])
        fastest, slowest = (1.8 * np.exp(-dt * np.exp(g) / net.tau) for g in (2.0, -2.0))
        assert (apart <= slowest + 1e-6).all()
        assert (apart >= fastest - 1e-6).all()
        assert (apart <= last).all()
        last = apart + 1e-6
        if dt == 0.0:
            assert (after["liquid"] == state["liquid"]).all()
    assert apart.max() < 1e-3


def test_time_constants_reach_from_one_row_to_the_longest():
    net = network(tau_max=2880.0)
    assert np.min(net.tau) == pytest.approx(1.0)
    assert np.max(net.tau) == pytest.approx(2880.0, rel=1e-5)
    gaps = np.diff(np.sort(np.log(net.tau)))
    np.testing.assert_allclose(gaps, gaps[0], rtol=1e-3)


def test_a_first_row_wipes_what_was_in_the_state():
    net = network()
    z, clock, elapsed = inputs(9)
    used = run(net, *inputs(30, seed=8))[-1][0]
    fresh = run(net, z, clock, elapsed)
    again = run(net, z, clock, elapsed, used)
    for (_, due, basis), (_, due_again, basis_again) in zip(fresh, again, strict=True):
        assert np.array_equal(due, due_again)
        assert np.array_equal(basis, basis_again)


def test_a_key_does_not_depend_on_its_neighbours_or_their_age():
    """Keys of one batch are at different rows; each has its own forecasts due."""
    net = network()
    z, clock, elapsed = inputs(31)
    alone = run(net, z[:, :1], clock[:, :1], elapsed[:, :1])
    young = {n: v.copy() for n, v in run(net, *inputs(4, seed=5))[-1][0].items()}
    young["liquid"][0] = young["anchor"][0] = young["pending"][0] = 0.0
    state, out = young, []
    for t in range(31):
        rows = np.array([t, 4 + t, 11 + t])
        state, due, basis = step(net, state, z[t], clock[t], elapsed[t], rows)
        out.append((state, due, basis))
    for (s1, d1, b1), (s2, d2, b2) in zip(alone, out, strict=True):
        assert d1[0].tobytes() == d2[0].tobytes()
        assert b1[0].tobytes() == b2[0].tobytes()
        assert all(s1[n][0].tobytes() == s2[n][0].tobytes() for n in s1)


def test_a_drifting_level_does_not_unsettle_it():
    """Inputs are departures from the slow average: a constant shift changes no neuron."""
    net = network()
    z, clock, elapsed = inputs(20)
    one = run(net, z, clock, elapsed)[-1]
    other = run(net, z + np.float32(2.0), clock, elapsed)[-1]
    np.testing.assert_allclose(one[2], other[2], atol=2e-5)
    np.testing.assert_allclose(one[1] + 2.0, other[1], atol=5e-5)


def test_synapses_follow_the_wiring_and_the_seed():
    """No weight where the circuit has no synapse; equal seeds give equal networks."""
    net, same, other = network(seed=3), network(seed=3), network(seed=4)
    sensory = np.abs(np.asarray(net.wiring.sensory_adjacency_matrix)) > 0
    inner = np.abs(np.asarray(net.wiring.adjacency_matrix)) > 0
    assert not net.synapses.data[: C + K][~sensory].any()
    assert not net.synapses.data[C + K :][~inner].any()
    assert net.synapses.data.tobytes() == same.synapses.data.tobytes()
    assert net.synapses.data.tobytes() != other.synapses.data.tobytes()
    rebuilt = LiquidNetwork(**net.get_config())
    rebuilt.load_state_dict(net.state_dict())
    z, clock, elapsed = inputs(5)
    assert run(rebuilt, z, clock, elapsed)[-1][2].tobytes() == (
        run(net, z, clock, elapsed)[-1][2].tobytes()
    )


def test_what_makes_no_network_is_refused():
    for wrong in ({"hidden": 4}, {"horizons": ()}, {"horizons": (0, 1)}):
        with pytest.raises(ValueError, match="Received"):
            LiquidNetwork(2, **wrong)


def test_gradients_through_the_streaming_step_are_differences(gradients):
    """After `train()`, of every parameter, through the forecasts that came due."""
    net = LiquidNetwork(C, K, H, (1, 2), seed=3).to(dtype="float64")
    rng = np.random.default_rng(2)
    net.readout.data = ops.from_numpy(0.3 * rng.standard_normal(net.readout.shape))
    z, clock, elapsed = (x.astype(np.float64) for x in inputs(7))
    net.train()

    def loss():
        zero = zero_state(net.state_fields(), B)
        state = {n: ops.from_numpy(v.astype(np.float64)) for n, v in zero.items()}
        total = 0.0
        for t in range(7):
            row, rows = ops.from_numpy(z[t]), ops.from_numpy(np.full(B, t))
            columns = ops.from_numpy(clock[t]), ops.from_numpy(elapsed[t]), rows
            state, due, _ = step(net, state, row, *columns)
            total = total + ops.sum(ops.square(row[:, None] - due))
        return total

    _, grads = nn.value_and_grad(net, loss)()
    for name, parameter in net.named_parameters():
        before, way = parameter.data, rng.standard_normal(parameter.shape)
        ends = []
        for size in (1e-6, -1e-6):
            parameter.data = before + ops.from_numpy(size * way)
            ends.append(float(loss()))
        parameter.data = before
        got = float(np.sum(ops.to_numpy(grads[name]) * way))
        assert got == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-4, abs=1e-5), name
