"""Comparison of a candidate with the model of one profile: the same records, but no events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from stream.control import ControlSet
from stream.engine.state.partition import Partition
from stream.engine.state.transfer import copy_rows
from stream.types import TP

from .admission import CheckedSlice, slots_of_keys
from .grouping import Clocks, Grouped
from .lane import Lane
from .limits import Limits
from .result import ScoreColumns, SliceOffsets
from .shadow import Comparison
from .slices import PartitionSlice


class ProfileShadow:
    """Candidate for the keys of one profile. It writes nothing, and one that fails is given up.

    Args:
        live: Lane of the profile.
        candidate: Lane of the candidate, without partitions.

    Attributes:
        comparison: Scores and decisions of both.
    """

    def __init__(self, live: Lane, candidate: Lane) -> None:
        self.live, self._candidate = live, candidate
        self.comparison = Comparison()

    def compare(
        self,
        checked: CheckedSlice,
        slice_offsets: SliceOffsets,
        clocks: Clocks,
        own: NDArray[np.bool_],
        columns: NDArray[np.int64],
        limits: Limits,
        scores: ScoreColumns,
    ) -> None:
        """Let the candidate score the records that the live model has scored.

        Args:
            checked: The slice.
            slice_offsets: Offsets and Kafka timestamps of its messages.
            clocks: Clocks of its partitions.
            own: True for samples of keys of the profile, `(N,)`.
            columns: Channels of the models, as columns of the slice.
            limits: Bounds of the records.
            scores: Scored rows of the live model.
        """

        def step() -> None:
            messages = [
                PartitionSlice(self._part(part.tp), begin, end)
                for part, begin, end in checked.messages
            ]
            keep = checked.keep & own
            slots, _ = slots_of_keys(messages, checked.decoded, keep, self._candidate.store)
            group = Grouped(own & (slots >= 0), messages, slots)
            admitted = group.admitted(checked, slice_offsets, clocks, columns, limits)
            if admitted is not None:
                clocks.begin()
                admitted = replace(admitted, outcome=admitted.outcome.copy())
                result = self._candidate.absorb(admitted)
                self.comparison.add(checked.decoded.keys, scores, result.scores)

        self._try(step)

    def follow(self, tps: Sequence[TP]) -> None:
        """Give the candidate the rows of partitions before it scores their first records."""
        for tp in tps:
            self._try(partial(self._part, tp))

    def tell_idle(self, tp: TP, clock_us: int) -> None:
        """Let the candidate find the keys that are idle by a clock which no record has moved."""

        def find_idle() -> None:
            self._part(tp)
            self._candidate.tell_idle(tp, clock_us)

        self._try(find_idle)

    def use_control(self, control: ControlSet) -> None:
        """Score by other documents of operators from the next record on."""
        self._try(partial(self._candidate.use_control, control))

    def detach(self, tp: TP) -> None:
        """Free the rows of a partition."""
        self._candidate.detach(tp)

    def _part(self, tp: TP) -> Partition:
        """Return the candidate's part of a partition; a new one has the rows of the live model."""
        live, candidate = self.live.part(tp), self._candidate
        if tp not in candidate.attached():
            candidate.attach(tp)
            twin = candidate.part(tp)
            twin.profile, twin.index = live.profile, dict(live.index)
            copy_rows(twin, self.live.store, candidate.store, dirty=False)
            twin.given_up.clear()
        candidate.part(tp).meta = live.meta
        return candidate.part(tp)

    def _try(self, work: Callable[[], object]) -> None:
        if self.comparison.failed:
            return
        try:
            work()
        except Exception as error:  # noqa: BLE001  # a candidate must not end the worker
            self.comparison.failed = f"{type(error).__name__}: {error}"
