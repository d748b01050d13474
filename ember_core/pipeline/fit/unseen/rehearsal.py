"""How far the severity of a key never seen can be trusted, by its rows.

Keys of the history play new ones: they begin with the fleet's first state, at several places of
their history, and the stream's own code runs over them. First it shows how much larger their
signals are than those of known keys. Where more of the plays would still fire than do with the
keys' own first states, severity counts less: by the share with which no more do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline.arrival import AGES, SURE_ROWS
from ember_core.pipeline.config import PipelineConfig
from ember_core.pipeline.fit.incidents import Flags
from ember_core.pipeline.fit.series import Series
from ember_core.pipeline.packing import PackedRows
from ember_core.pipeline.pipeline import Pipeline
from ember_core.pipeline.stage import Role, State, names_with

from .first_state import without_own

FIRST_ROWS = 30
"""Rows before a key never seen is scored, where the configuration says nothing else."""
PLAYS = 64
"""Beginnings of new keys that are played, at most."""
MARGIN = 0.95
"""Share of the threshold that the worst of the plays may reach which are not to fire."""
EXTREME = 0.99
"""Quantile of the plays by whose largest signals a new key's are judged."""
_CHUNK = 128


@dataclass(frozen=True)
class Plays:
    """Rows of keys that play new ones.

    Attributes:
        owner: Key of each play, `(P,)`.
        values: Their rows, `(T, P, C)`.
        times: Times of these, `(T, P)`.
        marked: Rows that do not count, `(T, P)`.
    """

    owner: NDArray[np.int64]
    values: Any
    times: Any
    marked: Flags

    @classmethod
    def of(cls, series: Sequence[Series], marks: Sequence[Flags]) -> Plays:
        """Choose keys, and the rows at which each begins."""
        lengths = [len(s.time_us) for s in series]
        count = _played_rows(lengths)
        long_enough = [k for k, length in enumerate(lengths) if length >= count]
        played_keys = np.linspace(0, len(long_enough) - 1, min(PLAYS, len(long_enough))).astype(int)
        per_key, beginnings = max(1, PLAYS // len(played_keys)), []
        for k in np.asarray(long_enough)[played_keys].tolist():
            starts = np.linspace(0, lengths[k] - count, per_key + 1)[1:].astype(int)
            beginnings += [(k, slice(start, start + count)) for start in np.unique(starts).tolist()]
        return cls(
            np.array([k for k, _ in beginnings]),
            np.stack([series[k].values[rows] for k, rows in beginnings], axis=1),
            np.stack([series[k].time_us[rows] for k, rows in beginnings], axis=1),
            np.stack([marks[k][rows] for k, rows in beginnings], axis=1),
        )


def _played_rows(lengths: Sequence[int]) -> int:
    """Return the rows of a play: half of a history at most, so that they begin at all times."""
    return min(AGES[-1], int(np.median(lengths)) // 2)


def is_long_enough(lengths: Sequence[int], config: PipelineConfig) -> bool:
    """Test whether plays of keys with so many rows have some that are scored."""
    first = FIRST_ROWS if _is_usual(config) else config.warmup_score
    return _played_rows(lengths) >= first + FIRST_ROWS


def rehearse(
    pipeline: Pipeline,
    series: Sequence[Series],
    key_state: State,
    new_state: State,
    marks: Sequence[Flags],
) -> NDArray[np.float32]:
    """Set how sure a key never seen is of its severity, and let it be scored early.

    Args:
        pipeline: The pipeline, its thresholds set; written to.
        series: History of keys with a whole one.
        key_state: First states of these keys.
        new_state: That of a key never seen.
        marks: Rows of each key that do not count.

    Returns:
        The confidence at each of `AGES` of each group, `(7, G)`, as events tell it.
    """
    if _is_usual(pipeline.config):
        pipeline.config = replace(pipeline.config, warmup_score=FIRST_ROWS, warmup_alarm=FIRST_ROWS)
    arrival, channels = pipeline.arrival, pipeline.channels
    arrival.assign({"confidence": np.ones_like(arrival.confidence)})
    plays = Plays.of(series, marks)
    played_state = {name: value[plays.owner] for name, value in key_state.items()}
    new = without_own(new_state, played_state, len(series))
    usual, usual_ratios = _run(pipeline, played_state, plays)
    counts = ~plays.marked[..., None]
    usual = np.where(counts, usual, 0.0)
    event_confidence = np.ones((len(AGES), usual.shape[2]))
    if channels is not None:
        _, ratios = _run(pipeline, new, plays)
        # What the key itself would page for is no usual row.
        is_counted = (counts & (usual < MARGIN * pipeline.motor.on))[..., None, :-1]
        widening = _widening(
            np.where(is_counted, ratios, 0.0), np.where(is_counted, usual_ratios, 0.0)
        )
        channels.assign({"widening": _with_known(widening)})
        event_confidence[:, :-1] = (1.0 / widening).mean(axis=1)
    severity, _ = _run(pipeline, new, plays)
    confidence = _confidence(np.where(counts, severity, 0.0), usual, pipeline.motor.on)
    arrival.assign({"confidence": _with_known(confidence)})
    return np.asarray(event_confidence * confidence, dtype=np.float32)


def _run(pipeline: Pipeline, state: State, plays: Plays) -> tuple[Any, Any]:
    """Run plays through the pipeline.

    Returns:
        The severity of each group, `(T, P, G)`, 0 of unscored rows; and the signals and the spread
        over sizes that a key seldom passes, `(T, P, 9, C)`, None without channel evidence.
    """
    rows, count, channels = plays.values.shape
    groups = pipeline.arrival.confidence.shape[1]
    severity = np.zeros((rows, count, groups), dtype=np.float32)
    ratios: list[Any] = []
    state = {name: value.copy() for name, value in state.items()}
    decided = names_with(Role.DECIDED, pipeline.state_fields())
    observed = [name for name in state if name not in decided]
    first = min(max(pipeline.config.warmup_score, 1), rows)
    for begin, end in pairwise([0, *range(first, rows, _CHUNK), rows]):
        packed = PackedRows([count] * (end - begin))
        observation = pipeline.observe(
            {name: state[name] for name in observed},
            plays.values[begin:end].reshape(-1, channels),
            plays.times[begin:end].reshape(-1),
            packed,
        )
        state |= observation.state
        if observation.channel_statistics is not None:
            values = np.abs(observation.channel_statistics.ratios(slice(None)))
            ratios.append(values.reshape(end - begin, count, *values.shape[1:]))
        if not begin:
            continue
        decision = pipeline.decide(
            {name: state[name] for name in decided},
            pipeline.score(observation.visible),
            observation.may_fire,
            observation.learning,
            packed,
            pipeline.channel_rows(observation),
            observation.confidence,
        )
        state |= decision.state
        values = decision.severity if decision.severities is None else decision.severities
        severity[begin:end] = values.reshape(end - begin, count, groups)
    return severity, np.concatenate(ratios) if ratios else None


def _bands() -> list[tuple[int, int, int]]:
    """Return places among `AGES`, and the rows from each age to the next."""
    return [(i, a if i else 0, b) for i, (a, b) in enumerate(pairwise((*AGES, SURE_ROWS)))]


def _widening(new: Any, usual: Any) -> Any:
    """Return how much larger the signals of new keys are at each age, `(7, 9, C)`, 1 or more.

    Args:
        new: Sizes of signals of new keys, `(T, P, 9, C)`.
        usual: The same of keys that are known.
    """
    out = np.ones((len(AGES), *new.shape[2:]))
    for i, begin, end in _bands():
        if begin < len(new):
            new_sizes, usual_sizes = (
                np.quantile(x[begin:end].max(axis=0), EXTREME, axis=0) for x in (new, usual)
            )
            out[i] = np.maximum(new_sizes / np.maximum(usual_sizes, 1.0), 1.0)
        elif i:
            out[i] = np.sqrt(out[i - 1])
    return np.maximum.accumulate(out[::-1], axis=0)[::-1]


def _confidence(severity: Any, usual: Any, threshold: float) -> Any:
    """Return the share of severity that counts from each age on, `(7, G)`; it never falls.

    Args:
        severity: Severity of rows of new keys, `(T, P, G)`.
        usual: That of the same rows of known keys.
        threshold: Severity at which a key fires.
    """
    out = np.ones((len(AGES), severity.shape[2]))
    for i, begin, end in _bands():
        if begin < len(severity):
            peaks = np.sort(severity[begin:end].max(axis=0, initial=1e-6), axis=0)[::-1]
            fired = (usual[begin:end].max(axis=0, initial=0.0) >= threshold).sum(axis=0)
            fired = np.minimum(fired, len(peaks) - 1)[None]
            first_quiet = np.take_along_axis(peaks, fired, axis=0)[0]
            out[i] = np.minimum(1.0, MARGIN * threshold / first_quiet)
        elif i:  # nobody has played on: half of the doubt is left
            out[i] = 0.5 * (1.0 + out[i - 1])
    return np.minimum.accumulate(out[::-1], axis=0)[::-1]


def _with_known(table: Any) -> NDArray[np.float32]:
    """Return a table by age with the 1 of known keys at its end."""
    return np.concatenate([table, np.ones_like(table[:1])]).astype(np.float32)


def _is_usual(config: PipelineConfig) -> bool:
    """Test whether a configuration has the warm-ups that it has by default."""
    warmups, usual = (config.warmup_score, config.warmup_alarm), PipelineConfig
    return warmups == (usual.warmup_score, usual.warmup_alarm)
