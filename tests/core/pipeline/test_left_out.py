"""Channels left out of the joint score: their values matter no more, and no row's bits either."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core.pipeline import Pipeline
from ember_core.pipeline.left_out import LeftOut
from tests.stream.engine.conftest import CHANNELS, KNOWN, fit, signal, times_of


@pytest.fixture(scope="module", params=[0.0, 0.02], ids=["plain", "whitened"])
def pipeline(request: pytest.FixtureRequest) -> Pipeline:
    return fit(KNOWN, CHANNELS, whiten=request.param).pipeline


def observed(pipeline: Pipeline, *, spike: float = 0.0) -> tuple:
    """Visible units, features and clock of the last 100 rows; a spike in the second channel."""
    values = signal(200, 3, 0)
    values[-5:, 1] += spike
    state = pipeline.initial_state(1)
    times = times_of(200, np.random.default_rng(1))
    columns = []
    for row, time_us in zip(values, times, strict=True):
        observation = pipeline.observe(state, row[None], np.array([time_us]))
        state = {**state, **observation.state}
        columns.append((observation.visible, observation.scaled, observation.clock))
    return tuple(np.concatenate(column) for column in zip(*columns[100:], strict=True))


def test_channels_that_count_in_full_stay_as_they_are(pipeline: Pipeline) -> None:
    visible, scaled, clock = observed(pipeline)
    weight = np.ones((len(visible), 3), np.float32)
    same = LeftOut(pipeline).visible(visible, scaled, clock, weight)
    assert np.abs(same - visible).max() < 1e-4


def test_the_features_of_a_channel_that_is_left_out_do_not_matter(pipeline: Pipeline) -> None:
    """Whatever they are, the row has the same units and the same energy."""
    visible, scaled, clock = observed(pipeline)
    owner = np.asarray(pipeline.explainer.channel_of_visible)[: scaled.shape[1]]
    other = np.where(owner == 1, np.float32(7.0), scaled).astype(np.float32)
    units = pipeline.visible.units(other, clock)
    weight = np.array([[1, 0, 1]], np.float32).repeat(len(visible), axis=0)
    without = LeftOut(pipeline)
    one = without.visible(visible, scaled, clock, weight)
    two = without.visible(units, other, clock, weight)
    assert one.tobytes() == two.tobytes()
    assert (pipeline.score(units) - pipeline.score(visible)).min() > 0


def test_a_spike_leaves_with_its_channel_and_not_with_another(pipeline: Pipeline) -> None:
    visible, scaled, clock = observed(pipeline, spike=90.0)
    without = LeftOut(pipeline)
    energies = {}
    for channel in range(3):
        weight = np.ones((len(visible), 3), np.float32)
        weight[:, channel] = 0.0
        energies[channel] = pipeline.score(without.visible(visible, scaled, clock, weight))
    usual = pipeline.score(visible)[:-5]
    spiky = slice(-5, -3)
    assert energies[1][spiky].min() < np.quantile(usual, 0.99)
    assert min(energies[0][spiky].min(), energies[2][spiky].min()) > np.quantile(usual, 0.99)


def test_a_rows_bits_do_not_depend_on_the_batch(pipeline: Pipeline) -> None:
    visible, scaled, clock = observed(pipeline, spike=30.0)
    rng = np.random.default_rng(3)
    weight = rng.choice(np.array([0.0, 0.5, 1.0, 2.0], np.float32), size=(len(visible), 3))
    whole = LeftOut(pipeline).visible(visible, scaled, clock, weight)
    for rows in (np.array([17]), rng.permutation(len(visible))[:33]):
        columns = (x[rows] for x in (visible, scaled, clock, weight))
        assert LeftOut(pipeline).visible(*columns).tobytes() == whole[rows].tobytes()
