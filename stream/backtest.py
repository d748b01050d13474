"""Replay of recorded telemetry through the engine: the stream's scores and events without Kafka."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ember_core.data.sources import Batch, Dataset, interleaved
from ember_core.evaluate import baselines, summarise, summary
from ember_core.pipeline import FleetModel
from stream.engine import (
    AnyEngine,
    DetailedScores,
    Engine,
    Limits,
    ProfiledEngine,
    Profiles,
    SliceOffsets,
    WindowSpec,
)

from .control import NO_CONTROL, ControlSet
from .history import KeySamples
from .history import rows as rows_of
from .keys import key_text
from .records import MAX_ABS_VALUE, Decoded, Event, Reason, Rejected

_NOW_MS = 2**43  # Kafka's timestamp of recorded data, so late that no event time lies after it


@dataclass
class KeyScores:
    """Scored rows of one key, each of shape `(n,)`.

    Attributes:
        details: The same rows with the usual band of each channel, as the scores topic has them;
            None where they are not asked for (`Limits.detailed`), or there are none.
    """

    time_us: NDArray[np.int64]
    score: NDArray[np.float32]
    probability: NDArray[np.float64]
    severity: NDArray[np.float32]
    evidence: NDArray[np.float32]
    anomaly: NDArray[np.bool_]
    trigger: NDArray[np.int8]
    firing: NDArray[np.bool_]
    details: DetailedScores | None = None


@dataclass
class Backtest:
    """Result of a replay.

    Attributes:
        dataset: The data, with the model's channels.
        scores: Scored rows per key, in the order of `dataset.tables`.
        events: Anomalies and triggers, in the order of the replay.
        counts: Records by outcome or by reason of refusal.
        window: Windowing of samples into rows.
        warm: True if the training rows were fed first.
        model: The model, or those of profiles; None: rows have the channels of the data.
        open_intervals: Intervals that are open at the end: as in the stream, only a later record,
            or the silence of a key among others, closes them.
    """

    dataset: Dataset
    scores: list[KeyScores]
    events: list[Event] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    window: WindowSpec = field(default_factory=WindowSpec)
    warm: bool = False
    model: FleetModel | Profiles | None = None
    open_intervals: int = 0

    def rows(self, key: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return times and channels of the scored rows of a key, in order of time."""
        table, rows = self.dataset.tables[key], self.dataset.rows(key, "scored")
        rows = rows[np.argsort(table.time_us[rows], kind="stable")]
        times, values = table.time_us[rows], table.values[rows]
        model = self.model.model_of(table.key) if isinstance(self.model, Profiles) else self.model
        if model is None:
            return times, values
        channels = self.dataset.channels
        if channels != tuple(model.sources):  # those of other profiles too
            columns = [channels.index(name) for name in model.sources]
            table, channels = replace(table, values=table.values[:, columns]), model.sources
            values = table.values[rows]
        if model.recipe is None:
            return times, values
        every = KeySamples(
            table.key, table.time_us, table.values, table.temporality, table.start_us
        )
        samples = every.take(rows)
        (series,) = rows_of(channels, [samples], self.window, model.recipe)
        return np.asarray(series.time_us).astype(np.int64), series.values

    def triggers(self) -> int:
        """Count the episodes that began by evidence."""
        return sum(int((s.trigger > 0).sum()) for s in self.scores)

    def anomalies(self) -> int:
        """Count the rows reported as anomalies."""
        return sum(int(s.anomaly.sum()) for s in self.scores)

    def labels(self, key: int) -> NDArray[np.int8] | None:
        """Return the label of each scored row of a key: 1 where a record of it is labelled."""
        table = self.dataset.tables[key]
        if table.label is None:
            return None
        times = table.time_us
        if self.window.mode == "time":
            times = times - times % self.window.interval_us
        marked = np.unique(times[table.label > 0])
        return np.isin(self.scores[key].time_us, marked).astype(np.int8)

    def figures(self, *, buffer: int = 100) -> dict[str, Any]:
        """Compute detection figures per key, their mean and worst; skip keys without labels."""
        per_key = {}
        for i, (table, s) in enumerate(zip(self.dataset.tables, self.scores, strict=True)):
            label = self.labels(i)
            if label is None or not len(label):
                continue
            name = key_text(table.key)
            per_key[name] = summary(label, s.score, s.firing, buffer=buffer)
        return summarise(per_key) if per_key else {}

    def baseline_figures(self, *, buffer: int = 100, seed: int = 0) -> dict[str, Any]:
        """Compute the mean figures of each baseline on the same rows.

        Empty without labels or training rows, and where rows are intervals of time.
        """
        if self.window.mode == "time" or not self.dataset.divided:
            return {}
        out: dict[str, dict[str, Any]] = {}
        for name in baselines(seed):
            per_key = {}
            for i, table in enumerate(self.dataset.tables):
                label, train = table.label, self.dataset.rows(i, "train")
                if label is None or not len(train):
                    continue
                detector = baselines(seed)[name]
                detector.fit(_filled(table.values[train]))
                rows = self.dataset.rows(i, "scored")
                score = detector.score(_filled(table.values[rows]))
                key = key_text(table.key)
                per_key[key] = summary(label[rows], score, buffer=buffer)
            if per_key:
                out[name] = summarise(per_key)["mean"]
        return out


def backtest(
    model: FleetModel | Profiles,
    dataset: Dataset,
    *,
    topic: str = "telemetry",
    stream_names: Mapping[str, str] | None = None,
    window: WindowSpec | None = None,
    limits: Limits | None = None,
    warm: bool = False,
    batch_rows: int = 4096,
    changes: Mapping[int, FleetModel | Profiles] | None = None,
    control: ControlSet = NO_CONTROL,
    control_changes: Mapping[int, ControlSet] | None = None,
) -> Backtest:
    """Score the rows not used for training, from fresh state, in order of time.

    Args:
        model: The model, or those of profiles.
        dataset: The data; channels that the model does not know are left out.
        topic: Input topic in the events; part of their ids.
        stream_names: Name of the stream in events, by input topic that is an internal one.
        window: Windowing of samples into rows.
        limits: Limits of keys, event times and state, as in the stream.
        warm: Feed the training rows first, without keeping their scores and events.
        batch_rows: Rows of one step; the results do not depend on it.
        changes: Models, or the same model with other thresholds, by the record from which each is
            in use, counted from 0. A reload of the service records the same per partition.
        control: Documents of operators that are in force from the beginning.
        control_changes: Documents that come into force later, by record like `changes`.

    Raises:
        ValueError: If the model is not on NumPy's arrays.
    """
    window = window or WindowSpec()
    data = dataset.select(model.sources)
    engine: AnyEngine
    if isinstance(model, Profiles):
        engine = ProfiledEngine(model, window, limits, stream_names=stream_names, control=control)
    else:
        engine = Engine(model, window, limits, stream_names=stream_names, control=control)
    tp = (topic, 0)
    engine.attach(tp)
    warm = warm and data.divided
    result = Backtest(data, [], window=window, warm=warm, model=model)
    parts: list[tuple[NDArray[np.int64], Any]] = []
    details: list[DetailedScores] = []
    offset, changes, control_changes = 0, changes or {}, control_changes or {}
    key_number = {table.key: i for i, table in enumerate(data.tables)}
    # A step has one model: batches end where the model changes.
    for is_kept, piece in _pieces(data, warm, batch_rows, {*changes, *control_changes}):
        if offset in control_changes:
            engine.schedule_control(tp, offset, control_changes[offset])
            engine.use_control(control_changes[offset])
        if offset in changes:
            engine.schedule_switch(tp, offset, changes[offset])
            engine.switch_model(changes[offset])
        key_index = piece.key_index
        keys = [data.tables[k].key for k in key_index.tolist()]
        decoded, n = (
            _with_kinds(_decoded(keys, piece.time_us, piece.values), data, piece),
            len(keys),
        )
        slice_offsets = SliceOffsets(np.arange(offset, offset + n), np.full(n, _NOW_MS))
        step = engine.step(tp, decoded, slice_offsets)
        offset += n
        if not is_kept:
            continue
        result.events += step.events
        details += step.details
        for outcome, number in step.counts.items():
            result.counts[outcome] = result.counts.get(outcome, 0) + number
        owner = key_index[decoded.message[step.scores.sample]]
        for row, key in step.scores.silent.items():
            owner[row] = key_number[key]
        parts.append((owner, step.scores))
    result.scores = _by_key(parts, len(data.tables))
    _add_details(result.scores, details, key_number)
    result.open_intervals = engine.open_intervals()
    return result


def _passes(data: Dataset, warm: bool, batch_rows: int) -> Iterator[tuple[bool, Any]]:
    """Iterate over the batches of the replay, each with a flag: its results are kept."""
    if warm and data.divided:
        for chunk in interleaved(data, "train", batch_rows):
            yield False, chunk
    for chunk in interleaved(data, "scored", batch_rows):
        yield True, chunk


def _pieces(
    data: Dataset, warm: bool, batch_rows: int, cuts: Iterable[int]
) -> Iterator[tuple[bool, Batch]]:
    """Iterate over the batches of the replay, split at the cuts."""
    offset, cuts = 0, sorted(cuts)
    for is_kept, chunk in _passes(data, warm, batch_rows):
        end = offset + len(chunk.key_index)
        edges = [offset, *(cut for cut in cuts if offset < cut < end), end]
        for piece_begin, piece_end in pairwise(edge - offset for edge in edges):
            yield is_kept, Batch(*(column[piece_begin:piece_end] for column in chunk))
        offset = end


def _decoded(keys: list[bytes], time_us: NDArray[np.int64], values: NDArray[np.float64]) -> Decoded:
    """Decode rows as a codec would: a row that it refuses is refused here for the same reason."""
    rejected = []
    too_large = np.abs(values) > MAX_ABS_VALUE
    if too_large.any():  # a bad value is a missing one
        values = np.where(too_large, np.nan, values)
    wrong = np.isnan(values).all(axis=1)
    for i in np.flatnonzero(wrong).tolist():
        reason = Reason.OUT_OF_RANGE if too_large[i].any() else Reason.NO_CHANNELS
        rejected.append(Rejected(i, reason, "refused as the stream would"))
    message = np.flatnonzero(~wrong).astype(np.int32)
    if not rejected:
        return Decoded(keys, time_us, values, message, [])
    return Decoded(
        [keys[i] for i in message.tolist()], time_us[message], values[message], message, rejected
    )


def _with_kinds(decoded: Decoded, data: Dataset, batch: Batch) -> Decoded:
    """Add what records of a topic say of counters, where they do."""
    if all(table.temporality is None for table in data.tables):
        return decoded
    temporality = np.zeros(len(batch.key_index), dtype=np.uint8)
    start_us = np.zeros(len(batch.key_index), dtype=np.int64)
    for number, table in enumerate(data.tables):
        lines = np.flatnonzero(batch.key_index == number)
        rows = batch.row_index[lines]
        if table.temporality is not None and table.start_us is not None:
            temporality[lines], start_us[lines] = table.temporality[rows], table.start_us[rows]
    kinds, starts = temporality[decoded.message], start_us[decoded.message]
    return replace(decoded, temporality=kinds, start_us=starts)


def _by_key(parts: list[tuple[NDArray[np.int64], Any]], keys: int) -> list[KeyScores]:
    """Group the scored rows of all steps by key; rows of a key keep their order."""
    names = (
        *("time_us", "score", "probability", "severity", "evidence"),
        *("anomaly", "trigger", "firing"),
    )
    owner = np.concatenate([k for k, _ in parts]) if parts else np.zeros(0, dtype=np.int64)
    columns = {
        name: np.concatenate([getattr(s, name) for _, s in parts]) if parts else np.zeros(0)
        for name in names
    }
    return [KeyScores(**{n: c[owner == k] for n, c in columns.items()}) for k in range(keys)]


def _add_details(
    scores: list[KeyScores], details: Sequence[DetailedScores], key_number: Mapping[bytes, int]
) -> None:
    """Add the detailed rows of all steps to those of each key, which has one model."""
    parts: dict[int, list[DetailedScores]] = {}
    for each in details:
        number = np.array([key_number[key] for key in each.keys])
        for key in np.unique(number).tolist():
            parts.setdefault(key, []).append(each.take(np.flatnonzero(number == key)))
    for key, own_parts in parts.items():
        scores[key].details = DetailedScores.in_sequence(own_parts)


def _filled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Carry the last value over missing ones, or else fill in the channel's mean."""
    x = np.where(np.abs(values) <= MAX_ABS_VALUE, values, np.nan)
    # Index of the last row with a value, per channel; -1 before the first one.
    last_row = np.maximum.accumulate(
        np.where(np.isfinite(x), np.arange(len(x))[:, None], -1), axis=0
    )
    carried = np.take_along_axis(x, np.maximum(last_row, 0), axis=0)
    finite = np.isfinite(x)
    mean = np.where(finite, x, 0.0).sum(axis=0) / np.maximum(finite.sum(axis=0), 1)
    return np.where(last_row >= 0, carried, mean)
