"""The engine: one vectorised pass over a batch of one partition, or of several.

    slots -> rows -> recurrent part in turns -> free energy of all rows -> decisions -> events

Everything is computed for all rows at once but for the few numbers that a key's row needs of the
row before it (`ember_core.pipeline.packing`). A row's result does not depend on its neighbours, so
however the log is cut into batches, scores and events are the same, bit for bit. What a step costs
by itself is the pipeline's, so that partitions that bring little share one: all that is a
partition's own is its clock, its keys' slots and its counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.engine.state.layout import WindowSpec
from stream.engine.state.partition import Partition
from stream.engine.state.table import Store
from stream.records import Decoded, Event, Reason, Rejected

from .decide import Batch, Decider, IdleKey
from .expiry import Expiry
from .idle import find_idle
from .outcomes import LATE, REFUSED, REPEATED, SCORED, WARMING, WINDOWED, count_outcomes
from .result import Fetch, StepResult
from .rows import Completed, Seen, known_at, of_intervals, of_samples
from .slices import PartitionSlice, samples_of, slices_of
from .windows import NEVER, Tumbling


@dataclass(frozen=True)
class Limits:
    """Bounds of what a partition may send.

    Attributes:
        max_keys: Keys held in memory.
        future_us: How far an event time may lie after Kafka's own timestamp.
        stale_intervals: Usual intervals without a record after which a key is silent; 0: never.
        ttl_us: Silence after which a key is forgotten, by its partition's clock; 0: never.
    """

    max_keys: int = 1_000_000
    future_us: int = 3_600_000_000
    stale_intervals: float = 20.0
    ttl_us: int = 0


class Stepper:
    """One step of the partitions of a topic.

    Args:
        store: Rows of all keys.
        decider: Scores, decisions, events.
        window: How samples become rows.
        limits: Bounds.
    """

    def __init__(self, store: Store, decider: Decider, window: WindowSpec, limits: Limits) -> None:
        self._store, self._decider, self._limits = store, decider, limits
        self._pipeline = decider.pipeline
        self._expiry = Expiry(store, decider, limits.ttl_us)
        self._window = window
        self._tumbling = (
            Tumbling(window, self._pipeline.config.channels) if window.mode == "time" else None
        )

    def step(
        self, parts: Sequence[tuple[Partition, int]], batch: Decoded, fetch: Fetch
    ) -> StepResult:
        """Absorb one fetch whole.

        Args:
            parts: Partitions of one topic, and how many messages each has; their meta rows count
                every message.
            batch: The fetch, decoded: the messages of the first partition, then the next one's.
            fetch: Offsets and Kafka timestamps of its messages.
        """
        result = StepResult(rejected=[])
        shares = list(slices_of([part for part, _ in parts], [count for _, count in parts]))
        outcome = np.zeros(len(fetch.offsets), dtype=np.uint8)
        counts = [share.end - share.begin for share in shares]
        known = fetch.offsets <= np.repeat([part.meta.absorbed for part, _ in parts], counts)
        refused = {r.message: r for r in batch.rejected if not known[r.message]}
        keep = ~known[batch.message]
        ahead = batch.time_us > fetch.timestamps_ms[batch.message] * 1000 + self._limits.future_us
        self._too_far_ahead(batch, fetch, ahead & keep, refused)
        if refused:
            outcome[list(refused)] = REFUSED
            keep &= outcome[batch.message] != REFUSED
        slots, homeless = self._slots(shares, batch, keep)
        if homeless:
            refused.update(homeless)
            outcome[list(homeless)] = REFUSED
            keep &= outcome[batch.message] != REFUSED
        result.rejected = [refused[m] for m in sorted(refused)]
        index = np.flatnonzero(keep)
        sent = batch.message[index]
        samples = [
            PartitionSlice(part, begin, end)
            for part, begin, end in samples_of(shares, sent)
            if begin < end
        ]
        told = _told(batch.time_us, fetch.timestamps_ms[batch.message])
        pieces = [
            self._expiry.pieces(part, told[held], batch.message[held], slots[held])
            for part, begin, end in samples
            for held in (index[begin:end],)
        ]
        for turn in zip_longest(*pieces):  # a piece of every partition that has one left
            taken, held = [], []
            for share, piece in zip(samples, turn, strict=True):
                if piece is not None:
                    begin = share.begin + piece.begin
                    self._say(share.part, fetch, int(sent[begin]), piece.events, result)
                    taken.append(share.part)
                    held.append(index[begin : share.begin + piece.end])
            self._absorb(taken, batch, fetch, held, told, slots, outcome, result)
        for share in samples:
            events = self._expiry.sweep(share.part)
            self._say(share.part, fetch, int(sent[share.end - 1]), events, result)
        for share in shares:
            count_outcomes(share, fetch.offsets, outcome, result)
        return result

    def _slots(
        self, shares: list[PartitionSlice], batch: Decoded, keep: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], dict[int, Rejected]]:
        """Slot of every sample's key, and messages that find no room."""
        slots = np.full(len(batch), -1, dtype=np.int64)
        homeless: dict[int, Rejected] = {}
        for part, begin, end in samples_of(shares, batch.message):
            if begin == end:
                continue
            own = slice(begin, end)
            keys, message = batch.keys[own], batch.message[own]
            slots[own], more = self._store.slots(part, keys, message, keep[own], slots[:begin])
            homeless |= more
        return slots, homeless

    def _say(
        self, part: Partition, fetch: Fetch, message: int, events: list[Event], result: StepResult
    ) -> None:
        """Events that a message brings about, of other keys; none where it only warms up."""
        if events and fetch.offsets[message] >= part.meta.events_from:
            result.events += events
            result.sources += [message] * len(events)

    def _too_far_ahead(
        self, batch: Decoded, fetch: Fetch, ahead: NDArray[np.bool_], refused: dict[int, Rejected]
    ) -> None:
        for i in np.flatnonzero(ahead):
            message = int(batch.message[i])
            late = int(batch.time_us[i]) // 1000 - int(fetch.timestamps_ms[message])
            refused[message] = Rejected(
                message,
                Reason.FUTURE,
                f"The event time lies {late / 1000:.0f} s after Kafka's timestamp. Expected at "
                f"most {self._limits.future_us // 1_000_000} s. Check the producer's clock and "
                "input.time_unit.",
            )

    def _absorb(
        self,
        parts: list[Partition],
        batch: Decoded,
        fetch: Fetch,
        held: list[NDArray[np.int64]],
        told: NDArray[np.int64],
        slots: NDArray[np.int64],
        outcome: NDArray[np.uint8],
        result: StepResult,
    ) -> None:
        """Samples of the batch into their rows: of each partition those that are `held`."""
        sizes = [each.size for each in held]
        shares = list(slices_of(parts, sizes))
        index = np.concatenate(held)
        times = batch.time_us[index]
        values = np.ascontiguousarray(batch.values[index])
        offsets = fetch.offsets[batch.message[index]]
        clock = told[index]
        for part, begin, end in shares:
            own = np.maximum(clock[begin:end], part.meta.clock_us)
            np.maximum.accumulate(own, out=clock[begin:end])
        uniq, inverse = np.unique(slots[index], return_inverse=True)
        block = self._store.gather(uniq)
        views = self._store.layout.views(block)
        code = np.full(index.size, REPEATED, dtype=np.uint8)
        fresh = np.flatnonzero(offsets > views["offset"][inverse])
        patience = np.full(index.size, NEVER, dtype=np.int64)  # when the key falls silent again
        seen = self._rows(views, inverse, fresh, times, values, code, clock, patience)
        views["offset"][inverse[fresh]] = offsets[fresh]  # of late ones too: they count once
        quiet = offsets < np.repeat([part.meta.events_from for part in parts], sizes)
        about = Batch(parts[0].tp[0], uniq, views, times, quiet)
        self._silences(about, shares, slots, inverse, clock, patience, code)
        late = code == LATE
        if late.any():
            np.add.at(views["late"], inverse[late], 1)
            result.late = sorted({*result.late, *batch.message[index[late]].tolist()})
        mine = StepResult()
        self._decider.run(about, seen, mine)
        if seen is not None:
            by = seen.rows.sample
            code[by] = WARMING
            code[by[seen.observed.scored]] = SCORED
            result.missing += int(np.isnan(seen.rows.values).sum())
        # keys fall silent together: their order must not depend on which of them are in the batch
        about.out.sort(key=lambda e: (e[0], e[1], e[2].time_us, e[2].key))
        result.events += [event for _, _, event in about.out]
        result.sources += batch.message[index[[at for at, _, _ in about.out]]].tolist()
        mine.scores.sample = index[mine.scores.sample]
        result.scores = result.scores.and_then(mine.scores)
        np.maximum.at(outcome, batch.message[index], code)
        self._store.scatter(uniq, block)
        for part, _, end in shares:
            part.meta.clock_us = int(clock[end - 1])

    def _rows(
        self,
        views: dict[str, Any],
        inverse: NDArray[np.int64],
        fresh: NDArray[np.int64],
        times: NDArray[np.int64],
        values: NDArray[np.float64],
        code: NDArray[np.uint8],
        clock: NDArray[np.int64],
        patience: NDArray[np.int64],
    ) -> Seen | None:
        """Fresh samples are late or taken; the rows that these complete go through the pipeline."""
        if not fresh.size:
            return None
        given = views, inverse[fresh], fresh, times, values
        tumbling = self._tumbling
        late, taken, rows = (
            of_samples(*given) if tumbling is None else of_intervals(tumbling, *given)
        )
        code[late] = LATE
        code[taken.sample] = WINDOWED
        before = views["rows"].copy(), views["interval"].copy()
        seen = self._observe(views, rows) if rows.sample.size else None
        views["seen"][taken.keys] = clock[taken.turns.last(taken.sample)]
        if self._limits.stale_intervals > 0:
            count, interval = known_at(taken, seen, *before)
            known = taken.turns.expand(views["known"][taken.keys])
            patience[taken.sample] = self._store.patience(
                interval, count, known, clock[taken.sample]
            )
        return seen

    def _observe(self, views: dict[str, Any], rows: Completed) -> Seen:
        """Run the recurrent part over all rows, state in place."""
        every = rows.keys.size == len(views["rows"]) and rows.turns.once
        at = slice(None) if every else rows.keys
        state = {name: np.ascontiguousarray(views[name][at]) for name in self._store.observed}
        seen = self._pipeline.observe(state, rows.values, rows.time_us, rows.turns)
        for name, value in seen.state.items():
            if value is not state[name]:  # scales of warm keys stand still
                views[name][at] = value
        return Seen(rows, seen)

    def _silences(
        self,
        batch: Batch,
        shares: list[PartitionSlice],
        slots: NDArray[np.int64],
        inverse: NDArray[np.int64],
        clock: NDArray[np.int64],
        patience: NDArray[np.int64],
        code: NDArray[np.uint8],
    ) -> None:
        """Who falls silent in this batch, before, between or after its own samples, and returns."""
        if self._limits.stale_intervals <= 0:
            return
        n = len(clock)
        order = np.argsort(inverse, kind="stable")
        taken = order[(code[order] != LATE) & (code[order] != REPEATED)]  # by key, then time
        of = inverse[taken]
        until = np.full(taken.size, n, dtype=np.int64)
        until[:-1] = np.where(of[1:] == of[:-1], taken[1:], n)
        first = np.full(batch.slots.size, n, dtype=np.int64)
        np.minimum.at(first, of, taken)
        for row in np.flatnonzero((batch.views["stale"] > 0) & (first < n)).tolist():
            batch.silences[row] = [IdleKey(-1, 0, int(first[row]))]  # silent since an earlier batch
        ends = [share.end for share in shares]
        over = np.repeat(clock[np.asarray(ends) - 1], np.diff([0, *ends]))
        passed = patience[taken] < over[taken]  # within its partition's part of the batch
        lasts = np.full(n, 2**62, dtype=np.int64)
        lasts[taken] = patience[taken]
        for part, begin, end in shares:
            own = clock[begin:end]
            for slot, deadline, at in self._store.silent_before(part, own, slots):
                row = int(np.searchsorted(batch.slots, slot))
                if row < batch.slots.size and batch.slots[row] == slot:
                    if begin + at < first[row]:
                        batch.silences[row] = [IdleKey(begin + at, deadline, int(first[row]))]
                else:
                    silent = IdleKey(begin + at, deadline, n)
                    self._decider.absent(batch.topic, slot, silent, batch.quiet, batch.out)
            part.next_silence = min(part.next_silence, int(lasts[begin:end].min()))
        if not passed.any():
            return
        for _, begin, end in shares:
            which = np.flatnonzero(passed & (taken >= begin) & (taken < end))
            fell = find_idle(clock[begin:end], patience[taken[which]], until[which] - begin)
            for i, at, deadline in zip(*(x.tolist() for x in fell), strict=True):
                batch.silences.setdefault(int(of[which[i]]), []).append(
                    IdleKey(begin + at, deadline, int(until[which[i]]))
                )


def _told(times: NDArray[np.int64], timestamps_ms: NDArray[np.int64]) -> NDArray[np.int64]:
    """What samples tell the partition's clock: their event times, but no later than Kafka's.

    So a key with a clock that is ahead has no others taken for silent.
    """
    return np.minimum(times, timestamps_ms * 1000 + 999)
