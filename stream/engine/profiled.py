"""Engine of several models: keys are grouped by profile, and each profile has rows of its own.

All profiles share the partitions' meta rows: one clock, one count of outcomes, one place in the
log. So a step judges a slice once, and then each lane absorbs the samples of its keys. Samples of
other keys move the clock for it, as they would in an engine of one model.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import msgspec
import numpy as np

from ember_core.pipeline import FleetModel
from stream.control import NO_CONTROL, ControlSet
from stream.engine.state.layout import WindowSpec
from stream.engine.state.model_version import ModelVersion, model_version_of
from stream.engine.state.spill import Spill
from stream.records import Decoded, Event
from stream.types import TP

from .admission import check_slice, slots_of_keys
from .clock import bound_clocks
from .grouping import Clocks, Grouped, count_without_profile, join, own_bad_values, without_foreign
from .lane import Lane
from .outcomes import count_outcomes
from .profiled_partitions import ProfiledPartitions
from .profiled_shadow import ProfileShadow
from .profiles import Profiles
from .quiet import note_quiet, quiet_clock
from .result import SliceOffsets, StepResult
from .shadow import Comparison, check_candidate
from .slices import PartitionSlice
from .step import Limits


class ProfiledEngine(ProfiledPartitions):
    """State and decisions of all partitions a worker owns, by several models. Pure, as `Engine`.

    Args:
        profiles: The models.
        window: Windows that make rows of samples.
        limits: Bounds of the records; the keys held in memory are those of each profile.
        spill: Function that makes a place for rows of a partition that memory does not hold; None:
            a new key beyond `limits.max_keys` is refused.
        stream_names: Name of the stream in events, by input topic that is an internal one.
        control: Documents of operators that are in force.

    Attributes:
        control: Documents of operators that the next record is scored by.

    Raises:
        ValueError: If a model is not on NumPy's arrays, which rows of state are.
    """

    _shadow: ProfileShadow | None = None

    def __init__(
        self,
        profiles: Profiles,
        window: WindowSpec | None = None,
        limits: Limits | None = None,
        spill: Callable[[], Spill] | None = None,
        stream_names: Mapping[str, str] | None = None,
        control: ControlSet = NO_CONTROL,
    ) -> None:
        self._window, self._limits, self.control = window, limits or Limits(), control
        super().__init__(profiles, window, self._limits, spill, stream_names, control)
        self._use(profiles)

    def _use(self, profiles: Profiles) -> None:
        self.profiles = profiles
        column = {name: i for i, name in enumerate(profiles.sources)}
        models = profiles.models
        self._columns = [np.array([column[name] for name in model.sources]) for model in models]
        self._sources = [frozenset(model.sources) for model in models]

    @property
    def model_version(self) -> ModelVersion:
        """The live models and their thresholds."""
        return self.profiles.version

    @property
    def channels(self) -> tuple[str, ...]:
        """Names in the records, in the order of `Decoded.values`."""
        return self.profiles.sources

    def schedule_switch(self, tp: TP, offset: int, models: FleetModel | Profiles) -> None:
        """Note in the meta row that models score from an offset on; `switch_model` must follow.

        Args:
            tp: The partition.
            offset: Next offset to absorb.
            models: The models, configured.

        Raises:
            ValueError: If keys would change their profile.
        """
        meta = self.meta(tp)
        meta.begin_at(offset)
        meta.note_model(offset, self._same_profiles(models).version)

    def switch_model(self, models: FleetModel | Profiles, owned: Collection[TP] = ()) -> None:
        """Score with other models of the same profiles from the next record on.

        Rows of a profile whose model stays are not touched.

        Args:
            models: The models, configured.
            owned: Partitions whose rows this worker writes to the changelog.

        Raises:
            ValueError: If keys would change their profile, or a model is not on NumPy's arrays.
        """
        profiles = self._same_profiles(models)
        self.shadow_by(None)  # the model that was compared may not be the live one any more
        for lane, model in zip(self._lanes, profiles.models, strict=True):
            if lane.model_version != model_version_of(model):
                lane.switch_model(model, owned)
        self._use(profiles)
        for tp in self.attached():
            self._describe(self.meta(tp))

    def schedule_control(self, tp: TP, offset: int, control: ControlSet) -> None:
        """Note in the meta row that documents are in force from an offset on, as `Engine` does.

        Args:
            tp: The partition.
            offset: Next offset to absorb.
            control: Documents of operators; may be none.
        """
        meta = self.meta(tp)
        meta.begin_at(offset)
        meta.note_control(offset, control.digest)

    def use_control(self, control: ControlSet) -> None:
        """Score by other documents of operators from the next record on, as `Engine` does.

        Args:
            control: Documents of operators; may be none.
        """
        self.control = control
        for lane in self._lanes:
            lane.use_control(control)
        for tp in self.attached():  # rows may have more fields now
            self._describe(self.meta(tp))
        if self._shadow is not None:
            self._shadow.use_control(control)

    def _same_profiles(self, models: FleetModel | Profiles) -> Profiles:
        if isinstance(models, Profiles) and self.profiles.replaceable_by(models):
            return models
        raise ValueError(
            "The patterns of the profiles cannot change while the stream goes on. Expected models "
            f"for {list(self.profiles.patterns)}. Received: {models!r}. Restart the worker."
        )

    @property
    def comparison(self) -> Comparison | None:
        """Comparison of the model of a profile and a candidate; None without one."""
        return None if self._shadow is None else self._shadow.comparison

    def shadow_by(self, candidate: FleetModel | None, profile: str = "") -> None:
        """Let a candidate score the records of a profile from now on; None: end that.

        Args:
            candidate: The model, configured; its channels must be those of the profile's model.
            profile: Pattern of the profile; empty: the keys that no pattern fits.

        Raises:
            ValueError: If it has other channels, is not on NumPy's arrays, or there is no model
                for these keys.
        """
        self._shadow = None
        if candidate is None:
            return
        live = self._lanes[self.profiles.number(profile)]
        check_candidate(candidate, live.channels)
        limits = replace(self._limits, detailed=())
        lane = Lane(candidate, self._window, limits, control=self.control)
        self._shadow = ProfileShadow(live, lane)

    def detach(self, tp: TP) -> None:
        """Stop owning a partition and free its rows. No-op when not owned."""
        super().detach(tp)
        if self._shadow is not None:
            self._shadow.detach(tp)

    def give_up(self, tp: TP) -> list[Event]:
        """Resolve alerts that a row does not hold open any more, as `Engine.give_up`."""
        return [event for lane in self._lanes for event in lane.give_up(tp)]

    # -- silence of a whole partition

    def note_quiet(self, tp: TP, quiet_us: int) -> None:
        """Note that records come again after a silence of the whole partition."""
        note_quiet(self.meta(tp), quiet_us)

    def silent_clock(self, tp: TP, clock_us: int, quiet_us: int) -> int | None:
        """Return the clock of a partition without records; None where it shows no key idle.

        Args:
            tp: The partition. Nothing of its log is left to absorb.
            clock_us: Its clock when the silence began.
            quiet_us: Length of the silence so far, by the worker's clock, microseconds.
        """
        silent_us = quiet_clock(self.meta(tp), clock_us, quiet_us)
        has_idle = any(lane.has_idle_keys(tp, silent_us) for lane in self._lanes)
        return silent_us if has_idle else None

    def schedule_silence(self, tp: TP, clock_us: int) -> None:
        """Note in the meta row how far silence is told; `tell_silence` must follow."""
        self.meta(tp).silent_until_us = clock_us

    def tell_silence(self, tp: TP) -> StepResult:
        """Tell the silence that was scheduled; before the next record, also after a restart."""
        meta, result = self.meta(tp), StepResult()
        silent_us, clock_us = meta.silent_until_us, meta.clock_us
        meta.silent_until_us = msgspec.UNSET
        if silent_us is msgspec.UNSET or silent_us <= clock_us:
            return result
        results = []
        if self._shadow is not None:
            self._shadow.tell_idle(tp, silent_us)
        for lane in self._lanes:
            meta.clock_us = clock_us
            results.append(lane.tell_idle(tp, silent_us))
        join(results, result)
        return result

    # -- steps

    def bound_clocks(
        self,
        partitions: Sequence[tuple[TP, int]],
        batch: Decoded,
        slice_offsets: SliceOffsets,
        now_us: int,
    ) -> list[TP]:
        """Bound the times that records claim by the worker's clock, as `Engine.bound_clocks`.

        Args:
            partitions: Partitions as in `step_all`, like the other arguments.
            batch: The slice, decoded.
            slice_offsets: Offsets and Kafka timestamps of its messages.
            now_us: The worker's clock, microseconds since the epoch.

        Returns:
            Partitions whose meta rows have to be written before the slice is absorbed.
        """
        parts = [(self._lanes[0].part(tp), count) for tp, count in partitions]
        return [part.tp for part in bound_clocks(parts, batch, slice_offsets, now_us)]

    def step(self, tp: TP, batch: Decoded, slice_offsets: SliceOffsets) -> StepResult:
        """Absorb a slice of a partition.

        Args:
            tp: The partition; attached.
            batch: The slice, decoded for `channels`.
            slice_offsets: Offsets and Kafka timestamps of its messages.
        """
        return self.step_all([(tp, len(slice_offsets.offsets))], batch, slice_offsets)

    def step_all(
        self, partitions: Sequence[tuple[TP, int]], batch: Decoded, slice_offsets: SliceOffsets
    ) -> StepResult:
        """Absorb a slice of several partitions of one topic at once.

        Args:
            partitions: The partitions, all attached and none twice, and the messages of each.
            batch: The slice, decoded for `channels`, one partition after the other.
            slice_offsets: Offsets and Kafka timestamps of its messages.
        """
        if self._shadow is not None:  # before the rows change
            self._shadow.follow([tp for tp, _ in partitions])
        profile = self.profiles.find(batch.keys)
        batch = own_bad_values(batch, profile, self._sources)
        batch, sample = without_foreign(batch, profile, self._columns)
        profile = profile[sample]
        parts = [(self._lanes[0].part(tp), count) for tp, count in partitions]
        checked = check_slice(parts, batch, slice_offsets, self._limits.future_us)
        groups = []
        for number, lane in enumerate(self._lanes):
            is_own = profile == number
            messages = [
                PartitionSlice(lane.part(part.tp), begin, end)
                for part, begin, end in checked.messages
            ]
            slots, without_slot = slots_of_keys(messages, batch, checked.keep & is_own, lane.store)
            checked.refuse(without_slot)
            groups.append(Grouped(is_own, messages, slots))
        count_without_profile(checked, profile)
        result = StepResult(rejected=checked.in_order(), bad_values=checked.bad_values())
        clocks, results = Clocks(checked), []
        for group, lane, columns in zip(groups, self._lanes, self._columns, strict=True):
            admitted = group.admitted(checked, slice_offsets, clocks, columns, self._limits)
            if admitted is not None:
                clocks.begin()
                results.append(lane.absorb(admitted))
                if self._shadow is not None and self._shadow.live is lane:
                    scores = results[-1].scores
                    self._shadow.compare(
                        checked, slice_offsets, clocks, group.own, columns, self._limits, scores
                    )
        clocks.end()
        join(results, result)
        result.scores.sample = sample[result.scores.sample]
        for details in result.details:
            details.sample = sample[details.sample]
        for counted in checked.messages:
            count_outcomes(counted, slice_offsets.offsets, checked.outcome, result)
        return result
