"""How far each channel of a key is from where it belongs at this time of the week.

A channel is expected at its key's level plus a profile of day and week, which the fleet shares.
The departure from it is put in the key's own usual size, and followed: an anchor takes up slow
wandering, a scale takes up noise that has grown. Three *signals* come of it: the departure, its
jump from the last half-hour of rows, and the part of it that the key's other channels do not share.
Moving averages of them, the run of equal values and the change from row to row are the *statistics*
of the channel. Curves learnt on the fleet's history say how rarely a key shows such a statistic:
`severity` 2 is once in 100 days of a key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from ember_core import ops
from ember_core.pipeline.civil import CivilCalendar
from ember_core.pipeline.observation import Observation
from ember_core.pipeline.stage import Role, Stage, State, StateField

from .curves import SeverityCurves
from .transforms import Transforms

TIME_CONSTANTS: Final = (1.0, 5.0, 30.0, 120.0)
"""Half-lives of the moving averages, in usual intervals; 1 stands for the row itself."""
OWN_TIME_CONSTANTS: Final = (1.0, 5.0, 30.0)
"""Those of the part that the other channels do not share."""
SPREAD_HALF_LIFE: Final = 30.0
"""Half-life of the mean change from row to row, in usual intervals."""
_TAUS = len(TIME_CONSTANTS)
SIGNALS: Final = _TAUS + 1 + len(OWN_TIME_CONSTANTS)
"""Signals with a sign: the departure at each time constant, its jump, and its own part."""
STATISTICS: Final = 2 * SIGNALS + 2
"""Statistics of a channel: each signal above and below the usual one, the frozen value, and the
spread: the mean change from row to row, which noise raises."""
SPREAD: Final = _TAUS - 1
"""Place of the spread among the averages in the state: those of the departure come before it,
those of its own part after it."""
_MEANS = SPREAD + len(OWN_TIME_CONSTANTS)
_JUMP_FROM = 1  # the average of 30 rows
_SLOW = {2: 1, 3: 1, SIGNALS - 1: SIGNALS - 2}  # slow signals, and the one of 5 rows beside each
FAR: Final = 3.0
"""Usual sizes from which a row moves the anchor no further."""
MOST: Final = 30.0
MOST_AVERAGED: Final = 8.0
LARGEST_CHANGE: Final = 6.0
LARGEST_GROWTH: Final = 4.0
USUAL: Final = (
    "usual_level",
    "usual_unit",
    "usual_loadings",
    "usual_size",
    "usual_excess",
    "usual_change",
    "usual_extremes",
    "usual_run",
)
"""Fields with the usual values of a key; only the level ever moves, in warm-up."""
UNBOUNDED: Final = -3e38
NOTHING: Final = -9.0
"""Severity of a channel that is not judged."""
_LN2 = float(np.log(2.0))


class ChannelEvidence(Stage):
    """Severity of every channel of a row, and its usual value.

    Args:
        n_channels: Number of channels `C`.
        rank: Profiles that a channel's expectation is made of.
        bin_seconds: Length of a bin of the profiles.
        day_bins: Bins of a day; 1 where the data has no daily profile.
        week_bins: Bins of the profiles: of a week, of a day, or 1.
        scale_half_life: Half-life with which the scale follows, in usual intervals.
        calendar: Zone and holidays of the profiles.

    Attributes:
        profiles: Buffer `(week_bins, C, rank)`, float32.
        day_size: Buffer `(day_bins, C)`: usual size by time of day, over the key's own.
        half_lives: Buffer `(6,)`: those of the averages in the state.
        shared: Buffer `(C, C)`, float32: share of each other channel's departure, `(of, from)`,
            that a channel usually shows with it.
        anchor_half_life: Buffer `(C,)`, usual intervals; 0: the channel has no anchor.
        lowest: Buffer `(C,)`: 0 where no value of training was negative, else far below.
    """

    profiles: Any
    day_size: Any
    half_lives: Any
    shared: Any
    anchor_half_life: Any
    lowest: Any

    def __init__(
        self,
        n_channels: int,
        *,
        rank: int = 3,
        bin_seconds: int = 600,
        day_bins: int = 1,
        week_bins: int = 1,
        scale_half_life: float = 10_080.0,
        calendar: CivilCalendar | None = None,
    ) -> None:
        super().__init__()
        self.n_channels, self.rank = n_channels, rank
        self.bin_seconds, self.day_bins, self.week_bins = bin_seconds, day_bins, week_bins
        self.scale_half_life = float(scale_half_life)
        self.calendar = calendar or CivilCalendar()
        self.transforms = Transforms(n_channels)
        self.curves = SeverityCurves(STATISTICS * n_channels)
        self.register_buffer("profiles", ops.zeros((week_bins, n_channels, rank)))
        self.register_buffer("day_size", ops.ones((day_bins, n_channels)))
        self.register_buffer("shared", ops.zeros((n_channels, n_channels)))
        half_lives = (*TIME_CONSTANTS[1:], SPREAD_HALF_LIFE, *OWN_TIME_CONSTANTS[1:])
        self.register_buffer("half_lives", ops.asarray(half_lives, "float32"))
        self.register_buffer("anchor_half_life", ops.zeros((n_channels,)))
        self.register_buffer("lowest", ops.zeros((n_channels,)) + UNBOUNDED)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal component."""
        return {
            "n_channels": self.n_channels,
            "rank": self.rank,
            "bin_seconds": self.bin_seconds,
            "day_bins": self.day_bins,
            "week_bins": self.week_bins,
            "scale_half_life": self.scale_half_life,
            "calendar": self.calendar.as_json(),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ChannelEvidence:
        """Make the stage from `get_config`, with nothing learnt."""
        return cls(**{**config, "calendar": CivilCalendar.from_json(config["calendar"])})

    def state_fields(self) -> tuple[StateField, ...]:
        """Usual values of the key, and the departures of its channels of late."""
        c, learned = (self.n_channels,), Role.LEARNED
        averages = (_MEANS, self.n_channels)
        return (
            StateField("usual_unit", "<f8", c, "deviation in training, transformed unit", learned),
            StateField("usual_level", "<f8", c, "level, in usual units", learned),
            StateField(
                "usual_loadings",
                "<f4",
                (self.n_channels, self.rank),
                "share of each of the fleet's profiles, in usual units",
                learned,
            ),
            StateField("usual_size", "<f4", c, "size of a departure, in usual units", learned),
            StateField("usual_excess", "<f4", c, "mean size of one, in usual sizes", learned),
            StateField("usual_change", "<f4", c, "mean change between rows, usual sizes", learned),
            StateField(
                "usual_extremes",
                "<f4",
                (SIGNALS + 1, self.n_channels),
                "size that each signal and the spread seldom pass, in usual sizes",
                learned,
            ),
            StateField("usual_run", "<f4", c, "equal values that are frozen; 0: never", learned),
            StateField(
                "scale_growth", "<f4", c, "size of departures now, over training's", learned
            ),
            StateField("channel_anchor", "<f4", c, "level of the departures, in usual sizes"),
            StateField("channel_rows", "<f4", c, "values that the anchor has seen"),
            StateField("channel_far", "<f4", c, "usual intervals far from the anchor"),
            StateField("last_departure", "<f4", c, "departure of the last row, in usual sizes"),
            StateField("channel_averages", "<f4", averages, "moving averages, in usual sizes"),
            StateField("last_value", "<f8", c, "last value of each channel, in its own unit"),
            StateField("equal_run", "<f4", c, "values that were equal to the one before"),
        )

    def forward(self, state: State, x: Any, observation: Observation) -> tuple[State, Any]:
        """Judge rows `(R, C)`, float64, and take the seasonal values off them.

        Arguments as `Stage.forward` has them.

        The columns `usual`, `channel_severity`, `channel_hold` and `channel_statistics`
        hold the usual values, and say how rare each channel's departure is.

        Returns:
            The state after the rows, and the values less the seasonal ones, `(R, C)`, float64.
        """
        packed = observation.packed
        day, week = self.calendar.bins(ops.to_numpy(observation.time_us), self.bin_seconds)
        usual = {name: packed.expand(state[name]) for name in USUAL}
        is_judged = usual["usual_unit"] > 0
        unit = ops.where(is_judged, usual["usual_unit"], 1.0)
        if observation.expected_level is None:
            profile = self.profile(usual, week)
        else:
            profile = observation.expected_level - usual["usual_level"]
        size = ops.maximum(usual["usual_size"], 1e-6) * self._rows(self.day_size, day)
        residual = ops.where(is_judged, self.transforms(x) / unit - profile, float("nan"))
        start = {f.name: state[f.name] for f in self.state_fields() if f.name not in USUAL[1:]}
        alarming = usual["usual_extremes"][:, 1]
        columns = (
            *(residual, size, x, observation.elapsed, usual["usual_excess"]),
            *(usual["usual_change"], alarming, observation.warming),
        )
        per_row = packed.scan(self._advance_row, start, *columns)
        anchor, change = per_row.pop("level"), per_row.pop("change")
        signals = per_row.pop("signals")
        expected = per_row["usual_level"] + profile
        statistics = self.statistics(usual, per_row, signals)
        severity = self.curves(statistics)
        observation.channel_statistics = severity
        observation.channel_severity, observation.channel_hold = self.by_channel(
            severity, signals, per_row["channel_averages"], change, is_judged
        )
        growth = ops.clip(per_row["scale_growth"], 1.0, LARGEST_GROWTH)
        observation.usual = Usual(self, unit, expected, anchor, size, growth)
        seasonal = self.transforms.inverse(expected * unit)
        new = {name: packed.last(value) for name, value in per_row.items()}
        new |= {name: state[name] for name in USUAL[1:]}  # the very same arrays: nothing to write
        return new, x - ops.where(is_judged, seasonal, 0.0)

    def _advance_row(
        self,
        state: State,
        residual: Any,
        size: Any,
        x: Any,
        elapsed: Any,
        usual_excess: Any,
        usual_change: Any,
        alarming: Any,
        warming: Any,
    ) -> State:
        """Follow one row per key; keys that warm up learn their level and the size of departures.

        Args:
            state: Level and followed fields of the keys before the row.
            residual: Transformed values less their profile, `(B, C)`, float64, in usual units.
            size: Size of a departure at this time, `(B, C)`, in usual units.
            x: The values themselves, `(B, C)`, float64.
            elapsed: Time since the key's row before, `(B,)`.
            usual_excess: Mean size of departures in training, `(B, C)`.
            usual_change: Mean change between rows in training, `(B, C)`.
            alarming: Average of 5 rows that is past the key's 99 % quantile, `(B, C)`.
            warming: True where the key learns, `(B,)`.
        """
        level = state["usual_level"]
        if bool(ops.any(warming)):
            value_count = ops.astype(state["channel_rows"] + 1.0, "float64")
            learns = warming[:, None] & ops.isfinite(residual)
            level = level + ops.where(learns, (residual - level) / value_count, 0.0)
        z = ops.astype(residual - level, "float32") / size
        after = self.advance(state, z, x, elapsed, usual_excess, usual_change, alarming, warming)
        return after | {"usual_level": level}

    def profile(self, usual: State, week: Any) -> Any:
        """Return the seasonal part of the rows' expectation, `(R, C)`, float64, in usual units.

        Args:
            usual: Learnt fields of each row's key, `(R, ...)`.
            week: Bin of each row, `(R,)`.
        """
        profile = ops.sum(usual["usual_loadings"] * self._rows(self.profiles, week), axis=-1)
        return ops.astype(profile, "float64")

    def _rows(self, table: Any, index: Any) -> Any:
        """Return the rows of a table at indices, which wrap at its length."""
        index = ops.from_numpy(np.asarray(index) % ops.shape(table)[0], like=table)
        return ops.take(table, index, axis=0)

    def advance(
        self,
        state: State,
        z: Any,
        x: Any,
        elapsed: Any,
        usual_excess: Any,
        usual_change: Any,
        alarming: Any,
        warming: Any = None,
    ) -> State:
        """Follow one row per key.

        Args:
            state: Followed fields of the keys before the row.
            z: Departures from the expectation, `(B, C)`, float32, in usual sizes; NaN where
                missing.
            x: The values themselves, `(B, C)`, float64.
            elapsed: Time since the key's row before, `(B,)`, in usual intervals.
            usual_excess: Mean size of departures in training, `(B, C)`.
            usual_change: Mean change between rows in training, `(B, C)`.
            alarming: Average of 5 rows from which the anchor stands still, `(B, C)`.
            warming: True where the key learns its sizes, `(B,)`; None: nowhere.

        Returns:
            The fields after it, and `signals` `(B, 8, C)`, `change` and `level`: the signals of
            the row in sizes of now, its change from the row before, and the anchor before it.
        """
        present = ops.isfinite(z)
        z = ops.where(present, z, 0.0)
        rows = state["channel_rows"]
        half_life = self.anchor_half_life
        has_anchor = present & (half_life > 0)
        level = ops.where(has_anchor & (rows == 0), z, state["channel_anchor"])
        distance = z - level
        # The anchor takes up wandering, and stands still while the channel is unusual, until that
        # has lasted a half-life: a new level is told once, and then accepted.
        value_count = rows + ops.astype(present, "float32")
        dt = elapsed[:, None]
        gain = 1.0 - ops.exact_exp(-_LN2 * dt / ops.maximum(half_life, 1.0))
        gain = ops.where(
            value_count < half_life + 2.0, ops.maximum(gain, 1.0 / (value_count + 1e-6)), gain
        )
        gain = ops.where(has_anchor, ops.minimum(gain, 1.0), 0.0)
        unusual = ops.abs(state["channel_averages"][:, 0]) > alarming
        is_far = (ops.abs(distance) > FAR) | unusual
        longer = ops.where(is_far, state["channel_far"] + dt, state["channel_far"] - 2.0 * dt)
        lasting = ops.where(present, ops.maximum(longer, 0.0), state["channel_far"])
        step = ops.where(unusual, 0.0, ops.clip(distance, -FAR, FAR))
        step = ops.where(lasting >= half_life, distance, step)
        # The scale grows where departures have grown, and never falls below that of training.
        growth = state["scale_growth"]
        departure = ops.clip(distance, -MOST, MOST) / ops.clip(growth, 1.0, LARGEST_GROWTH)
        ratio = ops.minimum(ops.abs(ops.clip(distance, -MOST, MOST)) / usual_excess, 6.0)
        slow = 1.0 - ops.exact_exp(-_LN2 / self.scale_half_life * dt)
        if warming is not None and bool(ops.any(warming)):
            slow = ops.where(warming[:, None], ops.maximum(slow, 1.0 / (value_count + 1e-6)), slow)
        followed = present & (usual_excess > 0)
        new_growth = growth + ops.where(followed, slow * (ratio - growth), 0.0)
        decay = ops.exact_exp(-_LN2 * dt / self.half_lives[None, :])
        bounded = ops.clip(departure, -MOST_AVERAGED, MOST_AVERAGED)
        change = ops.where(rows > 0, ops.abs(z - state["last_departure"]), 0.0)
        # A jump is no noise: it counts as six usual changes.
        change = ops.minimum(change, LARGEST_CHANGE * usual_change)
        with_others = ops.where(present, bounded, 0.0)
        own = departure - ops.sum(with_others[:, None, :] * self.shared[None], axis=-1)
        own_bounded = ops.clip(own, -MOST_AVERAGED, MOST_AVERAGED)
        own_means = [own_bounded] * (len(OWN_TIME_CONSTANTS) - 1)
        averaged = ops.stack([*[bounded] * SPREAD, change, *own_means], axis=1)
        averages = state["channel_averages"]
        shifted = averages + (1.0 - decay)[:, :, None] * (averaged - averages)
        averages = ops.where(present[:, None, :], shifted, averages)
        jump = departure - state["channel_averages"][:, _JUMP_FROM]
        single = ops.where(present[:, None, :], ops.stack([departure, jump, own], axis=1), 0.0)
        signals = ops.concatenate(
            [
                *(single[:, :1], averages[:, :SPREAD], single[:, 1:]),
                averages[:, SPREAD + 1 :],
            ],
            axis=1,
        )
        has_value = ops.isfinite(x)
        equal = has_value & (x == state["last_value"]) & (rows > 0)
        run = ops.where(equal, state["equal_run"] + 1.0, 0.0)
        return {
            "scale_growth": new_growth,
            "channel_anchor": level + gain * step,
            "channel_rows": value_count,
            "channel_far": lasting,
            "channel_averages": averages,
            "last_value": ops.where(has_value, x, state["last_value"]),
            "equal_run": ops.where(has_value, run, state["equal_run"]),
            "last_departure": ops.where(present, z, state["last_departure"]),
            "signals": signals,
            "change": change,
            "level": level,
        }

    def statistics(self, usual: State, followed: State, signals: Any) -> Any:
        """Return the statistics of rows, `(R, 18 C)`: above 1 is past what the key seldom passes.

        By signal, channel and sign; then the run of equal values of each channel, and its spread.

        Args:
            usual: Learnt fields of each row's key, `(R, ...)`.
            followed: Fields after each row.
            signals: Signals of the rows, `(R, 8, C)`.
        """
        extremes = ops.maximum(usual["usual_extremes"], 1e-3)
        moving = signals / extremes[:, :SIGNALS]
        signed = ops.maximum(ops.stack([moving, -moving], axis=-1), 0.0)
        limit = usual["usual_run"]
        frozen = ops.where(limit > 0, followed["equal_run"] / ops.maximum(limit, 1.0), 0.0)
        spread = followed["channel_averages"][:, SPREAD] / extremes[:, SIGNALS]
        flat = ops.reshape(signed, (-1, 2 * SIGNALS * self.n_channels))
        return ops.concatenate([flat, frozen, spread], axis=1)

    def by_channel(
        self, severity: Any, signals: Any, averages: Any, change: Any, is_judged: Any
    ) -> tuple[Any, Any]:
        """Return the severity of each channel, `(R, C)`, and of what still goes on.

        A slow average stays high long after its cause has gone. It counts as going on while the
        average of 5 rows is at least half of it, of the same sign; the spread, while rows change by
        half of it.

        Args:
            severity: Severity of each statistic, `(R, 18 C)`.
            signals: Signals of the rows, `(R, 8, C)`.
            averages: Moving averages after the rows, `(R, 6, C)`.
            change: Changes from row to row, `(R, C)`.
            is_judged: Channels of keys whose usual values are known, `(R, C)`.
        """
        c = self.n_channels
        signed = ops.reshape(severity[:, : -2 * c], (-1, SIGNALS, c, 2))
        moving = ops.maximum(signed[..., 0], signed[..., 1])
        frozen, spread = severity[:, -2 * c : -c], severity[:, -c:]
        still_noisy = change >= 0.5 * averages[:, SPREAD]
        largest, hold = ops.maximum(frozen, spread), frozen
        hold = ops.maximum(hold, ops.where(still_noisy, spread, NOTHING))
        for i in range(SIGNALS):
            largest = ops.maximum(largest, moving[:, i])
            still = moving[:, i]
            if i in _SLOW:
                of_late = signals[:, _SLOW[i]]
                goes_on = of_late * signals[:, i] >= 0.5 * signals[:, i] * signals[:, i]
                still = ops.where(goes_on, still, NOTHING)
            hold = ops.maximum(hold, still)
        return (
            ops.where(is_judged, largest, NOTHING),
            ops.where(is_judged, hold, NOTHING),
        )


class Usual:
    """Values that would have been usual for rows.

    Args:
        evidence: The stage that expects them.
        columns: Of each row and channel, `(R, C)`: the usual unit; the seasonal expectation, in
            usual units; the anchor, in usual sizes; the usual size, in usual units; its growth.
    """

    def __init__(self, evidence: ChannelEvidence, *columns: Any) -> None:
        self._evidence, self._columns = evidence, columns

    def values(self, rows: Any, sizes: float = 0.0) -> Any:
        """Return usual values `(N, C)`, float64, in the channels' own units.

        Args:
            rows: Indices of the rows.
            sizes: Usual sizes above them: 3 and -3 give the usual range.
        """
        unit, expected, level, size, growth = (column[rows] for column in self._columns)
        shifted = ops.astype((level + sizes * growth) * size, "float64")
        values = self._evidence.transforms.inverse((expected + shifted) * unit)
        return ops.maximum(values, ops.astype(self._evidence.lowest, "float64"))


def statistic_name(severity: Any, channel: int, n_channels: int) -> str:
    """Return in words which statistic of a channel is the most severe in a row.

    Args:
        severity: Severity of each statistic of the row, `(18 C,)`.
        channel: The channel.
        n_channels: Number of channels `C`.
    """
    moving = severity[: -2 * n_channels].reshape(SIGNALS, n_channels, 2)[:, channel]
    frozen, spread = severity[-2 * n_channels + channel], severity[-n_channels + channel]
    if frozen > max(moving.max(), spread):
        return "the same value for too long"
    if spread > moving.max():
        return "more noise than usual"
    signal, sign = divmod(int(moving.argmax()), 2)
    side = "below" if sign else "above"
    if signal == _TAUS:
        return f"a sudden change, {side} the last {int(TIME_CONSTANTS[2])} rows"
    if signal > _TAUS:
        rows = int(OWN_TIME_CONSTANTS[signal - _TAUS - 1])
        over = "" if rows == 1 else f" over {rows} rows"
        return f"{side} what goes with its other channels{over}"
    rows = int(TIME_CONSTANTS[signal])
    return f"{side} its usual range" if rows == 1 else f"{side} it over {rows} rows"
