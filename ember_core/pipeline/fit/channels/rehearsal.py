"""What a short history says of a key, learnt from the fleet's own histories cut as short.

Keys with a whole history play the new ones: they are fitted on as few rows, and judged on all of
theirs. So it shows how large departures from such a fit really are, and how far the few rows
foretell that (empirical Bayes).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ember_core import ops
from ember_core.pipeline.evidence import ChannelEvidence
from ember_core.pipeline.evidence.channel_evidence import USUAL
from ember_core.pipeline.fit.incidents import Flags
from ember_core.pipeline.packing import PackedRows
from ember_core.pipeline.stage import State

from .new_keys import lean_on_fleet
from .padded import padded, run
from .profiles import Mode, seasonal
from .sizes import (
    deviations,
    least_extremes,
    medians,
    signal_extremes,
    usual_changes,
    usual_sizes,
)

REHEARSED: Final = 64
"""Keys that play new ones, at most."""
MARGIN: Final = 1.0
"""Deviations of what few rows do not foretell, which are added to extremes: a key misses few faults
where they are too large, and pages often where they are too small."""
_SMALLEST = 1e-6

Numbers = NDArray[np.float64]


class Part(NamedTuple):
    """Rows of a key, or some of them, and their departures from the expected values.

    Attributes:
        residual: Departures, `(T, C)`, in usual units; later in usual sizes.
        values: Values, `(T, C)`.
        elapsed: Usual intervals before each row, `(T,)`.
        day: Bin of the day of each, `(T,)`.
        marked: Rows that do not count, `(T,)`.
    """

    residual: Any
    values: Any
    elapsed: Any
    day: Any
    marked: Flags

    def rows(self, part: slice) -> Part:
        """Return some of the rows."""
        return Part(*(column[part] for column in self))

    def over(self, size: Any) -> Part:
        """Return the rows with departures over a size, `(C,)`."""
        return self._replace(residual=self.residual / size.astype(np.float32))


class Forecast:
    """Regression of what all rows of a key say on what few of them say, as logarithms.

    Args:
        few: Positive sizes by few rows, `(K, ...)`.
        whole: Sizes by all rows of the same keys.
        margin: Deviations of the error that are added.
    """

    def __init__(self, few: Any, whole: Any, margin: float = 0.0) -> None:
        x, y = _log(few), _log(whole)
        self._middle, self._usual = x.mean(axis=0), y.mean(axis=0)
        x, y = x - self._middle, y - self._usual
        slope = (x * y).mean(axis=0) / np.maximum((x**2).mean(axis=0), 1e-9)
        self._slope = np.clip(slope, 0.0, 1.0)
        self._extra = margin * (y - self._slope * x).std(axis=0)

    def __call__(self, few: Any) -> Numbers:
        """Return the sizes to expect where few rows say these, `(N, ...)`."""
        return np.asarray(
            np.exp(self._usual + self._slope * (_log(few) - self._middle) + self._extra)
        )


def _log(x: Any) -> Numbers:
    return np.log(np.maximum(np.asarray(x, dtype=np.float64), _SMALLEST))


class Rehearsal:
    """Keys with a whole history that play new ones.

    Args:
        fit: The fit: rows of a day, discrete channels, marks.
        stage: The stage, its curves and shares fitted.
        half_lives: Half-life of each channel's anchor, `(C,)`.
        modes: Share of day and week that each channel has.
        prior: Fields of a usual key, `(1, ...)`.
    """

    def __init__(
        self, fit: Any, stage: ChannelEvidence, half_lives: Any, modes: list[Mode], prior: State
    ) -> None:
        self._fit, self._stage, self._half_lives, self._modes = fit, stage, half_lives, modes
        self._prior = prior
        self._day_size = ops.to_numpy(stage.day_size)

    def rehearse(
        self, keys: Sequence[Any], residuals: Sequence[Any], first: State, basis: Any, loadings: Any
    ) -> None:
        """Set the sizes of departures of the new keys.

        Args:
            keys: All keys of the fleet.
            residuals: Departures of their rows, in usual sizes.
            first: Learnt fields of the keys, `(K, ...)`, written to.
            basis: Profiles of the fleet, `(C, r, D + W)`.
            loadings: Shares of its keys, `(K, C, r)`.
        """
        is_new, marks = self._fit.cold, self._fit.marks.rows
        warm, cold = np.flatnonzero(~is_new), np.flatnonzero(is_new)
        for places in alike([len(keys[k].y) for k in cold.tolist()]):
            new = cold[places].tolist()
            rows = int(np.median([len(keys[k].y) for k in new]))
            end_us = int(max(keys[k].series.time_us[-1] for k in new))
            played = [
                self.played(keys[k], k, first["usual_unit"][k], end_us, rows, basis, loadings[warm])
                for k in warm[:REHEARSED].tolist()
            ]
            new_parts = []
            for k in new:
                key, residual = keys[k], residuals[k] * first["usual_size"][k]
                new_parts.append(
                    Part(residual, key.series.values, key.elapsed, key.bins.day, marks[k])
                )
            for name, value in self.fields(played, new_parts).items():
                first[name][new] = value

    def played(
        self, key: Any, index: int, unit: Any, end_us: int, rows: int, basis: Any, share: Any
    ) -> tuple[Part, slice]:
        """Return a key as a new one would be fitted: all its rows, and which are the few.

        Args:
            key: The key.
            index: Its number.
            unit: Its unit, `(C,)`.
            end_us: Time of the last of the few rows, if so many are before it.
            rows: Number of the few rows.
            basis: Profiles of the fleet, `(C, r, D + W)`.
            share: Shares of its keys, `(K, C, r)`.
        """
        y = key.y * unit
        end = int(np.searchsorted(key.series.time_us, end_us, side="right"))
        end = min(max(end, rows), len(y))
        few_rows = slice(max(end - rows, 0), end)
        y = y / np.maximum(deviations(y[few_rows]), self._prior["usual_unit"][0])
        few_values = y[few_rows]
        window = replace(key, y=few_values, bins=key.bins.rows(few_rows), level=medians(few_values))
        loadings = lean_on_fleet(window, basis, share)
        residual = y - window.level - seasonal(basis, loadings, key.bins, self._modes)
        values, marked = key.series.values, self._fit.marks.rows[index]
        residual = residual.astype(np.float32)
        return Part(residual, values, key.elapsed, key.bins.day, marked), few_rows

    def fields(self, played: Sequence[tuple[Part, slice]], new: Sequence[Part]) -> State:
        """Return sizes of departures, extremes and changes of new keys, `(N, ...)` each.

        Args:
            played: Keys of the fleet, as `played` returns them.
            new: The new keys.
        """
        whole_parts = [part for part, _ in played]
        few_parts = [part.rows(rows) for part, rows in played]
        few_sizes = self._sizes(few_parts)
        forecast = Forecast(few_sizes, self._sizes(whole_parts))
        size, played_size = forecast(self._sizes(new)), forecast(few_sizes)
        by_few, by_whole, by_new = (
            self._followed(
                [part.over(key_size) for part, key_size in zip(parts, sizes, strict=True)]
            )
            for parts, sizes in (
                (few_parts, played_size),
                (whole_parts, played_size),
                (new, size),
            )
        )
        usual_extremes, usual_change = (
            Forecast(a, b, margin)(c)
            for a, b, c, margin in zip(by_few, by_whole, by_new, (MARGIN, 0.0), strict=True)
        )
        return {
            "usual_size": size,
            "usual_extremes": usual_extremes,
            "usual_change": usual_change,
            "usual_excess": np.repeat(self._prior["usual_excess"], len(new), 0),
            "scale_growth": np.ones_like(size),
        }

    def _sizes(self, parts: Sequence[Part]) -> Any:
        settle = self._fit.day_rows if self._fit.has_day else 0.0
        residuals, elapsed = [p.residual for p in parts], [p.elapsed for p in parts]
        return usual_sizes(residuals, elapsed, self._half_lives, settle, self._fit.discrete)

    def _followed(self, parts: Sequence[Part]) -> tuple[Any, Any]:
        """Return the extremes of signals and spread of keys, and their change from row to row."""
        stage, count = self._stage, len(parts)
        by_day = [self._day_size[part.day] for part in parts]
        change = np.stack(
            [usual_changes(part.residual, size) for part, size in zip(parts, by_day, strict=True)]
        ).astype(np.float32)
        usual = [self._prior["usual_excess"], self._prior["usual_extremes"][:, 1]]
        excess, alarming = (np.repeat(x.astype(np.float32), count, 0) for x in usual)
        state = {
            f.name: np.zeros((count, *f.shape), f.dtype)
            for f in stage.state_fields()
            if f.name not in USUAL
        }
        state["scale_growth"][...] = 1.0

        def advance(state: State, z: Any, x: Any, dt: Any, day_size: Any) -> State:
            usual = (day_size, excess, change, alarming)
            return stage.advance(PackedRows([count]), state, z, x, dt, *usual)

        columns = [
            padded([part.residual for part in parts]),
            padded([part.values for part in parts]),
            padded([part.elapsed for part in parts], 0.0),
            padded(by_day, 1.0),
        ]
        traced = run(advance, state, columns)
        quantiles = []
        for i, part in enumerate(parts):
            length = len(part.residual)
            rows = {name: traced[name][:length, i] for name in ("signals", "channel_averages")}
            quantiles.append(signal_extremes(rows, part.marked))
        return least_extremes(np.stack(quantiles)), change


def alike(lengths: Sequence[int]) -> list[NDArray[np.int64]]:
    """Return the places of lengths that are about the same, to a factor of 1.4."""
    octaves = np.round(np.log2(np.maximum(lengths, 1)))
    return [np.flatnonzero(octaves == octave) for octave in np.unique(octaves)]
