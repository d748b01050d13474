"""Injected faults, and how many of them a model catches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline.pipeline import Pipeline
from ember_core.pipeline.stage import State

from .cases import Case
from .kinds import KINDS, Floats
from .walk import walk

SPIKE_ROWS: Final = 6
"""Rows from a spike on in which it may be told."""
BATCH: Final = 2_048
"""Courses that are run side by side, at most."""
NEVER: Final = -np.inf

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Catches:
    """Faults that a model was shown.

    Attributes:
        kinds: Kind of each, `(N,)`.
        sizes: Size of each in usual ranges, `(N,)`; 0 where the kind has none.
        caught: Those that paged, `(N,)`.
        evidence: Highest threshold at which each would have paged, `(N,)`; `NEVER` where its
            course pages as early without it.
    """

    kinds: NDArray[np.str_]
    sizes: Floats
    caught: Flags
    evidence: Floats

    def of(self, kind: str, size: float | None = None) -> Flags:
        """Return the faults of a kind, and of a size, `(N,)`."""
        of_kind: Flags = self.kinds == kind
        return of_kind if size is None else of_kind & (self.sizes == size)


def catches(
    pipeline: Pipeline,
    state: State,
    cases: Sequence[Case],
    times: Sequence[Any],
    expected: Callable[[int], Any] | None = None,
) -> tuple[Catches, Flags]:
    """Run all cases, each from the state at its moment.

    Args:
        pipeline: The pipeline, with its threshold.
        state: State of the keys at the moments, `(M, ...)`.
        cases: The cases, with the courses as they were.
        times: Times of the rows of each moment, `(H,)`.
        expected: Function of the number of a moment, that gives the expectation of its rows,
            `(H, C)`; see `Observation`.

    Returns:
        The faults, and those that say something, `(N,)`: their moment is no episode by itself.
    """
    pages, evidence = run_cases(pipeline, state, cases, times, expected)
    case_places = np.array([case.place for case in cases])
    plain = np.array([not case.kind for case in cases])
    usual = np.full(len(times), NEVER)
    usual[case_places[plain]] = evidence[plain]
    at_rest = np.zeros(len(times), np.bool_)
    at_rest[case_places[plain]] = ~pages[plain]
    at_rest &= np.asarray(state["firing"]) == 0
    faults = ~plain
    evidence_by_fault = np.where(evidence > usual[case_places], evidence, NEVER)
    kinds = np.array([case.kind for case in cases], dtype=np.str_)
    sizes = np.array([case.size for case in cases])
    found = Catches(kinds[faults], sizes[faults], pages[faults], evidence_by_fault[faults])
    return found, at_rest[case_places][faults]


def run_cases(
    pipeline: Pipeline,
    state: State,
    cases: Sequence[Case],
    times: Sequence[Any],
    expected: Callable[[int], Any] | None,
) -> tuple[Flags, Floats]:
    """Return the cases that page, `(N,)`, and the largest evidence of each.

    Arguments as `catches` has them.
    """
    pages = np.zeros(len(cases), np.bool_)
    evidence = np.full(len(cases), NEVER)
    for batch in _batches(cases):
        rows = min(SPIKE_ROWS, len(times[0])) if _is_short(cases[batch[0]]) else len(times[0])
        case_places = [cases[i].place for i in batch]
        part = {name: value[case_places] for name, value in state.items()}
        blocks = walk(
            pipeline,
            part,
            [cases[i].values[:rows] for i in batch],
            [times[number][:rows] for number in case_places],
            [expected(number)[:rows] for number in case_places] if expected else (),
        )
        for block in blocks:
            pages[batch] |= block.pages.any(axis=0)
            evidence[batch] = np.maximum(evidence[batch], block.evidence.max(axis=0))
    return pages, evidence


def _is_short(case: Case) -> bool:
    return bool(case.kind) and KINDS[case.kind].rows == 1


def _batches(cases: Sequence[Case]) -> Iterator[list[int]]:
    """Yield the numbers of cases of one length."""
    for short in (False, True):
        of_kind = [i for i, case in enumerate(cases) if _is_short(case) is short]
        for begin in range(0, len(of_kind), BATCH):
            yield of_kind[begin : begin + BATCH]
