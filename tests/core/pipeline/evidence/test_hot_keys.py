"""Keys with many rows in a batch: the bits of one row at a time, in episodes too."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.core.pipeline.evidence.fleet import DAY_ROWS, DAYS, model, rows, times
from tests.core.pipeline.test_packing import QUICK

NEXT = DAYS * DAY_ROWS
ROWS = 900


def _troubled(key: int) -> NDArray[np.float64]:
    """Ordinary rows, then faults: a jump that stays, one that ends, frozen values, gaps, noise."""
    rng = np.random.default_rng(key)
    values = rows(key, NEXT, ROWS)
    values[150:, 3] += 30.0
    values[250:290, 1] *= 4.0
    values[400:480, 0] = values[400, 0]
    values[520:560] = np.nan
    values[600:700, 1] *= np.exp(rng.normal(0.0, 1.0, 100))
    values[rng.random(values.shape) < 0.02] = np.nan
    return values


def _first(key: int) -> dict[str, Any]:
    found = model()
    if key < 0:
        return dict(found.new_state)
    return {name: value[key : key + 1] for name, value in found.key_state.items()}


def _run(key: int, cuts: list[int]) -> tuple[dict[str, bytes], bytes]:
    """Scores, severities and triggers of a key's rows, and its state, cut into batches."""
    values, at, state = _troubled(max(key, 0)), times(NEXT, ROWS), _first(key)
    parts = []
    for begin, end in zip([0, *cuts], [*cuts, ROWS], strict=True):
        out = model().pipeline.forward(values[begin:end], at[begin:end], state)
        state = out.pop("state")
        parts.append(out)
    columns = {name: np.concatenate([p[name] for p in parts]).tobytes() for name in parts[0]}
    return columns, b"".join(state[name].tobytes() for name in sorted(state))


@pytest.fixture(scope="module", params=[1, -1], ids=["known", "new"])
def whole(request: pytest.FixtureRequest) -> tuple[int, Any]:
    """A known and a new key, all rows in one batch."""
    return request.param, _run(request.param, [])


def test_the_rows_have_episodes() -> None:
    """The equalities below are about something."""
    out = model().pipeline.forward(_troubled(1), times(NEXT, ROWS), _first(1))
    assert (out["trigger"] > 0).sum() >= 2
    assert (out["trigger"] < 0).sum() >= 1


def test_single_rows_have_the_bits_of_a_batch(whole: tuple[int, Any]) -> None:
    key, expected = whole
    assert _run(key, list(range(1, ROWS))) == expected


@QUICK
@given(cuts=st.sets(st.integers(1, ROWS - 1), max_size=6))
def test_cuts_anywhere_change_nothing(whole: tuple[int, Any], cuts: set[int]) -> None:
    key, expected = whole
    assert _run(key, sorted(cuts)) == expected


def test_a_value_beyond_float32_counts_alike_in_every_batch() -> None:
    """A new key learns its level of the rows that its anchor counts."""
    x, at = rows(1, NEXT, 13), times(NEXT, 13)
    x[2, 3] = 1e60
    states = []
    for cuts in ([], range(1, 13)):
        state = dict(model().new_state)
        for begin, end in pairwise([0, *cuts, 13]):
            with np.errstate(over="ignore"):  # its departure is infinite, and counts as missing
                state = model().pipeline.forward(x[begin:end], at[begin:end], state)["state"]
        states.append({name: value.tobytes() for name, value in state.items()})
    assert states[0] == states[1]
