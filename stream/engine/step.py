"""The engine: one vectorised pass over a batch of one partition.

    slots -> rows -> recurrent part in turns -> free energy of all rows -> decisions -> events

Everything is computed for all rows at once but for the few numbers that a key's row needs of the
row before it (`ember_core.turns`). A row's result does not depend on its neighbours, so however
the log is cut into batches, scores and events are the same, bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.engine.decide import Batch, Decider, Silent
from stream.engine.expiry import Expiry
from stream.engine.layout import WindowSpec
from stream.engine.meta import Fate
from stream.engine.partition import Partition
from stream.engine.result import Fetch, StepResult
from stream.engine.rows import Completed, Seen, known_at, of_intervals, of_samples
from stream.engine.stale import fallen_silent
from stream.engine.store import Store
from stream.engine.windows import NEVER, Tumbling
from stream.records import Decoded, Event, Reason, Rejected

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
        ttl_us: Silence after which a key is forgotten, by its partition's clock; 0: never.
    """

    max_keys: int = 1_000_000
    future_us: int = 3_600_000_000
    stale_intervals: float = 20.0
    ttl_us: int = 0


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
        self._expiry = Expiry(store, decider, limits.ttl_us)
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
        slots, homeless = self._store.slots(part, batch.keys, batch.message, keep)
        if homeless:
            refused.update(homeless)
            fate[list(homeless)] = _REFUSED
            keep &= fate[batch.message] != _REFUSED
        result.rejected = [refused[m] for m in sorted(refused)]
        index = np.flatnonzero(keep)
        sent = batch.message[index]
        for piece in self._expiry.pieces(part, batch.time_us[index], sent, slots[index]):
            self._say(part, fetch, int(sent[piece.begin]), piece.events, result)
            held = index[piece.begin : piece.end]
            self._absorb(part, batch, fetch, held, slots, fate, result)
        if index.size:
            self._say(part, fetch, int(sent[-1]), self._expiry.sweep(part), result)
        self._count(part, fetch, fate, result)
        return result

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
        code = np.full(index.size, _REPEATED, dtype=np.uint8)
        fresh = np.flatnonzero(offsets > views["offset"][inverse])
        patience = np.full(index.size, NEVER, dtype=np.int64)  # when the key falls silent again
        seen = self._rows(views, inverse, fresh, times, values, code, clock, patience)
        views["offset"][inverse[fresh]] = offsets[fresh]  # of late ones too: they count once
        about = Batch(part, uniq, views, times, offsets < part.meta.events_from)
        self._silences(about, inverse, clock, patience, code)
        late = code == _LATE
        if late.any():
            np.add.at(views["late"], inverse[late], 1)
            result.late = sorted({*result.late, *batch.message[index[late]].tolist()})
        mine = StepResult()
        self._decider.run(about, seen, mine)
        if seen is not None:
            by = seen.rows.sample
            code[by] = _WARMING
            code[by[seen.observed.scored]] = _SCORED
            result.missing += int(np.isnan(seen.rows.values).sum())
        # keys fall silent together: their order must not depend on which of them are in the batch
        about.out.sort(key=lambda e: (e[0], e[1], e[2].time_us, e[2].key))
        result.events += [event for _, _, event in about.out]
        result.sources += batch.message[index[[at for at, _, _ in about.out]]].tolist()
        mine.scores.sample = index[mine.scores.sample]
        result.scores = result.scores.and_then(mine.scores)
        np.maximum.at(fate, batch.message[index], code)
        self._store.scatter(uniq, block)
        part.meta.clock_us = int(clock[-1])

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
        code[late] = _LATE
        code[taken.sample] = _WINDOWED
        before = views["rows"].copy(), views["interval"].copy()
        seen = self._observe(views, rows) if rows.sample.size else None
        views["seen"][taken.keys] = clock[taken.turns.ends(taken.sample)]
        if self._limits.stale_intervals > 0:
            count, interval = known_at(taken, seen, *before)
            known = taken.turns.spread(views["known"][taken.keys])
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
