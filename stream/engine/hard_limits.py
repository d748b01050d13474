"""Hard limits of channels: alerts beside the model, from the first row of a key on.

Each channel of a key has at most one open alert for each side, whatever rules it breaks. A limit
with a `for` remembers since when it is broken. So a row has a place for each of both, and rules can
change without another layout. Nothing here depends on how a log is cut into batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from math import isnan, nan
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.engine.state.given_up import LIMIT_SIDES

from .batch import KeyRows
from .key_rules import ChannelRule, KeyRules
from .rows import CompletedRows
from .rules_effect import RulesEffect

SIDES: Final = LIMIT_SIDES
_Place = tuple[int, int]


@dataclass(frozen=True)
class LimitChange:
    """Alert of a limit that opens or ends with a row.

    Attributes:
        row: Index of the completed row.
        channel: Index of the channel.
        side: Place in `SIDES`.
        is_open: True where the alert opens.
        value: Value of the channel; NaN where it is missing.
        bound: Bound that is broken, or was; NaN where no rule has one any more.
        since_us: Event time since when it was broken.
        rules: Rules that it breaks, by name.
    """

    row: int
    channel: int
    side: int
    is_open: bool
    value: float
    bound: float
    since_us: int
    rules: tuple[str, ...]


class _Bound(NamedTuple):
    """Bound of a rule on one side of one channel."""

    name: str
    mark: int
    place: _Place
    bound: float
    for_us: int

    def is_broken(self, value: float) -> bool:
        return value > self.bound if self.place[1] == 0 else value < self.bound


class HardLimits:
    """Follows which limits are broken.

    Args:
        rules: Rules of operators.
        channels: Names of the channels.
    """

    def __init__(self, rules: RulesEffect, channels: tuple[str, ...]) -> None:
        self._rules, self._channels = rules, channels
        self._bounds: dict[int, list[_Bound]] = {}

    def follow(
        self, keys: KeyRows, rows: CompletedRows, may_tell: NDArray[np.bool_]
    ) -> list[LimitChange]:
        """Take note of the values of rows; the fields of their keys are updated.

        Args:
            keys: Keys of the batch.
            rows: The completed rows.
            may_tell: Rows that may give events, `(R,)`.
        """
        if keys.rules is None or "limit_open" not in keys.fields:
            return []
        fields, of_rows = keys.fields, keys.rules[rows.row]
        visited = np.zeros(len(keys.slots), dtype=bool)
        for group in np.unique(of_rows).tolist():
            rules = self._rules.of_group(group)
            if not rules.follows_limits:
                continue
            part = np.flatnonzero(of_rows == group)
            visited[rows.row[part[_broken(rules, rows.values[part])]]] = True
            members = np.unique(rows.row[part])
            busy = (fields["limit_open"][members] != 0).any(axis=(1, 2))
            busy |= (fields["limit_mark"][members] != 0).any(axis=1)
            visited[members[busy]] = True
        if not visited.any():
            return []
        changes: list[LimitChange] = []
        states: dict[int, _KeyLimits] = {}
        for i in np.flatnonzero(visited[rows.row]).tolist():
            row = int(rows.row[i])
            if row not in states:
                bounds = self._bounds_of(int(keys.rules[row]))
                states[row] = _KeyLimits(fields, row, bounds)
            values, time_us = rows.values[i].tolist(), int(rows.time_us[i])
            changes += states[row].step(i, values, time_us, may_tell=bool(may_tell[i]))
        for state in states.values():
            state.write_back()
        return changes

    def _bounds_of(self, group: int) -> list[_Bound]:
        """Return the bounds of a set of rules, by the name of the rule, channel and side."""
        if group not in self._bounds:
            self._bounds[group] = [
                bound
                for rule in self._rules.of_group(group).limits
                for channel in np.flatnonzero(rule.channels).tolist()
                for bound in self._of_rule(rule, channel)
            ]
        return self._bounds[group]

    def _of_rule(self, rule: ChannelRule, channel: int) -> list[_Bound]:
        limit = rule.rule.limit
        assert limit is not None
        bounds = []
        for side, bound in enumerate((limit.above, limit.below)):
            if bound is not None:
                words = (rule.name, self._channels[channel], SIDES[side])
                mark = _mark("\0".join(words))
                bounds.append(_Bound(rule.name, mark, (channel, side), bound, limit.for_us))
        return bounds


class _KeyLimits:
    """Limits of a key, while its rows are followed.

    Args:
        fields: Fields of the batch's keys.
        row: Row of the key among these.
        bounds: Its bounds.
    """

    def __init__(self, fields: Mapping[str, Any], row: int, bounds: list[_Bound]) -> None:
        self._fields, self._row, self._bounds = fields, row, bounds
        # The first bound of each channel and side, by the name of its rule.
        self._first = {bound.place: bound for bound in reversed(bounds)}
        opened = fields["limit_open"][row]
        self._open = {
            (channel, side): int(opened[side, channel])
            for side, channel in np.argwhere(opened).tolist()
        }
        marks, since = fields["limit_mark"][row].tolist(), fields["limit_since"][row].tolist()
        present_marks = {bound.mark for bound in bounds}
        self._since: dict[int, int] = {
            m: s for m, s in zip(marks, since, strict=True) if m in present_marks
        }
        self._places = len(marks)

    def step(
        self, i: int, values: list[float], time_us: int, *, may_tell: bool
    ) -> list[LimitChange]:
        """Follow one row, and return the alerts that open or end with it."""
        broken: dict[_Place, list[tuple[_Bound, int]]] = {}
        for bound in self._bounds:
            value = values[bound.place[0]]
            if isnan(value):
                continue  # nothing is known of it: a broken limit stays broken
            began_us = self._broken_since(bound, value, time_us)
            if began_us is not None and time_us - began_us >= bound.for_us:
                broken.setdefault(bound.place, []).append((bound, began_us))
        changes = []
        for place in sorted({*broken, *self._open}):
            value, is_open = values[place[0]], place in self._open
            if place in broken and not is_open and may_tell:
                limits = broken[place]
                self._open[place] = begin = min(began_us for _, began_us in limits) or 1
                names = tuple(bound.name for bound, _ in limits)
                bound_value = limits[0][0].bound
                changes.append(LimitChange(i, *place, True, value, bound_value, begin, names))
            elif place not in broken and (place not in self._first or not isnan(value)):
                began_us = self._open.pop(place)
                first = self._first.get(place)
                names = () if first is None else (first.name,)
                bound_value = nan if first is None else first.bound
                changes.append(LimitChange(i, *place, False, value, bound_value, began_us, names))
        return changes

    def _broken_since(self, bound: _Bound, value: float, time_us: int) -> int | None:
        """Return since when a bound is broken; None where it is not."""
        if not bound.is_broken(value):
            self._since.pop(bound.mark, None)
            return None
        if bound.for_us == 0:
            return time_us
        if bound.mark not in self._since and len(self._since) < self._places:
            self._since[bound.mark] = time_us
        return self._since.get(bound.mark, time_us)

    def write_back(self) -> None:
        """Write the fields of the key."""
        marks = np.zeros(self._places, dtype=np.uint32)
        begins = np.zeros(self._places, dtype=np.int64)
        for place, mark in enumerate(sorted(self._since)):
            marks[place], begins[place] = mark, self._since[mark]
        opened = self._fields["limit_open"][self._row]
        opened[...] = 0
        for (channel, side), begin in self._open.items():
            opened[side, channel] = begin
        self._fields["limit_mark"][self._row], self._fields["limit_since"][self._row] = (
            marks,
            begins,
        )


def _broken(rules: KeyRules, values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return True for rows that break a limit, `(n,)`."""
    broken = np.zeros(values.shape, dtype=bool)
    for rule in rules.limits:
        limit = rule.rule.limit
        assert limit is not None
        if limit.above is not None:
            broken |= rule.channels & (values > limit.above)
        if limit.below is not None:
            broken |= rule.channels & (values < limit.below)
    return np.logical_or.reduce(broken, axis=1)  # type: ignore[no-any-return]


def _mark(text: str) -> int:
    """Return a number for a bound, not 0."""
    return int.from_bytes(blake2b(text.encode(), digest_size=4).digest(), "little") or 1
