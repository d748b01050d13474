"""A slice of records, grouped by the profile of their keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from heapq import merge
from itertools import accumulate, count, repeat
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.engine.state.partition import Partition
from stream.records import Decoded, Reason, Rejected

from .admission import Admitted, CheckedSlice
from .outcomes import NO_PROFILE as NO_PROFILE_CODE
from .profiles import NO_PROFILE
from .result import SliceOffsets, StepResult
from .slices import PartitionSlice, sample_slices
from .step import Limits


def without_foreign(
    decoded: Decoded, profile: NDArray[np.int64], columns: Sequence[NDArray[np.int64]]
) -> tuple[Decoded, NDArray[np.int64]]:
    """Leave out what a codec for the channels of each key's own model would not have read.

    Args:
        decoded: A slice, with the channels of all models.
        profile: Profile of each sample's key.
        columns: Channels of each model, as columns of the slice.

    Returns:
        The slice, and the index of each of its samples in that one.
    """
    empty = np.zeros(len(decoded), dtype=bool)
    for number, own_columns in enumerate(columns):
        samples = np.flatnonzero(profile == number)
        if samples.size and own_columns.size < decoded.values.shape[1]:
            empty[samples] = np.isnan(decoded.values[np.ix_(samples, own_columns)]).all(axis=1)
    if not empty.any():
        return decoded, np.arange(len(decoded))
    keep = np.flatnonzero(~empty)
    refused = np.setdiff1d(decoded.message[empty], decoded.message[keep]).tolist()
    detail = "The record has none of the channels of the model of its key's profile."
    rejected = [*decoded.rejected, *(Rejected(i, Reason.NO_CHANNELS, detail) for i in refused)]
    selected = replace(
        decoded,
        keys=[decoded.keys[i] for i in keep.tolist()],
        time_us=decoded.time_us[keep],
        values=decoded.values[keep],
        message=decoded.message[keep],
        rejected=sorted(rejected, key=lambda each: each.message),
        temporality=None if decoded.temporality is None else decoded.temporality[keep],
        start_us=None if decoded.start_us is None else decoded.start_us[keep],
    )
    return selected, keep


def own_bad_values(
    decoded: Decoded, profile: NDArray[np.int64], sources: Sequence[frozenset[str]]
) -> Decoded:
    """Leave out bad values of channels that no key of their message has."""
    if not decoded.bad_values:
        return decoded
    profiles_of: dict[int, set[int]] = {}
    for message, number in zip(decoded.message.tolist(), profile.tolist(), strict=True):
        profiles_of.setdefault(message, set()).add(number)
    values = [
        bad
        for bad in decoded.bad_values
        if any(
            number != NO_PROFILE and bad.channel in sources[number]
            for number in profiles_of.get(bad.message, ())
        )
    ]
    return replace(decoded, bad_values=values)


def count_without_profile(checked: CheckedSlice, profile: NDArray[np.int64]) -> None:
    """Give the messages all of whose keys have no profile their outcome."""
    message = checked.decoded.message
    without_model = checked.keep & (profile == NO_PROFILE)
    if without_model.any():
        has_model = message[checked.keep & (profile != NO_PROFILE)]
        checked.outcome[np.setdiff1d(message[without_model], has_model)] = NO_PROFILE_CODE


class Clocks:
    """Clocks of partitions over a slice: samples of every key move them.

    Args:
        checked: The slice; it is known by now which samples count.

    Attributes:
        clock_us: Clock of its partition after each sample that counts, `(N,)`.
        moving: True for samples that move it, `(N,)`.
    """

    def __init__(self, checked: CheckedSlice) -> None:
        self.clock_us = checked.clock_us.copy()
        self.moving = np.zeros(len(checked.decoded), dtype=bool)
        self._spans: list[tuple[Partition, int, int]] = []
        samples = np.flatnonzero(checked.keep)
        for part, begin, end in sample_slices(checked.messages, checked.decoded.message[samples]):
            part_samples = samples[begin:end]
            if not part_samples.size:
                continue
            before_us = part.meta.clock_us
            clock_us = np.maximum.accumulate(np.maximum(self.clock_us[part_samples], before_us))
            self.moving[part_samples] = clock_us > np.concatenate(([before_us], clock_us[:-1]))
            self.clock_us[part_samples] = clock_us
            self._spans.append((part, before_us, int(clock_us[-1])))

    def begin(self) -> None:
        """Set the clocks to where they stood before the slice."""
        for part, before_us, _ in self._spans:
            part.meta.clock_us = before_us

    def end(self) -> None:
        """Set the clocks to where they stand after it."""
        for part, _, after_us in self._spans:
            part.meta.clock_us = after_us


class Grouped(NamedTuple):
    """Samples of one profile: of its keys, and those by which other keys move the clock.

    Attributes:
        own: True for samples of its keys, `(N,)`.
        messages: Messages of each partition, as the lane has it.
        slots: Slot of the key of each sample, -1 where it has none; `(N,)`.
    """

    own: NDArray[np.bool_]
    messages: list[PartitionSlice]
    slots: NDArray[np.int64]

    def admitted(
        self,
        checked: CheckedSlice,
        slice_offsets: SliceOffsets,
        clocks: Clocks,
        columns: NDArray[np.int64],
        limits: Limits,
    ) -> Admitted | None:
        """Return what the lane absorbs; None where there is nothing.

        Args:
            checked: The slice.
            slice_offsets: Offsets and Kafka timestamps of its messages.
            clocks: Clocks of its partitions.
            columns: Channels of the lane's model, as columns of the slice.
            limits: Bounds of the records.
        """
        message = checked.decoded.message
        sample = np.flatnonzero(checked.keep & self.own)
        slices = [
            part_slice
            for part_slice in sample_slices(self.messages, message[sample])
            if part_slice.begin < part_slice.end
        ]
        ticks = self._ticks(message, slices, clocks, limits)
        has_ticks = any(indices.size for indices in ticks.values())
        if not (
            sample.size
            or has_ticks
            or any(part_slice.part.given_up for part_slice in self.messages)
        ):
            return None
        values = checked.decoded.values
        if columns.size < values.shape[1] or (columns != np.arange(columns.size)).any():
            values = values[:, columns]
        return Admitted(
            decoded=replace(checked.decoded, values=values),
            slice_offsets=slice_offsets,
            messages=self.messages,
            refused=[],
            outcome=checked.outcome,
            slots=self.slots,
            clock_us=clocks.clock_us,
            sample=sample,
            slices=slices,
            bad_values={},
            ticks=ticks,
        )

    def _ticks(
        self,
        message: NDArray[np.int32],
        slices: Sequence[PartitionSlice],
        clocks: Clocks,
        limits: Limits,
    ) -> dict[int, NDArray[np.int64]]:
        """Return the samples of other keys that may show keys of the profile idle or expired."""
        if limits.stale_intervals <= 0 and not limits.ttl_us:
            moving = np.zeros(0, dtype=np.int64)
        else:
            moving = np.flatnonzero(clocks.moving & ~self.own)
        has_own = {part_slice.part.number for part_slice in slices}
        ticks = {}
        for part, begin, end in sample_slices(self.messages, message[moving]):
            ticks[part.number] = moving[begin:end]
            if begin == end or part.number in has_own:
                continue
            # No key of this partition is in the slice: its deadlines are known.
            clock_us = int(clocks.clock_us[moving[end - 1]])
            expires = bool(limits.ttl_us) and clock_us > part.next_expiry_us
            if clock_us <= part.next_idle_us and not expires:
                ticks[part.number] = moving[:0]
        return ticks


def join(results: Sequence[StepResult], into: StepResult) -> None:
    """Join the results of the profiles of a slice, in the order of the messages.

    Args:
        results: Result of each.
        into: Result of the whole slice, which has the refusals.
    """
    by_place = [
        # Events of a profile keep their order, also where an earlier message brings one about.
        zip(accumulate(result.sources, max), repeat(number), count(), result.events, result.sources)
        for number, result in enumerate(results)
    ]
    for _, _, _, event, source in merge(*by_place, key=itemgetter(0, 1, 2)):
        into.events.append(event)
        into.sources.append(source)
    scores = [result.scores for result in results if result.scores.sample.size]
    for columns in scores:
        into.scores = into.scores.and_then(columns)
    if len(scores) > 1:
        into.scores = into.scores.in_order()
    into.details = [details for result in results for details in result.details]
    into.late = sorted({message for result in results for message in result.late})
    for result in results:
        into.missing += result.missing
        into.gone += result.gone
        for channel, number in result.missing_by_channel.items():
            total = into.missing_by_channel.get(channel, 0)
            into.missing_by_channel[channel] = total + number
