"""Following of departures: the anchor, the size and the moving averages of every channel."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ember_core import ops
from ember_core.pipeline.packing import PackedRows
from ember_core.pipeline.recurrences import (
    MOST_GUESSES,
    bounded_ewma,
    by_blocks,
    half,
    latest,
    reflected_sum,
    run_lengths,
    running_sum,
    slow_sums,
)
from ember_core.pipeline.stage import Stage, State

from .signals import JUMP_FROM, MEANS, OWN_PARTS, SPREAD, SPREAD_HALF_LIFE, TIME_CONSTANTS

FAR: Final = 3.0
"""Usual sizes from which a row moves the anchor no further."""
MOST: Final = 30.0
MOST_AVERAGED: Final = 8.0
LARGEST_CHANGE: Final = 6.0
HELD: Final = 2.0
"""Usual sizes up to which averages take up a departure to a side that does not count."""
LARGEST_GROWTH: Final = 4.0
_LN2 = float(np.log(2.0))


class FollowedChannels(Stage):
    """The part of channel evidence that goes from row to row.

    Args:
        n_channels: Number of channels `C`.
        scale_half_life: Half-life with which the scale follows, in usual intervals.

    Attributes:
        half_lives: Buffer `(4,)`: those of the averages in the state.
        anchor_half_life: Buffer `(C,)`, usual intervals; 0: the channel has no anchor.
        shared: Buffer `(C, C)`, float32: share of each other channel's departure, `(of, from)`,
            that a channel usually shows with it.
    """

    half_lives: Any
    shared: Any
    anchor_half_life: Any

    def __init__(self, n_channels: int, scale_half_life: float) -> None:
        super().__init__()
        self.n_channels, self.scale_half_life = n_channels, float(scale_half_life)
        half_lives = (*TIME_CONSTANTS[1:], SPREAD_HALF_LIFE)
        self.register_buffer("half_lives", ops.asarray(half_lives, "float32"))
        self.register_buffer("anchor_half_life", ops.zeros((n_channels,)))
        self.register_buffer("shared", ops.zeros((n_channels, n_channels)))

    def advance(
        self,
        packed: PackedRows,
        state: State,
        departures: Any,
        x: Any,
        elapsed: Any,
        day_size: Any,
        usual_excess: Any,
        usual_change: Any,
        alarming: Any,
        warming: Any = None,
        counted: State | None = None,
    ) -> State:
        """Follow rows.

        Args:
            packed: Key of each row.
            state: Followed fields of the keys before their rows.
            departures: Departures from the expectation, `(R, C)`, float32, in usual sizes; NaN
                where missing.
            x: The values themselves, `(R, C)`, float64.
            elapsed: Time since the key's row before, `(R,)`, in usual intervals.
            day_size: Usual size at this time of day, over the key's own, `(R, C)`. The anchor is
                a level: it does not shrink and grow with the time of day.
            usual_excess: Mean size of departures in training, `(R, C)`.
            usual_change: Mean change between rows in training, `(R, C)`.
            alarming: Average of 5 rows from which the anchor stands still, `(R, C)`.
            warming: True where the key learns its sizes, `(R,)`; None: nowhere.
            counted: Bounds of the departures that count for other channels, with `warming` only.

        Returns:
            The fields after each row, and `signals` `(R, 8, C)`, `change` and `level`: the signals
            of the row in sizes of now, its change from the row before, and the anchor before it, in
            sizes of its time of day.
        """
        present = ops.isfinite(departures)
        z = ops.where(present, departures, 0.0)
        count = ops.astype(present, "float32")
        rows, value_count = running_sum(packed, state["channel_rows"], count)
        gain = self._anchor_gain(value_count, elapsed, present)
        slow = 1.0 - ops.exact_exp(-_LN2 / self.scale_half_life * elapsed[:, None])
        if warming is not None:
            slow = ops.where(warming[:, None], ops.maximum(slow, 1.0 / (value_count + 1e-6)), slow)
        followed = present & (usual_excess > 0)
        values = self._values(packed, state, z, x, present, rows, day_size)
        # A jump is no noise: it counts as six usual changes.
        change = ops.minimum(values.pop("change"), LARGEST_CHANGE * usual_change)
        decay = ops.exact_exp(-_LN2 * elapsed[:, None] / self.half_lives[None, :])
        weight = ops.reshape(
            (1.0 - decay)[:, :, None] * count[:, None, :], (-1, MEANS * self.n_channels)
        )
        averages = state["channel_averages"]
        start = ops.reshape(averages, (-1, MEANS * self.n_channels))
        unusual = ops.abs(packed.expand(averages[:, 0])) > alarming
        level = packed.expand(state["channel_anchor"])
        is_first = present & (self.anchor_half_life > 0) & (rows == 0)
        if warming is not None:  # its level begins where the fleet's is: it is no first one
            is_first = is_first & ~warming[:, None]
        if packed.once:
            far, distance = self._distances(
                packed, state, level, is_first, z, present, unusual, elapsed, day_size
            )
        else:
            far = packed.expand(state["channel_far"])
        growth = None
        # An anchor depends on departures from it. Guess where it stands still, and where a new
        # level is accepted: the guess is right once the departures say the same.
        for _ in range(MOST_GUESSES):
            accepted = far >= self.anchor_half_life
            is_free = accepted | is_first
            share = ops.where(unusual & ~is_free, 0.0, gain)
            bound = ops.where(is_free, float("inf"), FAR * day_size)
            level, anchor = bounded_ewma(packed, state["channel_anchor"], z, share, bound)
            if not packed.once:
                far, distance = self._distances(
                    packed, state, level, is_first, z, present, unusual, elapsed, day_size
                )
            distance = ops.clip(distance, -MOST, MOST)
            ratio = ops.minimum(ops.abs(distance) / usual_excess, 6.0)
            growth, grown = self._grown(packed, state, ratio, followed, slow, growth)
            departure = distance / ops.clip(growth, 1.0, LARGEST_GROWTH)
            bounded = ops.clip(departure, -MOST_AVERAGED, MOST_AVERAGED)
            if counted is not None:  # the return from a side that does not count is no jump
                low, high = counted["held_low"] - HELD, counted["held_high"] + HELD
                bounded = ops.minimum(ops.maximum(bounded, low), high)
            averaged = ops.concatenate([*[bounded] * (MEANS - 1), change], axis=1)
            flat, _ = packed.ewma(start, averaged, weight)
            averages = ops.reshape(flat, (-1, MEANS, self.n_channels))
            if packed.once:
                break
            earlier = packed.previous(state["channel_averages"][:, 0], averages[:, 0])
            guesses = unusual, accepted
            unusual = ops.abs(earlier) > alarming
            accepted = far >= self.anchor_half_life
            if all((a == b).all() for a, b in zip(guesses, (unusual, accepted), strict=True)):
                break
        else:
            columns = (departures, x, elapsed, day_size, usual_excess, usual_change, alarming)
            columns += () if warming is None else (warming,)
            columns += () if counted is None else (counted,)
            return by_blocks(packed, self.advance, state, *columns, steps=half(packed))
        half_hour = packed.previous(state["channel_averages"][:, JUMP_FROM], averages[:, JUMP_FROM])
        given = ops.where(present, bounded, 0.0)
        if counted is not None:
            given = ops.minimum(ops.maximum(given, counted["low"]), counted["high"])
        own = departure - self._shared(given)
        own_averages = self._own_averages(packed, state, own, weight)
        row = ops.stack([departure, departure - half_hour, own], axis=1)
        row = ops.where(present[:, None, :], row, 0.0)
        signals = (row[:, :1], averages[:, :SPREAD], row[:, 1:], own_averages)
        return {
            **values,
            "own_averages": own_averages,
            "signals": ops.concatenate(signals, axis=1),
            "channel_far": far,
            "channel_anchor": anchor,
            "scale_growth": grown,
            "channel_rows": value_count,
            "channel_averages": averages,
            "change": change,
            "level": ops.where(is_first, z, level) / day_size,
        }

    def _values(
        self,
        packed: PackedRows,
        state: State,
        z: Any,
        x: Any,
        present: Any,
        rows: Any,
        day_size: Any,
    ) -> State:
        """Return the last values, their runs, and the change of the departure from row to row."""
        has_value = ops.isfinite(x)
        last_value = latest(packed, state["last_value"], x, has_value)
        last_departure = latest(packed, state["last_departure"], z, present)
        value_before = packed.previous(state["last_value"], last_value)
        departure_before = packed.previous(state["last_departure"], last_departure)
        equal = has_value & (x == value_before) & (rows > 0)
        return {
            "last_value": last_value,
            "equal_run": run_lengths(packed, state["equal_run"], equal, has_value),
            "last_departure": last_departure,
            "change": ops.where(rows > 0, ops.abs(z - departure_before) / day_size, 0.0),
        }

    def _shared(self, departure: Any) -> Any:
        """Return the part of each channel's departure that the others foretell, `(R, C)`."""
        foretold = departure[:, :1] * self.shared[:, 0]
        for i in range(1, self.n_channels):
            foretold = foretold + departure[:, i : i + 1] * self.shared[:, i]
        return foretold

    def _own_averages(self, packed: PackedRows, state: State, own: Any, weight: Any) -> Any:
        """Return the averages of own parts after each row, `(R, 2, C)`.

        Args:
            packed: Key of each row.
            state: Fields of the keys before their rows.
            own: Own parts of the departures, `(R, C)`.
            weight: Weights of the row in the averages of the departure, `(R, 4 C)`.
        """
        count = (OWN_PARTS - 1) * self.n_channels
        start = ops.reshape(state["own_averages"], (-1, count))
        bounded = ops.clip(own, -MOST_AVERAGED, MOST_AVERAGED)
        averaged = ops.concatenate([bounded] * (OWN_PARTS - 1), axis=1)
        averages_after, _ = packed.ewma(start, averaged, weight[:, :count])
        return ops.reshape(averages_after, (-1, OWN_PARTS - 1, self.n_channels))

    def _anchor_gain(self, value_count: Any, elapsed: Any, present: Any) -> Any:
        """Return the share of a departure that the anchor takes up, `(R, C)`."""
        half_life = self.anchor_half_life
        gain = 1.0 - ops.exact_exp(-_LN2 * elapsed[:, None] / ops.maximum(half_life, 1.0))
        begins = value_count < half_life + 2.0
        if bool(ops.any(begins)):
            gain = ops.where(begins, ops.maximum(gain, 1.0 / (value_count + 1e-6)), gain)
        gain = ops.where(value_count == 1.0, 1.0, gain)
        return ops.where(present & (half_life > 0), ops.minimum(gain, 1.0), 0.0)

    def _distances(
        self,
        packed: PackedRows,
        state: State,
        anchor: Any,
        is_first: Any,
        z: Any,
        present: Any,
        unusual: Any,
        elapsed: Any,
        day_size: Any,
    ) -> tuple[Any, Any]:
        """Return for how long rows have been far from the anchors before them, and how far.

        The anchor takes up wandering, and stands still while the channel is unusual, until that has
        lasted a half-life: a new level is told once, and then accepted.
        """
        distance = (z - ops.where(is_first, z, anchor)) / day_size
        dt = elapsed[:, None]
        is_far = (ops.abs(distance) > FAR) | unusual
        far_time = ops.where(present, ops.where(is_far, dt, -2.0 * dt), 0.0)
        return reflected_sum(packed, state["channel_far"], far_time), distance

    def _grown(
        self,
        packed: PackedRows,
        state: State,
        ratio: Any,
        followed: Any,
        slow: Any,
        guess: Any,
    ) -> tuple[Any, Any]:
        """Return the growth of the scale before and after each row.

        It grows where departures have grown, and never counts below that of training.
        """
        growth = {"scale_growth": state["scale_growth"]}
        known = None if packed.once or guess is None else {"scale_growth": guess}
        sums = slow_sums(packed, _growth_change, growth, {}, ratio, followed, slow, guess=known)
        return sums["growth"], sums["scale_growth"]


def _growth_change(
    packed: PackedRows, before: State, others: State, ratio: Any, followed: Any, slow: Any
) -> tuple[State, State]:
    """Return what rows add to the growth of the scale, by that before them."""
    growth = before["scale_growth"]
    change = ops.where(followed, slow * (ratio - growth), 0.0)
    return {"scale_growth": change}, {"growth": growth}
