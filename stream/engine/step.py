"""One step: a slice of one partition, or of several, in seven stages.

    admit -> assemble -> complete -> observe -> decide -> find_idle -> emit

Each stage works on all rows of the batch at once, but for the few numbers that a key's row needs
of the row before it (`ember_core.pipeline.packing`). A row's result does not depend on its
neighbours, so however the log is cut into batches, scores and events are the same, bit for bit.
The fixed cost of a step is the pipeline's, so that partitions with few records share one. Only the
clock, the slots of the keys and the counts belong to a single partition.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stream.engine.state.deadlines import NEVER_IDLE
from stream.engine.state.partition import Partition
from stream.engine.state.table import Store
from stream.records import Decoded, Event

from .admission import Admitted, admit
from .batch import KeyRows, StepBatch, copies_of
from .decide import Decider
from .episodes import Episodes
from .expiry import Expiry
from .hard_limits import HardLimits, LimitChange
from .idle import IdleFinder
from .limits import Limits
from .missing_channels import ChannelChanges, MissingChannels
from .normal_now import NormalNow
from .observed_batch import CompletedBatch, ObservedBatch
from .outcomes import LATE, REPEATED, SCORED, WARMING, WINDOWED
from .planned_scoring import rest_motors, score_planned
from .planned_work import DividedRows, Phases, PlannedWork
from .quiet import batch_without_records, has_idle_keys
from .result import ScoreColumns, SliceOffsets, StepResult
from .rows import CompletedRows, Indices, ObservedRows, PackedSamples, RowMaker
from .rules_effect import RulesEffect
from .score_details import ScoreDetails
from .scored_rows import ScoredRows
from .silence import SilentKeys
from .slices import PartitionSlice, rows_of_ticks, slices_of


class Stepper:
    """Steps of the partitions of a topic.

    Args:
        store: Rows of all keys.
        decider: Scores and decisions.
        episodes: Events.
        limits: Bounds.
        rules: Rules of operators in force.
    """

    def __init__(
        self,
        store: Store,
        decider: Decider,
        episodes: Episodes,
        limits: Limits,
        rules: RulesEffect,
    ) -> None:
        self._store, self._decider, self._episodes = store, decider, episodes
        self._pipeline, self._limits = decider.pipeline, limits
        self.use_rules(rules)
        self._rows = RowMaker(store.plan)
        self._expiry = Expiry(store, episodes, limits.ttl_us) if limits.ttl_us else None
        tumbling = self._rows.tumbling
        # Also where no key becomes idle now: one that became so under other settings returns.
        self._idle = IdleFinder(store, episodes, has_intervals=tumbling is not None)
        self._silent: SilentKeys | None = None
        if limits.stale_intervals > 0 and tumbling is not None:
            warm_rows = self._pipeline.config.warmup_alarm
            self._silent = SilentKeys(store, self._rows, tumbling, warm_rows)
        max_gap = self._pipeline.config.max_gap
        self._missing = MissingChannels(max_gap) if limits.missing_channels else None
        self._details: ScoreDetails | None = None
        if limits.detailed:
            self._details = ScoreDetails(self._pipeline, store, limits.detailed)

    def use_rules(self, rules: RulesEffect) -> None:
        """Judge by other rules of operators from the next record on."""
        self._rules = self._episodes.rules = rules
        self._hard_limits = HardLimits(rules, self._pipeline.config.channels)
        window = self._store.plan.window
        self._planned = PlannedWork(rules, window.interval_us if window.mode == "time" else 0)
        self._normal_now = NormalNow(rules.control, self._store, self._episodes)

    def admit(
        self, parts: Sequence[tuple[Partition, int]], decoded: Decoded, slice_offsets: SliceOffsets
    ) -> Admitted:
        """Refuse messages of a slice, and find the slots of the keys of the others.

        Args:
            parts: Partitions of one topic, and the number of messages of each.
            decoded: The slice: the messages of the first partition, then the next one's.
            slice_offsets: Offsets and Kafka timestamps of its messages.
        """
        return admit(parts, decoded, slice_offsets, self._store, self._limits.future_us)

    def step(self, admitted: Admitted) -> StepResult:
        """Absorb one slice whole; its messages get their outcomes, and are counted by the caller.

        Args:
            admitted: The slice.
        """
        result = StepResult(rejected=admitted.refused, bad_values=admitted.bad_values)
        self._resolve_given_up(admitted, result)  # of keys restored from the disk
        for batch, completed in self._completed_batches(admitted, result):
            observed_batch = None
            if completed is not None:
                observed_batch = self._observe(batch, completed.rows, completed.phases)
                self._note(batch, completed, observed_batch)
            scored = self._decide(batch, observed_batch)
            self._idle.find(batch)
            self._emit(batch, observed_batch, scored, admitted, result)
        self._resolve_given_up(admitted, result)  # of keys that the step has restored or forgotten
        if admitted.ticks is not None:
            self._move_clocks(admitted, result)
        return result.with_joined_details()

    def _completed_batches(
        self, admitted: Admitted, result: StepResult
    ) -> Iterator[tuple[StepBatch, CompletedBatch | None]]:
        """Cut a step into batches, each with the rows that its new samples complete.

        Where keys of a batch have planned rows behind others, it is cut there and made anew:
        nothing of it has left its own copies.

        Args:
            admitted: The samples of the step.
            result: Result of the step.

        Yields:
            Batches, each to be absorbed before the next one is asked for. None: no new samples.
        """
        for batch_slices in self._batches(admitted, result):
            pending = [batch_slices]
            while pending:
                slices = pending.pop(0)
                lines = [(part, admitted.lines(part, begin, end)) for part, begin, end in slices]
                batch = self._assemble(admitted, lines)
                self._normal_now.apply(batch)
                if not batch.new_lines.size:
                    yield batch, None
                    continue
                fields = batch.keys.fields
                row_counts, intervals = fields["rows"].copy(), fields["interval"].copy()
                self._planned.note_samples(batch)
                accepted, rows = self._complete(batch)
                phases = self._planned.phases(batch.keys.rules, rows)
                parts = self._planned.cut(batch, rows, phases, admitted, slices)
                if parts is None:
                    yield batch, CompletedBatch(accepted, rows, phases, row_counts, intervals)
                else:
                    pending[:0] = parts

    def _decide(self, batch: StepBatch, observed_batch: ObservedBatch | None) -> ScoredRows | None:
        """Score and decide the usual rows of warm keys; None where there are none."""
        if observed_batch is None or observed_batch.observed is None:
            return None
        return self._decider.decide(batch, observed_batch.observed, self._rules)

    def _move_clocks(self, admitted: Admitted, result: StepResult) -> None:
        """Find the keys that are idle by samples of other stores, behind the last own one."""
        ticks = admitted.ticks_at_end()
        parts = [part for part, _, _ in admitted.messages if part.number in ticks]
        if not parts:
            return
        batch = self._assemble(admitted, [(part, ticks[part.number]) for part in parts])
        self._idle.find(batch)
        self._emit_silent(batch, ScoreColumns.empty(), result)
        self._resolve_given_up(admitted, result)
        if self._expiry is not None:
            for part in parts:
                message = int(admitted.decoded.message[ticks[part.number][-1]])
                self._expiry.sweep(part, admitted, message, result)

    def has_idle_keys(self, part: Partition, clock_us: int) -> bool:
        """Return whether keys become idle before the clock of their partition reaches a time."""
        return self._limits.stale_intervals > 0 and has_idle_keys(
            self._store, part, clock_us, self._rules
        )

    def tell_silence(self, part: Partition, clock_us: int) -> StepResult:
        """Find the keys that are idle by a clock which no record has moved.

        Args:
            part: The partition.
            clock_us: Its clock.
        """
        result = StepResult()
        channels = len(self._pipeline.config.channels)
        batch = batch_without_records(self._store, part, clock_us, channels)
        self._idle.find(batch)
        self._emit_silent(batch, ScoreColumns.empty(), result)
        result.events += self.give_up(part)  # of rows restored from the disk
        return result.with_joined_details()

    def give_up(self, part: Partition) -> list[Event]:
        """Resolve the alerts of a partition that its rows do not hold open any more."""
        return self._episodes.giving_up.resolve(part) if part.given_up else []

    def _resolve_given_up(self, admitted: Admitted, result: StepResult) -> None:
        for part, begin, end in admitted.messages:
            if part.given_up and begin < end:
                events = self._episodes.giving_up.resolve(part, admitted.slots)
                result.events += events
                result.sources += [begin] * len(events)

    def _batches(self, admitted: Admitted, result: StepResult) -> Iterator[list[PartitionSlice]]:
        """Cut the samples of a step where keys expire, or return after a silence."""
        if self._expiry is not None:
            batches = self._expiry.batches(admitted, result)
        else:
            batches = iter([admitted.slices] if admitted.slices else [])
        for slices in batches:
            for cut_slices in self._normal_now.batches(admitted, slices):
                if self._silent is None:
                    yield cut_slices
                else:
                    yield from self._silent.batches(admitted, cut_slices)

    def _assemble(
        self, admitted: Admitted, samples: Sequence[tuple[Partition, Indices]]
    ) -> StepBatch:
        """Make the table of some samples, with a copy of the rows of their keys.

        Args:
            admitted: The samples of the step.
            samples: Partitions, none twice, and the samples to take of each, rising.
        """
        decoded, parts = admitted.decoded, [part for part, _ in samples]
        counts = [len(indices) for _, indices in samples]
        sample = samples[0][1] if len(samples) == 1 else np.concatenate([i for _, i in samples])
        message = decoded.message[sample]
        offset = admitted.slice_offsets.offsets[message]
        timestamp_ms = admitted.slice_offsets.timestamps_ms[message]
        clock_us = admitted.clock_us[sample]
        lines = list(slices_of(parts, counts))
        for part, begin, end in lines:  # a clock never goes back, and begins where it stood
            clock = np.maximum(clock_us[begin:end], part.meta.clock_us)
            np.maximum.accumulate(clock, out=clock_us[begin:end])
        line_slots = admitted.slots[sample]
        if admitted.ticks is not None:
            slots, row = rows_of_ticks(line_slots)
        elif line_slots.size == 1:
            slots, row = line_slots, np.zeros(1, dtype=np.int64)
        else:
            slots, row = np.unique(line_slots, return_inverse=True)
        block = self._store.gather(slots)
        fields = self._store.layout.views(block)
        if admitted.ticks is None:
            new_lines = np.flatnonzero(offset > fields["offset"][row])
        else:
            own = np.flatnonzero(line_slots >= 0)
            new_lines = own[offset[own] > fields["offset"][row[own]]]
        rules = self._rules.groups(parts[0].stream, self._store, slots)
        return StepBatch(
            keys=KeyRows(parts[0].stream, slots, block, fields, rules),
            slices=lines,
            step_slots=admitted.slots,
            sample=sample,
            message=message,
            offset=offset,
            time_us=decoded.time_us[sample],
            clock_us=clock_us,
            values=np.ascontiguousarray(decoded.values[sample]),
            row=row,
            new_lines=new_lines,
            without_events=_without_events(lines, offset, timestamp_ms),
            outcome=np.full(sample.size, REPEATED, dtype=np.uint8),
            idle_after_us=np.full(sample.size, NEVER_IDLE, dtype=np.int64),
            temporality=None if decoded.temporality is None else decoded.temporality[sample],
            start_us=None if decoded.start_us is None else decoded.start_us[sample],
        )

    def _complete(self, batch: StepBatch) -> tuple[PackedSamples, CompletedRows]:
        """Make rows of the new samples.

        Returns:
            The samples that are not late, and the rows that they complete.
        """
        late, accepted, rows = self._rows.complete(batch.samples)
        batch.outcome[late] = LATE
        batch.outcome[accepted.line] = WINDOWED
        batch.outcome[rows.line] = WARMING
        return accepted, rows

    def _observe(
        self, batch: StepBatch, rows: CompletedRows, phases: Phases | None
    ) -> ObservedBatch:
        """Run windows, features and liquid network over rows, and write to the fields of keys.

        Rows under planned work are scored before, and leave no trace.

        Args:
            batch: The batch.
            rows: The rows.
            phases: Their phases; None: all are usual.
        """
        divided = self._planned.divide(batch.keys.rules, rows, phases)
        batch.due_resolves = self._planned.due_resolves(batch, rows, phases)
        rest_motors(batch, self._pipeline)
        planned, details, rows = None, None, divided.usual
        if divided.planned is not None:
            planned = score_planned(batch, divided.planned, self._store, self._decider, self._rules)
            if self._details is not None:
                details = self._details.of_planned(batch, divided, planned)
        if not rows.line.size:
            return ObservedBatch(divided, None, planned, details)
        fields = batch.keys.fields
        # All keys of the batch in their order: a slice copies faster than an index.
        every_key = rows.key_index.size == len(fields["rows"]) and rows.packed.once
        keys = slice(None) if every_key else rows.key_index
        state = copies_of(fields, self._store.observed, None if every_key else rows.key_index)
        counted = self._rules.counted(batch.keys.rules, rows)
        observation = self._pipeline.observe(
            state, rows.values, rows.time_us, rows.packed, counted=counted
        )
        for name, value in observation.state.items():
            if value is not state[name]:  # scales of warm keys do not change
                fields[name][keys] = value
        if divided.in_grace is not None:
            observation.may_fire = observation.may_fire & ~divided.in_grace
        return ObservedBatch(divided, ObservedRows(rows, observation), planned, details)

    def _note(
        self,
        batch: StepBatch,
        completed: CompletedBatch,
        observed_batch: ObservedBatch,
    ) -> None:
        """Note when keys sent, when they are idle, and which messages they have absorbed.

        Args:
            batch: The batch.
            completed: Its new samples, and the rows of these.
            observed_batch: The rows, observed.
        """
        accepted = completed.accepted
        fields, observed = batch.keys.fields, observed_batch.observed
        if observed is not None:
            batch.outcome[observed.rows.line[observed.observation.scored]] = SCORED
        planned = observed_batch.planned
        if planned is not None:
            batch.outcome[planned.observed.rows.line[planned.index]] = SCORED
        if self._limits.stale_intervals > 0:  # before the keys count as seen
            self._idle.note_deadlines(
                batch, accepted, observed, completed.row_counts, completed.intervals
            )
        fields["seen"][accepted.key_index] = batch.clock_us[accepted.packed.last(accepted.line)]
        # Late samples too: each counts once, also after a crash.
        fields["offset"][batch.row[batch.new_lines]] = batch.offset[batch.new_lines]

    def _emit(
        self,
        batch: StepBatch,
        observed_batch: ObservedBatch | None,
        scored: ScoredRows | None,
        admitted: Admitted,
        result: StepResult,
    ) -> None:
        """Emit events and scores, and write the rows of the keys back.

        Args:
            batch: The batch.
            observed_batch: Rows it completed, if any.
            scored: Those of warm keys, if any.
            admitted: The samples of the step; gets the outcome of their messages.
            result: Result of the step.
        """
        late = batch.outcome == LATE
        if late.any():
            np.add.at(batch.keys.fields["late"], batch.row[late], 1)
            result.late = sorted({*result.late, *batch.message[late].tolist()})
        self._emit_silent(batch, self._emit_rows(batch, observed_batch, scored, result), result)
        np.maximum.at(admitted.outcome, batch.message, batch.outcome)

    def _emit_silent(self, batch: StepBatch, scores: ScoreColumns, result: StepResult) -> None:
        """Close the intervals of keys that fall silent, and take the events of the batch.

        Args:
            batch: The batch, all written back.
            scores: Its scored rows.
            result: Result of the step.
        """
        if batch.silent and self._silent is not None:
            silent, rows = self._silent.close(batch)
            slots = silent.keys.slots
            silent.keys.rules = self._rules.groups(silent.keys.topic, self._store, slots)
            phases = self._planned.phases(silent.keys.rules, rows)
            observed_batch = self._observe(silent, rows, phases)
            scored = self._decide(silent, observed_batch)
            keys = [self._store.slab.key(slot) for slot in silent.keys.slots.tolist()]
            scores = scores.and_then(self._emit_rows(silent, observed_batch, scored, result, keys))
            scores = scores.in_order()
        result.scores = result.scores.and_then(scores)
        # Keys become idle together: their order must not depend on which of them are in the batch.
        events = sorted(batch.events, key=lambda e: (e.line, e.rank, e.event.time_us, e.event.key))
        result.events += [event.event for event in events]
        result.sources += batch.message[[event.line for event in events]].tolist()
        for part, _, end in batch.slices:
            part.meta.clock_us = int(batch.clock_us[end - 1])

    def _emit_rows(
        self,
        batch: StepBatch,
        observed_batch: ObservedBatch | None,
        scored: ScoredRows | None,
        result: StepResult,
        silent: Sequence[bytes] = (),
    ) -> ScoreColumns:
        """Emit the events of rows, and write the state rows of their keys back.

        Args:
            batch: The batch.
            observed_batch: Rows, if any.
            scored: Those of warm keys, if any.
            result: Result of the step.
            silent: Keys of the batch, where their silence completed the rows.

        Returns:
            The scored rows.
        """
        changes, limits = None, list[LimitChange]()
        observed = None if observed_batch is None else observed_batch.observed
        if observed_batch is not None and observed_batch.divided.every.line.size:
            changes = self._missing_channels(batch, observed_batch, result)
            limits = self._follow_limits(batch, observed_batch.divided)
            result.planned += observed_batch.planned_count
            result.in_grace += observed_batch.grace_count
        self._episodes.emit(batch, observed, scored, changes, limits)
        if self._details is not None and observed_batch is not None:
            details = self._details.of(batch, observed_batch, scored)
            if details is not None:
                result.details.append(details)
        self._store.scatter(batch.keys.slots, batch.keys.block)
        if observed_batch is None:
            return ScoreColumns.empty()
        return observed_batch.columns(scored, batch.sample, silent)

    def _follow_limits(self, batch: StepBatch, divided: DividedRows) -> list[LimitChange]:
        """Follow the hard limits of all rows; those of planned rows are told at once.

        Returns:
            Changes of the usual rows, by their index.
        """
        rows = divided.every
        may_tell = ~batch.without_events[rows.line]
        if divided.quiet_limits is not None:
            may_tell &= ~divided.quiet_limits
        limits = self._hard_limits.follow(batch.keys, rows, may_tell)
        if divided.usual_index is None or not limits:
            return limits
        usual_place = {i: k for k, i in enumerate(divided.usual_index.tolist())}
        for limit in limits:
            if limit.row not in usual_place:
                self._episodes.emit_limit(batch, rows, limit)
        usual = [limit for limit in limits if limit.row in usual_place]
        return [replace(limit, row=usual_place[limit.row]) for limit in usual]

    def _missing_channels(
        self, batch: StepBatch, observed_batch: ObservedBatch, result: StepResult
    ) -> ChannelChanges | None:
        """Count missing values, and find the channels that go missing or return."""
        channels, observed = self._pipeline.config.channels, observed_batch.observed
        result.count_missing(channels, observed_batch.divided.every.values)
        if self._missing is None or observed is None:
            return None
        rows = observed.rows
        may_fire = observed.observation.may_fire & ~batch.without_events[rows.line]
        told = self._rules.may_be_missing(batch.keys.rules, rows)
        changes = self._missing.follow(batch.keys.fields, rows, may_fire[:, None] & told)
        if changes is not None:
            slots = batch.keys.slots[rows.row[changes.row[changes.gone]]]
            names = [channels[i] for i in changes.channel[changes.gone].tolist()]
            result.gone += zip(map(self._store.slab.key, slots.tolist()), names, strict=True)
        return changes


def _without_events(
    lines: list[PartitionSlice], offset: NDArray[np.int64], timestamp_ms: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return True for samples that only warm their keys up."""
    if len(lines) == 1:
        alone: NDArray[np.bool_] = ~lines[0].part.meta.gives_events(offset, timestamp_ms)
        return alone
    parts = [
        ~part.meta.gives_events(offset[begin:end], timestamp_ms[begin:end])
        for part, begin, end in lines
    ]
    return np.concatenate(parts)
