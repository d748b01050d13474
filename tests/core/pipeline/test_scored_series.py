"""Scored rows with all their columns: those of `Pipeline.forward`, and more beside them."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core.pipeline import FleetModel, ScoredSeries, State, score_series
from ember_core.pipeline import scored_series as module
from tests.core.conftest import fit, signal, times


@pytest.fixture(scope="module", params=["joint", "channels+joint"])
def model(request: pytest.FixtureRequest) -> FleetModel:
    """A small model of either kind of evidence."""
    return fit(evidence=request.param)


@pytest.fixture
def rows() -> tuple[np.ndarray, np.ndarray]:
    """Rows of the second key, with a fault in its last channel and a missing value."""
    values = signal(331, 1, part=1)
    values[211:223, 2] += 150.0
    values[101, 0] = np.nan
    return values, times(331)


def test_scores_and_triggers_are_those_of_the_pipeline(
    model: FleetModel, rows: tuple[np.ndarray, np.ndarray]
) -> None:
    series = score_series(model, *rows, key="key-1")
    _compare(series, model, rows, {k: v[1:] for k, v in model.key_state.items()})
    assert len(series) == 331
    np.testing.assert_allclose(series.contribution.sum(axis=1), 1.0)
    assert series.activation.shape == (331, model.pipeline.liquid.hidden)


def test_a_key_never_seen_is_scored_after_its_warm_up(
    fitted: FleetModel, rows: tuple[np.ndarray, np.ndarray]
) -> None:
    series = score_series(fitted, *rows)
    _compare(series, fitted, rows, fitted.new_state)
    assert series.key == b""
    assert 0 < len(series) < 331


def _compare(
    series: ScoredSeries, model: FleetModel, rows: tuple[np.ndarray, np.ndarray], state: State
) -> None:
    forward = model.pipeline.forward(*rows, state)
    scored = ~np.isnan(forward["score"])
    np.testing.assert_array_equal(series.score, forward["score"][scored])
    np.testing.assert_array_equal(series.trigger, forward["trigger"][scored])
    np.testing.assert_array_equal(series.time_us, rows[1][scored])
    np.testing.assert_array_equal(series.value, rows[0][scored])


def test_the_fault_fires_and_is_blamed(
    model: FleetModel, rows: tuple[np.ndarray, np.ndarray]
) -> None:
    series = score_series(model, *rows, key="key-1")
    assert series.firing[211:214].all()
    assert series.contribution[211].argmax() == 2
    begins = np.flatnonzero(series.trigger > 0)
    assert series.firing[begins].all()
    assert (series.evidence[begins] >= series.threshold[begins]).all()


def test_blocks_change_nothing(
    model: FleetModel, rows: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of a joint model a key never seen, which warms up within a block.
    key = None if model.pipeline.channels is None else "key-1"
    whole = score_series(model, *rows, key=key)
    monkeypatch.setattr(module, "_BLOCK", 37)
    parts = score_series(model, *rows, key=key)
    for name in ("score", "severity", "trigger", "usual", "lower", "contribution", "activation"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))


def test_a_stretch_of_time_is_inclusive(
    model: FleetModel, rows: tuple[np.ndarray, np.ndarray]
) -> None:
    series = score_series(model, *rows, key="key-1")
    part = series.between(int(rows[1][7]), int(rows[1][19]))
    np.testing.assert_array_equal(part.time_us, rows[1][7:20])
    assert part.value.shape == (13, 3)


def test_a_key_that_the_model_does_not_know_is_named(
    model: FleetModel, rows: tuple[np.ndarray, np.ndarray]
) -> None:
    with pytest.raises(ValueError, match=r"'key-0', 'key-1'. Received: key='key-7'"):
        score_series(model, *rows, key="key-7")
    with pytest.raises(ValueError, match="Expected at least one"):
        score_series(model, rows[0][:0], rows[1][:0])
