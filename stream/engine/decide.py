"""Score all rows of a batch at once, then decide in the order of each key's rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ember_core.fleet import FleetModel
from ember_core.pipeline import Observation
from stream.engine.events import EventBuilder, Row, Why
from stream.engine.layout import TOP
from stream.engine.partition import Partition
from stream.engine.result import ScoreColumns, StepResult
from stream.engine.store import Store
from stream.records import Event

NOTHING = Why([], [], [], [])
# Order of events at one sample: a key's return, its rows, then whom the sample shows silent.
_RETURN, _ROW, _SILENT = range(3)
TOLD, UNTOLD = 1, 2
"""A silent key: the silence was said, or began while nothing was said."""


@dataclass
class RowGroup:
    """Rows of different keys, one each: which rows of the block, completed by which sample."""

    rows: NDArray[np.int64]
    sample: NDArray[np.int64]
    time_us: NDArray[np.int64]
    values: NDArray[np.float64]
    observed: Observation


@dataclass
class Silent:
    """A key silent from sample `at` on; it returns with sample `until`, or not in this batch."""

    at: int
    deadline_us: int
    until: int


@dataclass
class Batch:
    """What a decision needs to know of the batch around it.

    Attributes:
        part: The partition.
        slots: Slot of each row of the block.
        views: Fields of the block, written to.
        times: Event time of each sample.
        quiet: True for samples that only warm up: whatever they bring about is not said.
        silences: Row of the block -> its silences, in order.
        out: Events so far: sample, order at the sample, event.
    """

    part: Partition
    slots: NDArray[np.int64]
    views: dict[str, Any]
    times: NDArray[np.int64]
    quiet: NDArray[np.bool_]
    silences: dict[int, list[Silent]] = field(default_factory=dict)
    out: list[tuple[int, int, Event]] = field(default_factory=list)


class Decider:
    """Decisions and events of one model.

    Args:
        model: The model.
        store: Rows of all keys.
        row_us: Length of a row in time mode, 0 in count mode; microseconds.
    """

    def __init__(self, model: FleetModel, store: Store, row_us: int) -> None:
        self.pipeline = model.pipeline
        self._store, self._row_us = store, row_us
        self._events = EventBuilder(model)
        self._normaliser = [f.name for f in model.pipeline.normaliser.state_fields()]

    def run(self, batch: Batch, groups: list[RowGroup], result: StepResult) -> None:
        """Decide every row of the groups, in order, and close the batch's silences.

        Args:
            batch: The batch.
            groups: Rows completed, each key's in its own order.
            result: Gets the scored rows.
        """
        warm = [np.flatnonzero(g.observed.scored) for g in groups]
        visible = [g.observed.visible[w] for g, w in zip(groups, warm, strict=True)]
        scores = (
            self.pipeline.score(visible[0] if len(visible) == 1 else np.concatenate(visible))
            if visible
            else np.zeros(0, dtype=np.float32)
        )
        columns: list[tuple[Any, ...]] = []
        begin = 0
        for group, chosen in zip(groups, warm, strict=True):
            score = scores[begin : begin + chosen.size]
            begin += chosen.size
            if batch.silences:
                for row, sample in zip(group.rows.tolist(), group.sample.tolist(), strict=True):
                    self._interrupt(batch, row, sample)
            if chosen.size:
                columns.append(self._decide(batch, group, chosen, score))
        for row in list(batch.silences):
            self._interrupt(batch, row, len(batch.times))
        if columns:
            whole = [np.concatenate(parts) for parts in zip(*columns, strict=True)]
            order = np.argsort(whole[0], kind="stable")
            result.scores = ScoreColumns(*(column[order] for column in whole))

    def _decide(
        self, batch: Batch, group: RowGroup, chosen: NDArray[np.int64], score: Any
    ) -> tuple[Any, ...]:
        """One row per key: severity, evidence, events; columns as in `ScoreColumns`."""
        views, rows = batch.views, group.rows[chosen]
        seen = group.observed
        state = {name: views[name][rows] for name in self._store.decided}
        may_fire = seen.may_fire[chosen] & ~batch.quiet[group.sample[chosen]]
        decision = self.pipeline.decide(state, score, may_fire, seen.learning[chosen])
        for name, value in decision.state.items():
            views[name][rows] = value
        views["seq"][rows] += 1
        severity = decision.severity
        anomaly = may_fire & (severity >= self.pipeline.config.anomaly_severity)
        fires, resolves = decision.fires, decision.resolves
        inside = (views["firing"][rows] > 0) | resolves
        views["episode_rows"][rows] = np.where(
            fires, 1, np.where(inside, views["episode_rows"][rows] + 1, 0)
        )
        peak = inside & (fires | (severity > views["peak_severity"][rows]))
        told = np.flatnonzero(anomaly | fires | resolves | peak)
        if told.size:
            at = chosen[told]
            why = self._events.why(
                seen.visible[at],
                group.values[at],
                {name: views[name][rows[told]] for name in self._normaliser},
                seen.expected[at],
            )
            for i, because in zip(told.tolist(), why, strict=True):
                where = int(chosen[i]), int(rows[i]), i
                self._tell(batch, group, where, because, decision, score, anomaly, peak)
        trigger = fires.astype(np.int8) - resolves.astype(np.int8)
        return (
            group.sample[chosen],
            group.time_us[chosen],
            score,
            severity,
            anomaly,
            trigger,
            inside,
        )

    def _tell(
        self,
        batch: Batch,
        group: RowGroup,
        where: tuple[int, int, int],
        why: Why,
        decision: Any,
        score: Any,
        anomaly: Any,
        peak: Any,
    ) -> None:
        """Events of one row, and the memory of its episode's peak."""
        views, pipeline = batch.views, self.pipeline
        at, row, i = where  # in the group, in the block, among the scored
        time_us, sample = int(group.time_us[at]), int(group.sample[at])
        about = Row(
            topic=batch.part.tp[0],
            key=self._store.slab.key(int(batch.slots[row])),
            time_us=time_us,
            end_us=time_us + self._row_us,
            seq=int(views["seq"][row]),
            score=float(score[i]),
            severity=float(decision.severity[i]),
            evidence=float(decision.evidence[i]),
        )
        on = pipeline.motor.on + float(views["feedback"][row])
        if anomaly[i]:
            threshold = pipeline.config.anomaly_severity
            batch.out.append((sample, _ROW, self._events.anomaly(about, why, threshold)))
        if decision.fires[i]:
            views["episode_start"][row] = time_us
        if peak[i]:
            views["peak_severity"][row] = decision.severity[i]
            views["peak_score"][row] = score[i]
            for name, values, empty in (
                ("peak_channel", why.channel, -1),
                ("peak_share", why.share, 0.0),
                ("peak_value", why.value, np.nan),
                ("peak_expected", why.expected, np.nan),
            ):
                views[name][row] = (values + [empty] * TOP)[:TOP]
        if decision.fires[i]:
            event = self._trigger(batch, row, about, why, on, resolved=False, reason="evidence")
            batch.out.append((sample, _ROW, event))
        elif decision.resolves[i]:
            event = self._episode(batch, row, about, resolved=True, reason="evidence")
            batch.out.append((sample, _ROW, event))

    def _trigger(
        self,
        batch: Batch,
        row: int,
        about: Row,
        why: Why,
        threshold: float,
        *,
        resolved: bool,
        reason: str,
    ) -> Event:
        views = batch.views
        return self._events.trigger(
            about,
            why,
            threshold,
            resolved=resolved,
            reason=reason,
            started_us=int(views["episode_start"][row]),
            peak=float(views["peak_severity"][row]),
            rows=int(views["episode_rows"][row]),
        )

    def _peak(self, views: dict[str, Any], row: int) -> Why:
        """What the open episode remembers of its peak."""
        n = int((views["peak_channel"][row] >= 0).sum())
        return Why(
            channel=views["peak_channel"][row][:n].tolist(),
            share=views["peak_share"][row][:n].tolist(),
            value=views["peak_value"][row][:n].tolist(),
            expected=views["peak_expected"][row][:n].tolist(),
        )

    def _interrupt(self, batch: Batch, row: int, before: int) -> None:
        """Silences and returns of a key that lie before one of its samples."""
        waiting = batch.silences.get(row)
        while waiting and (waiting[0].at < before or waiting[0].until <= before):
            silence = waiting[0]
            if silence.at >= 0:
                self._fall_silent(batch, row, silence)
                silence.at = -1  # said
            if silence.until < len(batch.times) and silence.until <= before:
                self._come_back(batch, row, silence.until)
                waiting.pop(0)
            elif silence.until >= len(batch.times):
                waiting.pop(0)
            else:
                break
        if not waiting:
            batch.silences.pop(row, None)

    def _about(self, batch: Batch, row: int, time_us: int) -> Row:
        return Row(
            topic=batch.part.tp[0],
            key=self._store.slab.key(int(batch.slots[row])),
            time_us=time_us,
            end_us=time_us,
            seq=int(batch.views["seq"][row]),
            score=0.0,
            severity=0.0,
            evidence=0.0,
        )

    def _fall_silent(self, batch: Batch, row: int, silence: Silent) -> None:
        """Say that the key is silent, and that an open episode is over for now.

        The motor neuron is left as it is: what it does next depends on the key's own rows only.
        """
        views = batch.views
        about = self._about(batch, row, silence.deadline_us)
        if views["firing"][row]:
            event = self._episode(batch, row, about, resolved=True, reason="stale")
            batch.out.append((silence.at, _SILENT, event))
        views["stale_since"][row] = silence.deadline_us
        if batch.quiet[silence.at]:
            views["stale"][row] = UNTOLD
            return
        views["stale"][row] = TOLD
        batch.out.append((silence.at, _SILENT, self._silence(batch, row, about, resolved=False)))

    def _come_back(self, batch: Batch, row: int, sample: int) -> None:
        """A silent key has sent again; an episode that was open is open again."""
        views = batch.views
        about = self._about(batch, row, int(batch.times[sample]))
        told = views["stale"][row] == TOLD
        views["stale"][row] = 0
        if told:
            batch.out.append((sample, _RETURN, self._silence(batch, row, about, resolved=True)))
        if views["firing"][row]:
            event = self._episode(batch, row, about, resolved=False, reason="returned")
            batch.out.append((sample, _RETURN, event))

    def _episode(self, batch: Batch, row: int, about: Row, *, resolved: bool, reason: str) -> Event:
        """End or going on of the open episode, of which its peak tells."""
        motor = self.pipeline.motor
        threshold = motor.off if resolved else motor.on
        why = self._peak(batch.views, row)
        return self._trigger(batch, row, about, why, threshold, resolved=resolved, reason=reason)

    def _silence(self, batch: Batch, row: int, about: Row, *, resolved: bool) -> Event:
        """Begin or end of a silence."""
        return self._events.trigger(
            about,
            NOTHING,
            0.0,
            resolved=resolved,
            reason="silence_over" if resolved else "silence",
            started_us=int(batch.views["stale_since"][row]),
            peak=0.0,
            rows=0,
        )

    def absent(
        self,
        part: Partition,
        slot: int,
        silence: Silent,
        quiet: NDArray[np.bool_],
        out: list[Any],
    ) -> None:
        """A key that is not in the batch falls silent; its row is written at once."""
        slots = np.asarray([slot])
        block = self._store.gather(slots)
        lone = Batch(
            part, slots, self._store.layout.views(block), np.zeros(0, dtype=np.int64), quiet
        )
        self._fall_silent(lone, 0, silence)
        self._store.scatter(slots, block)
        out += lone.out
