"""Chances of counts, against sums over all cases."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core.pipeline.fit.trials.chances import poisson_most, sign_chance


@pytest.mark.parametrize("mean", [0.01, 0.7, 3.0, 40.0, 499.0, 501.0, 3000.0])
def test_a_poisson_number_exceeds_it_in_one_case_of_a_hundred(mean: float) -> None:
    drawn = np.random.default_rng(0).poisson(mean, 200_000)
    most = poisson_most(mean)
    assert np.mean(drawn > most) <= 0.012
    assert np.mean(drawn > most - 1 - 0.01 * mean) >= 0.008


def test_equally_many_are_no_sign() -> None:
    assert sign_chance(4, 4) > 0.5
    assert sign_chance(9, 1) == pytest.approx(11 / 1024)
    assert sign_chance(0, 3) == 1.0
