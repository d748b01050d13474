"""Score all rows of a batch at once, then decide in the order of each key's rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline import FleetModel, PackedRows
from stream.engine.state.layout import TOP
from stream.engine.state.partition import Partition
from stream.engine.state.table import Store
from stream.records import Event

from .events import EventBuilder, Row, Why
from .result import StepResult
from .rows import Completed, Seen
from .scored_rows import ScoredRows

NOTHING = Why([], [], [], [])
# Order of events at one sample: a key's return, its rows, then whom the sample shows silent.
_RETURN, _ROW, _SILENT = range(3)
TOLD, UNTOLD = 1, 2
"""A silent key: the silence was said, or began while nothing was said."""


@dataclass
class IdleKey:
    """A key silent from sample `at` on; it returns with sample `until`, or not in this batch."""

    at: int
    deadline_us: int
    until: int


@dataclass
class Batch:
    """What a decision needs to know of the batch around it.

    Attributes:
        topic: The input topic.
        slots: Slot of each row of the block.
        views: Fields of the block, written to.
        times: Event time of each sample.
        quiet: True for samples that only warm up: whatever they bring about is not said.
        silences: Row of the block -> its silences, in order.
        out: Events so far: sample, order at the sample, event.
    """

    topic: str
    slots: NDArray[np.int64]
    views: dict[str, Any]
    times: NDArray[np.int64]
    quiet: NDArray[np.bool_]
    silences: dict[int, list[IdleKey]] = field(default_factory=dict)
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

    def run(self, batch: Batch, seen: Seen | None, result: StepResult) -> None:
        """Decide every row, each key's in its own order, and close the batch's silences.

        Args:
            batch: The batch.
            seen: Rows completed, if any.
            result: Gets the scored rows.
        """
        if seen is not None:
            made = self._decide(batch, seen)
            self._speak(batch, seen, made)
            if made is not None:
                made.close(batch.views)
                result.scores = made.columns(seen.rows)
        for row in list(batch.silences):
            self._interrupt(batch, row, len(batch.times))

    def _decide(self, batch: Batch, seen: Seen) -> ScoredRows | None:
        """Score and decide the rows that are warm; fields of tail and motor neuron in place."""
        rows, observed, views = seen.rows, seen.observed, batch.views
        if observed.scored.all():
            chosen, turns, keys = np.arange(rows.sample.size), rows.turns, rows.keys
        else:
            chosen = np.flatnonzero(observed.scored)
            if not chosen.size:
                return None
            turns, keys, order = PackedRows.of(rows.who[chosen])
            chosen = chosen[order]
        score = self.pipeline.score(observed.visible[chosen])
        state = {name: views[name][keys] for name in self._store.decided}
        may_fire = observed.may_fire[chosen] & ~batch.quiet[rows.sample[chosen]]
        decision = self.pipeline.decide(state, score, may_fire, observed.learning[chosen], turns)
        anomaly = may_fire & (decision.severity >= self.pipeline.config.anomaly_severity)
        return ScoredRows.of(views, turns, keys, chosen, score, decision, anomaly)

    def _speak(self, batch: Batch, seen: Seen, made: ScoredRows | None) -> None:
        """Events of the rows that have any, and of silences that begin or end before them."""
        rows, observed, views = seen.rows, seen.observed, batch.views
        who = rows.who
        place = np.full(who.size, -1, dtype=np.int64)  # of a row among the scored
        told = np.zeros(who.size, dtype=bool)
        why: dict[int, Why] = {}
        if made is not None:
            place[made.chosen] = np.arange(made.chosen.size)
            at = np.sort(made.chosen[made.told])
            if at.size:
                told[at] = True
                normaliser = {name: views[name][who[at]] for name in self._normaliser}
                parts = observed.visible[at], rows.values[at], normaliser, observed.expected[at]
                why = dict(zip(at.tolist(), self._events.why(*parts), strict=True))
        if batch.silences:
            told |= np.isin(who, list(batch.silences))
        for i in np.flatnonzero(told).tolist():
            row, scored = int(who[i]), int(place[i])
            if row in batch.silences:
                self._interrupt(batch, row, int(rows.sample[i]))
            if made is not None and scored >= 0:
                made.recall(views, row, scored)
                if i in why:
                    self._tell(batch, rows, (i, row, scored), why[i], made)

    def _tell(
        self, batch: Batch, rows: Completed, where: tuple[int, int, int], why: Why, made: ScoredRows
    ) -> None:
        """Events of one row, and the memory of its episode's peak."""
        views, pipeline, decision = batch.views, self.pipeline, made.decision
        at, row, i = where  # among the rows, in the block, among the scored
        time_us, sample = int(rows.time_us[at]), int(rows.sample[at])
        about = Row(
            topic=batch.topic,
            key=self._store.slab.key(int(batch.slots[row])),
            time_us=time_us,
            end_us=time_us + self._row_us,
            seq=int(views["seq"][row]),
            score=float(made.score[i]),
            severity=float(decision.severity[i]),
            evidence=float(decision.evidence[i]),
        )
        on = pipeline.motor.on + float(views["feedback"][row])
        if made.anomaly[i]:
            threshold = pipeline.config.anomaly_severity
            batch.out.append((sample, _ROW, self._events.anomaly(about, why, threshold)))
        if decision.fires[i]:
            views["episode_start"][row] = time_us
        if made.peak[i]:
            views["peak_severity"][row] = decision.severity[i]
            views["peak_score"][row] = made.score[i]
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
            topic=batch.topic,
            key=self._store.slab.key(int(batch.slots[row])),
            time_us=time_us,
            end_us=time_us,
            seq=int(batch.views["seq"][row]),
            score=0.0,
            severity=0.0,
            evidence=0.0,
        )

    def _fall_silent(self, batch: Batch, row: int, silence: IdleKey) -> None:
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

    def forget(self, part: Partition, slot: int, deadline_us: int) -> list[Event]:
        """What the open alerts of a key come to that is forgotten at a time."""
        slots = np.asarray([slot])
        views = self._store.layout.views(self._store.gather(slots))
        none = np.zeros(0, dtype=np.int64)
        lone = Batch(part.tp[0], slots, views, none, none.astype(bool))
        about = self._about(lone, 0, deadline_us)
        if views["stale"][0] == TOLD:
            return [self._silence(lone, 0, about, resolved=True)]
        if views["firing"][0] and not views["stale"][0]:
            return [self._episode(lone, 0, about, resolved=True, reason="stale")]
        return []

    def absent(
        self,
        topic: str,
        slot: int,
        silence: IdleKey,
        quiet: NDArray[np.bool_],
        out: list[Any],
    ) -> None:
        """A key that is not in the batch falls silent; its row is written at once."""
        slots = np.asarray([slot])
        block = self._store.gather(slots)
        lone = Batch(
            topic, slots, self._store.layout.views(block), np.zeros(0, dtype=np.int64), quiet
        )
        self._fall_silent(lone, 0, silence)
        self._store.scatter(slots, block)
        out += lone.out
