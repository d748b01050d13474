"""Explanations against the true channels."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ember_core.evaluate import chance_in_first, hit_in_first, hit_rate

CHANNELS = 7


@given(st.permutations(range(CHANNELS)), st.sets(st.integers(0, CHANNELS - 1), min_size=1))
def test_hit_rate_grows_with_what_is_looked_at(ranking: list[int], true: set[int]) -> None:
    rates = [hit_rate(ranking, true, at) for at in (0.5, 1.0, 1.5, CHANNELS)]
    assert rates == sorted(rates)
    assert rates[-1] == 1.0
    assert rates[0] >= 0.0


def test_by_hand() -> None:
    ranking, true = [5, 0, 3, 6, 1, 2, 4], {0, 1, 2}
    assert hit_rate(ranking, true) == pytest.approx(1 / 3)
    assert hit_rate(ranking, true, 1.5) == pytest.approx(1 / 3), "floor(4.5) are looked at"
    assert hit_rate(ranking, true, 2.0) == 1.0
    assert not hit_in_first(ranking, true, 1)
    assert hit_in_first(ranking, true, 2)
    assert hit_rate(ranking[:1], true) == 0.0, "a cut ranking names fewer"


@pytest.mark.parametrize(("true", "first"), [(1, 3), (2, 3), (3, 2), (6, 3)])
def test_chance_is_the_share_of_all_rankings(true: int, first: int) -> None:
    all_of_them = list(permutations(range(5 if true < 5 else 7)))
    channels = len(all_of_them[0])
    hits = sum(hit_in_first(r, set(range(true)), first) for r in all_of_them)
    assert chance_in_first(channels, true, first) == pytest.approx(hits / len(all_of_them))


def test_with_fewer_channels_than_are_looked_at_every_one_is_named() -> None:
    assert chance_in_first(2, 1, first=3) == 1.0


def test_what_cannot_be_judged_is_refused() -> None:
    with pytest.raises(ValueError, match="each channel once"):
        hit_rate([1, 1], {1})
    with pytest.raises(ValueError, match="true channel"):
        hit_rate([1, 2], set())
    with pytest.raises(ValueError, match="at=0"):
        hit_rate([1, 2], {1}, at=0.0)
    with pytest.raises(ValueError, match="first=0"):
        hit_in_first([1, 2], {1}, first=0)
