"""The simulated fleet."""

from __future__ import annotations

import numpy as np
import pytest

from stream.demo.fleet import CHANNELS, CYCLE_CHANNEL, CYCLE_ROWS, DAY_ROWS, PAIR, START_US, Fleet

KEYS, ROWS = 13, 997


@pytest.fixture(scope="module")
def history() -> np.ndarray:
    """Z-scores of a small fleet's history, (rows, K, C)."""
    _, values = Fleet(seed=3, keys=KEYS).history(ROWS)
    return (values - values.mean(0)) / values.std(0)


def test_shape_names_and_times():
    """Rows have even intervals, and keys have distinct names."""
    fleet = Fleet(seed=1, keys=KEYS, interval_seconds=7.0)
    time_us, values = fleet.history(5)
    assert values.shape == (5, KEYS, len(CHANNELS))
    assert time_us.tolist() == [START_US + i * 7_000_000 for i in range(5)]
    assert len(set(fleet.names)) == KEYS
    assert fleet.names[:2] == ("pump-001", "db-001")


def test_live_goes_on_where_the_history_ends():
    """Chunks of any size are parts of the same process."""
    whole_times, all_values = Fleet(seed=1, keys=KEYS).history(23)
    fleet = Fleet(seed=1, keys=KEYS)
    parts = [fleet.history(11)]
    live = fleet.live(chunk=3)
    parts += [next(live) for _ in range(4)]
    np.testing.assert_array_equal(np.concatenate([t for t, _ in parts]), whole_times)
    np.testing.assert_array_equal(np.concatenate([v for _, v in parts]), all_values)


def test_the_seed_decides_everything():
    """Equal seeds give equal fleets, other seeds other ones."""
    _, a = Fleet(seed=1, keys=KEYS).history(5)
    _, b = Fleet(seed=1, keys=KEYS).history(5)
    _, c = Fleet(seed=2, keys=KEYS).history(5)
    np.testing.assert_array_equal(a, b)
    assert not np.isclose(a, c).any()


def test_keys_have_scales_of_their_own():
    """No two machines share a level or a deviation."""
    _, values = Fleet(seed=1, keys=KEYS).history(ROWS)
    assert (values.min((0, 1)) > 0).all()
    for c in range(len(CHANNELS)):
        level = values[:, :, c].mean(0)
        assert level.max() / level.min() > 1.3


def test_channels_are_correlated_and_one_pair_tightly(history):
    """Most channels follow the activity; the pair does so almost without noise."""
    r = np.corrcoef(history.reshape(-1, len(CHANNELS)).T)
    followers = [c for c in range(len(CHANNELS)) if c != CYCLE_CHANNEL]
    assert (r[np.ix_(followers, followers)] > 0.25).all()
    assert r[PAIR] > 0.98


def test_there_is_a_day(history):
    """Rows one day apart are alike, rows half a day apart are not."""
    requests = history[:, :, PAIR[0]]
    day = (requests[DAY_ROWS:] * requests[:-DAY_ROWS]).mean()
    half = (requests[DAY_ROWS // 2 :] * requests[: -DAY_ROWS // 2]).mean()
    assert day > 0.2
    assert half < 0


def test_bursts_raise_several_channels_together(history):
    """Channels that follow the requests rise with them."""
    bursts = history[:, :, PAIR[0]] > 3.0
    assert 0.001 < bursts.mean() < 0.05
    for name in ("cpu", "load", "latency_p99", "network"):
        assert np.median(history[bursts][:, CHANNELS.index(name)]) > 2.0


def test_the_cycle_is_regular(history):
    """Most of the temperature is one sine of a fixed period."""
    spectrum = np.abs(np.fft.rfft(history[:, :, CYCLE_CHANNEL], axis=0)) ** 2
    rows = ROWS / np.arange(len(spectrum))[1:, None]
    is_cycle = np.abs(rows / CYCLE_ROWS - 1) < 0.06
    share = np.where(is_cycle, spectrum[1:], 0).sum(0) / spectrum[1:].sum(0)
    assert (share > 0.8).all()


def test_a_twin_has_the_same_marginals_and_a_life_of_its_own():
    """Same machine, same deviations, no correlation."""
    fleet = Fleet(seed=3, keys=KEYS)
    twin = fleet.twin(5, seed=7, row=0)
    _, original = fleet.history(ROWS)
    _, twin_values = twin.history(ROWS)
    ratio = twin_values[:, 0].std(0) / original[:, 5].std(0)
    assert (np.abs(np.log(ratio)) < 0.35).all()
    assert (
        np.abs(twin_values[:, 0].mean(0) - original[:, 5].mean(0)) < 0.5 * original[:, 5].std(0)
    ).all()
    r = np.corrcoef(original[:, 5, PAIR[0]], twin_values[:, 0, PAIR[1]])[0, 1]
    assert r < 0.2
