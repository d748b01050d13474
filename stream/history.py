"""Rows of a history, made as the stream makes them of the same samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ember_core.data.sources import Dataset
from ember_core.pipeline.fit import Series
from ember_core.rows import RowRecipe
from ember_core.rows.recognise import find_counters, usual_gap_seconds
from stream.engine import RowMaker, RowPlan, Samples, WindowSpec

from .channel_rules import make_recipe
from .records import MAX_ABS_VALUE, Temporality
from .settings import ChannelRule

_GAP = 10.0
"""Usual times between two samples of a counter after which it begins anew."""


@dataclass(frozen=True)
class RowRules:
    """Windows and channels that rows are made by.

    Attributes:
        window: Windowing of samples into rows.
        channels: Rules of the channels.
    """

    window: WindowSpec = WindowSpec()  # noqa: RUF009  # frozen
    channels: tuple[ChannelRule, ...] = ()


@dataclass(frozen=True)
class KeySamples:
    """Training samples of one key in order of time, `T` of them.

    Attributes:
        key: The stream key.
        time_us: Event times, `(T,)`.
        values: Values, NaN where one is missing, `(T, S)`.
        temporality: Kind of each sample, where the format tells, `(T,)`.
        start_us: Start of the time that each covers, where the format tells, `(T,)`.
    """

    key: bytes
    time_us: NDArray[np.int64]
    values: NDArray[np.float64]
    temporality: NDArray[np.uint8] | None = None
    start_us: NDArray[np.int64] | None = None

    def take(self, lines: NDArray[np.int64]) -> KeySamples:
        """Return the samples of these lines, in their order."""
        kinds, starts = self.temporality, self.start_us
        return KeySamples(
            self.key,
            self.time_us[lines],
            self.values[lines],
            None if kinds is None else kinds[lines],
            None if starts is None else starts[lines],
        )


def samples(dataset: Dataset) -> list[KeySamples]:
    """Return the training samples of every key in order of time.

    A value too large for the stream counts as missing here as there.
    """
    keys = []
    for i, table in enumerate(dataset.tables):
        values = np.where(np.abs(table.values) <= MAX_ABS_VALUE, table.values, np.nan)
        key = KeySamples(table.key, table.time_us, values, table.temporality, table.start_us)
        key = key.take(dataset.rows(i, "train"))
        key = key.take(np.flatnonzero(np.isfinite(key.values).any(axis=1)))
        if (np.diff(key.time_us) < 0).any():  # newest first, or several files of one key
            key = key.take(np.argsort(key.time_us, kind="stable"))
        keys.append(key)
    return keys


def counters_of(channels: Sequence[str], keys: Sequence[KeySamples]) -> tuple[str, ...]:
    """Return the channels of a history that are counters, by their format or their values."""
    by_format = _counters_by_format(len(channels), keys)
    recognised = set(find_counters(channels, [(key.time_us, key.values) for key in keys]))
    return tuple(name for i, name in enumerate(channels) if by_format[i] or name in recognised)


def _counters_by_format(channels: int, keys: Sequence[KeySamples]) -> NDArray[np.bool_]:
    """Return whether the format of the samples says that a channel is a counter, `(S,)`."""
    values, counters = np.zeros(channels, np.int64), np.zeros(channels, np.int64)
    for key in keys:
        if key.temporality is not None:
            present = np.isfinite(key.values)
            values += present.sum(axis=0)
            counters += present[key.temporality != Temporality.GAUGE].sum(axis=0)
    # Values of every sample: a name that is also a gauge somewhere is left as it is.
    always: NDArray[np.bool_] = (counters > 0) & (counters == values)
    return always


def recipe_of(
    channels: Sequence[str], keys: Sequence[KeySamples], rules: RowRules, counters: Sequence[str]
) -> RowRecipe | None:
    """Return the recipe of a history's channels; None where they are used as they stand.

    Args:
        channels: Names of the columns.
        keys: Samples of each key.
        rules: Rules of the channels.
        counters: Channels that are counters.
    """
    recipe = make_recipe(channels, rules.channels, counters)
    if recipe is None:
        return None
    origins = {c.source for c in recipe.sampled if c.is_counter}
    columns = [i for i, name in enumerate(channels) if name in origins]
    gap_seconds = usual_gap_seconds([(key.time_us, key.values) for key in keys], columns)
    if rules.window.mode == "time":
        gap_seconds = max(gap_seconds, rules.window.interval_us * 1e-6)
    return RowRecipe(recipe.channels, _GAP * gap_seconds if columns else 0.0)


def rows(
    channels: Sequence[str],
    keys: Sequence[KeySamples],
    window: WindowSpec,
    recipe: RowRecipe | None = None,
) -> list[Series]:
    """Return the rows of every key, by the engine's own code.

    With `count`, the first of several samples of one time counts. With `time`, intervals that are
    open at the end give no row, as in the stream.

    Args:
        channels: Names of the columns of the samples.
        keys: Samples of each key.
        window: Windowing of samples into rows.
        recipe: Recipe of the channels.
    """
    names = tuple(channels) if recipe is None else recipe.names
    plan = RowPlan(names, window, recipe)
    maker = RowMaker(plan)
    column = {name: i for i, name in enumerate(channels)}
    origin = [column[name] for name in plan.sources]
    series = []
    for key in keys:
        # The stream refuses records without any of the channels, such as those that are ignored.
        own_samples = key.take(np.flatnonzero(np.isfinite(key.values[:, origin]).any(axis=1)))
        lines = np.arange(own_samples.time_us.size)
        one_key = np.zeros(lines.size, dtype=np.int64)
        values, kinds, starts = (
            own_samples.values[:, origin],
            own_samples.temporality,
            own_samples.start_us,
        )
        completed = maker.complete(
            Samples(plan.new_fields(1), lines, one_key, own_samples.time_us, values, kinds, starts)
        ).rows
        # As dates, since the unit is settled: record numbers would look like another one.
        dates = completed.time_us.view("datetime64[us]")
        series.append(Series(key.key, dates, np.ascontiguousarray(completed.values)))
    return series
