"""Shares of departures that the channels of a key usually have in common."""

from __future__ import annotations

import numpy as np

from ember_core.pipeline.fit.channels.shared import moments, shared_parts


def test_a_channel_shares_what_another_one_foretells() -> None:
    """The second follows the first, the third follows nothing, the fourth never moves."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20_000, 4))
    x[:, 1] = 0.8 * x[:, 0] + 0.3 * x[:, 1]
    x[:, 3] = 0.0
    share = shared_parts(moments(x))
    assert share[1, 0] > 0.7
    assert abs(share[2]).max() < 0.03
    assert (np.diag(share) == 0).all()
    assert (share[3] == 0).all()
    assert (share[:, 3] == 0).all()
    own = x - x @ share.T
    assert own[:, 1].std() < 0.4 < x[:, 1].std()


def test_rows_far_out_do_not_say_what_goes_together() -> None:
    """One broken row among thousands, and missing values, change little."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(5_000, 2))
    before = shared_parts(moments(x))
    x[17] = 1e6
    x[100:200, 0] = np.nan
    assert abs(shared_parts(moments(x)) - before).max() < 0.05


def test_a_single_channel_shares_nothing() -> None:
    """There is no other one."""
    assert shared_parts(moments(np.ones((10, 1)))).tolist() == [[0.0]]
