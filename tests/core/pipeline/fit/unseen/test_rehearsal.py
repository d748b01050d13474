"""Keys of a history that play new ones, and what follows for keys never seen."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ember_core.pipeline import FleetModel, PipelineConfig
from ember_core.pipeline.arrival import AGES, SURE_ROWS
from ember_core.pipeline.fit.unseen.rehearsal import FIRST_ROWS
from ember_core.serialize import load_bundle, save_bundle
from tests.conftest import examples
from tests.core.conftest import SMALL, fit, signal, times
from tests.core.pipeline.evidence import fleet

ROWS = 223


@cache
def _joint() -> FleetModel:
    """Joint evidence of twelve like keys; not to be changed."""
    series = [fleet_key(k) for k in range(12)]
    shape = {**SMALL, "warmup_score": PipelineConfig.warmup_score}
    return fit(series, epochs=1, **{**shape, "warmup_alarm": PipelineConfig.warmup_alarm})


def fleet_key(number: int) -> Any:
    from ember_core.pipeline.fit import Series

    return Series(b"key-%d" % number, times(ROWS), 0.05 * signal(ROWS, number) + _noise(number))


def _noise(number: int) -> Any:
    return np.random.default_rng([7, number]).normal(size=(ROWS, 3))


def test_a_fleet_lets_new_keys_be_scored_early() -> None:
    for model in (_joint(), fleet.model()):
        config = model.pipeline.config
        assert (config.warmup_score, config.warmup_alarm) == (FIRST_ROWS, FIRST_ROWS)
        assert model.pipeline.arrival.is_rehearsed
        told = model.report["unseen_keys"]["confidence"]
        assert list(told) == [str(age) for age in AGES]


def test_a_key_is_surer_with_more_rows() -> None:
    for model in (_joint(), fleet.model()):
        table = np.asarray(model.pipeline.arrival.confidence)
        assert (table > 0).all()
        assert (np.diff(table, axis=0) >= 0).all()
        assert (table[-1] == 1).all()
    channels = fleet.model().pipeline.channels
    assert channels is not None
    widening = np.asarray(channels.widening)
    assert (np.diff(widening, axis=0) <= 0).all()
    assert (widening[-1] == 1).all()
    assert widening[0].max() > 1.5, "a few hours do not tell the level"


def test_warm_ups_that_are_asked_for_stay() -> None:
    series = [fleet_key(k) for k in range(3)]
    config = fit(series, epochs=1).pipeline.config
    assert config.warmup_score == SMALL["warmup_score"]
    assert config.warmup_alarm == SMALL["warmup_alarm"]


def test_two_keys_tell_nothing_of_a_third(fitted: FleetModel) -> None:
    assert not fitted.pipeline.arrival.is_rehearsed
    assert "unseen_keys" not in fitted.report


@pytest.mark.parametrize("kind", ["joint", "channels"])
@settings(deadline=None, max_examples=examples(8))
@given(size=st.integers(1, 90))
def test_a_batch_of_any_size_says_the_same_of_a_new_key(kind: str, size: int) -> None:
    """Beside a known one, from its first row on."""
    model = _joint() if kind == "joint" else fleet.model()
    n = 150
    if kind == "joint":
        values, at = signal(n, 3), times(n)
    else:
        values, at = fleet.rows(30, 0, n), fleet.times(0, n)
    state = {name: value.copy() for name, value in model.new_state.items()}
    whole = model.pipeline.forward(values, at, state)
    parts = []
    for begin in range(0, n, size):
        part = slice(begin, begin + size)
        out = model.pipeline.forward(values[part], at[part], state)
        state = out.pop("state")
        parts.append(out)
    for name in ("score", "severity", "trigger"):
        found = np.concatenate([part[name] for part in parts])
        np.testing.assert_array_equal(found, whole[name])
    for name, value in whole["state"].items():
        np.testing.assert_array_equal(state[name], value)


def test_a_known_key_is_as_sure_as_ever_beside_a_new_one() -> None:
    """The bits of its severity do not depend on whether a new key is in the batch."""
    model = fleet.model()
    values, at = np.stack([fleet.rows(0, 0, 40), fleet.rows(30, 0, 40)]), fleet.times(0, 40)
    known = {name: value[:1] for name, value in model.key_state.items()}
    both = {name: np.concatenate([known[name], model.new_state[name]]) for name in known}
    for t in range(40):
        time = at[t : t + 1]
        known, _, _, alone = model.pipeline.step(known, values[:1, t], time)
        both, _, _, decided = model.pipeline.step(both, values[:, t], np.repeat(time, 2))
        np.testing.assert_array_equal(decided.severities[:1], alone.severities)
        assert alone.confidence is None
        assert decided.confidence[0] == 1.0


def test_a_new_key_is_a_known_one_in_the_end() -> None:
    model = _joint()
    state = {name: value.copy() for name, value in model.new_state.items()}
    state["rows"][...] = SURE_ROWS - 1
    state, observation, _, _ = model.pipeline.step(state, signal(1, 3), times(1))
    assert observation.confidence is not None
    _, observation, _, _ = model.pipeline.step(state, signal(1, 3), times(2)[1:])
    assert observation.confidence is None


def test_a_bundle_of_an_earlier_version_keeps_its_long_warm_up(tmp_path: Path) -> None:
    """It has none of the arrays, and its configuration says when a new key is scored."""
    model = fleet.model()
    model.save(tmp_path / "new")
    arrays, card = load_bundle(tmp_path / "new")
    added = ("confidence", "tail_rows", "mean_rows", "least", "most", "widening")
    added = (*added, "level_rows", "level_least", "level_most")
    earlier = {k: v for k, v in arrays.items() if k.rpartition(".")[2] not in added}
    assert len(earlier) == len(arrays) - 9
    card["config"] |= {"warmup_score": 500, "warmup_alarm": 2000}
    save_bundle(tmp_path / "old", earlier, card)
    loaded = FleetModel.load(tmp_path / "old", backend="numpy")
    assert not loaded.pipeline.arrival.is_rehearsed
    values, at = fleet.rows(30, 0, 130), fleet.times(0, 130)
    out = loaded.pipeline.forward(values, at, loaded.new_state)
    assert np.isnan(out["score"]).all()


def test_the_first_rows_of_a_broken_key_are_not_its_normal() -> None:
    """It begins far from any key, and is judged against the fleet as soon as it is scored."""
    model = _joint()
    values = 0.05 * signal(120, 1) + np.random.default_rng(3).normal(size=(120, 3))
    healthy = model.pipeline.forward(values, times(120), model.new_state)
    assert not (healthy["trigger"] > 0).any()
    values[:, 1] += 4000.0
    broken = model.pipeline.forward(values, times(120), model.new_state)
    assert (broken["trigger"][: FIRST_ROWS + 20] > 0).any()
    assert broken["state"]["norm_mean"][0, 1] < 2000.0
