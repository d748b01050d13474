"""Motor neuron over groups: episodes, habituation, late groups, acceptance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ember_core import ops
from ember_core.pipeline import GroupMotor, Observation, PackedRows, zero_state
from tests.conftest import examples

ON = 2.0
QUIET = -1.0
DAY = 1440.0
GROUPS = 3


def motor(**changes):
    return GroupMotor(GROUPS, ON, **({"habituation_half_life": 7 * DAY} | changes))


def run(neuron, severities, hold=None, elapsed=1.0, may_fire=True, feedback=0.0):
    """Rows of one key: marks `F`, `U`, `R` or `.`; leads; and the state after."""
    severities = np.asarray(severities, dtype=np.float32)
    hold = severities if hold is None else np.asarray(hold, dtype=np.float32)
    elapsed = np.broadcast_to(np.float32(elapsed), len(severities))
    state = zero_state(neuron.state_fields(), 1)
    state["feedback"][:] = feedback
    marks, leads = "", []
    for x, h, dt in zip(severities, hold, elapsed, strict=True):
        columns = Observation(
            PackedRows([1]), hold=h[None], elapsed=dt[None], may_fire=np.array([may_fire])
        )
        state, (fires, resolves, updates, lead) = neuron.forward(state, x[None], columns)
        assert int(fires[0]) + int(resolves[0]) + int(updates[0]) <= 1
        marks += "F" if fires[0] else "R" if resolves[0] else "U" if updates[0] else "."
        leads.append(int(lead[0]))
    return marks, leads, state


def rows(*spans):
    """Severities from `(rows, {group: severity})`; the others are quiet."""
    parts = []
    for count, levels in spans:
        part = np.full((count, GROUPS), QUIET)
        for group, severity in levels.items():
            part[:, group] = severity
        parts.append(part)
    return np.concatenate(parts)


def pages(marks):
    return [(i, mark) for i, mark in enumerate(marks) if mark in "FU"]


def test_an_episode_has_one_firing_and_one_resolve():
    """It ends when no group has held it for the calm rows."""
    marks, leads, state = run(motor(), rows((5, {}), (20, {1: 3.0}), (30, {})))
    assert marks == "." * 5 + "F" + "." * 19 + "." * 9 + "R" + "." * 20
    assert leads[5] == 1
    assert not state["firing"][0]


def test_a_severity_between_the_levels_holds_an_episode_but_begins_none():
    between = ON - 0.25
    marks, _, _ = run(motor(), rows((20, {0: between}), (1, {0: 4.0}), (50, {0: between})))
    assert marks == "." * 20 + "F" + "." * 50


def test_the_hold_column_ends_an_episode_whose_severity_is_still_high():
    """Slow averages outlast a fault; they page no second time either."""
    severities = rows((1, {0: 4.0}), (400, {0: 3.5}))
    hold = rows((1, {0: 4.0}), (20, {0: 3.5}), (380, {}))
    marks, _, _ = run(motor(), severities, hold)
    assert marks.count("R") == 1
    assert pages(marks) == [(0, "F")]


@settings(max_examples=examples(40))
@given(
    arrays(np.float32, (120, GROUPS), elements=st.floats(-1, 6, width=32)),
    st.integers(0, 12),
    st.integers(1, 12),
    st.integers(0, 20),
)
def test_marks_alternate_whatever_comes(severities, refractory, calm, joining):
    """Updates come within an episode only, and nothing begins in the rest after one."""
    neuron = motor(refractory_rows=refractory, calm_rows=calm, joining_rows=joining)
    marks, leads, _ = run(neuron, severities)
    is_open, last_resolve, last_page = False, -(10**9), -(10**9)
    for i, mark in enumerate(marks):
        assert not (mark == "F" and (is_open or i - last_resolve <= refractory))
        assert not (mark == "R" and not is_open)
        assert not (mark == "U" and (not is_open or i - last_page <= joining))
        is_open = {"F": True, "R": False}.get(mark, is_open)
        last_resolve = i if mark == "R" else last_resolve
        last_page = i if mark in "FU" else last_page
        if mark in "FU":
            assert severities[i, leads[i]] >= ON


def test_it_does_not_fire_while_it_may_not():
    marks, _, state = run(motor(), rows((50, {0: 9.0})), may_fire=False)
    assert marks == "." * 50
    assert state["evidence"][0] == 9.0


def test_feedback_raises_the_on_threshold():
    assert "F" in run(motor(), rows((5, {2: 2.5})))[0]
    assert "F" not in run(motor(), rows((5, {2: 2.5})), feedback=1.0)[0]


@settings(max_examples=examples(40))
@given(st.floats(0.02, 5.5), st.floats(0.02, 0.9), st.integers(0, GROUPS - 2))
def test_the_same_size_pages_again_only_when_its_habituation_has_decayed(above, share, group):
    """Habituation is the size above `on` and the margin; half is gone after a half-life."""
    neuron = motor(habituation_most=6.0)
    decayed = 7 * DAY * np.log2((above + neuron.margin) / above)
    episode = rows((3, {group: ON + above}), (25, {}))
    for wait in (share * decayed, 1.05 * decayed):
        elapsed = np.r_[np.ones(len(episode)), max(wait - 30.0, 1.0), np.ones(len(episode) - 1)]
        marks, _, _ = run(neuron, np.concatenate([episode, episode]), elapsed=elapsed)
        assert (marks.count("F") == 2) == (wait > decayed)


def test_a_size_just_above_the_threshold_pages_once_in_a_half_life():
    """Whatever is within the margin: it needs as long for the margin to halve."""
    episode = rows((3, {0: ON + 0.3}), (21, {}))
    hourly = np.concatenate([episode] * 60)
    elapsed = np.where(np.arange(len(hourly)) % 24 == 0, 0.1 * 7 * DAY, 0.0)
    marks, _, _ = run(motor(), hourly, elapsed=elapsed)
    fired = np.flatnonzero([mark == "F" for mark in marks]) // 24
    assert set(np.diff(fired)) == {10}


@pytest.mark.parametrize("more", [0.29, 0.31])
def test_a_worse_size_pages_again_at_once_beyond_the_margin(more):
    episode = (3, {1: ON + 0.6}), (25, {}), (3, {1: ON + 0.6 + more})
    marks, _, _ = run(motor(), rows(*episode))
    assert (marks.count("F") == 2) == (more > 0.3)


def test_the_joint_group_has_no_habituation():
    marks, leads, state = run(motor(), rows(*[(3, {2: 3.0}), (25, {})] * 4))
    assert marks.count("F") == 4
    assert not state["habituation"].any()
    assert {leads[i] for i, _ in pages(marks)} == {2}


def test_habituation_has_a_largest_value():
    """A large fault does not silence the channel for weeks: the next one is told as well."""
    marks, _, state = run(motor(), rows((3, {0: ON + 50.0}), (25, {})))
    assert marks.count("F") == 1
    assert state["habituation"][0, 0] == pytest.approx(1.0, rel=1e-2)
    for more, fires in ((0.9, 1), (1.1, 2)):
        again, _, _ = run(motor(), rows((3, {0: ON + 50.0}), (25, {}), (1, {0: ON + more})))
        assert again.count("F") == fires


def test_a_slow_average_that_comes_down_from_a_huge_fault_is_no_page():
    """While it is raised, habituation has no limit."""
    severities = rows((3, {0: 20.0}), (120, {}))
    severities[3:123, 0] = np.linspace(20.0, 0.0, 120)
    hold = severities.copy()
    hold[3:] = 0.0  # nothing goes on
    marks, _, _ = run(motor(), severities, hold)
    assert marks.count("F") == 1


def test_another_group_that_comes_late_is_an_update():
    """A drift holds the episode open; hours later an error burst on another channel."""
    marks, leads, _ = run(motor(), rows((300, {0: 3.0}), (40, {0: 3.0, 1: ON + 0.6})))
    assert pages(marks) == [(0, "F"), (300, "U")]
    assert leads[300] == 1


@pytest.mark.parametrize(
    ("spans", "reason"),
    [
        ([(10, {0: 3.0}), (50, {0: 3.0, 1: 5.0})], "it joined in the first rows"),
        ([(100, {0: 3.0}), (50, {0: 9.0})], "the group that was paged, worse"),
        ([(100, {0: 3.0}), (50, {0: 3.0, 1: ON + 0.4})], "too small for a page of its own"),
        ([(10, {0: 3.0, 1: ON + 0.6}), (90, {0: 3.0}), (9, {0: 3.0, 1: 9.0})], "joined, and back"),
    ],
)
def test_no_other_group_is_an_update(spans, reason):
    marks, _, _ = run(motor(), rows(*spans))
    assert pages(marks) == [(0, "F")], reason


def test_a_group_that_rises_slowly_within_an_episode_is_an_update_too():
    """It does not grow used to itself on its way up."""
    severities = rows((400, {0: 3.0}))
    severities[100:400, 1] = np.linspace(0.0, 4.0, 300)
    marks, leads, _ = run(motor(), severities)
    (_, (i, mark)) = pages(marks)
    assert mark == "U"
    assert leads[i] == 1
    assert severities[i, 1] == pytest.approx(ON + 0.5, abs=0.02)


def test_groups_that_rise_with_an_update_belong_to_it():
    late = {0: 3.0, 1: 4.0}
    marks, _, _ = run(motor(), rows((100, {0: 3.0}), (10, late), (90, late | {2: 4.0})))
    assert pages(marks) == [(0, "F"), (100, "U")]


@pytest.mark.parametrize("group", [0, 2])
def test_a_lasting_alarm_of_a_channel_ends_and_of_the_joint_group_does_not(group):
    """A level shift of a channel is accepted after six hours."""
    marks, _, _ = run(motor(), rows((1000, {group: 3.0})))
    assert pages(marks) == [(0, "F")]
    ends = marks.find("R")
    assert ends == (-1 if group == 2 else 360 + 9)


def test_a_flickering_alarm_ends_too():
    """Dips that are shorter than the return do not count as one."""
    cycle = (9, {0: 3.0}), (3, {})
    marks, _, _ = run(motor(), rows(*[cycle[i % 2] for i in range(400)]))
    assert marks.count("F") == 1
    assert marks.count("R") == 1


def test_an_accepted_channel_counts_again_after_it_has_been_normal():
    returned, too_soon = 80, 40
    for normal in (returned, too_soon):
        severities = rows((500, {1: 3.0}), (normal, {}), (5, {1: 8.0}))
        marks, _, _ = run(motor(), severities)
        assert (marks.count("F") == 2) == (normal == returned)


def test_acceptance_takes_a_number_of_rows_however_far_apart_they_are():
    marks, _, _ = run(motor(accept_intervals=24.0), rows((100, {0: 3.0})), elapsed=1000.0)
    assert marks.find("R") == 24 + 9


def test_arguments_that_no_episode_would_end_with_are_refused():
    for wrong in ({"off_below": 0.0}, {"calm_rows": 0}, {"habituation_half_life": 0.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            motor(**wrong)


def series(seed, keys, count):
    rng = np.random.default_rng(seed)
    x = rng.normal(0.5, 1.5, (count, keys, GROUPS)).cumsum(0) * 0.4
    x = (x % 5.0).astype(np.float32)
    return (
        x,
        x - rng.choice([0.0, 2.0], x.shape).astype(np.float32),
        rng.exponential(5.0, (count, keys)).astype(np.float32),
    )


def batch(neuron, x, hold, elapsed, like=None):
    """Firing columns and state of rows in lockstep, as NumPy's."""
    array = (lambda v: v) if like is None else (lambda v: ops.from_numpy(v, like=like))
    state = zero_state(neuron.state_fields(), x.shape[1], like)
    out = []
    for row in zip(x, hold, elapsed, strict=True):
        values, holding, dt = map(array, row)
        may_fire = array(np.ones(len(row[0]), dtype=bool))
        columns = Observation(
            PackedRows([len(row[0])]), hold=holding, elapsed=dt, may_fire=may_fire
        )
        state, firing = neuron.forward(state, values, columns)
        out.append([ops.to_numpy(column) for column in firing])
    return out, {name: ops.to_numpy(value) for name, value in state.items()}


def test_every_backend_decides_alike(backend):
    columns = series(0, 7, 150)
    with ops.default_backend("numpy"):
        expected, state = batch(motor(accept_intervals=60.0, return_intervals=6.0), *columns)
    neuron = motor(accept_intervals=60.0, return_intervals=6.0)
    given_out, given_state = batch(neuron, *columns, like=ops.zeros((1,)))
    assert sum(int(fires.sum()) for fires, _, _, _ in expected) > 3
    for one, other in zip(expected, given_out, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype
    for field in neuron.state_fields():
        assert given_state[field.name].dtype == state[field.name].dtype == field.dtype
        assert given_state[field.name].shape == (7, *field.shape)
        np.testing.assert_allclose(given_state[field.name], state[field.name], rtol=1e-6)


def test_a_row_has_the_same_bits_alone_and_in_a_batch(backend):
    like, neuron = ops.zeros((1,)), motor(accept_intervals=60.0, return_intervals=6.0)
    columns = series(1, 37, 80)
    together, state = batch(neuron, *columns, like=like)
    for key in (0, 5, 36):
        part = [column[:, key : key + 1] for column in columns]
        alone, alone_state = batch(neuron, *part, like=like)
        for one, other in zip(alone, together, strict=True):
            assert [c[0] for c in one] == [c[key] for c in other]
        for name, value in alone_state.items():
            assert value.tobytes() == state[name][key : key + 1].tobytes()
