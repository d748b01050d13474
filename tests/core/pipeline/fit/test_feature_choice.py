"""Blocks of features settled by injected faults."""

from __future__ import annotations

import numpy as np

from ember_core.pipeline import PipelineConfig
from ember_core.pipeline.fit import Series, choose_features
from ember_core.pipeline.fit.injected_faults import GAP, KINDS, inject

ROWS, CHANNELS = 1501, 3


def fleet(keys=2, seed=0):
    rng = np.random.default_rng(seed)
    time_us = np.arange(ROWS, dtype=np.int64) * 60_000_000
    return [
        Series(b"k%d" % k, time_us, rng.standard_normal((ROWS, CHANNELS)).cumsum(0) * 0.1 + k)
        for k in range(keys)
    ]


def test_faults_are_apart_of_every_kind_and_leave_the_rest_alone():
    values = np.random.default_rng(1).standard_normal((20_011, CHANNELS))
    values[7::13, 1] = np.nan
    before = values.copy()
    faulty, kind = inject(values, np.ones(CHANNELS), np.random.default_rng(2))
    np.testing.assert_array_equal(values, before)
    clean = kind < 0
    np.testing.assert_array_equal(faulty[clean], values[clean])
    assert set(kind[~clean].tolist()) == set(range(len(KINDS)))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], ~clean, [0]]).astype(int)))
    assert (edges[2::2] - edges[1:-1:2]).min() >= GAP


def test_channels_that_never_move_get_no_fault():
    values = np.ones((997, CHANNELS))
    faulty, kind = inject(values, np.ones(CHANNELS), np.random.default_rng(0))
    np.testing.assert_array_equal(faulty, values)
    assert (kind < 0).all()


def test_choice_is_a_configuration_with_a_row_per_block():
    config = PipelineConfig(channels=("a", "b", "c"), hidden=8, rbm_hidden=5)
    chosen, table = choose_features(fleet(), config, horizons=(1, 5))
    again, same = choose_features(fleet(), config, horizons=(1, 5))
    assert (chosen, table) == (again, same)
    assert [row["block"] for row in table] == ["departures", "levels", "residual 1", "residual 5"]
    kept = {row["block"] for row in table if row["kept"]}
    assert chosen.levels == ("levels" in kept)
    assert chosen.residuals == tuple(h for h in (1, 5) if f"residual {h}" in kept)
    assert set(chosen.residuals) <= set(chosen.horizons)


def test_too_little_history_changes_nothing():
    config = PipelineConfig(channels=("a", "b", "c"))
    short = [Series(s.key, s.time_us[:211], s.values[:211]) for s in fleet()]
    assert choose_features(short, config) == (config, [])
