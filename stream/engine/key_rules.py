"""Rules of one kind of key: those that match it, as arrays over the channels of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.control.rules import Rule

from .marks import Mark, held_side
from .planned_times import PlannedTimes

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]

FAR = np.float32(3e38)
"""Bound of a departure that counts however large it is."""


class Deviations(NamedTuple):
    """Values of rows beside the usual ones; `(n, C)` each.

    Attributes:
        value: Values, NaN where missing.
        usual: Usual values.
    """

    value: Floats
    usual: Floats

    @property
    def deviation(self) -> Floats:
        """Values less the usual ones."""
        return self.value - self.usual


@dataclass(frozen=True)
class ChannelRule:
    """A rule and the channels of a model that it is for.

    Attributes:
        name: Name of the rule.
        rule: The rule.
        channels: True for its channels, `(C,)`.
    """

    name: str
    rule: Rule
    channels: Flags

    def wrong_side(self, rows: Deviations) -> Flags:
        """Return True where a value lies on a side that does not count, `(n, C)`."""
        # A missing value lies on neither side.
        if self.rule.direction == "above":
            return self.channels & ~(rows.deviation > 0)
        if self.rule.direction == "below":
            return self.channels & ~(rows.deviation < 0)
        return np.zeros(rows.value.shape, dtype=bool)

    def too_small(self, rows: Deviations) -> Flags:
        """Return True where the channel is left out, or its value deviates too little, `(n, C)`."""
        rule = self.rule
        out = np.full(rows.value.shape, rule.ignore or rule.weight == 0.0)
        if rule.usual_range is not None:
            out |= self.in_range(rows.value)
        size = np.abs(rows.deviation)
        if rule.min_deviation is not None:
            out |= ~(size >= rule.min_deviation)
        if rule.min_relative_deviation is not None:
            out |= ~(size >= rule.min_relative_deviation * np.abs(rows.usual))
        return out & self.channels

    def in_range(self, value: Floats) -> Flags:
        """Return True where a value lies within the usual range of the rule, `(n, C)`."""
        if self.rule.usual_range is None:
            return np.zeros(value.shape, dtype=bool)
        low, high = self.rule.usual_range
        return self.channels & ~((value < low) | (value > high))

    def acts(self, rows: Deviations) -> Flags:
        """Return True for rows that the rule changes the judgement of, `(n,)`."""
        if not self.channels.any():
            return np.zeros(len(rows.value), dtype=bool)
        if self.rule.sensitivity != 1.0 or self.rule.weight != 1.0:
            return np.ones(len(rows.value), dtype=bool)
        left_out: Flags = self.wrong_side(rows) | self.too_small(rows)
        return np.logical_or.reduce(left_out, axis=1)  # type: ignore[no-any-return]


class KeyRules:
    """Rules that match a key, by name.

    Attributes:
        ignored: True for channels that are left out on every row, `(C,)`.
        weight: Weight of each channel, `(C,)`, float32.
        directed: True for channels that count on one side only, `(C,)`.
        not_above: True for those that do not count above, `(C,)`.
        not_below: True for those that do not count below, `(C,)`.
        sensitivity: Sensitivity of each channel, `(C,)`.
        judges: Rules that change the judgement of the model.
        limits: Rules with a hard limit.
        marks: Marks of false alarms.
        planned: Times of planned work; None: there is none.
        follows_limits: True where a limit may be broken, or an alert of an earlier one be open.

    Args:
        rules: Rules that match the key, by name.
        channels: Names of the channels.
        has_open: Whether alerts of earlier limits may be open.
        marks: Marks of false alarms of the key.
        planned: Times of planned work on it.
    """

    def __init__(
        self,
        rules: Sequence[tuple[str, Rule]],
        channels: Sequence[str],
        *,
        has_open: bool = False,
        marks: Sequence[Mark] = (),
        planned: PlannedTimes | None = None,
    ) -> None:
        self.marks, self.planned = marks, planned
        matched = []
        for name, rule in rules:
            mask = np.zeros(len(channels), dtype=bool)
            mask[rule.channel_indices(channels)] = True
            if mask.any():
                matched.append(ChannelRule(name, rule, mask))
        self.limits = [m for m in matched if m.rule.limit is not None]
        self.follows_limits = bool(self.limits) or has_open
        self.judges = [m for m in matched if m.rule.judges]
        count = len(channels)
        self.ignored, self.not_above, self.not_below = (np.zeros(count, bool) for _ in range(3))
        weight, self.sensitivity = np.ones(count), np.ones(count)
        for m in self.judges:
            if m.rule.ignore or m.rule.weight == 0.0:
                self.ignored |= m.channels
            if m.rule.direction == "below":
                self.not_above |= m.channels
            if m.rule.direction == "above":
                self.not_below |= m.channels
            weight[m.channels] *= m.rule.weight
            self.sensitivity[m.channels] *= m.rule.sensitivity
        self.weight = weight.astype(np.float32)
        self.directed = self.not_above | self.not_below

    @property
    def acts(self) -> bool:
        """True where the judgement of the model may change."""
        return bool(self.judges or self.marks)

    @property
    def is_silent(self) -> bool:
        """True where every channel is left out."""
        return bool(self.ignored.all())

    def bounds(self, value: Floats, time_us: NDArray[np.int64]) -> dict[str, Any]:
        """Return bounds of departures as `Observation.counted` has them, `(n, C)` each.

        Averages follow the values left out, but for the side of a direction or of a false alarm. An
        operator who takes a rule back must not find a channel that has been far away all the time.

        Args:
            value: Values of the rows, `(n, C)`.
            time_us: Their times, `(n,)`.
        """
        quiet = np.broadcast_to(self.ignored, value.shape)
        for m in self.judges:
            if m.rule.usual_range is not None:
                quiet = quiet | m.in_range(value)
        zero = np.float32(0.0)
        held = {"below": self.not_below, "above": self.not_above}
        if self.marks:
            held = {
                side: flags | held_side(self.marks, side, time_us) for side, flags in held.items()
            }
        return {
            "low": np.where(quiet | self.not_below, zero, -FAR),
            "high": np.where(quiet | self.not_above, zero, FAR),
            "held_low": np.where(held["below"], zero, -FAR),
            "held_high": np.where(held["above"], zero, FAR),
        }

    def left_out(self, rows: Deviations) -> tuple[Flags, Flags]:
        """Return the channels that are left out of rows, `(n, C)` each.

        Returns:
            True where the value is on a side that does not count, and where it is left out for
            any other reason.
        """
        wrong_side = np.zeros(rows.value.shape, dtype=bool)
        too_small = np.zeros(rows.value.shape, dtype=bool)
        for m in self.judges:
            wrong_side |= m.wrong_side(rows)
            too_small |= m.too_small(rows)
        return wrong_side, too_small

    def names(self, rows: Deviations) -> list[str]:
        """Return the rules and marks that change the judgement of one row."""
        names = [m.name for m in self.judges if bool(m.acts(rows)[0])]
        above, below = rows.deviation[0] > 0, rows.deviation[0] < 0
        return names + [m.name for m in self.marks if (m.above & above | m.below & below).any()]
