"""The anchor of a channel: a level in the channel's unit, whatever the time of day."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core import ops
from ember_core.pipeline import Observation, PackedRows
from ember_core.pipeline.evidence import ChannelEvidence
from ember_core.pipeline.stage import zero_state

DAY_US = 86_400_000_000


@pytest.mark.parametrize("in_one_go", [True, False])
def test_an_anchor_far_from_training_does_not_move_with_the_size_of_the_day(
    *, in_one_go: bool
) -> None:
    """A disk that stays at 20 sizes above training is usual at noon, when sizes are threefold."""
    with ops.default_backend("numpy"):
        stage = ChannelEvidence(1, bin_seconds=43_200, day_bins=2)
    stage.assign(
        {
            "anchor_half_life": np.array([4.0], np.float32),
            "day_size": np.array([[1.0], [3.0]], np.float32),
        }
    )
    state = zero_state(stage.state_fields(), 1)
    for name in ("usual_unit", "usual_size", "usual_excess", "usual_change", "usual_extremes"):
        state[name][...] = 1.0
    values = np.full((40, 1), 20.0)
    time_us = np.arange(40) * (DAY_US // 2)
    usual = []
    for cut in [slice(0, 40)] if in_one_go else [slice(i, i + 1) for i in range(40)]:
        n = len(time_us[cut])
        rows = Observation(PackedRows([1] * n), time_us=time_us[cut])
        rows.elapsed, rows.warming = np.ones(n, np.float32), np.zeros(n, np.bool_)
        after, _ = stage.forward(state, values[cut], rows)
        state = state | after
        usual.append(rows.usual.values(np.arange(n)))
        usual[-1] = np.stack([usual[-1], rows.usual.values(np.arange(n), 3.0)])
    found = np.concatenate(usual, axis=1)[..., 0]
    np.testing.assert_allclose(found[0], 20.0, rtol=1e-6)
    np.testing.assert_allclose(found[1], np.where(np.arange(40) % 2, 29.0, 23.0), rtol=1e-6)
