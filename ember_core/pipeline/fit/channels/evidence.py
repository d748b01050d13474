"""Fit of the channel evidence: usual values, usual departures, and how rare larger ones are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ember_core import ops
from ember_core.pipeline.bands import Bands, band_of, bands_of
from ember_core.pipeline.civil import CivilCalendar, bins_of_day
from ember_core.pipeline.evidence import ChannelEvidence, Transforms
from ember_core.pipeline.evidence.channel_evidence import UNBOUNDED, USUAL
from ember_core.pipeline.fit.currency import fit_tables
from ember_core.pipeline.fit.incidents import Marks, days_of, kept_parts, kept_rows, until_calm
from ember_core.pipeline.fit.series import Series
from ember_core.pipeline.packing import PackedRows
from ember_core.pipeline.stage import State

from .choice import DISCRETE, choose
from .new_keys import Spans, fleet_prior, lean_on_fleet
from .padded import elapsed_of, padded, run, settled_rows
from .profiles import (
    FEWEST,
    Bins,
    Mode,
    Profile,
    combined,
    cut_rank,
    expectation,
    find_folds,
    fit_profile,
)
from .rehearsal import Rehearsal
from .shared import moments, shared_parts
from .sizes import (
    FAST,
    day_sizes,
    departures,
    deviations,
    frozen_runs,
    least_extremes,
    medians,
    signal_extremes,
    usual_changes,
    usual_sizes,
)
from .transforms import choose_transforms

CHUNK: Final = 64
"""Keys whose rows are laid side by side."""
BASIS_KEYS: Final = 256
"""Keys that profiles are taken from."""
CURVE_ROWS: Final = 600_000
"""Rows that the curves are fitted on, of whole keys."""
BIN_SECONDS: Final = 600
OWN_SHARE, FAST_OWN_SHARE = 0.5, 0.8
"""Weight of a key's own extremes beside the fleet's: what bursts on one key is its own."""
_FOLLOWED = ("signals", "channel_averages", "equal_run")

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class ChannelFit:
    """Channel evidence of a fleet.

    Attributes:
        stage: The stage, fitted.
        first: Its learnt fields for every key, `(K, ...)`.
        prior: Those that a key never seen begins with, `(1, ...)`; empty for a small fleet.
        expected: Expectation of each key's rows without the rows themselves, `(T, C)` each, in
            usual units.
        residuals: The history less its seasonal part, in the order of the keys.
        report: Profile, anchor and transform of each channel, for the bundle.
        bands: Bands that keys begin with.
    """

    stage: ChannelEvidence
    first: State
    prior: State
    expected: list[NDArray[np.float64]]
    residuals: list[Series]
    report: dict[str, Any]
    bands: Bands


@dataclass
class _Key:
    """A key's rows on their way through the fit; `fold` is -1 where the whole profile serves."""

    series: Series
    y: Any
    bins: Bins
    elapsed: Any
    fold: Any
    level: Any
    whole: Profile
    parts: list[Profile]


@ops.default_backend("numpy")  # a history is read on the host
def fit_channels(
    series: Sequence[Series],
    channels: Sequence[str],
    *,
    calendar: CivilCalendar | None = None,
    progress: Progress | None = None,
    marks: Marks | None = None,
) -> ChannelFit:
    """Fit the channel evidence of a fleet; no labels are used.

    Args:
        series: History of the keys, times increasing.
        channels: Names of the channels.
        calendar: Zone and holidays of the profiles.
        progress: Called with the stage's name and the share done.
        marks: Rows that do not count where evidence is counted.
    """
    marks = marks or Marks(series)
    return _Fit(series, channels, calendar or CivilCalendar(), progress or _silent, marks).run()


def _silent(_stage: str, _share: float) -> None:
    return None


class _Fit:
    """One fit of a fleet."""

    def __init__(
        self,
        series: Sequence[Series],
        channels: Sequence[str],
        calendar: CivilCalendar,
        progress: Progress,
        marks: Marks,
    ) -> None:
        self.marks = marks
        self.series, self.channels, self.calendar = series, tuple(channels), calendar
        self.progress = progress
        self.bands: list[NDArray[np.float32]] = []
        steps = [float(np.median(np.diff(s.time_us))) * 1e-6 for s in series]
        self.step = max(float(np.median(steps)), 1e-3)
        self.day_rows = 86_400.0 / self.step
        spans = Spans(series)
        self.has_day, self.has_week, self.cold = spans.has_day, spans.has_week, spans.new
        # A week of a fold has to fill its bins too.
        self.bin_seconds = min(max(BIN_SECONDS, int(np.ceil(FEWEST * self.step))), 86_400)
        self.days = bins_of_day(self.bin_seconds) if self.has_day else 1
        self.weeks = 7 * self.days if self.has_week else 0

    def run(self) -> ChannelFit:
        """Run all steps."""
        warm = np.flatnonzero(~self.cold)
        warm_series = [self.series[k] for k in warm.tolist()]
        self.progress("channels: transforms", 0.0)
        transforms = choose_transforms(warm_series)
        self.discrete = self._find_discrete(warm_series, transforms)
        units = np.stack([deviations(transforms(s.values)) for s in self.series])
        usual_unit = np.median(units[warm], axis=0)
        units[self.cold] = np.maximum(units[self.cold], usual_unit)
        keys = [self._key(s, transforms, units[k], int(k)) for k, s in enumerate(self.series)]
        bases, loadings = self._loadings(keys, warm)
        choices = choose(self, keys, warm, bases, loadings) if len(warm) else []
        modes, anchors = [c.mode for c in choices], [c.anchor for c in choices]
        self.progress("channels: sizes", 0.3)
        residuals, expected = self._residuals(keys, bases, loadings, modes)
        half_lives = np.array([a.half_life for a in anchors], np.float32)
        stage = self._stage(transforms, bases[-1], modes, half_lives)
        first = self._sizes(keys, residuals, half_lives, stage, warm)
        first |= {
            "usual_unit": units,
            "usual_level": np.stack([key.level for key in keys]),
            "usual_loadings": loadings[-1].astype(np.float32),
        }
        self.progress("channels: curves", 0.6)
        self._fit_curves(keys, residuals, stage, first, warm)
        prior = fleet_prior(first, warm)
        if self.cold.any():
            rehearsal = Rehearsal(self, stage, half_lives, modes, prior)
            rehearsal.rehearse(keys, residuals, first, bases[-1], loadings[-1])
        seasonal = [transforms.inverse(e * units[k]) for k, e in enumerate(expected)]
        without_season = [
            s.with_values(s.values - x) for s, x in zip(self.series, seasonal, strict=True)
        ]
        report = self._report(transforms, choices)
        bands = bands_of(self.bands, len(self.channels))
        return ChannelFit(stage, first, prior, expected, without_season, report, bands)

    # -- rows

    def _find_discrete(self, warm_series: Sequence[Series], transforms: Transforms) -> Any:
        """Return the channels in which one value holds many rows, `(C,)`."""
        share = np.zeros((min(len(warm_series), CHUNK), len(self.channels)))
        for k, s in enumerate(warm_series[:CHUNK]):
            for c in range(len(self.channels)):
                x = s.values[::5, c]
                x = x[np.isfinite(x)]
                if len(x):
                    share[k, c] = np.unique(x, return_counts=True)[1].max() / len(x)
        return np.median(share, axis=0) > DISCRETE

    def _key(self, series: Series, transforms: Transforms, unit: Any, index: int) -> _Key:
        """Return a key with its level, and its profiles where the fleet's come from it."""
        y = transforms(series.values) / unit
        day, week = self.calendar.bins(series.time_us, self.bin_seconds)
        bins = Bins(day % self.days, week % max(self.weeks, 1), self.days, self.weeks)
        level = medians(y)
        if self.cold[index]:
            fold, empty = np.full(len(y), -1), Profile(level, np.zeros((0, 0)), np.zeros((0, 0)))
            return _Key(series, y, bins, elapsed_of(series), fold, level, empty, [])
        fold = find_folds(series.time_us, has_week=self.has_week)
        profile = fit_profile(y, bins, self.discrete, level)
        parts = [
            fit_profile(y[fold != i], bins.rows(fold != i), self.discrete, level)
            for i in range(int(fold.max()) + 1)
        ]
        return _Key(series, y, bins, elapsed_of(series), fold, level, profile, parts)

    # -- profiles

    def _loadings(self, keys: list[_Key], warm: Any) -> tuple[list[Any], list[Any]]:
        """Return the fleet's profiles and every key's loadings: of each fold, and last of all."""
        folds = max((len(keys[k].parts) for k in warm), default=0)
        bases, loadings = [], []
        for fold in [*range(folds), -1]:
            profiles = {
                int(k): keys[k].whole
                if fold < 0
                else keys[k].parts[min(fold, len(keys[k].parts) - 1)]
                for k in warm
            }
            basis, share = cut_rank([profiles[int(k)] for k in warm[:BASIS_KEYS]])
            all_loadings = np.zeros((len(keys), *share.shape[1:]))
            for k in warm:
                stacked = np.concatenate([profiles[int(k)].day, profiles[int(k)].week])
                all_loadings[k] = np.einsum("bc,crb->cr", stacked, basis)
            for k in np.flatnonzero(self.cold):
                all_loadings[k] = lean_on_fleet(keys[k], basis, share)
            bases.append(basis)
            loadings.append(all_loadings)
        return bases, loadings

    def out_of_fold(
        self, key: _Key, k: int, bases: list[Any], loadings: list[Any], mode: Mode
    ) -> Any:
        """Return the seasonal part of a key's rows without the rows themselves, `(T, C)`."""
        if not key.parts:
            return expectation(bases[-1], loadings[-1][k], key.bins, mode)
        out = np.empty(key.y.shape)
        for i in range(len(key.parts)):
            part = key.fold == i
            out[part] = expectation(bases[i], loadings[i][k], key.bins.rows(part), mode)
        return out

    def _residuals(
        self, keys: list[_Key], bases: list[Any], loadings: list[Any], modes: list[Mode]
    ) -> tuple[list[Any], list[Any]]:
        """Return departures and expectations of every key's rows, out of fold."""
        residuals, expected = [], []
        for k, key in enumerate(keys):
            part = np.empty(key.y.shape)
            for mode in set(modes):
                choices = [m == mode for m in modes]
                part[:, choices] = self.out_of_fold(key, k, bases, loadings, mode)[:, choices]
            expected.append(key.level + part)
            residuals.append((key.y - expected[-1]).astype(np.float32))
        return residuals, expected

    # -- sizes

    def _stage(
        self, transforms: Transforms, basis: Any, modes: list[Mode], half_lives: Any
    ) -> ChannelEvidence:
        table = combined(basis, modes, self.days, self.weeks)
        stage = ChannelEvidence(
            len(self.channels),
            rank=table.shape[2],
            bin_seconds=self.bin_seconds,
            day_bins=self.days,
            week_bins=table.shape[0],
            scale_half_life=7.0 * self.day_rows if self.has_day else 10_080.0,
            calendar=self.calendar,
        )
        stage.transforms = transforms
        low = [np.nanmin(np.where(np.isfinite(s.values), s.values, np.inf), 0) for s in self.series]
        lowest = np.where(np.min(low, axis=0) >= 0, 0.0, UNBOUNDED)
        stage.assign(
            {
                "profiles": table.astype(np.float32),
                "anchor_half_life": half_lives,
                "lowest": lowest.astype(np.float32),
            }
        )
        return stage

    def _sizes(
        self,
        keys: list[_Key],
        residuals: list[Any],
        half_lives: Any,
        stage: ChannelEvidence,
        warm: Any,
    ) -> State:
        """Return the usual size of departures of every key, and set that by time of day."""
        settle = self.day_rows if self.has_day else 0.0
        size = np.concatenate(
            [
                usual_sizes(
                    [residuals[k] for k in part],
                    [keys[k].elapsed for k in part],
                    half_lives,
                    settle,
                    self.discrete,
                )
                for part in chunks(len(keys))
            ]
        )
        if self.has_day:
            sample_keys = warm[:CHUNK]
            scaled = [residuals[k] / size[k].astype(np.float32) for k in sample_keys]
            shape = day_sizes(
                scaled,
                [keys[k].elapsed for k in sample_keys],
                [keys[k].bins for k in sample_keys],
                half_lives,
            )
            stage.assign({"day_size": shape.astype(np.float32)})
        for k in range(len(keys)):
            residuals[k] /= size[k].astype(np.float32)
        by_day = ops.to_numpy(stage.day_size)
        excess = np.zeros(size.shape)
        for part in chunks(len(keys)):
            z = padded([residuals[k] for k in part])
            elapsed = padded([keys[k].elapsed for k in part], 0.0)
            day_size = padded([by_day[keys[k].bins.day] for k in part], 1.0)
            distance = departures(z, elapsed, half_lives, 3.0, day_size)
            excess[part] = np.nan_to_num(_mean(np.abs(np.clip(distance, -4.0, 4.0))))
        change = np.stack(
            [usual_changes(z, by_day[key.bins.day]) for z, key in zip(residuals, keys, strict=True)]
        )
        fields = {"usual_size": size, "usual_excess": excess, "usual_change": change}
        return {name: value.astype(np.float32) for name, value in fields.items()}

    def _fit_curves(
        self,
        keys: list[_Key],
        residuals: list[Any],
        stage: ChannelEvidence,
        first: State,
        warm: Any,
    ) -> None:
        """Run the stage over the history out of fold: extremes, runs, growth, and curves."""
        count = len(keys)
        for field in stage.state_fields():
            first.setdefault(field.name, np.zeros((count, *field.shape), field.dtype))
        first["scale_growth"][...] = 1.0
        # Once to know which averages are unusual, and once with anchors that stand still there.
        first["usual_extremes"][...] = np.inf
        for turn in range(2):
            found = np.ones((count, *first["usual_extremes"].shape[1:]))
            runs, repeats = np.zeros((2, count, len(self.channels)))
            curve_keys, traced = set(self._curve_keys(keys, warm)), {}
            growth = np.ones_like(first["scale_growth"])
            shared_moments = np.zeros((len(self.channels), len(self.channels)))
            for k, rows in self._followed(keys, residuals, stage, first):
                marked = self.marks.rows[k]
                found[k] = signal_extremes(rows, marked)
                if turn == 1:
                    self.bands.append(self._band(rows["signals"][:, 0], residuals[k], marked))
                if not self.cold[k]:
                    shared_moments += moments(kept_rows(rows["signals"][:, 0], marked))
                runs[k], repeats[k] = frozen_runs(kept_rows(rows["equal_run"], marked))
                growth[k] = np.clip(rows["scale_growth"][-1], 1.0, 4.0)
                if k in curve_keys:
                    traced[k] = {name: rows[name].copy() for name in _FOLLOWED}
            first["usual_extremes"] = self._lean_extremes(found, warm)
            first["usual_run"] = self._run_limits(runs, repeats, warm)
            if turn == 0:
                stage.assign({"shared": shared_parts(shared_moments)})
        first["scale_growth"] = growth
        parts: list[Any] = []
        for k, rows in traced.items():
            length = len(rows["signals"])
            usual = {
                name: np.repeat(first[name][k : k + 1], length, 0)
                for name in ("usual_extremes", "usual_run")
            }
            begin = settled_rows(length, self.day_rows if self.has_day else 0.0)
            trace = stage.statistics(usual, rows, rows["signals"])
            marked = until_calm(self.marks.rows[k], (trace > 1.0).any(axis=1))
            parts += kept_parts(trace[begin:], marked[begin:])
        days = days_of(parts, self.day_rows)
        stage.curves.assign({"tables": fit_tables(parts, days)})

    def _band(self, departures: Any, residual: Any, marked: Any) -> Any:
        """Return the band of a key's rows, `(2, C)`.

        Args:
            departures: Their departures, `(T, C)`, 0 where missing.
            residual: Values less their expectation, NaN where missing.
            marked: Rows that do not count, `(T,)`.
        """
        begin = settled_rows(len(departures), self.day_rows if self.has_day else 0.0)
        departures = np.where(np.isfinite(residual), departures, np.nan)
        return band_of(departures[begin:][~np.asarray(marked)[begin:]])

    def _followed(
        self, keys: list[_Key], residuals: list[Any], stage: ChannelEvidence, first: State
    ) -> Iterator[tuple[int, State]]:
        """Yield each key, and the fields of the stage after each of its rows."""
        names = [f.name for f in stage.state_fields() if f.name not in USUAL]
        by_day = ops.to_numpy(stage.day_size)
        for part in chunks(len(keys)):
            columns = [
                padded([residuals[k] for k in part]),
                padded([keys[k].series.values for k in part]),
                padded([keys[k].elapsed for k in part], 0.0),
                padded([by_day[keys[k].bins.day] for k in part], 1.0),
            ]
            usual = [first[name][part] for name in ("usual_excess", "usual_change")]
            usual.append(first["usual_extremes"][part, 1])

            def advance(state: State, *columns: Any, usual: list[Any] = usual) -> State:
                return stage.advance(PackedRows([len(columns[0])]), state, *columns, *usual)

            last_state = run(advance, {name: first[name][part].copy() for name in names}, columns)
            for i, k in enumerate(part.tolist()):
                yield k, {name: value[: len(residuals[k]), i] for name, value in last_state.items()}

    def _curve_keys(self, keys: list[_Key], warm: Any) -> list[int]:
        """Return keys whose rows make the curves: all of a small fleet, a sample of a large one."""
        total, out = 0, list[int]()
        order = warm if len(warm) <= 8 else warm[np.random.default_rng(0).permutation(len(warm))]
        for k in order.tolist():
            total += len(keys[k].y)
            if out and total > CURVE_ROWS:
                break
            out.append(k)
        return out

    def _lean_extremes(self, found: Any, warm: Any) -> Any:
        """Return the quantiles that a key's statistics are put over: its own and the fleet's."""
        found = least_extremes(found)
        fleet = np.exp(np.log(found[warm]).mean(axis=0))
        own = np.full((found.shape[1], 1), OWN_SHARE)
        own[FAST] = FAST_OWN_SHARE
        out = found**own * fleet ** (1.0 - own) if len(warm) >= 4 else found
        return least_extremes(out).astype(np.float32)

    def _run_limits(self, runs: Any, repeats: Any, warm: Any) -> Any:
        """Return the equal values from which a channel is frozen; 0 where it repeats itself."""
        usual = np.maximum(runs, np.median(runs[warm], axis=0))
        limit = np.maximum(3.0 * (usual + 2.0), 6.0)
        is_moving = np.median(repeats[warm], axis=0) < 0.5
        return np.where(is_moving, limit, 0.0).astype(np.float32)

    def _report(self, transforms: Transforms, choices: Sequence[Any]) -> dict[str, Any]:
        kinds = ("none", "asinh", "sqrt")
        kind = ops.to_numpy(transforms.kind).astype(int)
        return {
            "bin_seconds": self.bin_seconds,
            "zone": self.calendar.zone,
            "new_keys": int(self.cold.sum()),
            "channels": {
                name: {
                    "transform": kinds[kind[c]],
                    "profile": choice.profile,
                    "anchor_seconds": round(choice.anchor.half_life * self.step),
                    "is_discrete": bool(self.discrete[c]),
                }
                for c, (name, choice) in enumerate(zip(self.channels, choices, strict=True))
            },
        }


def chunks(count: int) -> Iterator[Any]:
    """Yield the indices of keys whose rows are laid side by side."""
    for begin in range(0, count, CHUNK):
        yield np.arange(begin, min(begin + CHUNK, count))


def _mean(x: Any) -> Any:
    """Return the mean of the finite rows, `(K, C)`, of `(T, K, C)`."""
    finite = np.isfinite(x)
    return np.where(finite, x, 0.0).sum(axis=0) / np.maximum(finite.sum(axis=0), 1)
