"""Recurrences over all rows of a block: the bits of one row at a time, whatever the block."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ember_core.pipeline import PackedRows
from ember_core.pipeline import recurrences as found

WHO = st.lists(st.integers(0, 6), min_size=1, max_size=120)
C = 3


def _rows(who, seed=0):
    """Packed rows, random numbers of each row, and of each key before its first one."""
    packed, _, _ = PackedRows.of(np.array(who))
    rng = np.random.default_rng([seed, len(who)])
    x = rng.normal(0.0, 2.0, (packed.row_count, C)).astype(np.float32)
    start = np.abs(rng.normal(0.0, 2.0, (packed.key_count, C))).astype(np.float32)
    return packed, x, start, rng


def _one_by_one(packed, advance, start, *columns):
    """The value after each row, each key by itself."""
    out = np.empty((packed.row_count, *start.shape[1:]), start.dtype)
    for key in range(packed.key_count):
        value = start[key]
        for row in np.flatnonzero(packed.key == key):
            value = out[row] = advance(value, *(column[row] for column in columns))
    return out


@given(WHO)
def test_sums_are_added_row_by_row(who):
    packed, x, start, _ = _rows(who)
    before, after = found.running_sum(packed, start, x)
    expected = _one_by_one(packed, lambda total, row: total + row, start, x)
    assert after.tobytes() == expected.tobytes()
    assert before.tobytes() == packed.previous(start, expected).tobytes()


@given(WHO, st.booleans())
def test_a_reflected_sum_rests_at_zero_and_rises_again(who, is_quiet):
    """Long rests are passed over."""
    packed, x, start, rng = _rows(who)
    x = np.where(rng.random(x.shape) < (0.02 if is_quiet else 0.5), np.abs(x), -np.abs(x))
    start = np.zeros_like(start) if is_quiet else start
    expected = _one_by_one(packed, lambda s, row: np.maximum(s + row, np.float32(0.0)), start, x)
    assert found.reflected_sum(packed, start, x).tobytes() == expected.tobytes()


@given(WHO, st.sampled_from([0.0, 0.3, 1.0]))
def test_the_latest_value_stays_through_gaps(who, missing):
    packed, x, start, rng = _rows(who)
    given_ = rng.random(x.shape) >= missing
    expected = _one_by_one(packed, lambda v, row, is_: np.where(is_, row, v), start, x, given_)
    assert found.latest(packed, start, x, given_).tobytes() == expected.tobytes()


@given(WHO, st.sampled_from([0.0, 0.9]))
def test_runs_are_counted_through_gaps(who, share):
    packed, x, start, rng = _rows(who)
    goes_on, is_given = rng.random(x.shape) < share, rng.random(x.shape) < 0.8
    start = np.floor(start)

    def count(run, equal, is_):
        return np.where(is_, np.where(equal, run + np.float32(1.0), np.float32(0.0)), run)

    expected = _one_by_one(packed, count, start, goes_on, is_given)
    assert found.run_lengths(packed, start, goes_on, is_given).tobytes() == expected.tobytes()


@given(WHO)
def test_averages_in_bounded_steps(who):
    packed, x, start, rng = _rows(who)
    gain = rng.random(x.shape).astype(np.float32)
    most = np.where(rng.random(x.shape) < 0.2, np.inf, 1.0).astype(np.float32)

    def follow(average, row, share, bound):
        return average + share * np.minimum(np.maximum(row - average, -bound), bound)

    expected = _one_by_one(packed, follow, start, x, gain, most)
    before, after = found.bounded_ewma(packed, start, x, gain, most)
    assert after.tobytes() == expected.tobytes()
    assert before.tobytes() == packed.previous(start, expected).tobytes()


@pytest.mark.parametrize("gain", [0.001, 0.1, 0.9])
@given(who=WHO)
def test_sums_that_depend_on_themselves(gain, who):
    """Slow ones are solved at once; of fast ones a block is halved until it is solved."""
    packed, x, start, _ = _rows(who)

    def change(packed, before, others, row):
        distance = row - before["level"]
        count = found.reflected_sum(packed, others["count"], distance)
        added = np.float32(gain) * np.where(count > 1.0, distance, np.float32(0.5) * distance)
        return {"level": added}, {"count": count, "distance": distance}

    done = found.slow_sums(packed, change, {"level": start}, {"count": start}, x)
    for key in range(packed.key_count):
        state = {"level": start[key : key + 1], "count": start[key : key + 1]}
        for row in np.flatnonzero(packed.key == key):
            levels, counts = ({name: state[name]} for name in ("level", "count"))
            one = PackedRows([1])
            state = found.slow_sums(one, change, levels, counts, x[row : row + 1])
            for name, value in state.items():
                assert done[name][row].tobytes() == value[0].tobytes(), name


@pytest.mark.parametrize("sizes", [[5000], [1] * 700, [40] * 30 + [7] * 20 + [1] * 300])
def test_blocks_are_joined_without_a_seam(sizes):
    """Many keys of one row each, one key of many rows, and both."""
    packed = PackedRows(sizes)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(packed.row_count, C)).astype(np.float32)
    start = rng.normal(size=(packed.key_count, C)).astype(np.float32)

    def follow(block, state, row, named):
        assert block.row_count <= max(found.BLOCK_ROWS, found.BLOCK_KEYS)
        before, after = found.running_sum(block, state["sum"], row)
        return {"sum": after, "before": before, "twice": 2 * named["x"]}

    done = found.by_blocks(packed, follow, {"sum": start}, x, {"x": x})
    before, after = found.running_sum(packed, start, x)
    assert done["sum"].tobytes() == after.tobytes()
    assert done["before"].tobytes() == before.tobytes()
    assert done["twice"].tobytes() == (2 * x).tobytes()
