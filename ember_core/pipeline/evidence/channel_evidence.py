"""How far each channel of a key is from where it belongs at this time of the week.

A channel is expected at its key's level plus a profile of day and week, which the fleet shares.
The departure from it is put in the key's own usual size, and followed: an anchor takes up slow
wandering, a scale takes up noise that has grown. Moving averages at several time constants, the run
of equal values and the change from row to row are the *statistics* of the channel. Curves learnt on
the fleet's history say how rarely a key shows such a statistic: `severity` 2 is once in 100 days of
a key.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import numpy as np

from ember_core import ops
from ember_core.pipeline.civil import CivilCalendar
from ember_core.pipeline.observation import Observation
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
from ember_core.pipeline.stage import Role, Stage, State, StateField

from .curves import SeverityCurves
from .transforms import Transforms

TIME_CONSTANTS: Final = (1.0, 5.0, 30.0, 120.0)
"""Half-lives of the moving averages, in usual intervals; 1 stands for the row itself."""
SPREAD_HALF_LIFE: Final = 10.0
"""Half-life of the mean change from row to row, in usual intervals."""
STATISTICS: Final = 2 * len(TIME_CONSTANTS) + 2
"""Statistics of a channel: each average above and below the usual one, the frozen value, and the
spread: the mean change from row to row, which noise raises."""
_MEANS = len(TIME_CONSTANTS)  # moving averages in the state: the last one is the spread
FAR: Final = 3.0
"""Usual sizes from which a row moves the anchor no further."""
MOST: Final = 30.0
MOST_AVERAGED: Final = 8.0
LARGEST_CHANGE: Final = 3.0
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
        half_lives: Buffer `(4,)`: those of the averages in the state.
        anchor_half_life: Buffer `(C,)`, usual intervals; 0: the channel has no anchor.
        lowest: Buffer `(C,)`: 0 where no value of training was negative, else far below.
    """

    profiles: Any
    day_size: Any
    half_lives: Any
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
        half_lives = (*TIME_CONSTANTS[1:], SPREAD_HALF_LIFE)
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
                (_MEANS + 1, self.n_channels),
                "99 % quantile of each average, in usual sizes",
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
        usual = {name: packed.expand(state[name]) for name in USUAL}
        start = {f.name: state[f.name] for f in self.state_fields() if f.name not in USUAL[1:]}
        bins = self.calendar.bins(ops.to_numpy(observation.time_us), self.bin_seconds)
        columns = [usual, x, *bins, observation.elapsed, observation.warming]
        if observation.expected_level is not None:
            columns.append(observation.expected_level)
        per_row = by_blocks(packed, self._judge, start, *columns)
        observation.channel_severity = per_row.pop("severity")
        observation.channel_hold = per_row.pop("hold")
        observation.usual = Usual(self, *(per_row.pop(name) for name in Usual.COLUMNS))
        departure, without_season = per_row.pop("departure"), per_row.pop("without_season")
        observation.channel_statistics = ChannelStatistics(self, usual, per_row, departure)
        new = {name: packed.last(value) for name, value in per_row.items()}
        # The very same arrays where nothing was learnt: nothing to write.
        learnt = USUAL[1:] if bool(ops.any(observation.warming)) else USUAL
        new |= {name: state[name] for name in learnt}
        return new, without_season

    def _judge(
        self,
        packed: PackedRows,
        state: State,
        usual: State,
        x: Any,
        day: Any,
        week: Any,
        elapsed: Any,
        warming: Any,
        expected_level: Any = None,
    ) -> State:
        """Follow rows and judge them.

        Args:
            packed: Key of each row.
            state: Level and followed fields of the keys before their rows.
            usual: Learnt fields of each row's key, `(R, ...)`.
            x: The values, `(R, C)`, float64.
            day: Bin of the day of each row, `(R,)`.
            week: Bin of the week.
            elapsed: Time since the key's row before, `(R,)`.
            warming: True where the key learns, `(R,)`.
            expected_level: As `Observation` has it.

        Returns:
            The fields after each row; `severity`, `hold` and `departure`; the columns of `Usual`;
            and `without_season`: the values less the seasonal ones.
        """
        is_judged = usual["usual_unit"] > 0
        unit = ops.where(is_judged, usual["usual_unit"], 1.0)
        if expected_level is None:
            profile = self.profile(usual, week)
        else:
            profile = expected_level - usual["usual_level"]
        size = ops.maximum(usual["usual_size"], 1e-6) * self._rows(self.day_size, day)
        residual = ops.where(is_judged, self.transforms(x) / unit - profile, float("nan"))
        after = self._follow(packed, state, usual, residual, size, x, elapsed, warming)
        ratio, frozen = self.ratios(usual, after, after["departure"])
        averages, change = after["channel_averages"], after.pop("change")
        severity, hold = self.by_channel(ratio, frozen, averages, change, is_judged)
        expected = after["usual_level"] + profile
        seasonal = self.transforms.inverse(expected * unit)
        return after | {
            "severity": severity,
            "hold": hold,
            "unit": unit,
            "expected": expected,
            "size": size,
            "growth": ops.clip(after["scale_growth"], 1.0, LARGEST_GROWTH),
            "without_season": x - ops.where(is_judged, seasonal, 0.0),
        }

    def _follow(
        self,
        packed: PackedRows,
        state: State,
        usual: State,
        residual: Any,
        size: Any,
        x: Any,
        elapsed: Any,
        warming: Any,
    ) -> State:
        """Follow rows; keys that warm up learn their level and the size of departures.

        Args:
            packed: Key of each row.
            state: Level and followed fields of the keys before their rows.
            usual: Learnt fields of each row's key, `(R, ...)`.
            residual: Transformed values less their profile, `(R, C)`, float64, in usual units.
            size: Size of a departure at this time, `(R, C)`, in usual units.
            x: The values themselves, `(R, C)`, float64.
            elapsed: Time since the key's row before, `(R,)`.
            warming: True where the key learns, `(R,)`.
        """
        if bool(ops.any(warming)):
            start = {name: state[name] for name in ("usual_level", "channel_rows")}
            learned = packed.scan(_learn_level, start, residual, size, warming)
            level, learns = learned["usual_level"], warming
        else:
            level, learns = packed.expand(state["usual_level"]), None
        z = ops.astype(residual - level, "float32") / size
        followed = {name: value for name, value in state.items() if name != "usual_level"}
        alarming = usual["usual_extremes"][:, 1]
        columns = (usual["usual_excess"], usual["usual_change"], alarming, learns)
        after = self.advance(packed, followed, z, x, elapsed, *columns)
        return after | {"usual_level": level}

    def profile(self, usual: State, week: Any) -> Any:
        """Return the seasonal part of the rows' expectation, `(R, C)`, float64, in usual units.

        Args:
            usual: Learnt fields of each row's key, `(R, ...)`.
            week: Bin of each row, `(R,)`.
        """
        parts = usual["usual_loadings"] * self._rows(self.profiles, week)
        profile = parts[..., 0]
        for i in range(1, self.rank):  # a reduction over so short an axis takes ten times as long
            profile = profile + parts[..., i]
        return ops.astype(profile, "float64")

    def _rows(self, table: Any, index: Any) -> Any:
        """Return the rows of a table at indices, which wrap at its length."""
        index = ops.from_numpy(np.asarray(index) % ops.shape(table)[0], like=table)
        return ops.take(table, index, axis=0)

    def advance(
        self,
        packed: PackedRows,
        state: State,
        departures: Any,
        x: Any,
        elapsed: Any,
        usual_excess: Any,
        usual_change: Any,
        alarming: Any,
        warming: Any = None,
    ) -> State:
        """Follow rows.

        Args:
            packed: Key of each row.
            state: Followed fields of the keys before their rows.
            departures: Departures from the expectation, `(R, C)`, float32, in usual sizes; NaN where
                missing.
            x: The values themselves, `(R, C)`, float64.
            elapsed: Time since the key's row before, `(R,)`, in usual intervals.
            usual_excess: Mean size of departures in training, `(R, C)`.
            usual_change: Mean change between rows in training, `(R, C)`.
            alarming: Average of 5 rows from which the anchor stands still, `(R, C)`.
            warming: True where the key learns its sizes, `(R,)`; None: nowhere.

        Returns:
            The fields after each row, and `departure`, `change` and `level`: the row's departure
            from its anchor in sizes of now, its change from the row before, and the anchor before
            it.
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
        values = self._values(packed, state, z, x, present, rows)
        # A jump is no noise: it counts as three usual changes.
        change = ops.minimum(values.pop("change"), LARGEST_CHANGE * usual_change)
        decay = ops.exact_exp(-_LN2 * elapsed[:, None] / self.half_lives[None, :])
        weight = ops.reshape(
            (1.0 - decay)[:, :, None] * count[:, None, :], (-1, _MEANS * self.n_channels)
        )
        averages = state["channel_averages"]
        start = ops.reshape(averages, (-1, _MEANS * self.n_channels))
        unusual = ops.abs(packed.expand(averages[:, 0])) > alarming
        level = packed.expand(state["channel_anchor"])
        is_first = present & (self.anchor_half_life > 0) & (rows == 0)
        if packed.once:
            far, distance = self._distances(
                packed, state, level, is_first, z, present, unusual, elapsed
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
            most = ops.where(is_free, float("inf"), FAR + 0.0 * gain)
            level, anchor = bounded_ewma(packed, state["channel_anchor"], z, share, most)
            if not packed.once:
                far, distance = self._distances(
                    packed, state, level, is_first, z, present, unusual, elapsed
                )
            distance = ops.clip(distance, -MOST, MOST)
            ratio = ops.minimum(ops.abs(distance) / usual_excess, 6.0)
            growth, grown = self._grown(packed, state, ratio, followed, slow, growth)
            departure = distance / ops.clip(growth, 1.0, LARGEST_GROWTH)
            bounded = ops.clip(departure, -MOST_AVERAGED, MOST_AVERAGED)
            averaged = ops.concatenate([*[bounded] * (_MEANS - 1), change], axis=1)
            after, _ = packed.ewma(start, averaged, weight)
            averages = ops.reshape(after, (-1, _MEANS, self.n_channels))
            if packed.once:
                break
            before = packed.previous(state["channel_averages"][:, 0], averages[:, 0])
            guesses = unusual, accepted
            unusual = ops.abs(before) > alarming
            accepted = far >= self.anchor_half_life
            if all((a == b).all() for a, b in zip(guesses, (unusual, accepted), strict=True)):
                break
        else:
            columns = (departures, x, elapsed, usual_excess, usual_change, alarming)
            columns += () if warming is None else (warming,)
            return by_blocks(packed, self.advance, state, *columns, steps=half(packed))
        return {
            **values,
            "channel_far": far,
            "channel_anchor": anchor,
            "scale_growth": grown,
            "channel_rows": value_count,
            "channel_averages": averages,
            "departure": ops.where(present, departure, 0.0),
            "change": change,
            "level": ops.where(is_first, z, level),
        }

    def _values(
        self, packed: PackedRows, state: State, z: Any, x: Any, present: Any, rows: Any
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
            "change": ops.where(rows > 0, ops.abs(z - departure_before), 0.0),
        }

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
    ) -> tuple[Any, Any]:
        """Return for how long rows have been far from the anchors before them, and how far.

        The anchor takes up wandering, and stands still while the channel is unusual, until that has
        lasted a half-life: a new level is told once, and then accepted.
        """
        distance = z - ops.where(is_first, z, anchor)
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
        found = slow_sums(packed, _growth_change, growth, {}, ratio, followed, slow, guess=known)
        return found["growth"], found["scale_growth"]

    def statistics(self, usual: State, followed: State, departure: Any) -> Any:
        """Return the statistics of rows, `(R, 10 C)`: above 1 is past the key's own 99 % quantile.

        By time constant, channel and sign; then the run of equal values of each channel, and its
        spread.

        Args:
            usual: Learnt fields of each row's key, `(R, ...)`.
            followed: Fields after each row.
            departure: Departures of the rows, `(R, C)`.
        """
        ratio, frozen = self.ratios(usual, followed, departure)
        moving = ratio[:, :-1]
        signed = ops.maximum(ops.stack([moving, -moving], axis=-1), 0.0)
        flat = ops.reshape(signed, (-1, (STATISTICS - 2) * self.n_channels))
        return ops.concatenate([flat, frozen, ratio[:, -1]], axis=1)

    def ratios(self, usual: State, followed: State, departure: Any) -> tuple[Any, Any]:
        """Return the averages of rows over the key's own 99 % quantile, and the runs over theirs.

        Arguments as `statistics` has them.

        Returns:
            The departure, its averages and the spread, `(R, 5, C)`, and the runs, `(R, C)`.
        """
        values = ops.concatenate([departure[:, None, :], followed["channel_averages"]], axis=1)
        ratio = values / ops.maximum(usual["usual_extremes"], 1e-3)
        limit = usual["usual_run"]
        frozen = ops.where(limit > 0, followed["equal_run"] / ops.maximum(limit, 1.0), 0.0)
        return ratio, frozen

    def by_channel(
        self, ratio: Any, frozen: Any, averages: Any, change: Any, is_judged: Any
    ) -> tuple[Any, Any]:
        """Return the severity of each channel, `(R, C)`, and of what still goes on.

        A slow average stays high long after its cause has gone. It counts as going on while the
        average of 5 rows is at least half of it, of the same sign; the spread, while rows change by
        half of it.

        Args:
            ratio: Departures, averages and spread over the usual, `(R, 5, C)`.
            frozen: Runs of equal values over the usual, `(R, C)`.
            averages: Moving averages after the rows, `(R, 4, C)`.
            change: Changes from row to row, `(R, C)`.
            is_judged: Channels of keys whose usual values are known, `(R, C)`.
        """
        c, taus = self.n_channels, len(TIME_CONSTANTS)
        statistics = ops.concatenate([ops.reshape(ratio, (-1, (taus + 1) * c)), frozen], axis=1)
        severity = self.curves.signed(statistics, _tables(c), taus * c)
        row, fast, middle, slow, spread, frozen = (
            severity[:, i * c : (i + 1) * c] for i in range(taus + 2)
        )
        first, *others, noise = (averages[:, i] for i in range(_MEANS))
        sudden = ops.maximum(ops.maximum(row, fast), frozen)
        largest = ops.maximum(ops.maximum(sudden, spread), ops.maximum(middle, slow))
        hold = ops.maximum(sudden, _kept(spread, change >= 0.5 * noise))
        for lasting, average in zip((middle, slow), others, strict=True):
            goes_on = first * average >= 0.5 * average * average
            hold = ops.maximum(hold, _kept(lasting, goes_on))
        return (
            ops.where(is_judged, largest, NOTHING),
            ops.where(is_judged, hold, NOTHING),
        )


@cache
def _tables(n_channels: int) -> tuple[int, ...]:
    """Return the tables of a channel's statistics: of its averages, its spread and its runs."""
    pairs = 2 * len(TIME_CONSTANTS) * n_channels
    runs, spread = (range(pairs + i * n_channels, pairs + (i + 1) * n_channels) for i in (0, 1))
    return (*range(0, pairs, 2), *spread, *runs)


def _kept(severity: Any, goes_on: Any) -> Any:
    """Return the severity where it goes on, else `NOTHING`: `where` is slow on an even mix."""
    return ops.minimum(severity, ops.astype(goes_on, "float32") * 1e6 + NOTHING)


class ChannelStatistics:
    """Severity of the single statistics of rows, for those that are explained.

    Args:
        evidence: The stage that judges them.
        usual: Learnt fields of each row's key, `(R, ...)`.
        followed: Fields after each row.
        departure: Departures of the rows, `(R, C)`.
    """

    def __init__(
        self, evidence: ChannelEvidence, usual: State, followed: State, departure: Any
    ) -> None:
        self._evidence, self._departure = evidence, departure
        self._usual, self._followed = usual, dict(followed)

    def severity(self, rows: Any) -> Any:
        """Return the severity of each statistic, `(N, 10 C)`.

        Args:
            rows: Indices of the rows.
        """
        usual = {name: self._usual[name][rows] for name in ("usual_extremes", "usual_run")}
        followed = {name: self._followed[name][rows] for name in ("channel_averages", "equal_run")}
        evidence = self._evidence
        return evidence.curves(evidence.statistics(usual, followed, self._departure[rows]))


def _learn_level(state: State, residual: Any, size: Any, warming: Any) -> State:
    """Learn the level of keys that warm up from one row each, `(B, C)`."""
    level, rows = state["usual_level"], state["channel_rows"]
    learns = warming[:, None] & ops.isfinite(residual)
    value_count = ops.astype(rows + 1.0, "float64")
    level = level + ops.where(learns, (residual - level) / value_count, 0.0)
    present = ops.isfinite(ops.astype(residual - level, "float32") / size)
    return {"usual_level": level, "channel_rows": rows + ops.astype(present, "float32")}


def _growth_change(
    packed: PackedRows, before: State, others: State, ratio: Any, followed: Any, slow: Any
) -> tuple[State, State]:
    """Return what rows add to the growth of the scale, by that before them."""
    growth = before["scale_growth"]
    change = ops.where(followed, slow * (ratio - growth), 0.0)
    return {"scale_growth": change}, {"growth": growth}


class Usual:
    """Values that would have been usual for rows.

    Args:
        evidence: The stage that expects them.
        columns: Of each row and channel, `(R, C)`: the usual unit; the seasonal expectation, in
            usual units; the anchor, in usual sizes; the usual size, in usual units; its growth.
    """

    COLUMNS: Final = ("unit", "expected", "level", "size", "growth")

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
        severity: Severity of each statistic of the row, `(10 C,)`.
        channel: The channel.
        n_channels: Number of channels `C`.
    """
    taus = len(TIME_CONSTANTS)
    moving = severity[: -2 * n_channels].reshape(taus, n_channels, 2)[:, channel]
    frozen, spread = severity[-2 * n_channels + channel], severity[-n_channels + channel]
    if frozen > max(moving.max(), spread):
        return "the same value for too long"
    if spread > moving.max():
        return "more noise than usual"
    tau, sign = divmod(int(moving.argmax()), 2)
    side = "below" if sign else "above"
    rows = int(TIME_CONSTANTS[tau])
    return f"{side} its usual range" if rows == 1 else f"{side} it over {rows} rows"
