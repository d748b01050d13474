"""Effect of the rules of operators on rows: what counts, and by how much.

The rules of a key are found once, when it is first seen after a change of them, and kept by its
slot. Keys with the same rules share them. Nothing here depends on how a log is cut into batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline import FleetModel, GroupMotor, Observation, PageRates
from ember_core.pipeline.evidence import Sides, by_side
from ember_core.pipeline.left_out import LeftOut
from ember_core.pipeline.pipeline import ChannelRows
from stream.control import ControlSet, Feedback
from stream.control.rules import Rule
from stream.engine.state.table import Store
from stream.keys import key_text

from .key_rules import FAR, Deviations, KeyRules
from .marks import MarksOfKeys, Needs, needs_of
from .planned_times import PlannedTimes
from .rows import CompletedRows

UNKNOWN, NO_RULES = 0, 1
NOTHING = np.float32(-9.0)
"""Severity of a channel that is left out."""
_LEAST_ON = 0.5
_NUMBERS = 1 << 32
"""Sets of rules of keys that one effect can have."""
_KEPT_SETS = 4

Groups = NDArray[np.int64]


class _Matched(NamedTuple):
    """Documents that match a key."""

    has_open: bool = False
    rules: tuple[int, ...] = ()
    marks: tuple[str, ...] = ()
    calendars: tuple[int, ...] = ()


@dataclass
class RowRules:
    """Rules of the rows of a batch that have some.

    Attributes:
        groups: Rules of each row of all, `(n,)`.
        key_rules: Rules by number.
        deviations: Values and usual values of all rows.
        shift: Severity by which the thresholds are lower, `(n, G)`; None: nowhere.
    """

    groups: Groups
    key_rules: Sequence[KeyRules]
    deviations: Deviations
    shift: NDArray[np.float32] | None = None

    def lower(self, row: int) -> float:
        """Return by how much the threshold of evidence of a row is lower; its own is never moved.

        With channel evidence it is the severities that rise instead.
        """
        if self.shift is None or self.shift.shape[1] > 1:
            return 0.0
        return float(self.shift[row, 0])

    def lowered(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the same as `lower` for several rows, `(n,)`."""
        if self.shift is None or self.shift.shape[1] > 1:
            return np.zeros(rows.size)
        lowered: NDArray[np.float64] = self.shift[rows, 0].astype(np.float64)
        return lowered

    def names(self, row: int) -> list[str]:
        """Return the rules that changed the judgement of a row, by name."""
        rules = self.key_rules[int(self.groups[row])]
        part = Deviations(*(column[row : row + 1] for column in self.deviations))
        return rules.names(part)


class RulesInForce:
    """Effects of sets of rules, for one model; partitions may have different sets for a while.

    Args:
        model: The model.
    """

    def __init__(self, model: FleetModel) -> None:
        self._model, self._count = model, 0
        self._effects: dict[str, RulesEffect] = {}

    def of(self, control: ControlSet) -> RulesEffect:
        """Return the effect of the rules among documents."""
        effect = self._effects.pop(control.digest, None)
        if effect is None:
            self._count += 1
            effect = RulesEffect(control, self._model, self._count * _NUMBERS)
            while len(self._effects) >= _KEPT_SETS:
                del self._effects[next(iter(self._effects))]
        self._effects[control.digest] = effect
        return effect


class RulesEffect:
    """Rules in force, for one model.

    Attributes:
        control: Documents that they are from.

    Args:
        control: Documents of operators.
        model: The model.
        first: First number of its sets of rules in the slots of keys; other effects have others.
    """

    def __init__(self, control: ControlSet, model: FleetModel, first: int) -> None:
        self.control, self._first = control, first
        self._marks, rules = MarksOfKeys(control, model.channels), control.rules
        self._rules, self._model, self._pipeline = sorted(rules), model, model.pipeline
        self._channels = tuple(model.pipeline.config.channels)
        no_rules = KeyRules([], self._channels)
        self._key_rules = [no_rules, no_rules]
        self._calendars = [(name, c) for name, c in control.calendars if c.times]
        self._number_of: dict[_Matched, int] = {_Matched(): NO_RULES}
        self._left_out: LeftOut | None = None

    def groups(self, topic: str, store: Store, slots: NDArray[np.int64]) -> Groups | None:
        """Return the number of the rules of keys, `(K,)`; None where no key has any.

        Args:
            topic: Name of the stream in events.
            store: Rows of all keys.
            slots: Slots of the keys.
        """
        slab, opened = store.slab, store.fields.get("limit_open")
        if not (self._rules or self._marks or self._calendars) and opened is None:
            return None
        groups: Groups = slab.rules[slots] - self._first
        unknown = np.flatnonzero((groups <= UNKNOWN) | (groups >= _NUMBERS))
        if unknown.size:
            keys = slab.keys(slots[unknown])
            has_open = np.zeros(unknown.size, dtype=bool)
            if opened is not None:
                has_open = (opened[slots[unknown]] != 0).any(axis=(1, 2))
            open_by_key = zip(map(key_text, keys), has_open.tolist(), strict=True)
            groups[unknown] = [self._group_of(topic, key, is_open) for key, is_open in open_by_key]
            slab.rules[slots[unknown]] = groups[unknown] + self._first
        return None if (groups == NO_RULES).all() else groups

    def is_silent(self, topic: str, store: Store, slots: NDArray[np.int64]) -> bool:
        """Return whether rules leave every channel of a key out; arguments as `groups` has them."""
        groups = self.groups(topic, store, slots)
        return groups is not None and self._key_rules[int(groups[0])].is_silent

    def of_group(self, group: int) -> KeyRules:
        """Return the rules with a number."""
        return self._key_rules[group]

    @property
    def has_calendars(self) -> bool:
        """True where there is planned work on some keys."""
        return bool(self._calendars)

    def planned_parts(self, groups: Groups) -> list[tuple[PlannedTimes, NDArray[np.int64]]]:
        """Return the times of planned work, and the rows whose keys have these.

        Args:
            groups: Rules of the key of each row, `(n,)`.
        """
        parts = ((self._key_rules[group].planned, part) for group, part in self._parts(groups))
        return [(planned, part) for planned, part in parts if planned is not None]

    def _group_of(self, topic: str, key: str, has_open: bool) -> int:
        marks = self._marks.of(topic, key)
        group = _Matched(
            has_open,
            tuple(i for i, (_, rule) in enumerate(self._rules) if rule.is_for_key(topic, key)),
            tuple(mark.name for mark in marks),
            tuple(i for i, (_, c) in enumerate(self._calendars) if c.is_for_key(topic, key)),
        )
        if group not in self._number_of:
            self._number_of[group] = len(self._key_rules)
            rules = [self._rules[i] for i in group.rules]
            calendars = [self._calendars[i] for i in group.calendars]
            planned = PlannedTimes(calendars) if calendars else None
            key_rules = KeyRules(
                rules, self._channels, has_open=has_open, marks=marks, planned=planned
            )
            self._key_rules.append(key_rules)
        return self._number_of[group]

    def counted(self, groups: Groups | None, rows: CompletedRows) -> dict[str, Any] | None:
        """Return bounds of departures as `Observation.counted` has them.

        Args:
            groups: Rules of the batch's keys.
            rows: The rows.
        """
        if groups is None:
            return None
        counted: dict[str, Any] = {}
        for group, part in self._parts(groups[rows.row]):
            if not self._key_rules[group].acts:
                continue
            bounds = self._key_rules[group].bounds(rows.values[part], rows.time_us[part])
            for name, bound in bounds.items():
                if name not in counted:
                    far = -FAR if name.endswith("low") else FAR
                    counted[name] = np.full(rows.values.shape, far)
                counted[name][part] = bound
        return counted or None

    def may_be_missing(self, groups: Groups | None, rows: CompletedRows) -> NDArray[np.bool_]:
        """Return False for channels whose absence is not told, `(R, C)` or `(R, 1)`."""
        is_told = np.ones((len(rows.values), 1), dtype=bool)
        if groups is None:
            return is_told
        of_rows = groups[rows.row]
        is_told = np.repeat(is_told, rows.values.shape[1], axis=1)
        for group, part in self._parts(of_rows):
            is_told[part] = ~self._key_rules[group].ignored
        return is_told

    def apply(
        self,
        groups: Groups,
        rows: CompletedRows,
        observation: Observation,
        index: NDArray[np.int64],
        score: NDArray[np.float32],
        channels: ChannelRows | None,
    ) -> tuple[NDArray[np.float32], ChannelRows | None, RowRules | None]:
        """Leave out what rules leave out of scored rows.

        The visible units of these rows become those that are judged, for their explanation too.

        Args:
            groups: Rules of the batch's keys, `(K,)`.
            rows: The completed rows.
            observation: Their observation; its visible units are written to.
            index: The scored rows among these, `(n,)`.
            score: Free energy, `(n,)`.
            channels: Evidence of their channels.

        Returns:
            Score and evidence that count, and the rules of the rows; None without any.
        """
        of_rows = groups[rows.row[index]]
        parts = [(g, p) for g, p in self._parts(of_rows) if self._key_rules[g].acts]
        if not parts:
            return score, channels, None
        deviations = self._deviations(rows, observation, index)
        row_rules = RowRules(of_rows, self._key_rules, deviations)
        score = score.copy()
        if channels is not None:
            columns = (channels.severity, channels.hold, channels.size)
            severity, hold, size = (column.copy() for column in columns)
            channels = ChannelRows(severity, hold, channels.elapsed, size)
        # Other arrays than those that the observation was made with.
        observation.visible = observation.visible.copy()
        for group, part in parts:
            rules = self._key_rules[group]
            of_part = Deviations(*(column[part] for column in deviations))
            wrong_side, too_small = rules.left_out(of_part)
            sides = None
            if channels is not None and (rules.directed.any() or rules.marks):
                statistics = observation.channel_statistics.severity(index[part])
                sides = by_side(statistics, len(self._channels))
            needs = needs_of(
                rules.marks,
                rows.time_us[index[part]],
                of_part.deviation,
                sides,
                self._pipeline.motor.off,
            )
            lower = None
            if channels is not None:
                lower = self._weigh(rules, part, channels, sides, wrong_side, too_small, needs)
            weight = np.where(wrong_side | too_small, np.float32(0.0), rules.weight)
            self._weigh_joint(observation, index, part, weight, score, channels)
            shift = self._shift(rules, observation, index[part], needs, lower)
            if shift is not None:
                if row_rules.shift is None:
                    row_rules.shift = np.zeros((index.size, shift.shape[1]), np.float32)
                row_rules.shift[part] = shift
        return score, channels, row_rules

    def _parts(self, groups: Groups) -> list[tuple[int, NDArray[np.int64]]]:
        """Return the rows of each set of rules."""
        return [
            (group, np.flatnonzero(groups == group))
            for group in np.unique(groups).tolist()
            if group > NO_RULES
        ]

    def _deviations(
        self, rows: CompletedRows, observation: Observation, index: NDArray[np.int64]
    ) -> Deviations:
        """Return the values of rows beside the usual ones.

        With joint evidence the usual value is the forecast or the slow average, whichever is
        farther away: a forecast follows a new level within some rows.
        """
        values = rows.values[index]
        if observation.usual is not None:
            return Deviations(values, observation.usual.values(index))
        moments = {name: value[index] for name, value in observation.moments.items()}
        restore = self._pipeline.normaliser.restore
        forecast, slow = (
            restore(moments, z[index]) for z in (observation.expected, observation.slow)
        )
        is_nearer = np.abs(values - forecast) < np.abs(values - slow)
        return Deviations(values, np.where(is_nearer, slow, forecast))

    def _weigh(
        self,
        rules: KeyRules,
        part: NDArray[np.int64],
        channels: ChannelRows,
        sides: Sides | None,
        wrong_side: NDArray[np.bool_],
        too_small: NDArray[np.bool_],
        needs: Needs | None,
    ) -> NDArray[np.float32] | None:
        """Weigh the severities of channels, and leave channels out.

        Returns:
            Severity by which their thresholds are lower for marks, `(n, C)`; None without marks.
        """
        severity, hold = channels.severity[part], channels.hold[part]
        lower = None
        if sides is not None:
            counted = Sides(
                above=np.where(rules.not_above, NOTHING, sides.above),
                below=np.where(rules.not_below, NOTHING, sides.below),
                slow_above=np.where(rules.not_above, NOTHING, sides.slow_above),
                slow_below=np.where(rules.not_below, NOTHING, sides.slow_below),
                frozen=np.where(wrong_side, NOTHING, sides.frozen),
                spread=np.where(wrong_side, NOTHING, sides.spread),
            )
            allowed = np.maximum.reduce(counted)
            severity = np.where(rules.directed, np.minimum(severity, allowed), severity)
            hold = np.where(rules.directed, np.minimum(hold, severity), hold)
            if needs is not None:
                # The event keeps its severity, so that the next mark can ask for more than it.
                difference = np.minimum(needs.beyond(counted) - severity, 0.0)
                lower = np.where(needs.channels, difference, 0.0)
        severity = np.where(severity > 0, severity * rules.weight, severity)
        hold = np.where(hold > 0, hold * rules.weight, hold)
        channels.severity[part] = np.where(too_small, NOTHING, severity)
        channels.hold[part] = np.where(too_small, NOTHING, hold)
        return lower

    def _weigh_joint(
        self,
        observation: Observation,
        index: NDArray[np.int64],
        part: NDArray[np.int64],
        weight: NDArray[np.float32],
        score: NDArray[np.float32],
        channels: ChannelRows | None,
    ) -> None:
        """Score rows again whose channels do not all count in full."""
        changed = (weight != 1.0).any(axis=1)
        if not changed.any():
            return
        part, weight = part[changed], weight[changed]
        rows = index[part]
        if self._left_out is None:
            self._left_out = LeftOut(self._pipeline)
        visible = self._left_out.visible(
            observation.visible[rows], observation.scaled[rows], observation.clock[rows], weight
        )
        # A channel that is left out never makes a row more unusual than it is.
        lowers = (weight <= 1.0).all(axis=1)
        weighed = self._pipeline.score(visible)
        score[part] = np.where(lowers, np.minimum(score[part], weighed), weighed)
        if channels is not None:
            size = self._pipeline.feature_size(visible)
            sizes = channels.size[part]
            channels.size[part] = np.where(lowers, np.minimum(sizes, size), size)
        observation.visible[rows] = visible

    def _shift(
        self,
        rules: KeyRules,
        observation: Observation,
        index: NDArray[np.int64],
        needs: Needs | None,
        lower: NDArray[np.float32] | None,
    ) -> NDArray[np.float32] | None:
        """Return the severity by which the thresholds of rows are lower, `(n, G)`; None: nowhere.

        Args:
            rules: Rules of the rows.
            observation: All rows.
            index: The rows among these.
            needs: Needs of their marks.
            lower: The same severity by channel, for the marks.
        """
        is_even = bool((rules.sensitivity == rules.sensitivity[0]).all())
        if needs is None and is_even and rules.sensitivity[0] == 1.0:
            return None
        own = np.array([self._lower(s) for s in rules.sensitivity.tolist()], np.float32)
        joint = np.full(index.size, own[0])
        if not is_even or needs is not None:  # each channel by its share in the row
            shares = self._pipeline.explain(observation.visible[index]).astype(np.float32)
            if not is_even:
                joint = _weighted(shares, own)
            if needs is not None:
                joint = joint - needs.joint(shares)
        if lower is None:
            lower = np.zeros((index.size, own.size), np.float32)
        shift = np.concatenate((own + lower, joint[:, None]), axis=1).astype(np.float32)
        return shift if isinstance(self._pipeline.motor, GroupMotor) else shift[:, -1:]

    def _lower(self, sensitivity: float) -> float:
        """Return the severity by which a threshold is lower at so much more of the budget."""
        if sensitivity == 1.0:
            return 0.0
        motor, report = self._pipeline.motor, self._model.report
        lower = float(np.log10(sensitivity))
        if isinstance(motor, GroupMotor):
            if "pages" in report:
                rates = PageRates.from_json(report["pages"])
                pages = max(rates.pages_at(motor.on), 1e-9)
                of_budget = rates.level(pages) - rates.level(pages * sensitivity)
                lower = of_budget if of_budget * lower > 0 else lower
            return min(lower, max(motor.on - _LEAST_ON, 0.0))
        if "calibration" in report:
            lower = float(report["calibration"]["slope"] * np.log(sensitivity))
        return min(lower, max(motor.on - motor.off - _LEAST_ON, 0.0))


def _weighted(shares: NDArray[np.float32], numbers: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the sum of numbers of channels by their shares in rows, in the same order always."""
    total = np.zeros(len(shares), np.float32)
    for i, number in enumerate(numbers):
        total += shares[:, i] * number
    return total


def needs_fields(control: ControlSet) -> bool:
    """Return whether documents need fields in the rows of keys: hard limits, and `normal-now`."""
    return any(
        (isinstance(body, Rule) and body.limit is not None)
        or (isinstance(body, Feedback) and body.verdict == "normal-now")
        for body in (document.body for document in control.documents)
    )
