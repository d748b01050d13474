"""Windows in time and windows of rows against what they are by definition."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core.pipeline import (
    ExponentialWindows,
    Observation,
    PackedRows,
    RowWindows,
    zero_state,
)

B, C, T = 2, 3, 61
HALF_LIVES = (3.5, 10.0, 17.0)


def series(seed=0):
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((T, B, C)).astype(np.float32)
    elapsed = rng.exponential(1.0, (T, B)).astype(np.float32)
    elapsed[0] = 0.0
    elapsed[20], elapsed[21] = 0.0, 300.0
    return z, elapsed


def run(windows, z, elapsed, state=None):
    """Features `(T, B, D)` and the last state."""
    state = zero_state(windows.state_fields(), z.shape[1]) if state is None else state
    out = []
    for t in range(len(z)):
        first = np.full(z.shape[1], t == 0)
        seen = Observation(PackedRows([z.shape[1]]), elapsed=elapsed[t], first=first)
        state, features = windows.forward(state, z[t], seen)
        out.append(features)
    return np.stack(out), state


def weights(elapsed, half_life):
    """Weight of every row up to the last one in its moving average, float64, `(T,)`."""
    keep = 2.0 ** (-elapsed.astype(np.float64) / half_life)
    gain = np.concatenate([[1.0], 1.0 - keep[1:]])
    later = np.concatenate([np.cumprod(keep[::-1])[::-1][1:], [1.0]])
    return gain * later


@pytest.mark.parametrize("t", [0, 1, 5, 20, 21, T - 1])
def test_exponential_windows_equal_the_weighted_sums_on_irregular_times(t):
    """Mean, deviation and departure of every stride; a long gap makes all that was before fade."""
    z, elapsed = series()
    windows = ExponentialWindows(C, HALF_LIVES)
    got, _ = run(windows, z, elapsed)
    blocks = got[t].reshape(B, -1, C)
    assert blocks.shape[1] == 1 + 2 * len(HALF_LIVES) + 1
    assert (blocks[:, 0] == z[t]).all()
    for b in range(B):
        x = z[: t + 1, b].astype(np.float64)
        for i, half_life in enumerate(HALF_LIVES):
            w = weights(elapsed[: t + 1, b], half_life)
            assert w.sum() == pytest.approx(1.0)
            mean = w @ x
            std = np.sqrt(w @ (x - mean) ** 2)
            np.testing.assert_allclose(blocks[b, 1 + i], x[-1] - mean, atol=3e-6)
            np.testing.assert_allclose(blocks[b, 4 + i], std, atol=3e-6)
        np.testing.assert_allclose(blocks[b, 7], mean, atol=3e-6)  # the slowest


def test_a_row_split_in_time_decays_as_one():
    """Two gaps of 2 forget what one gap of 4 forgets: the weights follow time, not rows."""
    windows = ExponentialWindows(1, (5.0,))
    z = np.array([[[1.0]], [[0.0]], [[0.0]]], dtype=np.float32)
    _, twice = run(windows, z, np.array([[0.0], [2.0], [2.0]], dtype=np.float32))
    _, once = run(windows, z[:2], np.array([[0.0], [4.0]], dtype=np.float32))
    np.testing.assert_allclose(twice["ewma"], once["ewma"], rtol=1e-6)
    np.testing.assert_allclose(once["ewma"], 2.0 ** (-4 / 5), rtol=1e-6)


def test_without_levels_nothing_tells_of_the_level():
    """A constant shift of the whole series changes `z` and no other column."""
    windows = ExponentialWindows(C, HALF_LIVES, levels=False)
    z, elapsed = series()
    one, _ = run(windows, z, elapsed)
    other, _ = run(windows, z + np.float32(4.0), elapsed)
    assert one.shape[2] == windows.n_features == C * 7
    np.testing.assert_allclose(one[:, :, C:], other[:, :, C:], atol=1e-5)


@pytest.mark.parametrize("mode", ["dilated", "hop"])
@pytest.mark.parametrize("size", [2, 7, 10])
def test_windows_of_rows_equal_slices(mode, size):
    """The last rows, every s-th of them or looked at every s rows; before the first, the first."""
    strides = (1, 3, 5)
    z, elapsed = series()
    windows = RowWindows(C, size, strides, mode=mode)
    got, _ = run(windows, z, elapsed)
    for t in range(T):
        blocks = got[t].reshape(B, -1, C)
        assert (blocks[:, 0] == z[t]).all()
        for i, s in enumerate(strides):
            last, step = (t, s) if mode == "dilated" else (t - t % s, 1)
            window = z[np.maximum(last - step * np.arange(size), 0)].astype(np.float64)
            mean, std = window.mean(axis=0), window.std(axis=0)
            np.testing.assert_allclose(blocks[:, 1 + i], z[t] - mean, atol=1e-6)
            np.testing.assert_allclose(blocks[:, 4 + i], std, atol=1e-6)
            np.testing.assert_allclose(blocks[:, 7 + i], mean, atol=1e-6)


def test_the_default_ring_has_the_depth_it_should():
    """(W - 1) * max(stride) + 1 rows dilated; W rows moved by hops."""
    assert RowWindows(1).depth == 46
    assert RowWindows(1, mode="hop").depth == 10


@pytest.mark.parametrize(
    "windows",
    [
        ExponentialWindows(C),
        ExponentialWindows(C, (2.0, 30.0), levels=False),
        RowWindows(C),
        RowWindows(C, 4, (1, 2), mode="hop", levels=False),
    ],
)
def test_every_column_says_which_channel_it_tells_of(windows):
    """Another value of one channel changes that channel's columns and no others."""
    z, elapsed = series()
    owner = np.array(windows.channel_of_feature())
    assert owner.shape == (windows.n_features,)
    before, _ = run(windows, z, elapsed)
    for c in range(C):
        other = z.copy()
        other[:, :, c] *= -2.5
        after, _ = run(windows, other, elapsed)
        changed = (after != before).any(axis=(0, 1))
        assert (changed == (owner == c)).all()
    rebuilt = type(windows)(**windows.get_config())
    assert np.array_equal(run(rebuilt, z, elapsed)[0], before)


@pytest.mark.parametrize("windows", [ExponentialWindows(C), RowWindows(C, mode="hop")])
def test_a_key_does_not_depend_on_its_neighbours_nor_on_where_it_stopped(windows):
    """Bit for bit; and a first row wipes what another key left in the state."""
    z, elapsed = series()
    both, _ = run(windows, z, elapsed)
    alone, _ = run(windows, z[:, 1:].copy(), elapsed[:, 1:].copy())
    assert alone.tobytes() == both[:, 1:].tobytes()
    _, used = run(windows, *series(4))
    if "ewvar" in used:
        used["ewvar"] *= 0.0  # a known key begins with its usual variance here
    again, _ = run(windows, z, elapsed, used)
    assert again.tobytes() == both.tobytes()


def test_what_cannot_be_a_window_is_refused():
    with pytest.raises(ValueError, match="mode='sliding'"):
        RowWindows(C, mode="sliding")
    for wrong in ({"size": 1}, {"strides": (0, 3)}):
        with pytest.raises(ValueError, match="Received"):
            RowWindows(C, **wrong)


@pytest.mark.parametrize("wrong", [(0.0, 3.0), (2.0, -1.0), (float("nan"),)])
def test_half_lives_that_are_not_above_zero_are_refused(wrong):
    with pytest.raises(ValueError, match=r"Expected numbers above 0.*Received: half_lives="):
        ExponentialWindows(3, wrong)
