"""Expected against realised exceedances."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ember_core.evaluate import exceedances


def test_uniform_probabilities_keep_their_word() -> None:
    p = (np.arange(10_007) + 0.5) / 10_007
    for one in exceedances(p):
        assert one.expected == pytest.approx(one.level * 10_007)
        assert one.times == pytest.approx(1.0, abs=0.5 / one.expected + 1e-9)


def test_labelled_records_are_left_out() -> None:
    p, label = [0.001, 0.001, 0.5, 0.02, 0.9], [1, 0, 0, 0, 1]
    (one,) = exceedances(p, label, levels=(0.01,))
    assert (one.realised, one.records, one.expected) == (1, 3, pytest.approx(0.03))
    assert one.times == pytest.approx(1 / 0.03)


def test_a_level_itself_is_exceeded() -> None:
    assert exceedances([0.1, 0.2], levels=(0.1,))[0].realised == 1


def test_without_records_nothing_is_known() -> None:
    (one,) = exceedances([0.5], [1], levels=(0.1,))
    assert (one.realised, one.records) == (0, 0)
    assert math.isnan(one.times)


@pytest.mark.parametrize(
    ("p", "label", "levels", "said"),
    [
        ([0.5, 1.5], None, (0.1,), "between 0 and 1"),
        ([[0.5]], None, (0.1,), r"shape=\(1, 1\)"),
        ([0.5, math.nan], None, (0.1,), "between 0 and 1"),
        ([0.5], None, (0.0,), "levels="),
        ([0.5], [0, 1], (0.1,), r"shape=\(2,\)"),
    ],
)
def test_what_is_no_probability_is_refused(
    p: object, label: object, levels: object, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        exceedances(p, label, levels)
