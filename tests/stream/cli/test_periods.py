"""Periods as text."""

from __future__ import annotations

import pytest

from stream.cli.periods import length_text, period_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.5, "0.5 s"), (97.0, "1.617 min"), (2220.0, "37 min"), (86_400.0, "24 h"), (604_800, "7 d")],
)
def test_a_length_is_in_its_usual_unit(seconds, text):
    assert length_text(seconds) == text


def test_a_period_is_told_with_its_significance():
    period = {"seconds": 86_400.0, "share": 0.64, "significance": 26.2, "keys": 1.0}
    assert period_text(period) == "24 h explains 64 % of the variance, 26.2 deviations above chance"
    assert " in 60 % of the keys, " in period_text({**period, "keys": 0.6})
