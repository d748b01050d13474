"""Events of a batch: anomalies, episodes, and idle keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any

import numpy as np
from msgspec import structs

from ember_core.pipeline import FleetModel, Pipeline
from stream.engine.state.given_up import SENT, UNSENT, given_up
from stream.engine.state.partition import Partition
from stream.engine.state.table import Store
from stream.records import Event

from .batch import IdleKey, KeyRows, PlacedEvent, StepBatch
from .events import EventBuilder, EventRow
from .explanation import Explanation
from .giving_up import GivingUp
from .hard_limits import LimitChange
from .missing_channels import ChannelChanges
from .notable_rows import NotableRows
from .rows import CompletedRows, ObservedRows
from .rules_effect import RulesEffect
from .scored_rows import ScoredRows

_NOTHING = np.zeros(0, dtype=np.int64)
NO_EXPLANATION = Explanation([], [], [], [])
# Order of events at one line: the key's return, its rows, channels that go missing or return, hard
# limits, then keys that the line shows idle.
_RETURN, _ROW, _CHANNEL, _LIMIT, _IDLE = range(5)


class Episodes:
    """Events of one model, and the fields that remember open episodes.

    Attributes:
        rules: Rules of operators in force.

    Args:
        model: The model.
        store: Rows of all keys.
        row_us: Length of a row in time mode, 0 in count mode; microseconds.
    """

    rules: RulesEffect

    def __init__(self, model: FleetModel, store: Store, row_us: int) -> None:
        self.events = EventBuilder(model)
        self.giving_up = GivingUp(store, self.events)
        self._pipeline, self._store, self._row_us = model.pipeline, store, row_us
        self._channels = model.channels

    def emit(
        self,
        batch: StepBatch,
        observed: ObservedRows | None,
        scored: ScoredRows | None,
        changes: ChannelChanges | None = None,
        limits: Sequence[LimitChange] = (),
    ) -> None:
        """Emit the events of all rows, each key's in its own order, and of idle keys.

        The fields of the keys are those after their last row when it is done.

        Args:
            batch: The batch.
            observed: Rows it completed, if any.
            scored: Those of warm keys, if any.
            changes: Channels that go missing or return with these rows, if any.
            limits: Hard limits that open or end with them.
        """
        for row in list(batch.due_resolves):
            self._emit_planned(batch, row)
        if observed is not None:
            self._emit_rows(batch, observed, scored, changes, limits)
        if scored is not None:
            scored.write_back(batch.keys.fields)
        for row in list(batch.idle):
            self._emit_idle_until(batch, row, len(batch))

    def _emit_rows(
        self,
        batch: StepBatch,
        observed: ObservedRows,
        scored: ScoredRows | None,
        changes: ChannelChanges | None,
        limits: Sequence[LimitChange],
    ) -> None:
        """Emit the events of rows, and of idle times that begin or end before these."""
        notable = _NOTHING if scored is None else scored.notable
        if not (notable.size or batch.idle or changes is not None or limits):
            return  # the usual case
        rows, fields, key_row = observed.rows, batch.keys.fields, observed.rows.row
        scored_index = np.full(key_row.size, -1, dtype=np.int64)  # of each completed row
        visited = np.zeros(key_row.size, dtype=bool)
        explanations: dict[int, int] = {}
        if scored is not None:
            scored_index[scored.index] = np.arange(scored.index.size)
            notable = np.sort(scored.index[notable])
            if notable.size:
                visited[notable] = True
                explanations = {i: place for place, i in enumerate(notable.tolist())}
                notable_rows = NotableRows.of(
                    scored,
                    scored_index[notable],
                    self.events.explain(
                        observed.observation,
                        notable,
                        rows.values[notable],
                        scored.decision,
                        scored_index[notable],
                    ),
                )
        if batch.idle:  # any row of a key may end an idle time
            visited |= np.isin(key_row, list(batch.idle))
        changed = dict(_by_row(changes)) if changes is not None else {}
        limits_of = {i: list(group) for i, group in groupby(limits, key=attrgetter("row"))}
        visited[[*changed, *limits_of]] = True
        for i in np.flatnonzero(visited).tolist():
            row, k = int(key_row[i]), int(scored_index[i])
            if row in batch.idle:
                self._emit_idle_until(batch, row, int(rows.line[i]))
            if scored is not None and k >= 0:
                scored.restore_fields(fields, row, k)
                if i in explanations:
                    place = explanations[i]
                    self._emit_row(batch, rows, i, scored, k, notable_rows, place)
            for change in changed.get(i, ()):
                self._emit_channel(batch, row, int(rows.line[i]), int(rows.time_us[i]), change)
            for limit in limits_of.get(i, ()):
                self.emit_limit(batch, rows, limit)

    def emit_limit(self, batch: StepBatch, rows: CompletedRows, limit: LimitChange) -> None:
        """Emit the trigger of a hard limit.

        Args:
            batch: The batch.
            rows: Rows of which one breaks the limit, or does not any more.
            limit: The change, by the index of the row.
        """
        i = limit.row
        event_row = self._event_row(batch.keys, int(rows.row[i]), int(rows.time_us[i]))
        event = self.events.limit_trigger(structs.replace(event_row, rules=limit.rules), limit)
        batch.events.append(PlacedEvent(int(rows.line[i]), _LIMIT, event))

    def _emit_planned(self, batch: StepBatch, row: int) -> None:
        """Resolve the open episode of a key under planned work.

        The motor neuron rests already. So the fields say first what they said before.

        Args:
            batch: The batch.
            row: Row of `batch.keys` of the key.
        """
        fields, due = batch.keys.fields, batch.due_resolves[row]
        fields["firing"][row] = 1
        self._emit_idle_until(batch, row, due.line)
        if fields["firing"][row] and not fields["stale"][row]:
            event_row = self._event_row(batch.keys, row, due.time_us)
            event_row = structs.replace(event_row, rules=due.names)
            event = self._open_episode(batch.keys, row, event_row, resolved=True, reason="planned")
            batch.events.append(PlacedEvent(due.line, _ROW, event))
        fields["firing"][row], fields["episode_rows"][row] = 0, 0

    def _emit_channel(
        self, batch: StepBatch, row: int, line: int, time_us: int, change: tuple[int, bool, int]
    ) -> None:
        """Emit the trigger of a channel that goes missing, or that returns.

        Args:
            batch: The batch.
            row: Row of `batch.keys` of the key.
            line: Line that completes the key's row.
            time_us: Time of that row.
            change: Channel, whether it goes missing, and the rows without it.
        """
        channel, is_gone, count = change
        event = self.events.channel_trigger(
            self._event_row(batch.keys, row, time_us), channel, resolved=not is_gone, rows=count
        )
        batch.events.append(PlacedEvent(line, _CHANNEL, event))

    def _emit_row(
        self,
        batch: StepBatch,
        rows: CompletedRows,
        i: int,
        scored: ScoredRows,
        k: int,
        notable: NotableRows,
        place: int,
    ) -> None:
        """Emit the events of one row, and remember it where it is the peak of its episode.

        Args:
            batch: The batch.
            rows: All completed rows.
            i: Index of the row among these.
            scored: All scored rows.
            k: Index of the row among these.
            notable: The notable ones of these.
            place: Index of the row among these.
        """
        keys, explanation = batch.keys, notable.explanation[place]
        fields, row = keys.fields, notable.row[place]
        time_us, line = int(rows.time_us[i]), int(rows.line[i])
        fires, resolves, updates = (
            column[place] for column in (notable.fires, notable.resolves, notable.updates)
        )
        is_told, is_anomaly = fires or resolves or updates, notable.anomaly[place]
        if is_told or is_anomaly:
            event_row = EventRow(
                keys.topic,
                self._store.slab.key(int(keys.slots[row])),
                time_us,
                time_us + self._row_us,
                notable.seq[place],
                notable.score[place],
                notable.severity[place],
                notable.evidence[place],
                notable.probability[place],
                _confidence(scored.decision.confidence, k),
                () if scored.rules is None else scored.rules.names(k),
            )
        if is_anomaly:
            threshold = self._pipeline.config.anomaly_severity
            event = self.events.anomaly(event_row, explanation, threshold)
            batch.events.append(PlacedEvent(line, _ROW, event))
        if fires:
            fields["episode_start"][row] = time_us
        if notable.peak[place]:
            fields["peak_severity"][row] = scored.alarm[k]
            fields["peak_score"][row] = scored.score[k]
            for name, values in notable.top_channels.items():
                fields[name][row] = values[place]
        if not is_told:
            return
        event_row = structs.replace(event_row, severity=notable.alarm[place])
        if fires:
            threshold = self._pipeline.motor.on + float(fields["feedback"][row])
            if scored.rules is not None:
                threshold -= scored.rules.lower(k)
            event = self._episode(
                keys, row, event_row, explanation, threshold, resolved=False, reason="evidence"
            )
        elif updates:
            threshold = self._pipeline.motor.on + float(fields["feedback"][row])
            event = self._episode(
                keys, row, event_row, explanation, threshold, resolved=False, reason="escalation"
            )
        else:
            event = self._open_episode(keys, row, event_row, resolved=True, reason="evidence")
        batch.events.append(PlacedEvent(line, _ROW, event))

    @property
    def pipeline(self) -> Pipeline:
        """Pipeline of the model."""
        return self._pipeline

    def emit_normal_now(self, batch: StepBatch, row: int, line: int, time_us: int) -> None:
        """Resolve the open episode of a key whose present is usual from now on.

        Args:
            batch: The batch.
            row: Row of `batch.keys` of the key.
            line: Line with which that counts.
            time_us: Its time.
        """
        keys = batch.keys
        if not keys.fields["firing"][row] or keys.fields["stale"][row]:
            return
        event_row = self._event_row(keys, row, time_us)
        event = self._open_episode(keys, row, event_row, resolved=True, reason="normal_now")
        batch.events.append(PlacedEvent(line, _RETURN, event))
        keys.fields["episode_rows"][row] = 0

    def _emit_idle_until(self, batch: StepBatch, row: int, line: int) -> None:
        """Emit the idle times and returns of a key that lie before one of its lines.

        Args:
            batch: The batch.
            row: Row of `batch.keys` of the key.
            line: The line; the number of lines: all that is left.
        """
        pending = batch.idle.get(row)
        while pending and (pending[0].line < line or pending[0].return_line <= line):
            idle = pending[0]
            if idle.line >= 0:
                self._emit_idle(batch, batch.keys, row, idle)
                idle.line = -1  # emitted; the return may come with a later line
            if idle.return_line < len(batch) and idle.return_line <= line:
                self._emit_return(batch, row, idle.return_line)
                pending.pop(0)
            elif idle.return_line >= len(batch):
                pending.pop(0)
            else:
                break
        if not pending:
            batch.idle.pop(row, None)

    def emit_absent(self, batch: StepBatch, slot: int, idle: IdleKey) -> None:
        """Emit the stale trigger of a key without a line in the batch, and write its row at once.

        Args:
            batch: The batch whose clock shows the key idle.
            slot: Slot of the key.
            idle: The idle time; it does not end in the batch.
        """
        keys = self._key_rows(batch.keys.topic, slot)
        self._emit_idle(batch, keys, 0, idle)
        self._store.scatter(keys.slots, keys.block)

    def _emit_idle(self, batch: StepBatch, keys: KeyRows, row: int, idle: IdleKey) -> None:
        """Emit the stale trigger and resolve an open episode.

        The motor neuron stays as it is: its next state depends on the key's own rows only.
        """
        fields = keys.fields
        event_row = self._event_row(keys, row, idle.deadline_us)
        if fields["firing"][row]:
            event = self._open_episode(keys, row, event_row, resolved=True, reason="episode_stale")
            batch.events.append(PlacedEvent(idle.line, _IDLE, event))
        fields["stale_since"][row] = idle.deadline_us
        slots = keys.slots[row : row + 1]
        if batch.without_events[idle.line] or self.rules.is_silent(keys.topic, self._store, slots):
            fields["stale"][row] = UNSENT
            return
        fields["stale"][row] = SENT
        event = self._idle_trigger(keys, row, event_row, resolved=False)
        batch.events.append(PlacedEvent(idle.line, _IDLE, event))

    def _emit_return(self, batch: StepBatch, row: int, line: int) -> None:
        """Resolve the stale trigger of a key that sends again, and go on with an open episode."""
        keys, fields = batch.keys, batch.keys.fields
        event_row = self._event_row(keys, row, int(batch.time_us[line]))
        was_sent = fields["stale"][row] == SENT
        fields["stale"][row] = 0
        if was_sent:
            event = self._idle_trigger(keys, row, event_row, resolved=True)
            batch.events.append(PlacedEvent(line, _RETURN, event))
        due = batch.due_resolves.get(row)
        if due is not None and due.line == line:
            fields["firing"][row] = 0  # resolved when it fell silent, and not to go on
        if fields["firing"][row]:
            event = self._open_episode(
                keys, row, event_row, resolved=False, reason="episode_returned"
            )
            batch.events.append(PlacedEvent(line, _RETURN, event))

    def resolve_expired(self, part: Partition, slot: int, deadline_us: int) -> list[Event]:
        """Resolve the open alerts of a key that expires.

        Args:
            part: The key's partition.
            slot: Slot of the key.
            deadline_us: Time at which the key expires.
        """
        keys = self._key_rows(part.stream, slot)
        # What an earlier model's row held open is resolved for that reason, when it is written.
        alerts = given_up(keys.fields, 0, self._channels, "ttl")
        alerts = replace(alerts, time_us=deadline_us)
        return self.giving_up.events_of(part.stream, self._store.slab.key(slot), alerts)

    def _key_rows(self, topic: str, slot: int) -> KeyRows:
        """Return a copy of the row of one key."""
        slots = np.asarray([slot])
        block = self._store.gather(slots)
        return KeyRows(topic, slots, block, self._store.layout.views(block))

    def _event_row(self, keys: KeyRows, row: int, time_us: int) -> EventRow:
        """Return the row of an event without a score."""
        return EventRow(
            topic=keys.topic,
            key=self._store.slab.key(int(keys.slots[row])),
            time_us=time_us,
            end_us=time_us,
            seq=int(keys.fields["seq"][row]),
            score=0.0,
            severity=0.0,
            evidence=0.0,
        )

    def _open_episode(
        self, keys: KeyRows, row: int, event_row: EventRow, *, resolved: bool, reason: str
    ) -> Event:
        """Return the trigger that ends or goes on with an open episode, explained by its peak."""
        motor = self._pipeline.motor
        threshold = motor.off if resolved else motor.on
        peak = _peak_of(keys.fields, row)
        return self._episode(
            keys, row, event_row, peak, threshold, resolved=resolved, reason=reason
        )

    def _episode(
        self,
        keys: KeyRows,
        row: int,
        event_row: EventRow,
        explanation: Explanation,
        threshold: float,
        *,
        resolved: bool,
        reason: str,
    ) -> Event:
        fields = keys.fields
        return self.events.trigger(
            event_row,
            explanation,
            threshold,
            resolved=resolved,
            reason=reason,
            started_us=int(fields["episode_start"][row]),
            peak=float(fields["peak_severity"][row]),
            rows=int(fields["episode_rows"][row]),
        )

    def _idle_trigger(
        self, keys: KeyRows, row: int, event_row: EventRow, *, resolved: bool
    ) -> Event:
        """Return the trigger that begins or ends an idle time."""
        return self.events.trigger(
            event_row,
            NO_EXPLANATION,
            0.0,
            resolved=resolved,
            reason="key_returned" if resolved else "key_stale",
            started_us=int(keys.fields["stale_since"][row]),
            peak=0.0,
            rows=0,
        )


def _by_row(changes: ChannelChanges) -> Iterator[tuple[int, list[tuple[int, bool, int]]]]:
    """Yield each row with changes, and the changes: channel, whether it goes missing, rows."""
    columns = zip(*(column.tolist() for column in changes), strict=True)
    for row, group in groupby(columns, key=itemgetter(0)):
        yield row, [(channel, gone, count) for _, channel, gone, count in group]


def _confidence(shares: Any, k: int) -> float:
    """Return the share of a row's severity that counts, rounded; 1 where every row's does."""
    return 1.0 if shares is None else round(float(shares[k]), 3)


def _peak_of(fields: dict[str, Any], row: int) -> Explanation:
    """Return the explanation of the open episode's peak."""
    n = int((fields["peak_channel"][row] >= 0).sum())
    return Explanation(
        channel=fields["peak_channel"][row][:n].tolist(),
        share=fields["peak_share"][row][:n].tolist(),
        value=fields["peak_value"][row][:n].tolist(),
        expected=fields["peak_expected"][row][:n].tolist(),
    )
