"""Evidence of the channels of rows, with the bits of `ChannelEvidence.forward`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core.pipeline.evidence.channel_evidence import NOTHING, USUAL, ChannelEvidence, tables_of
from ember_core.pipeline.evidence.shown import ChannelStatistics, Usual
from ember_core.pipeline.evidence.signals import MEANS, SIGNALS, SLOW
from ember_core.pipeline.observation import Observation
from ember_core.pipeline.stage import State

from .arrays import contiguous
from .columns import KeyColumn, WeighedColumn
from .compiler import compiled
from .curves import severity_of
from .following import Fields, Model, Outputs, Rows, follow_channels
from .parameters import prepared

_F = np.float32
_ZERO, _ONE, _HALF = _F(0.0), _F(1.0), _F(0.5)
_LEAST_EXTREME, _NOTHING = _F(1e-3), _F(NOTHING)
_LN2 = float(np.log(2.0))
_FRESHER = tuple(SLOW.get(signal, -1) for signal in range(SIGNALS))
"""Place of the signal of 5 rows beside each slow one; -1 beside the others."""
_WIDE = ("level_rows", "level_least", "level_most")
_NARROW = ("profiles", "day_size", "widening", "anchor_half_life")
_FOLLOWED = Fields._fields[len(USUAL) :]
_NO_AGE, _NO_BOUND = np.zeros(0, np.int32), np.zeros((0, 1), np.float32)


@compiled
def judge_channels(key: Any, rows: Any, fields: Any, model: Any, out: Any) -> None:
    """Write the severity of the channels of rows that have been followed.

    Args:
        key: Key of each row, `(R,)`, int64.
        rows: `Rows`.
        fields: `Fields`.
        model: `Model`.
        out: `Outputs`, written to.
    """
    age, beginning, least = rows.age, model.beginning, model.least
    n_rows, n_channels = out.change.shape
    pairs = (SIGNALS + 1) * n_channels
    signals = out.signals.reshape((n_rows, pairs))
    extremes = fields.usual_extremes.reshape((fields.usual_unit.shape[0], pairs))
    factors = model.widening.reshape((model.widening.shape[0], pairs))
    ratios, severities = np.empty(pairs + n_channels, np.float32), np.empty_like(least)
    for row in range(n_rows):
        k = key[row]
        for j in range(pairs):
            ratios[j] = extremes[k, j]
        if age.size:
            for j in range(pairs):
                ratios[j] *= factors[age[row], j]
        for j in range(pairs):
            extreme = ratios[j]
            ratios[j] = signals[row, j] / (_LEAST_EXTREME if extreme < _LEAST_EXTREME else extreme)
        for c in range(n_channels):
            limit = fields.usual_run[k, c]
            run = out.equal_run[row, c] / (_ONE if limit < _ONE else limit)
            ratios[pairs + c] = run if limit > _ZERO else _ZERO
        for j in range(pairs + n_channels):
            severities[j] = least[j]
            if abs(ratios[j]) > beginning[j]:  # few are: most curves begin flat
                severities[j] = severity_of(
                    model.tables, model.table_of[j], ratios[j], beginning[j], least[j]
                )
        for c in range(n_channels):
            largest = hold = severities[pairs + c]
            severity, spread = severities[pairs - n_channels + c], out.signals[row, SIGNALS, c]
            largest = severity if severity > largest else largest
            if not out.change[row, c] >= _HALF * spread and severity > _NOTHING:
                severity = _NOTHING
            hold = severity if severity > hold else hold
            for signal in range(SIGNALS):
                severity = severities[signal * n_channels + c]
                largest = severity if severity > largest else largest
                if _FRESHER[signal] >= 0:
                    slow, fresh = out.signals[row, signal, c], out.signals[row, _FRESHER[signal], c]
                    if not fresh * slow >= _HALF * slow * slow and severity > _NOTHING:
                        severity = _NOTHING
                hold = severity if severity > hold else hold
            is_judged = fields.usual_unit[k, c] > 0.0
            out.severity[row, c] = largest if is_judged else _NOTHING
            out.hold[row, c] = hold if is_judged else _NOTHING


@compiled
def follow_evidence(key: Any, rows: Any, fields: Any, model: Any, out: Any) -> None:
    """Follow and judge rows in their order; arguments as `judge_channels` has them.

    The fields after `usual_run` are written to, and the level where a key learns it.
    """
    follow_channels(key, rows, fields, model, out)
    judge_channels(key, rows, fields, model, out)


def _parameters(stage: ChannelEvidence) -> tuple[Any, ...]:
    """Return `Model` of a stage."""
    wide = {name: contiguous(getattr(stage, name), np.float64) for name in _WIDE}
    narrow = {name: contiguous(getattr(stage, name)) for name in _NARROW}
    anchor_lives = np.maximum(narrow["anchor_half_life"], _ONE)
    lives = np.concatenate([contiguous(stage.half_lives), anchor_lives])
    half_lives, life_index = np.unique(lives, return_inverse=True)
    tables = tables_of(stage.n_channels)
    least, beginning = stage.curves.beginnings(tables, SIGNALS * stage.n_channels)
    return Model(
        kind=contiguous(stage.transforms.kind),
        width=contiguous(stage.transforms.width, np.float64),
        half_lives=half_lives,
        of_average=life_index[:MEANS].copy(),
        of_anchor=life_index[MEANS:].copy(),
        scale_rate=_F(-_LN2 / stage.scale_half_life),
        foretells=np.array(stage.shared.T, order="C"),
        tables=contiguous(stage.curves.tables),
        table_of=np.array(tables),
        beginning=beginning,
        least=least,
        **wide,
        **narrow,
    )


def channel_evidence(
    stage: ChannelEvidence, state: State, x: Any, observation: Observation
) -> tuple[State, Any]:
    """Judge rows `(R, C)`, float64, and take the seasonal values off them.

    Arguments and result as `ChannelEvidence.forward` has them. Expected levels, which only training
    has, take the plain stage.
    """
    if observation.expected_level is not None:
        return stage.forward(state, x, observation)
    sources = (
        *(getattr(stage, name) for name in (*_WIDE, *_NARROW)),
        *(stage.half_lives, stage.shared),
        *(stage.transforms.kind, stage.transforms.width, stage.curves.tables),
    )
    model: Any = prepared(stage, sources, _parameters)
    packed, learns = observation.packed, np.count_nonzero(observation.warming) > 0
    constant_fields, level = (USUAL[1:], USUAL[:1]) if learns else (USUAL, ())
    values = {name: contiguous(state[name], state[name].dtype) for name in constant_fields}
    new = {name: state[name].copy() for name in (*level, *_FOLLOWED)}
    fields = Fields(**values, **new)
    rows, out = _rows(stage, x, observation), _outputs(x.shape)
    follow_evidence(packed.key, rows, fields, model, out)

    observation.channel_severity, observation.channel_hold = out.severity, out.hold
    deviation = KeyColumn(fields.usual_unit, packed.key)
    usual_columns = (getattr(out, name) for name in Usual.COLUMNS)
    observation.usual = Usual(stage.transforms, stage.lowest, deviation, *usual_columns)
    extremes: Any = KeyColumn(fields.usual_extremes, packed.key)
    if observation.age is not None:
        extremes = WeighedColumn(extremes, KeyColumn(model.widening, rows.age))
    usual = {"usual_extremes": extremes, "usual_run": KeyColumn(fields.usual_run, packed.key)}
    # Of the averages only the spread, the last one, is read beside the signals.
    followed = {"channel_averages": out.signals[:, -MEANS:], "equal_run": out.equal_run}
    observation.channel_statistics = ChannelStatistics(
        stage.statistic_severities, usual, followed, out.signals[:, :SIGNALS]
    )
    # The very same arrays where nothing was learnt: nothing to write.
    return new | {name: state[name] for name in constant_fields}, out.without_season


def _rows(stage: ChannelEvidence, x: Any, observation: Observation) -> Rows:
    """Return the columns of rows as the loops take them."""
    if len(stage.profiles) == len(stage.day_size) == 1:
        day = week = np.zeros(len(x), np.int64)
    else:
        day, week = stage.calendar.bins(observation.time_us, stage.bin_seconds)
    counted, age = observation.counted or {}, observation.age
    bounds = (counted.get(side) for side in ("low", "high", "held_low", "held_high"))
    return Rows(
        contiguous(x, np.float64),
        contiguous(observation.elapsed),
        contiguous(observation.warming, np.bool_),
        contiguous(day, np.int64),
        contiguous(week, np.int64),
        _NO_AGE if age is None else contiguous(age, np.int32),
        *(_NO_BOUND if bound is None else contiguous(bound) for bound in bounds),
    )


def _outputs(shape: tuple[int, int]) -> Outputs:
    """Return columns to write to for rows of shape `(R, C)`."""
    severity, hold, change, equal_run, level, size, growth = np.empty((7, *shape), np.float32)
    unit, expected, without_season = np.empty((3, *shape))
    return Outputs(
        severity=severity,
        hold=hold,
        signals=np.empty((shape[0], SIGNALS + 1, shape[1]), np.float32),
        change=change,
        equal_run=equal_run,
        unit=unit,
        expected=expected,
        level=level,
        size=size,
        growth=growth,
        without_season=without_season,
    )
