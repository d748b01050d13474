"""Departures of the channels of rows, followed from row to row: `ChannelEvidence._follow`.

A row is followed channel by channel, number by number: a departure and all that follows from it
stay in registers. The arithmetic is that of `FollowedChannels.advance` where no key has two rows.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ember_core.pipeline.evidence.following import (
    FAR,
    HELD,
    LARGEST_CHANGE,
    LARGEST_GROWTH,
    MOST,
    MOST_AVERAGED,
)
from ember_core.pipeline.evidence.signals import AVERAGED, JUMP_FROM, MEANS, OWN_PARTS, SPREAD

from .compiler import compiled
from .elementary import exp32
from .transforms import invert_columns, transform_columns

_F = np.float32
_ZERO, _ONE, _MINUS_TWO = _F(0.0), _F(1.0), _F(-2.0)
_MINUS_LN2 = _F(-float(np.log(2.0)))
_LEAST_SIZE, _LEAST_COUNT = _F(1e-6), _F(1e-6)
_SETTLED_ROWS, _LARGEST_RATIO = _F(2.0), _F(6.0)
_FAR, _MOST, _MOST_AVERAGED, _HELD = _F(FAR), _F(MOST), _F(MOST_AVERAGED), _F(HELD)
_LARGEST_CHANGE, _LARGEST_GROWTH = _F(LARGEST_CHANGE), _F(LARGEST_GROWTH)
_INFINITE = _F(np.inf)
JUMP, OWN = AVERAGED, AVERAGED + 1
"""Places of the jump and of the own part among the signals."""


class Fields(NamedTuple):
    """Fields of `ChannelEvidence`, `(K, ...)`, in their order; those after `usual_run` change."""

    usual_unit: Any
    usual_level: Any
    usual_loadings: Any
    usual_size: Any
    usual_excess: Any
    usual_change: Any
    usual_extremes: Any
    usual_run: Any
    scale_growth: Any
    channel_anchor: Any
    channel_rows: Any
    channel_far: Any
    last_departure: Any
    channel_averages: Any
    own_averages: Any
    last_value: Any
    equal_run: Any


class Rows(NamedTuple):
    """Columns of the rows.

    Attributes:
        x: Values, `(R, C)`, float64.
        elapsed: Usual intervals since the key's row before, `(R,)`, float32.
        warming: True where the key learns its level, `(R,)`.
        day: Bin of the day, `(R,)`, int64.
        week: Bin of the week.
        age: Place in `widening`, `(R,)`, int32; of no rows: nothing is widened.
        low: Smallest departure that counts for other channels, `(R, C)`, float32; of no rows:
            there are no bounds.
        high: Largest one.
        held_low: Smallest departure that averages follow in full.
        held_high: Largest one.
    """

    x: Any
    elapsed: Any
    warming: Any
    day: Any
    week: Any
    age: Any
    low: Any
    high: Any
    held_low: Any
    held_high: Any


class Model(NamedTuple):
    """Parameters of the stage; those of values in their own unit are float64, the others float32.

    Attributes:
        kind: Kind of the transform of each channel, `(C,)`.
        width: Width of its `asinh`.
        level_rows: Rows of its own that the level a new key begins with counts as.
        level_least: Smallest transformed value that a new key learns its level of.
        level_most: Largest one.
        profiles: Profiles by bin of the week, `(W, C, P)`.
        day_size: Usual size by bin of the day, `(D, C)`.
        widening: Factors of extremes by age, `(8, 9, C)`.
        half_lives: Different half-lives of the averages and the anchors, `(L,)`.
        of_average: Place of each average's among them, `(4,)`.
        of_anchor: Place of each channel's anchor's, `(C,)`.
        anchor_half_life: Half-life of the anchor of each channel, `(C,)`; 0: there is none.
        scale_rate: Logarithm of the share that the scale keeps in a usual interval.
        foretells: Share of a channel's departure that others show with it, `(from, of)`.
        tables: Severity of every statistic at each point of the grid, `(J, 65)`.
        table_of: Table of each statistic, `(10 C,)`: of the signals, the spread and the runs.
        beginning: Size up to which a statistic has its least severity, `(10 C,)`.
        least: Its least severity.
    """

    kind: Any
    width: Any
    level_rows: Any
    level_least: Any
    level_most: Any
    profiles: Any
    day_size: Any
    widening: Any
    half_lives: Any
    of_average: Any
    of_anchor: Any
    anchor_half_life: Any
    scale_rate: Any
    foretells: Any
    tables: Any
    table_of: Any
    beginning: Any
    least: Any


class Outputs(NamedTuple):
    """Columns that are written to, `(R, C)`, or `(R, 9, C)`.

    Attributes:
        severity: Severity of each channel.
        hold: Severity of what still goes on in it.
        signals: The signals, and the spread after them.
        change: Change of the departure from row to row.
        equal_run: Values that were equal to the one before.
        unit: Usual unit, and the other columns of `Usual`.
        expected: Seasonal expectation, in usual units.
        level: Anchor before the row, in usual sizes.
        size: Usual size, in usual units.
        growth: Growth of the scale.
        without_season: Values less the seasonal ones, float64.
    """

    severity: Any
    hold: Any
    signals: Any
    change: Any
    equal_run: Any
    unit: Any
    expected: Any
    level: Any
    size: Any
    growth: Any
    without_season: Any


@compiled
def _clip(x: Any, low: Any, high: Any) -> Any:
    """Return a number within bounds, a bound where it equals it; NaN stays NaN."""
    x = low if x <= low else x
    return high if x >= high else x


@compiled
def _gain(decayed: Any, begins: Any, value_count: Any, half_life: Any) -> Any:
    """Return the share of a departure that the anchor of a channel takes up.

    Args:
        decayed: Share by its half-life.
        begins: One over the number of values.
        value_count: Number of values, this one too.
        half_life: Half-life of the anchor; 0: there is none.
    """
    if not half_life > _ZERO:
        return _ZERO
    if value_count == _ONE:
        return _ONE
    gain = decayed
    if value_count < half_life + _SETTLED_ROWS and gain < begins:
        gain = begins
    return _ONE if gain > _ONE else gain


@compiled
def _forget(elapsed: Any, model: Any, shares: Any) -> None:
    """Write the shares that averages forget in the time before each row, and that of the scale.

    Args:
        elapsed: Usual intervals since the key's row before, `(R,)`.
        model: `Model`.
        shares: By half-life, and that of the scale at the end, `(L + 1, R)`, written to.
    """
    for mean_index in range(model.half_lives.size):
        half_life = model.half_lives[mean_index]
        for row in range(elapsed.size):
            shares[mean_index, row] = _ONE - exp32(_MINUS_LN2 * elapsed[row] / half_life)
    for row in range(elapsed.size):
        shares[-1, row] = _ONE - exp32(model.scale_rate * elapsed[row])


@compiled
def follow_channels(key: Any, rows: Any, fields: Any, model: Any, out: Any) -> None:
    """Follow rows in their order, and write the fields of their keys.

    Args:
        key: Key of each row, `(R,)`, int64.
        rows: `Rows`.
        fields: `Fields`, written to.
        model: `Model`.
        out: `Outputs`, written to.
    """
    _, n_channels, rank = fields.usual_loadings.shape
    weights = np.empty(MEANS, np.float32)
    n_lives = model.half_lives.size
    shares = np.empty((n_lives + 1, key.size), np.float32)
    _forget(rows.elapsed, model, shares)
    scratch = np.empty((4, n_channels), np.float32)
    departures, allowed, foretold, counts = scratch[0], scratch[1], scratch[2], scratch[3]
    has_bounds = rows.low.size > 0
    transformed = seasonal = out.without_season
    transform_columns(rows.x, model.kind, model.width, transformed)
    for row in range(key.size):
        k, elapsed, warming = key[row], rows.elapsed[row], rows.warming[row]
        day = rows.day[row] % model.day_size.shape[0]
        week = rows.week[row] % model.profiles.shape[0]
        slow = shares[n_lives, row]
        for m in range(MEANS):
            weights[m] = shares[model.of_average[m], row]
        for c in range(n_channels):
            # The departure from the expectation.
            unit = fields.usual_unit[k, c]
            is_judged = unit > 0.0
            unit = unit if is_judged else 1.0
            profile = fields.usual_loadings[k, c, 0] * model.profiles[week, c, 0]
            for i in range(1, rank):
                profile += fields.usual_loadings[k, c, i] * model.profiles[week, c, i]
            size, day_size = fields.usual_size[k, c], model.day_size[day, c]
            size = _LEAST_SIZE if size < _LEAST_SIZE else size
            x, row_count = rows.x[row, c], fields.channel_rows[k, c]
            y = transformed[row, c]
            residual = y / unit - profile if is_judged else np.nan
            level = fields.usual_level[k, c]
            if warming:
                limited = _clip(y, model.level_least[c], model.level_most[c])
                learnt = residual + (limited - y) / unit
                value_rows = np.float64(row_count + _ONE) + model.level_rows[c]
                level += (learnt - level) / value_rows if np.isfinite(learnt) else 0.0
                fields.usual_level[k, c] = level
            z = _F(residual - level) / size
            present = np.isfinite(z)
            z = z if present else _ZERO
            count = _ONE if present else _ZERO
            value_count = row_count + count
            fields.channel_rows[k, c] = value_count

            # The last value, and the change since then.
            run = fields.equal_run[k, c]
            if np.isfinite(x):
                goes_on = x == fields.last_value[k, c] and row_count > _ZERO
                run = run + _ONE if goes_on else _ZERO
                fields.last_value[k, c], fields.equal_run[k, c] = x, run
            change = abs(z - fields.last_departure[k, c]) / day_size if row_count > _ZERO else _ZERO
            largest = _LARGEST_CHANGE * fields.usual_change[k, c]
            change = largest if change > largest else change
            if present:
                fields.last_departure[k, c] = z

            # The anchor, and for how long the channel has been far from it.
            half_life = model.anchor_half_life[c]
            decayed = shares[model.of_anchor[c], row]
            begins = _ONE / (value_count + _LEAST_COUNT)
            gain = _gain(decayed, begins, value_count, half_life) if present else _ZERO
            alarming = fields.usual_extremes[k, 1, c]
            if rows.age.size:
                alarming *= model.widening[rows.age[row], 1, c]
            unusual = abs(fields.channel_averages[k, 0, c]) > alarming
            anchor = fields.channel_anchor[k, c]
            is_first = present and half_life > _ZERO and row_count == _ZERO and not warming
            origin = z if is_first else anchor
            distance = (z - origin) / day_size
            far_time = fields.channel_far[k, c]
            if present:
                far_time += elapsed if abs(distance) > _FAR or unusual else _MINUS_TWO * elapsed
                far_time = far_time if far_time > _ZERO else _ZERO
            fields.channel_far[k, c] = far_time
            is_free = far_time >= half_life or is_first
            share = _ZERO if unusual and not is_free else gain
            bound = _INFINITE if is_free else _FAR * day_size
            fields.channel_anchor[k, c] = anchor + share * _clip(z - anchor, -bound, bound)

            # The scale, and the averages.
            distance = _clip(distance, -_MOST, _MOST)
            excess, growth = fields.usual_excess[k, c], fields.scale_growth[k, c]
            grown = growth
            if present and excess > _ZERO:
                ratio = abs(distance) / excess
                ratio = _LARGEST_RATIO if ratio > _LARGEST_RATIO else ratio
                faster = begins if warming and slow < begins else slow
                grown = growth + faster * (ratio - growth)
                fields.scale_growth[k, c] = grown
            departure = distance / _clip(growth, _ONE, _LARGEST_GROWTH)
            bounded = _clip(departure, -_MOST_AVERAGED, _MOST_AVERAGED)
            if has_bounds:  # the return from a side that does not count is no jump
                held_low, held_high = rows.held_low[row, c] - _HELD, rows.held_high[row, c] + _HELD
                bounded = _clip(bounded, held_low, held_high)
            jump = departure - fields.channel_averages[k, JUMP_FROM, c]
            for m in range(MEANS):
                average = fields.channel_averages[k, m, c]
                step = (change if m == SPREAD else bounded) - average
                average += weights[m] * count * step
                fields.channel_averages[k, m, c] = average
                out.signals[row, -1 if m == SPREAD else 1 + m, c] = average

            departures[c], counts[c] = departure, count
            counting = bounded if present else _ZERO
            if has_bounds:
                counting = _clip(counting, rows.low[row, c], rows.high[row, c])
            allowed[c] = counting
            out.signals[row, 0, c] = departure if present else _ZERO
            out.signals[row, JUMP, c] = jump if present else _ZERO
            out.change[row, c], out.equal_run[row, c] = change, run
            expected = level + profile
            seasonal[row, c] = expected * unit
            out.unit[row, c], out.expected[row, c] = unit, expected
            out.level[row, c], out.size[row, c] = origin / day_size, size * day_size
            out.growth[row, c] = _clip(grown, _ONE, _LARGEST_GROWTH)

        # The part of a departure that the other channels do not foretell.
        for c in range(n_channels):
            foretold[c] = allowed[0] * model.foretells[0, c]
        for i in range(1, n_channels):
            given_by = allowed[i]
            for c in range(n_channels):
                foretold[c] += given_by * model.foretells[i, c]
        for c in range(n_channels):
            own_part = departures[c] - foretold[c]
            out.signals[row, OWN, c] = own_part if counts[c] > _ZERO else _ZERO
            bounded = _clip(own_part, -_MOST_AVERAGED, _MOST_AVERAGED)
            for m in range(OWN_PARTS - 1):
                average = fields.own_averages[k, m, c]
                average += weights[m] * counts[c] * (bounded - average)
                fields.own_averages[k, m, c] = average
                out.signals[row, OWN + 1 + m, c] = average

    invert_columns(model.kind, model.width, seasonal)
    for row in range(key.size):
        for c in range(n_channels):
            is_judged = fields.usual_unit[key[row], c] > 0.0
            out.without_season[row, c] = rows.x[row, c] - (seasonal[row, c] if is_judged else 0.0)
