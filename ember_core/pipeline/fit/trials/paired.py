"""The same injected faults for several models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline.fit.incidents import Marks
from ember_core.pipeline.stage import State

from .cases import KEYS, PLACES, Case, Moment, cases_of, fault_rows
from .course import Course
from .faults import Flags, catches
from .kinds import Habits
from .replay import Stop


def stops_of(course: Course, marks: Marks, seed: int) -> list[Stop]:
    """Return moments of some keys in the judged rows, each with unmarked rows after it.

    Args:
        course: The rows.
        marks: Rows that faults are not put into.
        seed: Seed of the keys and moments.
    """
    rng, rows = np.random.default_rng(seed), _rows_of(course)
    least = course.model.pipeline.config.quiet_rows
    firsts = [max(begin, least) for begin in course.begins]
    room = [len(s.time_us) - rows - f for s, f in zip(course.series, firsts, strict=True)]
    able = np.flatnonzero(np.array(room) > 0)
    if not able.size:
        return []
    keys = np.sort(rng.choice(able, min(KEYS, len(able)), replace=False)).tolist()
    stops: list[Stop] = []
    for k in keys:
        count = min(-(-PLACES // len(keys)), room[k])
        drawn = np.sort(rng.choice(room[k], count, replace=False)) + firsts[k]
        marked = marks.rows[k]
        stops += [Stop(k, int(row)) for row in drawn if not marked[row : row + rows].any()]
    return stops


def caught_by_each(
    courses: Sequence[Course], states: Sequence[State], stops: Sequence[Stop], seed: int
) -> tuple[list[Flags], NDArray[np.int64]]:
    """Put the same faults into the rows of several models, in channels that all of them have.

    Args:
        courses: Rows of each model, the same times.
        states: Its states at the stops, `(M, ...)`.
        stops: Moments of keys.
        seed: Seed of the faults.

    Returns:
        For each model the faults that it catches, `(N,)`; and the moment of each fault, `(N,)`.
        Moments at which one of them has an episode open anyway are left out.
    """
    first, rows = courses[0], _rows_of(courses[0])
    moments = [Moment(first.series[key], row) for key, row in stops]
    common = [
        name
        for c, name in enumerate(first.channels)
        if all(_has(o, c, name, first) for o in courses)
    ]
    habits = {m.series.key: [Habits.of(x) for x in m.series.values.T] for m in moments}
    rng = np.random.default_rng(seed)
    cases = cases_of(moments, habits, first.channels, rows, rng, common)
    faults = [case for case in cases if case.kind]
    times = [m.series.time_us[m.row : m.row + rows] for m in moments]
    if not faults:
        return [np.zeros(0, np.bool_) for _ in courses], np.zeros(0, np.int64)
    columns: list[Flags] = []
    rested = np.ones(len(faults), np.bool_)
    for course, state in zip(courses, states, strict=True):
        own_cases = cases if course is first else _translated(cases, stops, first, course)
        found, at_rest = catches(course.model.pipeline, state, own_cases, times)
        columns.append(found.caught)
        rested &= at_rest
    moment_of = np.array([case.place for case in faults], dtype=np.int64)
    return [column[rested] for column in columns], moment_of[rested]


def _rows_of(course: Course) -> int:
    """Return the rows that a fault lasts."""
    usual = [float(np.median(np.diff(s.time_us))) for s in course.series if len(s.time_us) > 1]
    return fault_rows(1e-6 * float(np.median(usual)) if usual else 1.0)


def _has(course: Course, c: int, name: str, first: Course) -> bool:
    """Test that a model has a channel with the very values of the first model's."""
    if name not in course.channels:
        return False
    own_values, first_values = (
        course.series[0].values[:, course.channels.index(name)],
        first.series[0].values,
    )
    return bool(np.array_equal(own_values, first_values[:, c], equal_nan=True))


def _translated(
    cases: Sequence[Case], stops: Sequence[Stop], first: Course, course: Course
) -> list[Case]:
    """Return the cases in the channels of another model."""
    out = []
    for case in cases:
        key, row = stops[case.place]
        values = course.series[key].values[row : row + len(case.values)].copy()
        if case.kind:
            column = case.values[:, first.channels.index(case.channel)]
            values[:, course.channels.index(case.channel)] = column
        out.append(case._replace(values=values))
    return out
