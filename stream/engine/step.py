"""The engine: one vectorised pass over a batch of one partition.

    slots -> rows of each key in rounds -> free energy of all rows at once -> decisions -> events

Only what is recurrent runs in *rounds*, one row per key: a batch in which every key occurs once
has one round. A row's result does not depend on its neighbours, so however the log is cut into
batches, scores and events are the same, bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.engine.decide import Batch, Decider, RowGroup, Silent
from stream.engine.layout import WindowSpec
from stream.engine.meta import Fate
from stream.engine.partition import Partition
from stream.engine.result import Fetch, StepResult
from stream.engine.stale import fallen_silent
from stream.engine.store import Store
from stream.engine.windows import NEVER, Tumbling
from stream.records import Decoded, Reason, Rejected

_FATES = (Fate.ABSENT, Fate.REPEATED, Fate.LATE, Fate.WINDOWED, Fate.WARMING, Fate.SCORED)
_REPEATED, _LATE, _WINDOWED, _WARMING, _SCORED = range(1, 6)
_REFUSED = 6


@dataclass(frozen=True)
class Limits:
    """Bounds of what a partition may send.

    Attributes:
        max_keys: Keys held in memory.
        future_us: How far an event time may lie after Kafka's own timestamp.
        stale_intervals: Usual intervals without a record after which a key is silent; 0: never.
    """

    max_keys: int = 1_000_000
    future_us: int = 3_600_000_000
    stale_intervals: float = 20.0


class Stepper:
    """One step of a partition.

    Args:
        store: Rows of all keys.
        decider: Scores, decisions, events.
        window: How samples become rows.
        limits: Bounds.
    """

    def __init__(self, store: Store, decider: Decider, window: WindowSpec, limits: Limits) -> None:
        self._store, self._decider, self._limits = store, decider, limits
        self._pipeline = decider.pipeline
        self._window = window
        self._tumbling = (
            Tumbling(window, self._pipeline.config.channels) if window.mode == "time" else None
        )

    def step(self, part: Partition, batch: Decoded, fetch: Fetch) -> StepResult:
        """Absorb one fetch of a partition whole.

        Args:
            part: The partition; its meta row counts every message.
            batch: The fetch, decoded.
            fetch: Offsets and Kafka timestamps of its messages.
        """
        result = StepResult(rejected=[])
        fate = np.zeros(len(fetch.offsets), dtype=np.uint8)
        known = fetch.offsets <= part.meta.absorbed
        refused = {r.message: r for r in batch.rejected if not known[r.message]}
        keep = ~known[batch.message]
        ahead = batch.time_us > fetch.timestamps_ms[batch.message] * 1000 + self._limits.future_us
        self._too_far_ahead(batch, fetch, ahead & keep, refused)
        if refused:
            fate[list(refused)] = _REFUSED
            keep &= fate[batch.message] != _REFUSED
        slots, over = self._store.slots(part, batch.keys, batch.message, keep)
        for message in over:
            refused[message] = self._store.too_many(message)
            fate[message] = _REFUSED
        if over:
            keep &= fate[batch.message] != _REFUSED
        result.rejected = [refused[m] for m in sorted(refused)]
        index = np.flatnonzero(keep)
        if index.size:
            self._absorb(part, batch, fetch, index, slots, fate, result)
        self._count(part, fetch, fate, result)
        return result

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
        part: Partition,
        batch: Decoded,
        fetch: Fetch,
        index: NDArray[np.int64],
        slots: NDArray[np.int64],
        fate: NDArray[np.uint8],
        result: StepResult,
    ) -> None:
        """Samples `index` of the batch into their rows."""
        times = batch.time_us[index]
        values = np.ascontiguousarray(batch.values[index])
        offsets = fetch.offsets[batch.message[index]]
        clock = np.maximum.accumulate(np.maximum(times, part.meta.clock_us))
        uniq, inverse = np.unique(slots[index], return_inverse=True)
        block = self._store.gather(uniq)
        views = self._store.layout.views(block)
        order = np.argsort(inverse, kind="stable")
        sizes = np.bincount(inverse, minlength=uniq.size)
        begin = np.cumsum(sizes) - sizes
        repeated = offsets <= views["offset"][inverse]

        code = np.zeros(index.size, dtype=np.uint8)
        code[repeated] = _REPEATED
        patience = np.full(index.size, NEVER, dtype=np.int64)  # when the key falls silent again
        groups: list[RowGroup] = []
        for turn in range(int(sizes.max())):
            rows = np.flatnonzero(sizes > turn)
            sample = order[begin[rows] + turn]
            fresh = ~repeated[sample]
            rows, sample = rows[fresh], sample[fresh]
            if not rows.size:
                continue
            self._round(block, views, rows, sample, times, values, code, groups)
            views["offset"][rows] = offsets[sample]  # late ones too: they count once
            taken = code[sample] != _LATE
            rows, sample = rows[taken], sample[taken]
            views["seen"][rows] = clock[sample]
            patience[sample] = self._patience(views, rows)
        about = Batch(part, uniq, views, times, offsets < part.meta.events_from)
        self._silences(about, inverse, order, clock, patience, code)
        late = code == _LATE
        if late.any():
            np.add.at(views["late"], inverse[late], 1)
            result.late = sorted({int(m) for m in batch.message[index[late]]})
        self._decider.run(about, groups, result)
        for group in groups:
            code[group.sample] = np.maximum(
                code[group.sample], np.where(group.observed.scored, _SCORED, _WARMING)
            )
        # keys fall silent together: their order must not depend on which of them are in the batch
        about.out.sort(key=lambda e: (e[0], e[1], e[2].time_us, e[2].key))
        result.events = [event for _, _, event in about.out]
        result.sources = batch.message[index[[at for at, _, _ in about.out]]].tolist()
        result.scores.sample = index[result.scores.sample]
        np.maximum.at(fate, batch.message[index], code)
        self._store.scatter(uniq, block)
        part.meta.clock_us = int(clock[-1])
        result.missing = sum(int(np.isnan(group.values).sum()) for group in groups)

    def _round(
        self,
        block: NDArray[np.uint8],
        views: dict[str, Any],
        rows: NDArray[np.int64],
        sample: NDArray[np.int64],
        times: NDArray[np.int64],
        values: NDArray[np.float64],
        code: NDArray[np.uint8],
        groups: list[RowGroup],
    ) -> None:
        """One sample per key: late or absorbed, and the rows it completes."""
        t = times[sample]
        if self._tumbling is None:
            ok = (views["rows"][rows] == 0) | (t > views["last_time"][rows])
            code[sample[~ok]] = _LATE
            rows, sample = rows[ok], sample[ok]
            if rows.size:
                groups.append(
                    self._observe(block, views, rows, sample, times[sample], values[sample])
                )
            return
        own, held = self._part_of(block, views, rows)
        ok = ~self._tumbling.late(own, t)
        code[sample[~ok]] = _LATE
        if not ok.all():
            rows, sample, t = rows[ok], sample[ok], t[ok]
            if not rows.size:
                return
            own, held = self._part_of(block, views, rows)
        for who, start, row in self._tumbling.due(own, t):
            inner = self._store.layout.views(np.ascontiguousarray(held[who]))
            group = self._observe_views(inner, rows[who], sample[who], start, row)
            for name in group.observed.state:
                own[name][who] = inner[name]
            groups.append(group)
        self._tumbling.absorb(own, t, values[sample])
        code[sample] = _WINDOWED
        if held is not block:
            block[rows] = held

    def _part_of(
        self, block: NDArray[np.uint8], views: dict[str, Any], rows: NDArray[np.int64]
    ) -> tuple[dict[str, Any], NDArray[np.uint8]]:
        """Views of some rows of the block; without a copy when it is all of them."""
        if rows.size == len(block):
            return views, block
        held = block[rows]
        return self._store.layout.views(held), held

    def _observe(
        self,
        block: NDArray[np.uint8],
        views: dict[str, Any],
        rows: NDArray[np.int64],
        sample: NDArray[np.int64],
        time_us: NDArray[np.int64],
        values: NDArray[np.float64],
    ) -> RowGroup:
        own, held = self._part_of(block, views, rows)
        group = self._observe_views(own, rows, sample, time_us, values)
        if held is not block:
            block[rows] = held
        return group

    def _observe_views(
        self,
        own: dict[str, Any],
        rows: NDArray[np.int64],
        sample: NDArray[np.int64],
        time_us: NDArray[np.int64],
        values: NDArray[np.float64],
    ) -> RowGroup:
        """Run the recurrent part over one row per key, state in place."""
        state = {name: np.ascontiguousarray(own[name]) for name in self._store.observed}
        seen = self._pipeline.observe(state, values, time_us)
        for name, value in seen.state.items():
            own[name][...] = value
        return RowGroup(rows, sample, time_us, values, seen)

    def _patience(self, views: dict[str, Any], rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Clock at which each key falls silent if it sends nothing more."""
        if self._limits.stale_intervals <= 0:
            return np.full(rows.size, 2**62, dtype=np.int64)
        return self._store.patience(views, rows, self._limits.stale_intervals)

    def _silences(
        self,
        batch: Batch,
        inverse: NDArray[np.int64],
        order: NDArray[np.int64],
        clock: NDArray[np.int64],
        patience: NDArray[np.int64],
        code: NDArray[np.uint8],
    ) -> None:
        """Who falls silent in this batch, before, between or after its own samples, and returns."""
        if self._limits.stale_intervals <= 0:
            return
        n = len(clock)
        taken = order[(code[order] != _LATE) & (code[order] != _REPEATED)]  # by key, then time
        of = inverse[taken]
        until = np.full(taken.size, n, dtype=np.int64)
        until[:-1] = np.where(of[1:] == of[:-1], taken[1:], n)
        first = np.full(batch.slots.size, n, dtype=np.int64)
        np.minimum.at(first, of, taken)
        for row in np.flatnonzero((batch.views["stale"] > 0) & (first < n)).tolist():
            batch.silences[row] = [Silent(-1, 0, int(first[row]))]  # silent since an earlier batch
        part = batch.part
        for slot, deadline, at in self._store.silent_before(part, clock, batch.slots):
            row = int(np.searchsorted(batch.slots, slot))
            if row < batch.slots.size and batch.slots[row] == slot:
                if at < first[row]:
                    batch.silences[row] = [Silent(at, deadline, int(first[row]))]
            else:
                self._decider.absent(part, slot, Silent(at, deadline, n), batch.quiet, batch.out)
        silent = fallen_silent(clock, patience[taken], until)
        for which, at, deadline in zip(*(x.tolist() for x in silent), strict=True):
            batch.silences.setdefault(int(of[which]), []).append(
                Silent(at, deadline, int(until[which]))
            )
        if taken.size:
            part.next_silence = min(part.next_silence, int(patience[taken].min()))

    def _count(
        self,
        part: Partition,
        fetch: Fetch,
        fate: NDArray[np.uint8],
        result: StepResult,
    ) -> None:
        """Every offset up to the last one of the fetch gets exactly one name."""
        meta = part.meta
        new = fetch.offsets > meta.absorbed
        if not new.any():
            return
        offsets = fetch.offsets[new]
        if meta.first_offset < 0:
            meta.first_offset = int(offsets[0])
            meta.absorbed = int(offsets[0]) - 1
        counts: dict[str, int] = {}
        absent = int(offsets[-1]) - meta.absorbed - int(offsets.size)
        if absent:
            counts[Fate.ABSENT] = absent
        for value, number in enumerate(np.bincount(fate[new], minlength=_REFUSED)[:_REFUSED]):
            if number and value:
                counts[_FATES[value]] = int(number)
        for r in result.rejected:
            counts[r.reason] = counts.get(r.reason, 0) + 1
        for name, number in counts.items():
            meta.add(str(name), number)
        meta.absorbed = int(offsets[-1])
        result.counts = {str(k): v for k, v in counts.items()}
