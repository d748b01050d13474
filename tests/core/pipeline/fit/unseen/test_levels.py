"""Levels of a fleet: where a new key begins, and what it may learn."""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core.pipeline.fit.scales import MIN_FLEET, MOST_OF_FEATURES
from ember_core.pipeline.fit.unseen.levels import WINDOW, fleet_levels

ROWS = 400


def _fleet(levels: Any, size: float = 1.0) -> list[Any]:
    rng = np.random.default_rng(4)
    return [level + size * rng.normal(size=(ROWS, 1)) for level in levels]


def test_a_few_keys_are_no_fleet() -> None:
    assert fleet_levels(_fleet(range(MIN_FLEET - 1)), np.ones(1)) is None


def test_alike_keys_count_for_many_rows_and_unlike_ones_for_few() -> None:
    alike = fleet_levels(_fleet(np.linspace(5.0, 5.2, 10)), np.ones(1))
    unlike = fleet_levels(_fleet(np.linspace(0.0, 500.0, 10)), np.ones(1))
    assert alike is not None
    assert unlike is not None
    assert unlike.rows[0] < 1.0 < alike.rows[0] <= MOST_OF_FEATURES
    assert abs(alike.mean[0] - 5.1) < 0.05


def test_every_level_of_the_fleet_is_inside_and_a_margin_shrinks_with_its_keys() -> None:
    widths = []
    for keys in (10, 90):
        values = _fleet(np.linspace(0.0, 50.0, keys))
        found = fleet_levels(values, np.ones(1))
        assert found is not None
        means = [rows[:WINDOW].mean() for rows in values]
        assert found.lowest[0] < min(means) <= max(means) < found.highest[0]
        widths.append(found.highest[0] - found.lowest[0])
    assert widths[1] < widths[0]


def test_missing_values_and_a_channel_that_a_key_has_not_are_left_out() -> None:
    values = [np.hstack([rows, rows]) for rows in _fleet(range(10))]
    values[0][:, 1] = np.nan
    values[1][::3, 0] = np.nan
    found = fleet_levels(values, np.ones(2))
    assert found is not None
    for column in found:
        assert np.isfinite(column).all()
