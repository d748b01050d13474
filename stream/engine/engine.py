"""The engine as edges and backtest see it: partitions in, results and changed rows out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import msgspec

from ember_core import ops
from ember_core.pipeline import FleetModel
from stream.control import NO_CONTROL, ControlSet
from stream.engine.state.layout import WindowSpec
from stream.engine.state.model_version import ModelVersion, model_version_of
from stream.engine.state.partition import Partition
from stream.engine.state.spill import Spill
from stream.engine.state.table import Store
from stream.engine.state.transfer import copy_rows, transfer_rows
from stream.records import Decoded, Event
from stream.types import TP

from .clock import bound_clocks
from .decide import Decider
from .episodes import Episodes
from .loading import ChangelogLoader
from .memory import keep_freed_memory
from .outcomes import count_outcomes
from .partitions import OwnedPartitions
from .profiles import Profiles, only_model
from .quiet import note_quiet, quiet_clock
from .result import SliceOffsets, StepResult
from .rules_effect import RulesInForce, needs_fields
from .shadow import Comparison, check_candidate
from .step import Limits, Stepper


class Engine(OwnedPartitions):
    """State and decisions of all partitions a worker owns. Pure: no clock, no I/O, no threads.

    Attributes:
        model: The live model.
        comparison: Comparison of it and a candidate on the same rows; None without one.
        control: Documents of operators that the next record is scored by.

    Args:
        model: The fleet's model.
        window: Windows that make rows of samples.
        limits: Bounds of the records.
        spill: Function that makes a place for rows of a partition that memory does not hold; None:
            a new key beyond `limits.max_keys` is refused.
        stream_names: Name of the stream in events, by input topic that is an internal one.
        control: Documents of operators that are in force.

    Raises:
        ValueError: If the model is not on NumPy's arrays, which rows of state are.
    """

    comparison: Comparison | None = None
    control: ControlSet
    _candidate: Engine | None = None

    def __init__(
        self,
        model: FleetModel,
        window: WindowSpec | None = None,
        limits: Limits | None = None,
        spill: Callable[[], Spill] | None = None,
        stream_names: Mapping[str, str] | None = None,
        control: ControlSet = NO_CONTROL,
    ) -> None:
        self.control = control
        self._window, self._limits = window or WindowSpec(), limits or Limits()
        self._hard_limits = self._limits.hard_limits or needs_fields(control)
        super().__init__(spill, stream_names)
        keep_freed_memory()
        self._use(model, self._new_store(model))

    def _new_store(self, model: FleetModel) -> Store:
        backend = ops.backend_name(model.pipeline.rbm.weights.data)
        if backend != "numpy":
            raise ValueError(
                "The engine scores on NumPy, where a row's bits do not depend on its batch. "
                f"Expected a model on numpy. Received: backend={backend!r}. "
                'Move it with model.to(backend="numpy"), or load it so: '
                'FleetModel.load(folder, backend="numpy").'
            )
        limits = self._limits
        return Store(
            model,
            self._window,
            limits.max_keys,
            limits.stale_intervals,
            limits.ttl_us,
            missing_channels=limits.missing_channels,
            hard_limits=self._hard_limits,
            bands=bool(limits.detailed),
        )

    def _use(self, model: FleetModel, store: Store) -> None:
        window = self._window
        row_us = window.interval_us if window.mode == "time" else 0
        self.model, self._store = model, store
        self._model_version = model_version_of(model)
        self._loader = ChangelogLoader(store, model.sha256)
        self._rules = RulesInForce(model)
        rules = self._rules.of(self.control)
        decider, episodes = Decider(model.pipeline, store.decided), Episodes(model, store, row_us)
        self._stepper = Stepper(store, decider, episodes, self._limits, rules)

    @property
    def model_version(self) -> ModelVersion:
        """The live model and its thresholds."""
        return self._model_version

    def schedule_switch(self, tp: TP, offset: int, model: FleetModel | Profiles) -> None:
        """Note in the meta row that a model scores from an offset on; `switch_model` must follow.

        The meta row has to be written before it does, so that a replay changes at this record.

        Args:
            tp: The partition.
            offset: Next offset to absorb.
            model: The model, configured.
        """
        meta = self.meta(tp)
        meta.begin_at(offset)  # it may come before the first record
        meta.note_model(offset, model_version_of(only_model(model)))

    def switch_model(self, model: FleetModel | Profiles, owned: Collection[TP] = ()) -> None:
        """Score with a model from the next record on, in all partitions.

        Under the same weights nothing but the thresholds changes. Of another model's rows the
        measurements of each key are kept, as at a start (`state.migration`), and the key stays
        without events for `quiet_rows` rows.

        Args:
            model: The model, configured.
            owned: Partitions whose rows this worker writes to the changelog.

        Raises:
            ValueError: If the model is not on NumPy's arrays, or not one for all keys.
        """
        model = only_model(model)
        self.shadow_by(None)  # the model that was compared is not the live one any more
        self._move_to(model, owned)

    def _move_to(self, model: FleetModel, owned: Collection[TP]) -> None:
        """Move the rows of all keys to a store of a model, or of the same one with more fields."""
        store, former = self._new_store(model), self._store
        for tp, part in self._parts.items():
            # A scan of the old rows ends: it sees its own partition gone.
            self._parts[tp] = replace(part, evicted_during_scan=None)
            part.gone = True
        transfer_rows(former, store, self._parts.values(), owned)
        self._use(model, store)
        for part in self._parts.values():
            self._loader.describe_rows(part.meta)

    def schedule_control(self, tp: TP, offset: int, control: ControlSet) -> None:
        """Note in the meta row that documents are in force from an offset on.

        The meta row has to be written before `use_control` brings them into force for a record of
        the partition, so that a replay changes at this record.

        Args:
            tp: The partition.
            offset: Next offset to absorb.
            control: Documents of operators; may be none.
        """
        meta = self.meta(tp)
        meta.begin_at(offset)  # it may come before the first record
        meta.note_control(offset, control.digest)

    def use_control(self, control: ControlSet) -> None:
        """Score by other documents of operators from the next record on.

        Partitions may have different ones for a while after a start: a worker calls this between
        two steps whenever the next step is of such a partition. So what a record gives may depend
        on the set in force and on the state of its key, never on the sets before.

        Args:
            control: Documents of operators; may be none.
        """
        self.control = control
        if needs_fields(control) and not self._hard_limits:
            self._hard_limits = True  # rows get the fields for them
            self._move_to(self.model, ())
        else:
            self._stepper.use_rules(self._rules.of(control))
        if self._candidate is not None:
            self._candidate.use_control(control)

    def give_up(self, tp: TP) -> list[Event]:
        """Resolve alerts that a row does not hold open any more, after a load or another model.

        The events do not depend on when they are asked for. Their rows are dirty afterwards: once
        a checkpoint has written them, a restart resolves nothing again.

        Args:
            tp: The partition; all its rows are loaded and migrated, and it is open.
        """
        return self._stepper.give_up(self._parts[tp[0], tp[1]])

    def note_quiet(self, tp: TP, quiet_us: int) -> None:
        """Note that records come again after a silence of the whole partition.

        Args:
            tp: The partition.
            quiet_us: Length of the silence by the worker's clock, microseconds.
        """
        note_quiet(self.meta(tp), quiet_us)

    def silent_clock(self, tp: TP, clock_us: int, quiet_us: int) -> int | None:
        """Return the clock of a partition without records; None where it shows no key idle.

        Args:
            tp: The partition. Nothing of its log is left to absorb.
            clock_us: Its clock when the silence began.
            quiet_us: Length of the silence so far, by the worker's clock, microseconds.
        """
        part = self._parts[tp[0], tp[1]]
        silent_us = quiet_clock(part.meta, clock_us, quiet_us)
        return silent_us if self._stepper.has_idle_keys(part, silent_us) else None

    def schedule_silence(self, tp: TP, clock_us: int) -> None:
        """Note in the meta row how far silence is told; `tell_silence` must follow.

        The meta row has to be written before it does, so that a restart tells the same.

        Args:
            tp: The partition.
            clock_us: Clock from `silent_clock`.
        """
        self.meta(tp).silent_until_us = clock_us

    def tell_silence(self, tp: TP) -> StepResult:
        """Tell the silence that was scheduled; before the next record, also after a restart.

        Args:
            tp: The partition; it is open.
        """
        part = self._parts[tp[0], tp[1]]
        meta, silent_us = part.meta, part.meta.silent_until_us
        meta.silent_until_us = msgspec.UNSET
        if silent_us is msgspec.UNSET or silent_us <= meta.clock_us:
            return StepResult()
        self._follow([part])
        if self._candidate is not None:
            try:
                self._candidate.schedule_silence(tp, silent_us)
                self._candidate.tell_silence(tp)
            except Exception as error:  # noqa: BLE001  # a candidate must not end the worker
                self._give_up_candidate(error)
        return self._stepper.tell_silence(part, silent_us)

    @property
    def channels(self) -> tuple[str, ...]:
        """Names in the records, in the order of `Decoded.values`."""
        return self.model.sources

    def shadow_by(self, candidate: FleetModel | None) -> None:
        """Let a candidate score the same records from now on, without events; None: end that.

        It begins with the measurements in the rows of each key. No result depends on it.

        Args:
            candidate: The model, configured; its channels must be those of the model.

        Raises:
            ValueError: If it has other channels, or is not on NumPy's arrays.
        """
        self._candidate, self.comparison = None, None
        if candidate is None:
            return
        check_candidate(candidate, self.channels)
        limits = replace(self._limits, detailed=())  # a comparison needs none
        self._candidate = Engine(candidate, self._window, limits, control=self.control)
        self.comparison = Comparison()

    def _copy_to(self, candidate: Engine, part: Partition) -> None:
        """Give a candidate the rows of a partition it sees for the first time."""
        if part.tp in candidate._parts:
            return
        candidate.attach(part.tp)
        twin = candidate._parts[part.tp]
        twin.meta.clock_us, twin.meta.events_from = part.meta.clock_us, part.meta.events_from
        twin.meta.events_from_ms = part.meta.events_from_ms
        if part.meta.sequences is not msgspec.UNSET:
            twin.meta.sequences = dict(part.meta.sequences)
        twin.meta.absorbed, twin.meta.first_offset = part.meta.absorbed, part.meta.first_offset
        twin.index = dict(part.index)
        copy_rows(twin, self._store, candidate._store, dirty=False)

    def _compare(
        self,
        partitions: Sequence[tuple[TP, int]],
        batch: Decoded,
        slice_offsets: SliceOffsets,
        live: StepResult,
    ) -> None:
        """Let a candidate score the same records; one that fails is given up."""
        candidate, comparison = self._candidate, self.comparison
        if candidate is None or comparison is None:
            return
        try:
            result = candidate.step_all(partitions, batch, slice_offsets)
            comparison.add(batch.keys, live.scores, result.scores)
        except Exception as error:  # noqa: BLE001  # a candidate must not end the worker
            self._give_up_candidate(error)

    def _follow(self, parts: Iterable[Partition]) -> None:
        """Give a candidate the rows of partitions before it scores their first records."""
        if self._candidate is None:
            return
        try:
            for part in parts:
                self._copy_to(self._candidate, part)
                self._candidate.meta(part.tp).clock_bound_us = part.meta.clock_bound_us
        except Exception as error:  # noqa: BLE001  # too many keys for a candidate, for example
            self._give_up_candidate(error)

    def _give_up_candidate(self, error: Exception) -> None:
        """Go on without the candidate, and keep the reason for the comparison."""
        self._candidate = None
        if self.comparison is not None:
            self.comparison.failed = f"{type(error).__name__}: {error}"

    def detach(self, tp: TP) -> None:
        """Stop owning a partition and free its rows. No-op when not owned."""
        super().detach(tp)
        if self._candidate is not None:
            self._candidate.detach(tp)

    def bound_clocks(
        self,
        partitions: Sequence[tuple[TP, int]],
        batch: Decoded,
        slice_offsets: SliceOffsets,
        now_us: int,
    ) -> list[TP]:
        """Bound the times that the records of a slice claim by the worker's clock.

        Without a call every time counts as come already: a file of records has no other clock.

        Args:
            partitions: Partitions as in `step_all`, like the other arguments.
            batch: The slice, decoded.
            slice_offsets: Offsets and Kafka timestamps of its messages.
            now_us: The worker's clock, microseconds since the epoch.

        Returns:
            Partitions whose meta rows have to be written before the slice is absorbed: a replay
            must find the same bound.
        """
        parts = [(self._parts[tp[0], tp[1]], count) for tp, count in partitions]
        changed = bound_clocks(parts, batch, slice_offsets, now_us)
        return [part.tp for part in changed]

    def step(self, tp: TP, batch: Decoded, slice_offsets: SliceOffsets) -> StepResult:
        """Absorb a slice of a partition.

        Args:
            tp: The partition; attached.
            batch: The slice, decoded for `channels`.
            slice_offsets: Offsets and Kafka timestamps of its messages.

        Raises:
            KeyError: If the partition is not attached.
        """
        return self.step_all([(tp, len(slice_offsets.offsets))], batch, slice_offsets)

    def step_all(
        self, partitions: Sequence[tuple[TP, int]], batch: Decoded, slice_offsets: SliceOffsets
    ) -> StepResult:
        """Absorb a slice of several partitions of one topic at once.

        State and events of each partition are those of a step of its own. The fixed cost of a
        step is shared.

        Args:
            partitions: The partitions, all attached and none twice, and the messages of each.
            batch: The slice, decoded for `channels`: the messages of the first partition, then
                those of the next.
            slice_offsets: Offsets and Kafka timestamps of its messages; offsets rise within each
                partition.

        Raises:
            KeyError: If a partition is not attached.
        """
        parts = [(self._parts[tp[0], tp[1]], count) for tp, count in partitions]
        self._follow(part for part, _ in parts)
        admitted = self._stepper.admit(parts, batch, slice_offsets)
        result = self._stepper.step(admitted)
        for messages in admitted.messages:
            count_outcomes(messages, slice_offsets.offsets, admitted.outcome, result)
        self._compare(partitions, batch, slice_offsets, result)
        return result
