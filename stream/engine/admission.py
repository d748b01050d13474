"""First stage of a step: messages that count, and a slot for the key of each of their samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream.engine.state.partition import Partition
from stream.engine.state.table import Store
from stream.records import Decoded, Reason, Rejected, SourcePosition

from .clock import clock_times, per_message, reference_times
from .outcomes import DUPLICATE, REFUSED
from .result import SliceOffsets
from .slices import PartitionSlice, sample_slices, slices_of


@dataclass
class Admitted:
    """A slice with the samples that a step absorbs.

    Attributes:
        decoded: The slice, decoded: `N` samples.
        slice_offsets: Offsets and timestamps of its `m` messages.
        messages: Messages of each partition.
        refused: Messages refused, by the codec and by the engine, in order.
        outcome: Code of each message so far; uint8 `(m,)`.
        slots: Slot of the key of each sample, -1 where it has none; int64 `(N,)`.
        clock_us: Time by which each sample moves its partition's clock; int64 `(N,)`.
        sample: Indices of the samples to absorb, `n` of them, rising; int64 `(n,)`.
        slices: Ranges of `sample`, one of each partition that has any.
        bad_values: Values that could not be used in messages that count, by channel and reason.
        ticks: Samples of other keys that move the clock, by the number of their partition and
            rising; None: all samples are in `sample`.
    """

    decoded: Decoded
    slice_offsets: SliceOffsets
    messages: list[PartitionSlice]
    refused: list[Rejected]
    outcome: NDArray[np.uint8]
    slots: NDArray[np.int64]
    clock_us: NDArray[np.int64]
    sample: NDArray[np.int64]
    slices: list[PartitionSlice]
    bad_values: dict[tuple[str, str], int]
    ticks: dict[int, NDArray[np.int64]] | None = None

    def lines(self, part: Partition, begin: int, end: int) -> NDArray[np.int64]:
        """Return the samples of a slice, and before each the ticks that come before it."""
        own = self.sample[begin:end]
        if self.ticks is None:
            return own
        ticks = self.ticks[part.number]
        first = np.searchsorted(ticks, self.sample[begin - 1]) if begin else 0
        between = ticks[first : np.searchsorted(ticks, own[-1])]
        return np.sort(np.concatenate((own, between)))

    def ticks_at_end(self) -> dict[int, NDArray[np.int64]]:
        """Return the ticks behind the last sample of each partition that has any, by its number."""
        last = {part.number: int(self.sample[end - 1]) for part, _, end in self.slices}
        rest = {
            number: ticks[np.searchsorted(ticks, last.get(number, -1)) :]
            for number, ticks in (self.ticks or {}).items()
        }
        return {number: ticks for number, ticks in rest.items() if ticks.size}


def admit(
    parts: Sequence[tuple[Partition, int]],
    decoded: Decoded,
    slice_offsets: SliceOffsets,
    store: Store,
    future_us: int,
) -> Admitted:
    """Refuse messages and find the slots of the others.

    Args:
        parts: Partitions of one topic, and the number of messages of each.
        decoded: The slice, decoded.
        slice_offsets: Offsets and Kafka timestamps of its messages.
        store: Rows of all keys.
        future_us: Longest time by which an event time may lie after that of its message.
    """
    checked = check_slice(parts, decoded, slice_offsets, future_us)
    slots, without_slot = slots_of_keys(checked.messages, decoded, checked.keep, store)
    checked.refuse(without_slot)
    sample = np.flatnonzero(checked.keep)
    slices = sample_slices(checked.messages, decoded.message[sample])
    return Admitted(
        decoded=decoded,
        slice_offsets=slice_offsets,
        messages=checked.messages,
        refused=checked.in_order(),
        outcome=checked.outcome,
        slots=slots,
        clock_us=checked.clock_us,
        sample=sample,
        slices=[samples for samples in slices if samples.begin < samples.end],
        bad_values=checked.bad_values(),
    )


@dataclass
class CheckedSlice:
    """Messages that count so far, before their keys have slots.

    Attributes:
        decoded: The slice, decoded: `N` samples.
        messages: Messages of each partition.
        refused: Messages refused, by their index.
        outcome: Code of each message so far; uint8 `(m,)`.
        keep: True for the samples that count; `(N,)`.
        repeated: True for messages that were absorbed before; `(m,)`.
        clock_us: Time by which each sample moves its partition's clock; int64 `(N,)`.
    """

    decoded: Decoded
    messages: list[PartitionSlice]
    refused: dict[int, Rejected]
    outcome: NDArray[np.uint8]
    keep: NDArray[np.bool_]
    repeated: NDArray[np.bool_]
    clock_us: NDArray[np.int64]

    def refuse(self, refused: Mapping[int, Rejected]) -> None:
        """Refuse messages whole: their other samples are dropped with the one that is at fault."""
        if refused:
            self.refused |= refused
            self.outcome[list(refused)] = REFUSED
            self.keep &= self.outcome[self.decoded.message] != REFUSED

    def in_order(self) -> list[Rejected]:
        """Return the refused messages in their order."""
        return [self.refused[message] for message in sorted(self.refused)]

    def bad_values(self) -> dict[tuple[str, str], int]:
        """Count the values that could not be used in messages that count, by channel and reason."""
        if not self.decoded.bad_values:  # the usual case
            return {}
        return Counter(
            (channel, str(reason))
            for message, channel, reason in self.decoded.bad_values
            if not self.repeated[message] and self.outcome[message] != REFUSED
        )


def check_slice(
    parts: Sequence[tuple[Partition, int]],
    decoded: Decoded,
    slice_offsets: SliceOffsets,
    future_us: int,
) -> CheckedSlice:
    """Refuse messages, and leave out those that were absorbed or written before.

    Args:
        parts: Partitions of one topic, and the number of messages of each.
        decoded: The slice, decoded.
        slice_offsets: Offsets and Kafka timestamps of its messages.
        future_us: Longest time by which an event time may lie after that of its message.
    """
    messages = list(slices_of([part for part, _ in parts], [count for _, count in parts]))
    outcome = np.zeros(len(slice_offsets.offsets), dtype=np.uint8)
    repeated = slice_offsets.offsets <= per_message(parts, lambda part: part.meta.absorbed)
    if decoded.positions:
        outcome[_duplicates(messages, decoded.positions, repeated)] = DUPLICATE
    skipped = repeated | (outcome == DUPLICATE)
    refused = {r.message: r for r in decoded.rejected if not skipped[r.message]}
    keep = ~skipped[decoded.message]
    message_us = reference_times(parts, slice_offsets)
    reference_us = message_us[decoded.message]
    ahead = keep & (decoded.time_us > reference_us + future_us)
    refused |= _in_the_future(decoded, slice_offsets, message_us, ahead, future_us)
    clock_us = clock_times(decoded.time_us, reference_us)
    checked = CheckedSlice(decoded, messages, {}, outcome, keep, repeated, clock_us)
    checked.refuse(refused)
    return checked


def _duplicates(
    messages: list[PartitionSlice],
    positions: Mapping[int, SourcePosition],
    repeated: NDArray[np.bool_],
) -> list[int]:
    """Return the messages that re-keying had written before, and note the others as written.

    Args:
        messages: Messages of each partition.
        positions: Place in its source of each message that may come twice.
        repeated: True for messages that were absorbed before, `(m,)`.
    """
    return [
        index
        for part, begin, end in messages
        for index in range(begin, end)
        if index in positions and not repeated[index] and part.meta.note_source(positions[index])
    ]


def _in_the_future(
    decoded: Decoded,
    slice_offsets: SliceOffsets,
    message_us: NDArray[np.int64],
    ahead: NDArray[np.bool_],
    future_us: int,
) -> dict[int, Rejected]:
    """Refuse messages with a sample too far ahead of Kafka's timestamp, or of the worker's clock.

    Args:
        decoded: The slice, decoded.
        slice_offsets: Offsets and Kafka timestamps of its messages.
        message_us: Time that each message is measured by, `(m,)`.
        ahead: True for samples too far ahead, `(N,)`.
        future_us: Longest time by which one may be ahead.
    """
    refused: dict[int, Rejected] = {}
    if not ahead.any():  # the usual case
        return refused
    for i in np.flatnonzero(ahead):
        message = int(decoded.message[i])
        ahead_us = int(decoded.time_us[i] - message_us[message])
        is_kafka = int(slice_offsets.timestamps_ms[message]) * 1000 == int(message_us[message])
        clock = "Kafka's timestamp" if is_kafka else "this worker's clock"
        refused[message] = Rejected(
            message,
            Reason.FUTURE,
            f"The event time lies {ahead_us / 1e6:.0f} s after {clock}. Expected at most "
            f"{future_us // 1_000_000} s. Check the producer's clock and input.time_unit.",
        )
    return refused


def slots_of_keys(
    messages: list[PartitionSlice], decoded: Decoded, keep: NDArray[np.bool_], store: Store
) -> tuple[NDArray[np.int64], dict[int, Rejected]]:
    """Return the slot of every sample's key, and the messages that get none.

    Args:
        messages: Messages of each partition.
        decoded: The slice, decoded.
        keep: False for samples that are not absorbed; they make no new key.
        store: Rows of all keys.
    """
    slots = np.full(len(decoded), -1, dtype=np.int64)
    without_slot: dict[int, Rejected] = {}
    for part, begin, end in sample_slices(messages, decoded.message):
        if begin == end:
            continue
        lines = slice(begin, end)
        keys, message = decoded.keys[lines], decoded.message[lines]
        # Slots found for earlier partitions must not be evicted for this one.
        slots[lines], refused = store.slots(part, keys, message, keep[lines], slots[:begin])
        without_slot |= refused
    return slots, without_slot
