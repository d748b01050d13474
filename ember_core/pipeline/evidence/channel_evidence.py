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
from functools import cache
from typing import Any, Final

import numpy as np

from ember_core import ops
from ember_core.pipeline.arrival import AGES
from ember_core.pipeline.civil import CivilCalendar
from ember_core.pipeline.observation import Observation
from ember_core.pipeline.packing import PackedRows
from ember_core.pipeline.recurrences import by_blocks
from ember_core.pipeline.stage import Role, State, StateField

from .curves import SeverityCurves
from .following import LARGEST_GROWTH, FollowedChannels
from .shown import ChannelStatistics, Usual
from .signals import MEANS, OWN_PARTS, SIGNALS, SLOW, SPREAD, STATISTICS
from .transforms import Transforms

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


class ChannelEvidence(FollowedChannels):
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
        lowest: Buffer `(C,)`: 0 where no value of training was negative, else far below.
        widening: Buffer `(8, 9, C)`: how much larger than a known key's the signals and the spread
            of a key never seen are, from each number of rows in `AGES` on, and 1 at the end.
        level_rows: Buffer `(C,)`: rows of its own that the level a new key begins with counts as.
        level_least: Buffer `(C,)`: smallest transformed value that a new key learns its level of.
        level_most: Buffer `(C,)`: largest.
    """

    profiles: Any
    day_size: Any
    lowest: Any
    widening: Any
    level_rows: Any
    level_least: Any
    level_most: Any

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
        super().__init__(n_channels, scale_half_life)
        self.rank = rank
        self.bin_seconds, self.day_bins, self.week_bins = bin_seconds, day_bins, week_bins
        self.calendar = calendar or CivilCalendar()
        self.transforms = Transforms(n_channels)
        self.curves = SeverityCurves(STATISTICS * n_channels)
        self.register_buffer("profiles", ops.zeros((week_bins, n_channels, rank)))
        self.register_buffer("day_size", ops.ones((day_bins, n_channels)))
        self.register_buffer("lowest", ops.zeros((n_channels,)) + UNBOUNDED)
        self.register_buffer("widening", ops.ones((len(AGES) + 1, SIGNALS + 1, n_channels)))
        self.register_buffer("level_rows", ops.zeros((n_channels,)))
        self.register_buffer("level_least", ops.zeros((n_channels,)) + UNBOUNDED)
        self.register_buffer("level_most", ops.zeros((n_channels,)) - UNBOUNDED)

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
        averages, own = (MEANS, self.n_channels), (OWN_PARTS - 1, self.n_channels)
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
            StateField("own_averages", "<f4", own, "averages of the own part of departures"),
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
        if observation.age is not None:
            widening = ops.take(self.widening, observation.age, axis=0)
            usual["usual_extremes"] = usual["usual_extremes"] * widening
        if observation.counted is not None:
            usual |= {f"counted_{side}": bound for side, bound in observation.counted.items()}
        start = {f.name: state[f.name] for f in self.state_fields() if f.name not in USUAL[1:]}
        bins = self.calendar.bins(ops.to_numpy(observation.time_us), self.bin_seconds)
        columns = [usual, x, *bins, observation.elapsed, observation.warming]
        if observation.expected_level is not None:
            columns.append(observation.expected_level)
        per_row = by_blocks(packed, self._judge, start, *columns)
        observation.channel_severity = per_row.pop("severity")
        observation.channel_hold = per_row.pop("hold")
        shown = [per_row.pop(name) for name in Usual.COLUMNS]
        observation.usual = Usual(self.transforms, self.lowest, usual["usual_unit"], *shown)
        signals, without_season = per_row.pop("signals"), per_row.pop("without_season")
        observation.channel_statistics = ChannelStatistics(
            self.statistic_severities, usual, per_row, signals
        )
        new = {name: packed.last(value) for name, value in per_row.items()}
        # The very same arrays where nothing was learnt: nothing to write.
        learnt_fields = USUAL[1:] if bool(ops.any(observation.warming)) else USUAL
        new |= {name: state[name] for name in learnt_fields}
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
            expected_level: Expected level as `Observation` has it.

        Returns:
            The fields after each row; `severity`, `hold` and `signals`; the columns of `Usual`;
            and `without_season`: the values less the seasonal ones.
        """
        is_judged = usual["usual_unit"] > 0
        unit = ops.where(is_judged, usual["usual_unit"], 1.0)
        if expected_level is None:
            profile = self.profile(usual, week)
        else:
            profile = expected_level - usual["usual_level"]
        size, day_size = ops.maximum(usual["usual_size"], 1e-6), self._rows(self.day_size, day)
        transformed = self.transforms(x)
        residual = ops.where(is_judged, transformed / unit - profile, float("nan"))
        learnt_residual = None
        if bool(ops.any(warming)):
            lowest, highest = (
                ops.astype(b, "float64") for b in (self.level_least, self.level_most)
            )
            learnt_residual = (
                residual + (ops.clip(transformed, lowest, highest) - transformed) / unit
            )
        columns = residual, learnt_residual, size, day_size, x, elapsed, warming
        new_state = self._follow(packed, state, usual, *columns)
        ratio, frozen = self.ratios(usual, new_state, new_state["signals"])
        noise, change = new_state["channel_averages"][:, SPREAD], new_state.pop("change")
        is_noisy = change >= 0.5 * noise
        severity, hold = self.by_channel(ratio, frozen, new_state["signals"], is_noisy, is_judged)
        expected = new_state["usual_level"] + profile
        seasonal = self.transforms.inverse(expected * unit)
        return new_state | {
            "severity": severity,
            "hold": hold,
            "unit": unit,
            "expected": expected,
            "size": size * day_size,
            "growth": ops.clip(new_state["scale_growth"], 1.0, LARGEST_GROWTH),
            "without_season": x - ops.where(is_judged, seasonal, 0.0),
        }

    def _follow(
        self,
        packed: PackedRows,
        state: State,
        usual: State,
        residual: Any,
        learnt_residual: Any,
        size: Any,
        day_size: Any,
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
            learnt_residual: The same within the range of the fleet, where a key learns; else None.
            size: Size of a departure, `(R, C)`, in usual units.
            day_size: Size at this time of day over it.
            x: The values themselves, `(R, C)`, float64.
            elapsed: Time since the key's row before, `(R,)`.
            warming: True where the key learns, `(R,)`.
        """
        if learnt_residual is not None:
            start = {name: state[name] for name in ("usual_level", "channel_rows")}
            learned = packed.scan(
                self._learn_level, start, learnt_residual, residual, size, warming
            )
            level, learns = learned["usual_level"], warming
        else:
            level, learns = packed.expand(state["usual_level"]), None
        z = ops.astype(residual - level, "float32") / size
        followed = {name: value for name, value in state.items() if name != "usual_level"}
        alarming = usual["usual_extremes"][:, 1]
        columns = (day_size, usual["usual_excess"], usual["usual_change"], alarming)
        if "counted_low" in usual:
            learns = ops.zeros_like(warming) if learns is None else learns
            sides = ("low", "high", "held_low", "held_high")
            bounds = {side: usual[f"counted_{side}"] for side in sides}
            new_state = self.advance(packed, followed, z, x, elapsed, *columns, learns, bounds)
        else:
            new_state = self.advance(packed, followed, z, x, elapsed, *columns, learns)
        return new_state | {"usual_level": level}

    def _learn_level(
        self, state: State, learnt_residual: Any, residual: Any, size: Any, warming: Any
    ) -> State:
        """Learn the level of keys that warm up from one row each, `(B, C)`.

        Rows are counted as `advance` counts them: a value too far out for float32 is none.
        """
        level, rows = state["usual_level"], state["channel_rows"]
        learns = warming[:, None] & ops.isfinite(learnt_residual)
        value_count = ops.astype(rows + 1.0, "float64") + ops.astype(self.level_rows, "float64")
        level = level + ops.where(learns, (learnt_residual - level) / value_count, 0.0)
        present = ops.isfinite(ops.astype(residual - level, "float32") / size)
        return {"usual_level": level, "channel_rows": rows + ops.astype(present, "float32")}

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

    def statistics(self, usual: State, followed: State, signals: Any) -> Any:
        """Return the statistics of rows, `(R, 18 C)`: above 1 is more than the key seldom shows.

        By signal, channel and sign; then the run of equal values of each channel, and its spread.

        Args:
            usual: Learnt fields of each row's key, `(R, ...)`.
            followed: Fields after each row.
            signals: Signals of the rows, `(R, 8, C)`.
        """
        ratio, frozen = self.ratios(usual, followed, signals)
        moving = ratio[:, :-1]
        signed = ops.maximum(ops.stack([moving, -moving], axis=-1), 0.0)
        flat = ops.reshape(signed, (-1, 2 * SIGNALS * self.n_channels))
        return ops.concatenate([flat, frozen, ratio[:, -1]], axis=1)

    def statistic_severities(self, usual: State, followed: State, signals: Any) -> Any:
        """Return the severity of each statistic of rows, `(R, 18 C)`; arguments as `statistics`."""
        return self.curves(self.statistics(usual, followed, signals))

    def ratios(self, usual: State, followed: State, signals: Any) -> tuple[Any, Any]:
        """Return the signals of rows over sizes that the key seldom passes, and runs over theirs.

        Arguments as `statistics` has them.

        Returns:
            The signals and the spread, `(R, 9, C)`, and the runs, `(R, C)`.
        """
        spread = followed["channel_averages"][:, SPREAD:]
        values = ops.concatenate([signals, spread], axis=1)
        ratio = values / ops.maximum(usual["usual_extremes"], 1e-3)
        limit = usual["usual_run"]
        frozen = ops.where(limit > 0, followed["equal_run"] / ops.maximum(limit, 1.0), 0.0)
        return ratio, frozen

    def by_channel(
        self, ratio: Any, frozen: Any, signals: Any, is_noisy: Any, is_judged: Any
    ) -> tuple[Any, Any]:
        """Return the severity of each channel, `(R, C)`, and of what still goes on.

        A slow average stays high long after its cause has gone. It counts as going on while the
        average of 5 rows is at least half of it, of the same sign.

        Args:
            ratio: Signals and spread over the usual, `(R, 9, C)`.
            frozen: Runs of equal values over the usual, `(R, C)`.
            signals: The signals themselves, `(R, 8, C)`.
            is_noisy: Whether the row changes by half of the spread or more, `(R, C)`.
            is_judged: Channels of keys whose usual values are known, `(R, C)`.
        """
        c = self.n_channels
        statistics = ops.concatenate([ops.reshape(ratio, (-1, (SIGNALS + 1) * c)), frozen], axis=1)
        severity = self.curves.signed(statistics, tables_of(c), SIGNALS * c)
        *moving, spread, frozen = (severity[:, i * c : (i + 1) * c] for i in range(SIGNALS + 2))
        largest, hold = ops.maximum(frozen, spread), ops.maximum(frozen, _kept(spread, is_noisy))
        for i, one in enumerate(moving):
            largest = ops.maximum(largest, one)
            if i in SLOW:
                slow, late = signals[:, i], signals[:, SLOW[i]]
                hold = ops.maximum(hold, _kept(one, late * slow >= 0.5 * slow * slow))
            else:
                hold = ops.maximum(hold, one)
        return (
            ops.where(is_judged, largest, NOTHING),
            ops.where(is_judged, hold, NOTHING),
        )


@cache
def tables_of(n_channels: int) -> tuple[int, ...]:
    """Return the tables of the signals of all channels, of their spread and of their runs."""
    pairs = 2 * SIGNALS * n_channels
    runs, spread = (range(pairs + i * n_channels, pairs + (i + 1) * n_channels) for i in (0, 1))
    return (*range(0, pairs, 2), *spread, *runs)


def _kept(severity: Any, goes_on: Any) -> Any:
    """Return the severity where it goes on, else `NOTHING`: `where` is slow on an even mix."""
    return ops.minimum(severity, ops.astype(goes_on, "float32") * 1e6 + NOTHING)
